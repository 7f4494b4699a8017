//! Call set-ups: an offer of 3 KB, an answer of 2.5 KB and eight candidates each way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Bench;
use super::dialect::{Client, Part, Who, now_ns, sent_at};
use super::measure::percentile;
use super::servers::{Kind, Running};
use crate::compare::report::{Better, metric};

/// Candidates of each side.
const CANDIDATES: u32 = 8;
/// At which rate costs and delays are compared, in set-ups per second.
const RATE: u32 = 500;
/// Pairs that call each other at a time where the most is asked for.
const PAIRS: u32 = 64;

/// How a client writes what it has to say at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// Each message by itself. Then the generator writes twenty times for one set-up, and is at its
    /// end before a server that reads what has come meanwhile in one go.
    Single,
    /// A description and its candidates together.
    Together,
}

impl Writing {
    fn name(self) -> &'static str {
        match self {
            Self::Single => "each message written by itself",
            Self::Together => "candidates written with their description",
        }
    }
}

struct Pair {
    caller: Client,
    callee: Client,
}

async fn pairs(server: &Running, count: u32) -> anyhow::Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for number in 0..count {
        let room = format!("room{number}");
        let connect = |number| {
            let who = Who::new(number, room.clone());
            async move { Client::connect(server.kind, server.address, &who).await }
        };
        let caller = connect(number * 2).await?;
        let callee = connect(number * 2 + 1).await?;
        pairs.push(Pair { caller, callee });
    }
    Ok(pairs)
}

impl Pair {
    /// One set-up; adds how long each message was on its way, in ms.
    async fn set_up(&mut self, writing: Writing, delays_ms: &mut Vec<f64>) -> anyhow::Result<()> {
        let Self { caller, callee } = self;
        let (to_callee, to_caller) = (callee.id.clone(), caller.id.clone());
        let mut callee_delays = Vec::new();
        let calling = async {
            describe(caller, &to_callee, Part::Offer, writing).await?;
            expect(caller, 1 + CANDIDATES, delays_ms).await
        };
        let answering = async {
            expect(callee, 1, &mut callee_delays).await?;
            describe(callee, &to_caller, Part::Answer, writing).await?;
            expect(callee, CANDIDATES, &mut callee_delays).await
        };
        tokio::try_join!(calling, answering)?;
        caller.acknowledge().await?;
        callee.acknowledge().await?;
        delays_ms.extend(callee_delays);
        Ok(())
    }
}

/// Sends a description and its candidates.
async fn describe(
    client: &mut Client,
    to: &str,
    description: Part,
    writing: Writing,
) -> anyhow::Result<()> {
    let candidates = (0..CANDIDATES).map(|_| Part::Candidate);
    for part in [description].into_iter().chain(candidates) {
        client.gather(to, part).await?;
        if writing == Writing::Single {
            client.flush().await?;
        }
    }
    client.flush().await
}

async fn expect(client: &mut Client, parts: u32, delays_ms: &mut Vec<f64>) -> anyhow::Result<()> {
    let mut heard = 0;
    while heard < parts {
        let text = client.next().await?;
        if Part::of(&text).is_none() {
            continue;
        }
        heard += 1;
        if let Some(sent_at) = sent_at(&text) {
            delays_ms.push(now_ns().saturating_sub(sent_at) as f64 / 1e6);
        }
    }
    Ok(())
}

/// The most, and then cost and delays at a fixed rate.
pub(super) async fn setups(bench: &mut Bench, kind: Kind) -> anyhow::Result<()> {
    let server = bench.launcher.start(kind)?;
    let [seconds] = bench.sizes([5], [1]);
    let duration = Duration::from_secs(seconds.into());
    let calling = pairs(&server, PAIRS).await?;
    // Node's compiler needs to see work before it does its best.
    let (_, mut calling) = as_many_as_possible(calling, Writing::Single, duration).await?;
    for writing in [Writing::Single, Writing::Together] {
        let count;
        let cpu = server.process.cpu_ns()?;
        let since = Instant::now();
        (count, calling) = as_many_as_possible(calling, writing, duration).await?;
        let took = since.elapsed().as_secs_f64();
        let cpu = (server.process.cpu_ns()? - cpu) as f64 / 1e9;
        let how = writing.name();
        let rate = metric(format!("call set-ups/s, {how}"), Better::More);
        bench.add(kind, rate, count as f64 / took);
        let per_core = format!("call set-ups per second of a core, {how}");
        bench.add(kind, metric(per_core, Better::More), count as f64 / cpu);
    }

    let cpu = server.process.cpu_ns()?;
    let (count, mut delays_ms) = at_rate(calling, duration).await?;
    let cpu = (server.process.cpu_ns()? - cpu) as f64 / 1000.0;
    let cost = metric(format!("CPU µs per set-up at {RATE}/s"), Better::Less);
    bench.add(kind, cost, cpu / f64::from(count));
    for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
        let delay = metric(format!("ms on the way at {RATE}/s, {name}"), Better::Less);
        bench.add(kind, delay, percentile(&mut delays_ms, share));
    }
    Ok(())
}

async fn as_many_as_possible(
    pairs: Vec<Pair>,
    writing: Writing,
    duration: Duration,
) -> anyhow::Result<(u64, Vec<Pair>)> {
    let count = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + duration;
    let mut tasks = JoinSet::new();
    for mut pair in pairs {
        let count = count.clone();
        tasks.spawn(async move {
            let mut delays_ms = Vec::new();
            while Instant::now() < end {
                delays_ms.clear();
                pair.set_up(writing, &mut delays_ms).await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(pair)
        });
    }
    let mut pairs = Vec::new();
    while let Some(pair) = tasks.join_next().await {
        pairs.push(pair??);
    }
    Ok((count.load(Ordering::Relaxed), pairs))
}

/// Set-ups begin when it is their time, whether or not those before are over.
async fn at_rate(pairs: Vec<Pair>, duration: Duration) -> anyhow::Result<(u32, Vec<f64>)> {
    let count = RATE * u32::try_from(duration.as_secs())?;
    let free = Arc::new(Semaphore::new(pairs.len()));
    let pairs = Arc::new(tokio::sync::Mutex::new(pairs));
    let mut tasks = JoinSet::new();
    let since = Instant::now();
    for number in 0..count {
        let due = since + Duration::from_secs(number.into()) / RATE;
        tokio::time::sleep_until(due.into()).await;
        let permit = free.clone().acquire_owned().await?;
        let pairs = pairs.clone();
        tasks.spawn(async move {
            let mut pair = pairs
                .lock()
                .await
                .pop()
                .expect("there is one for each permit");
            let mut delays_ms = Vec::new();
            let done = pair.set_up(Writing::Single, &mut delays_ms).await;
            pairs.lock().await.push(pair);
            drop(permit);
            done.map(|()| delays_ms)
        });
    }
    let mut delays_ms = Vec::new();
    while let Some(delays) = tasks.join_next().await {
        delays_ms.extend(delays??);
    }
    Ok((count, delays_ms))
}
