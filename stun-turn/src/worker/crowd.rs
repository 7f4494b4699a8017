//! Who waits for how long, by source: so that whoever sends too many makes way for others, not they
//! for it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use stun_turn_proto::source::Source;

/// The connections of one kind, by source and age. Every question is answered in O(log n).
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// The oldest of each source first.
    of: HashMap<Source, BTreeSet<(Duration, usize)>>,
    /// How many each source has and since when; the last has most, and of several that do, it has
    /// waited longest.
    ranks: BTreeSet<(usize, Reverse<Duration>, Source)>,
    len: usize,
}

impl Crowd {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn count(&self, source: Source) -> usize {
        self.of.get(&source).map_or(0, BTreeSet::len)
    }

    pub(super) fn insert(&mut self, source: Source, since: Duration, key: usize) {
        self.change(source, |own| own.insert((since, key)));
    }

    pub(super) fn remove(&mut self, source: Source, since: Duration, key: usize) {
        self.change(source, |own| own.remove(&(since, key)));
    }

    /// The oldest of a source.
    pub(super) fn oldest_of(&self, source: Source) -> Option<usize> {
        let (_, key) = self.of.get(&source)?.first()?;
        Some(*key)
    }

    /// The oldest of the source that has most.
    fn oldest_of_most(&self) -> Option<usize> {
        let (_, _, source) = self.ranks.last()?;
        self.oldest_of(*source)
    }

    /// How many the source has that has most.
    fn most(&self) -> usize {
        self.ranks.last().map_or(0, |(count, _, _)| *count)
    }

    fn change(
        &mut self,
        source: Source,
        change: impl FnOnce(&mut BTreeSet<(Duration, usize)>) -> bool,
    ) {
        let own = self.of.entry(source).or_default();
        let rank = |own: &BTreeSet<(Duration, usize)>| {
            let (since, _) = own.first()?;
            Some((own.len(), Reverse(*since), source))
        };
        let (before, had) = (rank(own), own.len());
        change(own);
        let (after, has) = (rank(own), own.len());
        if has == 0 {
            self.of.remove(&source);
        }
        self.len = self.len + has - had;
        if let Some(before) = before {
            self.ranks.remove(&before);
        }
        self.ranks.extend(after);
    }
}

/// The connections of one kind by source, and by the wider networks around IPv6 sources: a network
/// with a connection from each of thousands of its sources would else never have most.
#[derive(Debug, Default)]
pub(super) struct Crowds {
    sources: Crowd,
    networks: Crowd,
}

impl Crowds {
    pub(super) const fn len(&self) -> usize {
        self.sources.len()
    }

    pub(super) fn count(&self, source: Source) -> usize {
        self.sources.count(source)
    }

    pub(super) fn insert(&mut self, source: Source, since: Duration, key: usize) {
        self.sources.insert(source, since, key);
        self.networks.insert(source.widest(), since, key);
    }

    pub(super) fn remove(&mut self, source: Source, since: Duration, key: usize) {
        self.sources.remove(source, since, key);
        self.networks.remove(source.widest(), since, key);
    }

    /// The oldest of a source.
    pub(super) fn oldest_of(&self, source: Source) -> Option<usize> {
        self.sources.oldest_of(source)
    }

    /// The oldest of the source that has most, where a wider network counts as
    /// [`Source::sources_of_widest`] sources.
    pub(super) fn oldest_of_most(&self) -> Option<usize> {
        let of_network = self.networks.most().div_ceil(Source::sources_of_widest());
        match of_network > self.sources.most() {
            true => self.networks.oldest_of_most(),
            false => self.sources.oldest_of_most(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    fn source(last: u8) -> Source {
        Source::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
    }

    #[test]
    fn a_network_with_few_connections_from_each_of_many_sources_makes_way() {
        let mut crowds = Crowds::default();
        let of = |network: u128, source: u128| {
            let bits = 0x2001_0db8_u128 << 96 | network << 80 | source << 64 | 1;
            Source::of(IpAddr::from(bits.to_be_bytes()))
        };
        let at = Duration::from_secs;
        crowds.insert(source(1), at(1), 1);
        crowds.insert(source(1), at(2), 2);
        for telephone in 0..100_u64 {
            let key = 1000 + usize::try_from(telephone).unwrap();
            crowds.insert(of(1, telephone.into()), at(3), key);
        }
        assert_eq!(
            crowds.oldest_of_most(),
            Some(1),
            "many telephones are no crowd"
        );
        for number in 0..1000_u64 {
            let key = 2000 + usize::try_from(number).unwrap();
            crowds.insert(of(2, number.into()), at(100 + number), key);
        }
        assert_eq!(crowds.oldest_of_most(), Some(2000));
        crowds.remove(of(2, 0), at(100), 2000);
        assert_eq!(crowds.oldest_of_most(), Some(2001));
        assert_eq!((crowds.len(), crowds.count(of(2, 1))), (1101, 1));
    }

    proptest! {
        /// The same answers as a list that is searched.
        #[test]
        fn a_crowd_answers_as_a_plain_list_does(
            steps in proptest::collection::vec((0..3_u8, 0..5_u8, 0..1000_u64), 0..200),
        ) {
            let mut crowd = Crowd::default();
            let mut list: Vec<(u8, Duration, usize)> = Vec::new();
            for (key, (kind, of, number)) in steps.into_iter().enumerate() {
                if kind > 0 {
                    // Times differ, so that there is one answer.
                    let since = Duration::new(number, u32::try_from(key).expect("few"));
                    crowd.insert(source(of), since, key);
                    list.push((of, since, key));
                } else if !list.is_empty() {
                    let place = usize::try_from(number).expect("few") % list.len();
                    let (of, since, key) = list.swap_remove(place);
                    crowd.remove(source(of), since, key);
                }
                let own = |of| list.iter().filter(move |it| it.0 == of);
                let oldest = |of| own(of).map(|it| (it.1, it.2)).min();
                let key = |oldest: Option<(Duration, usize)>| oldest.map(|it| it.1);
                prop_assert_eq!(crowd.len(), list.len());
                for of in 0..5 {
                    prop_assert_eq!(crowd.count(source(of)), own(of).count());
                    prop_assert_eq!(crowd.oldest_of(source(of)), key(oldest(of)));
                }
                let most = (0..5).max_by_key(|of| (own(*of).count(), Reverse(oldest(*of))));
                prop_assert_eq!(crowd.oldest_of_most(), key(most.and_then(oldest)));
            }
        }
    }
}
