//! Clients and servers under virtual time: connections break and are noticed late, servers are killed
//! and drained, clocks jump; and in the end nothing is lost or doubled without a word.
//!
//! Each run follows from its seed alone. `SIMULATION_RUNS` says how many there are, `SIMULATION_SEED`
//! which is the first: a failed run tells its own.

mod actor;
mod history;
mod network;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::network::Network;

/// Enough to meet everything that the operations can do to each other, in less than a minute.
const RUNS: u64 = 100_000;
/// Operations of a run, at most.
const STEPS: u64 = 70;

/// Steele, Lea and Flood's SplitMix64: repeatable, and good enough to choose.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end` - 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    /// From 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap()) / f64::from(u32::MAX)
    }
}

fn step(network: &mut Network, random: &mut Random) {
    let actor = random.below(network.actors());
    match random.below(100) {
        0..=9 => network.start(actor, random.below(2)),
        10..=34 => network.send(actor, random),
        35..=69 => network.carry_something(random),
        70..=76 => network.break_link(actor),
        77..=81 => network.notice_something(random),
        82..=83 => network.hurry(actor),
        84..=85 => network.leave(actor),
        86 => network.kill_client(actor),
        87..=88 => network.kill_server(),
        89 => network.drain_server(),
        90 => network.jump_clock(random),
        91..=95 => network.pass(Duration::from_millis(30), random),
        96..=97 => network.pass(Duration::from_millis(700), random),
        98 => network.pass(Duration::from_secs(8), random),
        _ => network.pass(Duration::from_secs(61), random),
    }
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let mut network = Network::new(2 + random.below(3));
    let steps = random.next() % STEPS;
    for _ in 0..steps {
        step(&mut network, &mut random);
    }
    network.settle(&mut random);
    network.check();
}

#[test]
fn nothing_is_lost_or_doubled_whatever_breaks() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let first: u64 = number("SIMULATION_SEED").unwrap_or(1);
    let runs = number("SIMULATION_RUNS").unwrap_or(RUNS);
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + runs {
                        return;
                    }
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
                        next.store(first + runs, Ordering::Relaxed);
                        eprintln!("again with: SIMULATION_SEED={seed} SIMULATION_RUNS=1");
                        resume_unwind(panic);
                    }
                }
            });
        }
    });
}
