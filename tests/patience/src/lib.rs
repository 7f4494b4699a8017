//! The one limit of all tests that wait for a condition, scaled by the measured speed of the machine.
//!
//! A test that passes never waits for a limit, so the limit is generous: it only bounds how long a failing test
//! takes. A limit that tells a fast program from a slow one is a benchmark's business, not a test's.

use std::hint::black_box;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Limit of a condition on a machine as fast as [`REFERENCE`], or faster.
const CALM: Duration = Duration::from_secs(45);
/// Rounds of arithmetic that measure the machine.
const ROUNDS: u32 = 1_000_000;
/// Time of the rounds on two idle cores of 2.5 GHz, in an unoptimised build.
const REFERENCE: Duration = Duration::from_millis(12);
/// Bound of the measured factor: a machine that is suspended while it is measured is not slow for ever.
const SLOWEST: f64 = 10.0;

/// Limit of one condition in a test: 45 s, and more on a slow or busy machine.
#[must_use]
pub fn patience() -> Duration {
    scaled(CALM)
}

/// A duration that is right for a calm machine, stretched by [`slowness`].
#[must_use]
pub fn scaled(calm: Duration) -> Duration {
    calm.mul_f64(slowness())
}

/// Factor by which this machine is slower than the reference, from 1 to 10. Measured once in each process, on all
/// cores at the same time, because a test shares them with other tests.
#[must_use]
pub fn slowness() -> f64 {
    static SLOWNESS: OnceLock<f64> = OnceLock::new();
    *SLOWNESS.get_or_init(|| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let slowest = thread::scope(|scope| {
            let measured: Vec<_> = (0..cores).map(|_| scope.spawn(measure)).collect();
            let times = measured.into_iter().filter_map(|core| core.join().ok());
            times.max()
        });
        let factor = slowest.map_or(1.0, |time| time.as_secs_f64() / REFERENCE.as_secs_f64());
        factor.clamp(1.0, SLOWEST)
    })
}

/// Time that one thread takes for the rounds.
fn measure() -> Duration {
    let started = Instant::now();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..ROUNDS {
        // The generator of Marsaglia: nothing that an optimiser could leave out.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        black_box((state, round));
    }
    started.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_only_grow() {
        assert!(patience() >= CALM);
        assert!(scaled(CALM) <= CALM.mul_f64(SLOWEST));
        assert_eq!(patience(), scaled(CALM), "measured once");
    }
}
