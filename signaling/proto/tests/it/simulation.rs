//! Clients and one or two servers under virtual time: connections break and are noticed late, servers are
//! killed and drained, sessions go from one to the other and back, clocks jump; and in the end nothing is
//! lost or doubled without a word.
//!
//! Two servers share a secret and know nothing of each other; a balancer sends each new connection to
//! either, and at times all of them to one. [`history`] says what holds for messages, `network/rest.rs` for
//! rosters, `network/generations.rs` for tickets.
//!
//! Each run follows from its seed alone. `SIMULATION_RUNS` says how many there are, `SIMULATION_SEED`
//! which is the first: a failed run tells its own.

mod actor;
mod history;
mod network;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::network::{Moves, Network};

/// Enough to meet everything that the operations can do to each other, in less than a minute.
const RUNS: u64 = 100_000;
/// In one of so many runs messages are large.
const BULKY: usize = 16;
/// Operations of a run, at most.
const STEPS: u64 = 200;

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

/// One operation; servers die only where they are `mortal`.
fn step(network: &mut Network, mortal: bool, random: &mut Random) {
    let actor = random.below(network.actors());
    match random.below(100) {
        0..=9 => network.start(actor, random.below(4) / 3),
        10..=34 => network.send(actor, random),
        35..=60 => network.carry_something(random),
        61..=66 => network.carry_everything(random),
        67..=71 => network.break_link(actor),
        72..=76 => network.notice_something(random),
        77..=78 => network.hurry(actor),
        79..=83 => network.reconnect(actor, random),
        84..=85 => network.leave(actor),
        86 => network.kill_client(actor),
        87..=88 if mortal => network.kill_server(random.below(network.servers())),
        89 if mortal => network.drain_server(random.below(network.servers())),
        87..=89 => network.reconnect(actor, random),
        90 => network.jump_clock(random),
        91 => network.favour(Some(random.below(network.servers()))),
        92 => network.favour(None),
        93..=99 => {
            let (few, prompt) = (random.below(7), random.below(2) == 0);
            let time = [30, 30, 30, 700, 700, 8_000, 61_000][few];
            network.pass(Duration::from_millis(time), prompt, random);
        }
        _ => unreachable!("below 100"),
    }
}

fn run(seed: u64) -> Moves {
    let mut random = Random(seed);
    let (clients, servers) = (2 + random.below(3), 1 + random.below(2));
    let balancer = Random(random.next());
    // Now and then so large that recipients who are slow or away have no room for them.
    let bytes = if random.below(BULKY) == 0 { 30_000 } else { 0 };
    let mut network = Network::new(clients, servers, bytes, balancer);
    let mortal = random.below(2) == 0;
    let steps = random.next() % STEPS;
    for _ in 0..steps {
        step(&mut network, mortal, &mut random);
    }
    if random.below(2) == 0 {
        network.gather(&mut random);
    }
    network.settle(&mut random);
    network.check();
    network.steal();
    network.moves()
}

#[test]
fn nothing_is_lost_or_doubled_whatever_breaks() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let first: u64 = number("SIMULATION_SEED").unwrap_or(1);
    let runs = number("SIMULATION_RUNS").unwrap_or(RUNS);
    let next = AtomicU64::new(first);
    let (adoptions, returns) = (AtomicU64::new(0), AtomicU64::new(0));
    let thefts = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + runs {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| run(seed))) {
                        Ok(moves) => {
                            adoptions.fetch_add(moves.adoptions, Ordering::Relaxed);
                            returns.fetch_add(moves.returns, Ordering::Relaxed);
                            thefts.fetch_add(moves.thefts, Ordering::Relaxed);
                        }
                        Err(panic) => {
                            next.store(first + runs, Ordering::Relaxed);
                            eprintln!("again with: SIMULATION_SEED={seed} SIMULATION_RUNS=1");
                            resume_unwind(panic);
                        }
                    }
                }
            });
        }
    });
    let (adoptions, returns) = (adoptions.into_inner(), returns.into_inner());
    let thefts = thefts.into_inner();
    println!("{runs} runs, {adoptions} adoptions, {returns} returns, {thefts} thefts");
    // Otherwise the runs have come to test something else.
    assert!(runs < RUNS || (adoptions > runs / 2 && returns > runs / 20 && thefts > runs / 4));
}
