//! What a worker's sockets went through, counted for the operator.

use std::io;
use std::time::Duration;

use stun_turn_proto::totals::Counter;

/// One worker's counts, beside those of its core.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Errors of sends and receives, by cause.
    pub(crate) socket_errors: SocketErrors,
    /// 1 while connections can't be accepted for lack of descriptors.
    pub(crate) short_of_descriptors: Counter,
    /// When a descriptor was missing last, in milliseconds of the worker's clock.
    short_at_ms: Counter,
    /// How often it has shown that it turns, when asked to.
    pub(crate) signs_of_life: Counter,
}

impl Tally {
    /// Notes that a descriptor is missing; true when that is news.
    pub(crate) fn begin_shortage(&self, now: Duration) -> bool {
        set(&self.short_at_ms, milliseconds(now));
        let before = self.short_of_descriptors.get();
        set(&self.short_of_descriptors, 1);
        before == 0
    }

    /// Notes that there is a descriptor; true when a shortage is over by that.
    pub(crate) fn end_shortage(&self, now: Duration) -> bool {
        let short_for = milliseconds(now).saturating_sub(self.short_at_ms.get());
        let is_over = u128::from(short_for) >= QUIET.as_millis();
        if self.short_of_descriptors.get() == 0 || !is_over {
            return false;
        }
        set(&self.short_of_descriptors, 0);
        true
    }
}

/// How long no descriptor was missing when a shortage is over. At the edge of a limit descriptors come
/// and go, and each change would be a line of the log.
const QUIET: Duration = Duration::from_secs(2);

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Only the worker writes its own counts.
fn set(counter: &Counter, value: u64) {
    counter.sub(counter.get());
    counter.add(value);
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
    fn a_shortage_that_comes_and_goes_is_one() {
        let tally = Tally::default();
        let at = Duration::from_millis;
        assert!(!tally.end_shortage(at(0)), "there is none");
        assert!(tally.begin_shortage(at(1000)));
        for ms in (1000..5000).step_by(250) {
            assert!(!tally.end_shortage(at(ms)), "{ms}");
            assert!(!tally.begin_shortage(at(ms)), "{ms}");
        }
        assert!(!tally.end_shortage(at(6749)));
        assert!(tally.end_shortage(at(6750)));
        assert_eq!(tally.short_of_descriptors.get(), 0);
        assert!(tally.begin_shortage(at(6751)));
    }

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
