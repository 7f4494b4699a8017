//! What a worker's sockets went through, counted for the operator.

use std::io;

use stun_turn_proto::totals::Counter;

/// One worker's counts, beside those of its core.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Errors of sends and receives, by cause.
    pub(crate) socket_errors: SocketErrors,
    /// 1 while connections can't be accepted for lack of descriptors.
    pub(crate) short_of_descriptors: Counter,
    /// How often it has shown that it turns, when asked to.
    pub(crate) signs_of_life: Counter,
}

impl Tally {
    /// Notes whether there are none left; true when that is news.
    pub(crate) fn note_descriptors(&self, is_short: bool) -> bool {
        let before = self.short_of_descriptors.get();
        let now = u64::from(is_short);
        self.short_of_descriptors.sub(before);
        self.short_of_descriptors.add(now);
        before != now
    }
}

/// Counts by cause; the last place is for all other causes.
#[derive(Debug, Default)]
pub(crate) struct SocketErrors([Counter; CAUSES.len() + 1]);

/// Causes that an operator can do something about, by their names in errno.h.
const CAUSES: [(i32, &str); 9] = [
    (libc::EAGAIN, "EAGAIN"),
    (libc::ENOBUFS, "ENOBUFS"),
    (libc::EPERM, "EPERM"),
    (libc::EMSGSIZE, "EMSGSIZE"),
    (libc::ECONNREFUSED, "ECONNREFUSED"),
    (libc::EHOSTUNREACH, "EHOSTUNREACH"),
    (libc::ENETUNREACH, "ENETUNREACH"),
    (libc::EMFILE, "EMFILE"),
    (libc::EINVAL, "EINVAL"),
];

impl SocketErrors {
    pub(crate) fn count(&self, error: &io::Error) {
        let cause = error.raw_os_error();
        let place = CAUSES.iter().position(|(code, _)| Some(*code) == cause);
        self.0[place.unwrap_or(CAUSES.len())].add(1);
    }

    /// Name and count of every cause.
    pub(crate) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = CAUSES.iter().map(|(_, name)| *name).chain(["other"]);
        names.zip(self.0.iter().map(Counter::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_cause() {
        let errors = SocketErrors::default();
        for code in [libc::EPERM, libc::EPERM, libc::EIO] {
            errors.count(&io::Error::from_raw_os_error(code));
        }
        let counted: Vec<_> = errors.read().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("EPERM", 2), ("other", 1)]);
    }
}
