//! How long a side heard nothing, by counts of packets. Pure.

use serde::Serialize;

/// So many packets within [`WINDOW`] are media; single ones may be handshakes.
const PACKETS: u64 = 3;
/// In seconds.
const WINDOW: f64 = 1.0;
/// Shorter silences are not told, in seconds: what a busy machine does to anybody.
const SHORTEST: f64 = 1.0;

/// What was counted at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Seconds since the event.
    pub at: f64,
    /// Packets of media so far.
    pub packets: u64,
}

/// How long a side heard nothing after an event.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Silence {
    /// The longest silence in seconds; 0 for none of a second or more.
    pub longest: f64,
    /// Seconds from the event to the end of the last silence; `None` when it has not ended.
    pub back: Option<f64>,
}

/// What the samples of one side tell.
#[must_use]
pub fn of(samples: &[Sample]) -> Silence {
    let mut silence = Silence {
        longest: 0.0,
        back: Some(0.0),
    };
    let mut heard = None;
    let mut is_silent = false;
    for (index, sample) in samples.iter().enumerate() {
        let earlier = samples[..index].iter().rev();
        let before = earlier
            .clone()
            .find(|earlier| sample.at - earlier.at >= WINDOW);
        let Some(before) = before else { continue };
        let is_alive = sample.packets.saturating_sub(before.packets) >= PACKETS;
        let since = *heard.get_or_insert(before.at);
        if is_silent || !is_alive {
            let lasted = sample.at - since;
            is_silent = !is_alive;
            if lasted >= SHORTEST && sample.at >= 0.0 {
                silence.longest = silence.longest.max(lasted);
                silence.back = is_alive.then_some(sample.at);
            }
        }
        let last = samples[..index].last();
        if is_alive && last.is_some_and(|last| sample.packets > last.packets) {
            heard = Some(sample.at);
        }
    }
    silence
}

/// Whether media came throughout the last seconds.
#[must_use]
pub fn has_ended(samples: &[Sample], seconds: f64) -> bool {
    let Some(now) = samples.last() else {
        return false;
    };
    let Silence { back, .. } = of(samples);
    back.is_some_and(|back| now.at - back.max(0.0) >= seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten packets a second, four samples a second, except where it is silent.
    fn samples(until: f64, is_silent: impl Fn(f64) -> bool) -> Vec<Sample> {
        let mut packets = 0;
        let quarters = (-12..).map(|quarter| f64::from(quarter) / 4.0);
        let times = quarters.take_while(|at| *at <= until);
        let sample = |at: f64| {
            packets += if is_silent(at) { 0 } else { 3 };
            Sample { at, packets }
        };
        times.map(sample).collect()
    }

    #[test]
    fn media_without_a_gap_is_no_silence() {
        let samples = samples(10.0, |_| false);
        assert_eq!(of(&samples).longest, 0.0);
        assert!(has_ended(&samples, 5.0));
    }

    #[test]
    fn a_gap_has_its_length_and_its_end() {
        let silence = of(&samples(20.0, |at| (0.0..9.0).contains(&at)));
        assert!((8.5..=10.0).contains(&silence.longest), "{silence:?}");
        assert!(silence.back.is_some_and(|back| (9.0..10.0).contains(&back)));
    }

    #[test]
    fn what_does_not_come_back_has_no_end() {
        let samples = samples(20.0, |at| at >= 0.0);
        assert_eq!(of(&samples).back, None);
        assert!(of(&samples).longest >= 19.0);
        assert!(!has_ended(&samples, 5.0));
    }

    #[test]
    fn single_packets_do_not_end_a_silence() {
        let mut samples = samples(20.0, |at| at >= 0.0);
        for sample in samples.iter_mut().filter(|sample| sample.at >= 10.0) {
            sample.packets += 1;
        }
        assert_eq!(of(&samples).back, None);
    }

    #[test]
    fn a_later_gap_counts_too() {
        let silence = of(&samples(30.0, |at| {
            (5.0..8.0).contains(&at) || (12.0..13.6).contains(&at)
        }));
        assert!((2.5..=4.0).contains(&silence.longest), "{silence:?}");
        assert!(
            silence
                .back
                .is_some_and(|back| (13.5..15.0).contains(&back))
        );
    }
}
