//! `--max-bps`: how fast one allocation may be in each direction.

use std::time::Duration;

/// A burst is what passes in this part of a second, or a few large datagrams.
const BURST_DIVISOR: u64 = 4;
/// At least this many bytes may pass at once, so that a low limit still lets whole datagrams pass.
const MIN_BURST_BYTES: u64 = 16 * 1500;

/// The most that is charged at once.
const MAX_READ_BYTES: u64 = 128 * 1024;

/// A token bucket for one direction. What exceeds it is dropped, which is what the congestion
/// control of media and of data channels listens to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shaper {
    /// When the bucket will be full, as if it were filled without bound.
    full_at: Duration,
}

impl Shaper {
    /// Whether a datagram of this size may pass now.
    pub(crate) fn admit(&mut self, bytes: usize, bytes_per_s: u64, now: Duration) -> bool {
        let rate = bytes_per_s.max(1);
        // No fuller than a burst makes it: the rate may have been raised since.
        let burst_time = time_for(burst(rate), rate);
        self.full_at = self.full_at.clamp(now, now + burst_time);
        let full_at = self.full_at + time_for(bytes as u64, rate);
        let admitted = full_at <= now + burst_time;
        if admitted {
            self.full_at = full_at;
        }
        admitted
    }

    /// Counts bytes of a stream, which can't be dropped: the time from which on more may be read.
    pub(crate) fn charge(&mut self, bytes: usize, bytes_per_s: u64, now: Duration) -> Duration {
        let rate = bytes_per_s.max(1);
        let most = now + time_for(burst(rate) + MAX_READ_BYTES, rate);
        self.full_at = self.full_at.clamp(now, most) + time_for(bytes as u64, rate);
        self.full_at.saturating_sub(time_for(burst(rate), rate))
    }
}

/// What may pass at once.
fn burst(rate: u64) -> u64 {
    (rate / BURST_DIVISOR).max(MIN_BURST_BYTES)
}

fn time_for(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_raised_rate_counts_at_once() {
        let mut shaper = Shaper::default();
        while shaper.admit(1000, 1000, Duration::ZERO) {}
        // At 1 kB/s the next one would have had to wait for a second.
        assert!(!shaper.admit(1000, 1_000_000, Duration::ZERO));
        let soon = Duration::from_millis(2);
        shaper.admit(1, 1_000_000, soon);
        assert!(shaper.admit(1000, 1_000_000, soon));
        shaper.charge(100_000, 1000, soon);
        let next = shaper.charge(1, 1_000_000, soon);
        assert!(next < Duration::from_secs(1), "{next:?}");
    }

    proptest! {
        #[test]
        fn over_any_time_no_more_than_the_rate_and_one_burst_passes(
            rate in 1_000_u64..10_000_000,
            packets in prop::collection::vec((1_usize..1500, 0_u64..20_000), 1..300),
        ) {
            let (mut shaper, mut now, mut passed) = (Shaper::default(), Duration::ZERO, 0);
            for (bytes, pause_us) in packets {
                now += Duration::from_micros(pause_us);
                if shaper.admit(bytes, rate, now) {
                    passed += bytes as u64;
                }
            }
            let bound = burst(rate) as f64 + rate as f64 * now.as_secs_f64() + 1.0;
            prop_assert!(passed as f64 <= bound, "{passed} > {bound}");
        }

        #[test]
        fn a_stream_that_waits_as_it_is_told_carries_the_rate(
            rate in 1_000_u64..10_000_000,
            chunks in prop::collection::vec(1_usize..32_768, 50..200),
        ) {
            let (mut shaper, mut now) = (Shaper::default(), Duration::ZERO);
            let total: u64 = chunks.iter().map(|chunk| *chunk as u64).sum();
            for chunk in chunks {
                now = now.max(shaper.charge(chunk, rate, now));
            }
            let (expected, took) = (total as f64 / rate as f64, now.as_secs_f64());
            let burst = burst(rate) as f64 / rate as f64;
            prop_assert!(took <= expected + 0.001, "{took} s instead of {expected} s");
            prop_assert!(took >= expected - burst - 0.001, "{took} s instead of {expected} s");
        }

        #[test]
        fn who_stays_below_the_rate_loses_nothing(rate in 1_000_u64..10_000_000, count in 1_u64..500) {
            let mut shaper = Shaper::default();
            for packet in 0..count {
                let now = Duration::from_nanos(packet * 1_000_000_000 * 1001 / rate);
                prop_assert!(shaper.admit(1000, rate, now), "packet {packet}");
            }
        }
    }
}
