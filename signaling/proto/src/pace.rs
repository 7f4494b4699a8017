//! How much may come how fast: token buckets, and what a connection that ignores them meets.

use std::time::{Duration, Instant};

/// How long a connection may be held back without a pause before it counts as a flood.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A frame counts once for each so many bytes that it has begun.
pub const FRAME_BYTES: usize = 4096;

/// What a frame of so many bytes counts for.
#[must_use]
pub fn frame_cost(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(FRAME_BYTES).max(1)).unwrap_or(u32::MAX)
}

/// So much at once, and so much a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Refilled each second; at least 1.
    pub per_second: u32,
    /// What a rested bucket holds.
    pub burst: u32,
}

impl Rate {
    /// A rate whose burst is what ten seconds refill.
    #[must_use]
    pub const fn with_burst_of_ten_seconds(per_second: u32) -> Self {
        Self {
            per_second,
            burst: per_second.saturating_mul(10),
        }
    }

    /// So many times as fast and as much.
    #[must_use]
    pub const fn times(self, multiple: u32) -> Self {
        Self {
            per_second: self.per_second.saturating_mul(multiple),
            burst: self.burst.saturating_mul(multiple),
        }
    }

    /// How long `tokens` take to be refilled.
    fn time(self, tokens: u32) -> Duration {
        Duration::from_secs(1) * tokens / self.per_second.max(1)
    }
}

/// A token bucket that remembers only when it will be full again.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes `cost` tokens; what costs more than a burst costs a burst.
    ///
    /// # Errors
    /// With the time until there are enough; nothing is taken then.
    pub fn take(&mut self, now: Instant, rate: Rate, cost: u32) -> Result<(), Duration> {
        let after = self.full_at.max(now) + rate.time(cost.min(rate.burst));
        let latest = now + rate.time(rate.burst);
        if after > latest {
            return Err(after - latest);
        }
        self.full_at = after;
        Ok(())
    }

    /// Takes `cost` tokens, or whatever is left.
    pub fn drain(&mut self, now: Instant, rate: Rate, cost: u32) {
        let after = self.full_at.max(now) + rate.time(cost);
        self.full_at = after.min(now + rate.time(rate.burst));
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }

    /// Whether at least half is there.
    fn is_rested(&self, now: Instant, rate: Rate) -> bool {
        self.full_at <= now + rate.time(rate.burst) / 2
    }
}

/// What a connection may do with the frame that it has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Pass it on.
    Go,
    /// Ask again after this time, and read nothing meanwhile: the network holds the sender back.
    Wait(Duration),
    /// It has been held back for [`PATIENCE`] and does not slow down.
    Flood,
}

/// The frames of one connection.
#[derive(Debug)]
pub struct Pace {
    rate: Rate,
    bucket: Bucket,
    held_back_since: Option<Instant>,
}

impl Pace {
    /// For a connection that begins now.
    #[must_use]
    pub const fn new(now: Instant, rate: Rate) -> Self {
        Self {
            rate,
            bucket: Bucket::new(now),
            held_back_since: None,
        }
    }

    /// Asks for one frame of this [`frame_cost`].
    pub fn take(&mut self, now: Instant, cost: u32) -> Verdict {
        if self.bucket.is_rested(now, self.rate) {
            self.held_back_since = None;
        }
        match self.bucket.take(now, self.rate, cost) {
            Ok(()) => Verdict::Go,
            Err(wait) => {
                let since = *self.held_back_since.get_or_insert(now);
                if now.saturating_duration_since(since) > PATIENCE {
                    Verdict::Flood
                } else {
                    Verdict::Wait(wait)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::with_burst_of_ten_seconds(10);

    fn taken(bucket: &mut Bucket, now: Instant) -> u32 {
        std::iter::repeat_with(|| bucket.take(now, RATE, 1))
            .take_while(Result::is_ok)
            .map(|_| 1)
            .sum()
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        assert_eq!(taken(&mut bucket, start), 100);
        assert_eq!(
            bucket.take(start, RATE, 1),
            Err(Duration::from_millis(100)),
            "and says when there is more"
        );
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(3)), 30);
        let much_later = start + Duration::from_secs(1000);
        assert!(bucket.is_full(much_later));
        assert_eq!(taken(&mut bucket, much_later), 100, "never more");
        bucket.drain(much_later, RATE, 1000);
        assert_eq!(
            taken(&mut bucket, much_later + Duration::from_secs(1)),
            10,
            "what it can't give is no debt"
        );
    }

    #[test]
    fn who_sends_as_fast_as_it_goes_is_held_back_and_then_a_flood() {
        let start = Instant::now();
        let mut pace = Pace::new(start, RATE);
        let (mut now, mut passed) = (start, 0);
        loop {
            match pace.take(now, 1) {
                Verdict::Go => passed += 1,
                Verdict::Wait(wait) => now += wait,
                Verdict::Flood => break,
            }
        }
        assert!(now - start >= PATIENCE);
        assert!((200..=202).contains(&passed), "{passed}");
    }

    /// One source once sent 192 MB/s of the largest messages, because they counted like the smallest.
    #[test]
    fn large_frames_count_for_what_they_are() {
        assert_eq!([0, 1, 4096, 4097, 65536].map(frame_cost), [1, 1, 1, 2, 16]);
        let start = Instant::now();
        let mut pace = Pace::new(start, RATE);
        let large = std::iter::repeat_with(|| pace.take(start, frame_cost(65536)));
        assert_eq!(large.take_while(|it| *it == Verdict::Go).count(), 100 / 16);
        // Where a single one is more than a burst it passes, once in a while.
        let slow = Rate::with_burst_of_ten_seconds(1);
        let mut pace = Pace::new(start, slow);
        assert_eq!(pace.take(start, frame_cost(65536)), Verdict::Go);
        let wait = pace.take(start, frame_cost(65536));
        assert_eq!(wait, Verdict::Wait(Duration::from_secs(10)));
    }

    #[test]
    fn who_calms_down_in_between_is_no_flood() {
        let start = Instant::now();
        let mut pace = Pace::new(start, RATE);
        let mut now = start;
        for _ in 0..20 {
            for _ in 0..120 {
                while let Verdict::Wait(wait) = pace.take(now, 1) {
                    now += wait;
                }
            }
            assert_ne!(pace.take(now, 1), Verdict::Flood);
            now += Duration::from_secs(6);
        }
    }
}
