//! Many connections: what they cost while nothing happens, and how fast they come in.

use std::time::{Duration, Instant};

use futures_util::stream::{StreamExt as _, iter};

use super::Bench;
use super::dialect::{Client, Who};
use super::measure::percentile;
use super::servers::{Kind, Running};
use crate::compare::report::{Better, metric};

/// Connections that are on their way at a time.
const IN_FLIGHT: usize = 256;
/// Until memory that nobody needs any more is given back.
const REST: Duration = Duration::from_secs(2);

struct Entered {
    clients: Vec<Client>,
    /// From the start of each until it was ready, in ms.
    ready_ms: Vec<f64>,
    took: Duration,
}

/// Two clients in each room.
async fn enter(
    server: &Running,
    numbers: std::ops::Range<u32>,
    in_flight: usize,
) -> anyhow::Result<Entered> {
    let (kind, address) = (server.kind, server.address);
    let since = Instant::now();
    let mut entering = iter(numbers)
        .map(|number| async move {
            let begun = Instant::now();
            let who = Who::new(number, format!("room{}", number / 2));
            let client = Client::connect(kind, address, &who).await?;
            anyhow::Ok((client, begun.elapsed()))
        })
        .buffer_unordered(in_flight);
    let (mut clients, mut ready_ms) = (Vec::new(), Vec::new());
    while let Some(entered) = entering.next().await {
        let (client, ready) = entered?;
        clients.push(client);
        ready_ms.push(ready.as_secs_f64() * 1000.0);
    }
    drop(entering);
    Ok(Entered {
        clients,
        ready_ms,
        took: since.elapsed(),
    })
}

/// Memory of idle connections.
pub(super) async fn idle(bench: &mut Bench, kind: Kind) -> anyhow::Result<()> {
    let server = bench.launcher.start(kind)?;
    // What the first ones cost once is not the others' price.
    let _warm = enter(&server, 0..100, IN_FLIGHT).await?;
    tokio::time::sleep(REST).await;
    let before = server.rss()?;
    let mut clients = Vec::new();
    let mut entered = 0;
    for total in bench.sizes([1_000, 10_000], [200, 400]) {
        let numbers = 100 + entered..100 + total;
        clients.extend(enter(&server, numbers, IN_FLIGHT).await?.clients);
        entered = total;
        tokio::time::sleep(REST).await;
        let grown = server.rss()?.saturating_sub(before) as f64;
        let name = format!("KiB RSS per idle connection at {total}");
        bench.add(
            kind,
            metric(name, Better::Less),
            grown / 1024.0 / f64::from(total),
        );
    }
    Ok(())
}

/// Connections per second, and how long each takes until it is ready.
pub(super) async fn storm(bench: &mut Bench, kind: Kind) -> anyhow::Result<()> {
    let [count] = bench.sizes([5_000], [500]);
    for (in_flight, what) in [
        (IN_FLIGHT, "256 in flight"),
        (count as usize, "all at once"),
    ] {
        let server = bench.launcher.start(kind)?;
        // A server that has seen some work.
        let warm = enter(&server, 0..count / 2, IN_FLIGHT).await?;
        drop(warm);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut entered = enter(&server, count..count * 2, in_flight).await?;
        if in_flight == IN_FLIGHT {
            let rate = f64::from(count) / entered.took.as_secs_f64();
            bench.add(
                kind,
                metric(format!("connections/s, {what}"), Better::More),
                rate,
            );
        }
        let p99 = percentile(&mut entered.ready_ms, 0.99);
        bench.add(
            kind,
            metric(format!("ms until ready, {what}, p99"), Better::Less),
            p99,
        );
    }
    Ok(())
}
