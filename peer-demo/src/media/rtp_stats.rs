//! What RFC 3550 tells about a received stream: packets, losses and jitter.

use std::time::Duration;

/// A step back of more than this many packets is a new beginning, not a late packet (RFC 3550, A.1).
const MAX_MISORDER: u16 = 1_000;

/// Counts one stream.
#[derive(Debug, Clone)]
pub struct RtpStats {
    clock_rate: u32,
    received: u64,
    /// First and highest extended sequence number.
    range: Option<(u64, u64)>,
    /// Arrival minus timestamp of the last packet, in clock ticks.
    transit: Option<i64>,
    /// In clock ticks.
    jitter: f64,
}

impl RtpStats {
    /// For a stream whose timestamps count `clock_rate` ticks a second.
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            received: 0,
            range: None,
            transit: None,
            jitter: 0.0,
        }
    }

    /// Takes a packet that arrived at `now`, counted from any fixed moment.
    pub fn push(&mut self, sequence: u16, timestamp: u32, now: Duration) {
        self.received += 1;
        self.range = Some(match self.range {
            None => (u64::from(sequence), u64::from(sequence)),
            Some((first, highest)) => {
                let ahead = sequence.wrapping_sub(highest as u16);
                if ahead < u16::MAX - MAX_MISORDER {
                    (first, highest + u64::from(ahead))
                } else {
                    (first, highest)
                }
            }
        });
        // RFC 3550, A.8. Wraps with the timestamps; only differences matter.
        let arrival = (now.as_secs_f64() * f64::from(self.clock_rate)) as i64;
        let transit = arrival - i64::from(timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let difference = f64::from(((transit - last) as i32).unsigned_abs());
            self.jitter += (difference - self.jitter) / 16.0;
        }
    }

    /// Packets that arrived.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets that should have arrived but did not; duplicates make up for losses, as RFC 3550 has it.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let expected = self.range.map_or(0, |(first, highest)| highest - first + 1);
        expected.saturating_sub(self.received)
    }

    /// Interarrival jitter in milliseconds.
    #[must_use]
    pub fn jitter_ms(&self) -> f64 {
        self.jitter * 1000.0 / f64::from(self.clock_rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_steady_stream_has_no_loss_and_no_jitter_even_over_the_end_of_the_numbers() {
        let mut stats = RtpStats::new(48_000);
        let mut timestamp = u32::MAX - 10_000;
        for n in 0..100_000_u64 {
            stats.push((n as u16).wrapping_add(65_000), timestamp, ms(20 * n));
            timestamp = timestamp.wrapping_add(960);
        }
        assert_eq!((stats.received(), stats.lost()), (100_000, 0));
        assert!(stats.jitter_ms() < 0.1, "{}", stats.jitter_ms());
    }

    #[test]
    fn gaps_are_losses_and_late_packets_fill_them() {
        let mut stats = RtpStats::new(90_000);
        for n in [0_u16, 1, 4, 5] {
            stats.push(n, 0, ms(0));
        }
        assert_eq!(stats.lost(), 2);
        stats.push(2, 0, ms(0));
        assert_eq!((stats.received(), stats.lost()), (5, 1));
    }

    #[test]
    fn jitter_tends_to_the_mean_difference() {
        let mut stats = RtpStats::new(1_000);
        for n in 0..1_000_u64 {
            // Every second packet is 10 ms late.
            stats.push(n as u16, (20 * n) as u32, ms(20 * n + 10 * (n % 2)));
        }
        assert!(
            (stats.jitter_ms() - 10.0).abs() < 0.1,
            "{}",
            stats.jitter_ms()
        );
    }
}
