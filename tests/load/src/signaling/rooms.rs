//! Rooms: how fast everybody knows of a newcomer, what a member costs that stops reading, and when the
//! others learn that one has died.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Bench;
use super::bystanders::Bystanders;
use super::dialect::{Client, Who};
use super::measure::percentile;
use super::servers::Kind;
use crate::compare::report::{Better, metric};

/// Joins into each room.
const JOINS: u32 = 20;
/// Bytes of one chat message to a stopped reader, and
const CHAT_BYTES: usize = 16 * 1024;
/// how much in all.
const FLOOD_BYTES: usize = 32 << 20;
/// Chat messages of which the healthy readers have not heard, at most.
const WINDOW: u64 = 4;
/// Small enough that the system does not hide who stopped reading.
const STOPPED_BUFFER: u32 = 4096;
/// How long the healthy readers may take for a message.
const READ_PATIENCE: Duration = Duration::from_secs(10);
/// How long a silent death is waited for.
pub(super) const DEATH_PATIENCE: Duration = Duration::from_secs(45);

/// What is heard of somebody else who enters.
const JOINED: [&str; 2] = [r#""type":"peer_joined""#, r#"["peer-joined""#];
/// And of somebody who is gone, or may be.
const GONE: [&str; 3] = [
    r#""state":"away""#,
    r#""type":"peer_left""#,
    r#"["peer-left""#,
];

fn tells(text: &str, marks: &[&str]) -> bool {
    marks.iter().any(|mark| text.contains(mark))
}

/// Until the last member of a room knows of a newcomer.
pub(super) async fn joins(bench: &mut Bench, kind: Kind) -> anyhow::Result<()> {
    if matches!(kind, Kind::PeerServer | Kind::Bare) {
        return Ok(());
    }
    for size in bench.sizes([10, 50, 200], [3, 5, 10]) {
        let server = bench.launcher.start(kind)?;
        let (heard, mut hearing) = mpsc::unbounded_channel();
        for number in 0..size {
            let who = Who::new(number, "all");
            let mut member = Client::connect(kind, server.address, &who).await?;
            let heard = heard.clone();
            tokio::spawn(async move {
                while let Ok(text) = member.next().await {
                    if tells(&text, &JOINED) && heard.send(Instant::now()).is_err() {
                        return;
                    }
                    if member.acknowledge().await.is_err() {
                        return;
                    }
                }
            });
        }
        // Everybody has heard of those who came later.
        for _ in 0..size * (size - 1) / 2 {
            hearing.recv().await;
        }
        let mut last_ms = Vec::new();
        for number in size..size + JOINS {
            let since = Instant::now();
            let newcomer = Client::connect(kind, server.address, &Who::new(number, "all")).await?;
            let mut last = since;
            for _ in 0..size {
                last = last.max(hearing.recv().await.unwrap_or(last));
            }
            last_ms.push((last - since).as_secs_f64() * 1000.0);
            newcomer.leave().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let name = format!("ms until the last of {size} knows of a join");
        bench.add(
            kind,
            metric(name, Better::Less),
            percentile(&mut last_ms, 0.5),
        );
    }
    Ok(())
}

/// The server's memory while one of ten does not read, and the others chat.
pub(super) async fn stopped_reader(bench: &mut Bench, kind: Kind) -> anyhow::Result<()> {
    if kind == Kind::Bare {
        return Ok(());
    }
    let server = bench.launcher.start(kind)?;
    let mut sender = Client::connect(kind, server.address, &Who::new(0, "all")).await?;
    let mut stopped = Who::new(1, "all");
    stopped.receive_buffer = Some(STOPPED_BUFFER);
    let stopped = Client::connect(kind, server.address, &stopped).await?;
    let counts: Vec<_> = (2..10).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let mut names = vec![stopped.id.clone()];
    let mut readers: Vec<JoinHandle<()>> = Vec::new();
    for (number, count) in (2..).zip(&counts) {
        let mut reader = Client::connect(kind, server.address, &Who::new(number, "all")).await?;
        names.push(reader.id.clone());
        let count = count.clone();
        readers.push(tokio::spawn(async move {
            while let Ok(text) = reader.next().await {
                count.fetch_add(u64::from(text.len() > CHAT_BYTES), Ordering::Relaxed);
                if reader.acknowledge().await.is_err() {
                    return;
                }
            }
        }));
    }
    let bystanders = Bystanders::enter(&server).await?;
    let text = "x".repeat(CHAT_BYTES);
    let before = server.rss()?;
    let mut most = before;
    let [share] = bench.sizes([1], [16]);
    let messages = FLOOD_BYTES / CHAT_BYTES / share as usize;
    for sent in 0..messages as u64 {
        let since = Instant::now();
        let to: &[String] = if kind == Kind::PeerServer {
            &names
        } else {
            &names[..1]
        };
        for to in to {
            sender.chat(to, &text).await?;
        }
        while counts
            .iter()
            .any(|count| count.load(Ordering::Relaxed) + WINDOW < sent)
        {
            if since.elapsed() > READ_PATIENCE {
                bail!("readers that read do not hear any more");
            }
            tokio::select! {
                heard = sender.next() => { heard?; }
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            sender.acknowledge().await?;
        }
        if sent % 64 == 0 {
            most = most.max(server.rss()?);
        }
    }
    most = most.max(server.rss()?);
    let name = "MiB that the server grows for a stopped reader";
    let grown = most.saturating_sub(before) as f64 / f64::from(1 << 20);
    bench.add(kind, metric(name, Better::None), grown);
    let name = "ms on the way between two others meanwhile, p99";
    let delay = percentile(&mut bystanders.leave(), 0.99);
    bench.add(kind, metric(name, Better::Less), delay);
    readers.iter().for_each(JoinHandle::abort);
    drop(stopped);
    Ok(())
}

/// Seconds until another one is told of a client that has died without a word; nothing where that takes
/// longer than [`DEATH_PATIENCE`].
pub(super) async fn silent_death(bench: &mut Bench, kinds: &[Kind]) -> anyhow::Result<()> {
    let [seconds] = bench.sizes([DEATH_PATIENCE.as_secs() as u32], [2]);
    let patience = Duration::from_secs(seconds.into());
    let mut deaths = tokio::task::JoinSet::new();
    for kind in kinds.iter().copied().filter(|kind| *kind != Kind::Bare) {
        let server = bench.launcher.start(kind)?;
        deaths.spawn(async move {
            let mut witness = Client::connect(kind, server.address, &Who::new(0, "all")).await?;
            // It never reads again, so it answers nothing.
            let dead = Client::connect(kind, server.address, &Who::new(1, "all")).await?;
            let since = Instant::now();
            let told = tokio::time::timeout(patience, async {
                while !tells(&witness.next().await?, &GONE) {
                    witness.acknowledge().await?;
                }
                anyhow::Ok(since.elapsed())
            });
            let told = match told.await {
                Ok(told) => Some(told?),
                Err(_) => None,
            };
            drop((server, dead));
            anyhow::Ok((kind, told))
        });
    }
    while let Some(death) = deaths.join_next().await {
        let (kind, told) = death??;
        match told {
            Some(told) => bench.add(
                kind,
                metric("seconds until a silent death is told", Better::Less),
                told.as_secs_f64(),
            ),
            None => println!(
                "{}: a silent death is not told in {patience:?}",
                kind.name()
            ),
        }
    }
    Ok(())
}
