//! What survives a change of address and a killed server: numbered messages between pairs, each of which
//! should arrive once and in order.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Bench;
use super::dialect::Who;
use super::servers::Kind;
use super::session::{News, Order, Session};
use crate::compare::report::{Better, metric};

/// Messages each way while an address changes, and
const MESSAGES: u32 = 1000;
/// how many of them a second.
const MESSAGE_RATE: u32 = 200;
/// Without news for this long nothing more is expected.
const QUIET: Duration = Duration::from_secs(7);
/// How long clients may take to come back.
const BACK_PATIENCE: Duration = Duration::from_secs(30);
/// How long messages flow before a server is killed, and when all are back.
const FLOW: Duration = Duration::from_secs(3);
/// Between two messages of one client of a server that is killed.
const MESSAGE_INTERVAL: Duration = Duration::from_secs(1);
/// Parts that the clients speak in, one after the other.
const SLICES: usize = 100;

/// What has come of what one client was to hear.
#[derive(Debug, Default, Clone)]
struct Heard {
    /// By number, how often.
    times: Vec<u32>,
    latest: Option<u32>,
    disordered: u32,
}

impl Heard {
    fn note(&mut self, number: u32) {
        let index = number as usize;
        if self.times.len() <= index {
            self.times.resize(index + 1, 0);
        }
        self.times[index] += 1;
        if self.times[index] == 1 {
            self.disordered += u32::from(self.latest.is_some_and(|latest| latest > number));
            self.latest = self.latest.max(Some(number));
        }
    }

    fn arrived(&self) -> u32 {
        self.times.iter().map(|times| u32::from(*times > 0)).sum()
    }

    fn doubled(&self) -> u32 {
        self.times.iter().map(|times| times.saturating_sub(1)).sum()
    }
}

/// All clients and what is known of them.
struct Crowd {
    sessions: Vec<Session>,
    news: mpsc::UnboundedReceiver<(u32, News)>,
    ready: Vec<bool>,
    heard: Vec<Heard>,
}

impl Crowd {
    /// Pairs of clients, everybody ready.
    async fn gather(kind: Kind, address: SocketAddr, count: u32) -> anyhow::Result<Self> {
        let (tell, news) = mpsc::unbounded_channel();
        let mut crowd = Self {
            sessions: Vec::new(),
            news,
            ready: vec![false; count as usize],
            heard: vec![Heard::default(); count as usize],
        };
        for number in 0..count {
            let who = Who::new(number, format!("room{}", number / 2));
            crowd
                .sessions
                .push(Session::start(kind, address, who, tell.clone()));
            // Not more at once than any server's queue holds.
            if number % 64 == 63 {
                crowd
                    .wait_until_ready(f64::from(number) / f64::from(count))
                    .await?;
            }
        }
        crowd.wait_until_ready(1.0).await?;
        Ok(crowd)
    }

    fn count_ready(&self) -> usize {
        self.ready.iter().filter(|ready| **ready).count()
    }

    /// Until this share of all is ready.
    async fn wait_until_ready(&mut self, share: f64) -> anyhow::Result<()> {
        let since = Instant::now();
        while (self.count_ready() as f64) < self.ready.len() as f64 * share {
            if since.elapsed() > BACK_PATIENCE {
                bail!(
                    "only {} of {} are there",
                    self.count_ready(),
                    self.ready.len()
                );
            }
            self.listen(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Notes news for this time; whether there were any.
    async fn listen(&mut self, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        let mut any = false;
        while let Ok(Some((number, news))) = timeout(
            end.saturating_duration_since(Instant::now()),
            self.news.recv(),
        )
        .await
        {
            any = true;
            let number = number as usize;
            match news {
                News::Ready => self.ready[number] = true,
                News::Lost => self.ready[number] = false,
                News::Heard(message) => self.heard[number].note(message),
            }
        }
        any
    }

    /// Until everybody has heard `expected` messages, or nothing comes any more.
    async fn settle(&mut self, expected: &[u32]) {
        let mut last_news = Instant::now();
        while last_news.elapsed() < QUIET {
            let heard = self.heard.iter().zip(expected);
            if heard
                .clone()
                .all(|(heard, expected)| heard.arrived() >= *expected)
            {
                // And a moment for repetitions.
                self.listen(Duration::from_millis(500)).await;
                return;
            }
            if self.listen(Duration::from_millis(50)).await {
                last_news = Instant::now();
            }
        }
    }

    fn say(&self, number: usize, message: u32) {
        self.sessions[number].order(Order::Say(message));
    }
}

/// A client's address changes while messages flow both ways; the server hears nothing of it.
pub(super) async fn address(bench: &mut Bench, kind: Kind) -> anyhow::Result<()> {
    if kind == Kind::Bare {
        return Ok(());
    }
    let server = bench.launcher.start(kind)?;
    let mut crowd = Crowd::gather(kind, server.address, 2).await?;
    let [messages] = bench.sizes([MESSAGES], [200]);
    let since = Instant::now();
    for message in 0..messages {
        let due = Duration::from_secs(message.into()) / MESSAGE_RATE;
        crowd.listen(due.saturating_sub(since.elapsed())).await;
        if message == messages / 2 {
            crowd.sessions[0].order(Order::ChangeAddress);
        }
        crowd.say(0, message);
        crowd.say(1, message);
    }
    crowd.settle(&[messages, messages]).await;
    let lost = |number: usize| f64::from(messages - crowd.heard[number].arrived());
    let name = |what: &str| {
        metric(
            format!("address changes under {messages} messages: {what}"),
            Better::None,
        )
    };
    bench.add(kind, name("lost to it"), lost(0));
    bench.add(kind, name("lost from it"), lost(1));
    let sum = |of: fn(&Heard) -> u32| f64::from(crowd.heard.iter().map(of).sum::<u32>());
    bench.add(kind, name("doubled"), sum(Heard::doubled));
    bench.add(kind, name("out of order"), sum(|heard| heard.disordered));
    Ok(())
}

/// A server is killed and started again while its clients talk in pairs.
pub(super) async fn restart(
    bench: &mut Bench,
    kind: Kind,
    clients: Option<u32>,
) -> anyhow::Result<()> {
    if kind == Kind::Bare {
        return Ok(());
    }
    let [default] = bench.sizes([5_000], [200]);
    let count = clients.unwrap_or(default) / 2 * 2;
    let server = bench.launcher.start(kind)?;
    let address = server.address;
    let mut crowd = Crowd::gather(kind, address, count).await?;
    let mut said = vec![0_u32; count as usize];
    talk(&mut crowd, &mut said, FLOW).await;

    drop(server);
    let killed = Instant::now();
    let launcher = bench.launcher.clone();
    let starting = tokio::task::spawn_blocking(move || launcher.start_at(kind, address));
    // Nobody is there any more, whether or not its client has noticed.
    while crowd.count_ready() > 0 && killed.elapsed() < BACK_PATIENCE {
        talk(&mut crowd, &mut said, Duration::from_millis(10)).await;
        if starting.is_finished() {
            break;
        }
    }
    let _server = starting.await.context("starting it again")??;
    let restarted = Instant::now();
    let mut back = None;
    while restarted.elapsed() < BACK_PATIENCE {
        talk(&mut crowd, &mut said, Duration::from_millis(10)).await;
        if crowd.count_ready() as f64 >= f64::from(count) * 0.99 {
            back.get_or_insert(restarted.elapsed());
            break;
        }
    }
    talk(&mut crowd, &mut said, FLOW).await;
    let expected: Vec<_> = (0..count as usize).map(|number| said[number ^ 1]).collect();
    crowd.settle(&expected).await;

    let name = |what: &str| format!("killed and started again under {count} clients: {what}");
    if let Some(back) = back {
        let seconds = metric(name("seconds until 99 % are back"), Better::Less);
        bench.add(kind, seconds, back.as_secs_f64());
    }
    let total: u32 = said.iter().sum();
    let sum = |of: fn(&Heard) -> u32| crowd.heard.iter().map(of).sum::<u32>();
    let lost = total.saturating_sub(sum(Heard::arrived));
    bench.add(
        kind,
        metric(name("messages"), Better::None),
        f64::from(total),
    );
    bench.add(kind, metric(name("lost"), Better::None), f64::from(lost));
    bench.add(
        kind,
        metric(name("doubled"), Better::None),
        f64::from(sum(Heard::doubled)),
    );
    let disordered = f64::from(sum(|heard| heard.disordered));
    bench.add(kind, metric(name("out of order"), Better::None), disordered);
    Ok(())
}

/// Everybody says one message each [`MESSAGE_INTERVAL`], in turns.
async fn talk(crowd: &mut Crowd, said: &mut [u32], duration: Duration) {
    let since = Instant::now();
    let slice = MESSAGE_INTERVAL / SLICES as u32;
    let mut turn = said.iter().map(|said| *said as usize).sum::<usize>();
    loop {
        let share = said.len().div_ceil(SLICES);
        for _ in 0..share {
            let number = turn % said.len();
            crowd.say(number, said[number]);
            said[number] += 1;
            turn += 1;
        }
        crowd.listen(slice).await;
        if since.elapsed() >= duration {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_is_counted_once_and_repetitions_and_disorder_besides() {
        let mut heard = Heard::default();
        for number in [0, 1, 1, 4, 3, 4] {
            heard.note(number);
        }
        assert_eq!(
            (heard.arrived(), heard.doubled(), heard.disordered),
            (4, 2, 1)
        );
    }
}
