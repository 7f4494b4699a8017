//! What takes longer than two minutes, or more than a busy machine has: `tests/run long`. docs/testing.md keeps the last
//! results.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use tests::browser::{Browser, Kind, Usage};
use tests::page::Peer;
use tests::poll::{self, Look};
use tests::stage;

use crate::browser::files::{NO_DIALOG, open_chat, state};
use crate::browser::pair;

const MIB: u64 = 1024 * 1024;
/// How long the largest file may take.
const TRANSFER: Duration = Duration::from_secs(1200);

/// What the one who runs the test wants otherwise.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A file of so many MiB, each unlike the others.
fn write_large(path: &Path, mebibytes: u64) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut block: Vec<u8> = (0..MIB)
        .map(|place| place.wrapping_mul(31).to_be_bytes()[6])
        .collect();
    for number in 0..mebibytes {
        block[..8].copy_from_slice(&number.to_be_bytes());
        file.write_all(&block)?;
    }
    Ok(file.flush()?)
}

/// Whether two files have the same content, without having either in memory.
fn same(left: &Path, right: &Path) -> anyhow::Result<bool> {
    let (mut left, mut right) = (File::open(left)?, File::open(right)?);
    let mut blocks = [vec![0; 1 << 20], vec![0; 1 << 20]];
    loop {
        let length = left.read(&mut blocks[0])?;
        let (one, other) = blocks.split_at_mut(1);
        if length == 0 {
            return Ok(right.read(&mut other[0])? == 0);
        }
        right.read_exact(&mut other[0][..length])?;
        if one[0][..length] != other[0][..length] {
            return Ok(false);
        }
    }
}

#[test]
#[ignore = "long: two gibibytes between two browsers, or CALLBOX_FILE_MEBIBYTES"]
fn two_gibibytes_grow_neither_page_by_more_than_64_mebibytes() {
    let mebibytes = number("CALLBOX_FILE_MEBIBYTES").unwrap_or(2048);
    stage::run_for(TRANSFER, async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, _), (bob, _)] = pair(stage, &service, "&audio=0&video=0").await?;
        // Code is compiled and buffers are there after a first file.
        crate::browser::files::travel(stage, &ann, &bob, &[10_000_000]).await?;
        bob.value(NO_DIALOG, json!(null)).await?;
        open_chat(&ann).await?;
        let path = stage.folder().join("large.bin");
        write_large(&path, mebibytes)?;
        let before = [ann.page_memory()?, bob.page_memory()?];
        let mut most = before;
        let began = Instant::now();
        ann.send_file(&path).await?;
        state(&bob, "offered").await?;
        bob.click("[data-state=offered] [data-testid=file-accept]")
            .await?;
        let saved = bob.downloads().join("large.bin");
        poll::within(TRANSFER, "all of it on the disk", async || {
            for (most, browser) in most.iter_mut().zip([&ann, &bob]) {
                *most = (*most).max(browser.page_memory()?);
            }
            Ok(match saved.metadata() {
                Ok(file) if file.len() == mebibytes * MIB => Look::There(()),
                seen => Look::NotYet(format!("{:?}", seen.map(|file| file.len()))),
            })
        })
        .await?;
        let grown = [0, 1].map(|who| most[who].saturating_sub(before[who]) / MIB);
        println!(
            "{mebibytes} MiB in {:.0} s; sender grew by {} MiB, receiver by {} MiB",
            began.elapsed().as_secs_f64(),
            grown[0],
            grown[1]
        );
        assert!(same(&path, &saved)?, "the file is another one");
        std::fs::remove_file(&path)?;
        assert!(grown.iter().all(|grown| *grown <= 64), "{grown:?} MiB");
        Ok(())
    });
}

#[test]
#[ignore = "long: eight browsers on one machine"]
fn eight_people_hear_the_one_who_speaks_and_reach_each_other() {
    stage::run_for(Duration::from_secs(900), async |stage| {
        let service = stage.signaling(&[]).await?;
        let names = ["ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal"];
        let browsers =
            try_join_all(names.map(|name| stage.browser_of(Kind::CHROMIUM, name))).await?;
        for (browser, name) in browsers.iter().zip(names) {
            // Two cores do not code the sound and pictures of eight.
            let query = if name == "ann" {
                "&video=0"
            } else {
                "&video=0&audio=0"
            };
            browser.enter(&service.room("tea", name, query)).await?;
        }
        for browser in &browsers {
            for peer in browser.peers(7).await? {
                browser.echo(&peer, 20).await?;
                if peer.name() == "ann" {
                    let heard = |now: &Peer| now.hears_more_than(&peer);
                    browser.peer_until(peer.id(), "more sound", heard).await?;
                }
            }
        }
        browsers[1].screenshot("in-the-call").await
    });
}

/// From when a relay was killed until the first picture after the gap in the other's picture, in milliseconds. `back` is
/// null until then.
const WATCH_FOR_LOSS: &str = "(() => {
  const video = document.querySelector('video[data-peer]');
  window.loss = { last: performance.now(), killed: Infinity, back: null, longest: 0 };
  const look = () => {
    const now = performance.now(), loss = window.loss, gap = now - loss.last;
    loss.last = now;
    if (now > loss.killed) {
      loss.longest = Math.max(loss.longest, gap);
      if (gap > arg.gap) loss.back = now - loss.killed;
    }
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
})()";
const KILLED: &str =
    "Object.assign(window.loss, { killed: performance.now(), back: null, longest: 0 })";
/// When pictures have come without a gap for so long, the relay that was killed was not needed.
const UNNOTICED: &str = "(() => {
  const { killed, back, longest, last } = window.loss, now = performance.now();
  const unnoticed = now - killed > 10000 && now - last < 500 ? longest : null;
  return back ?? unnoticed;
})()";
/// A time without pictures that counts as lost media, in milliseconds.
const GAP_MS: u64 = 700;
const LOSSES: usize = 20;

#[test]
#[ignore = "long: twenty relays are killed under a call, one after the other"]
fn media_is_back_within_five_seconds_of_a_relay_s_death() {
    stage::run_for(Duration::from_secs(900), async |stage| {
        let secret = ["--auth-secret", "north"];
        let mut relays = [stage.relay(&secret).await?, stage.relay(&secret).await?];
        let urls = [0, 1].map(|which| format!("turn:{}?transport=udp", relays[which].udp));
        let service = stage.external("north", &urls).await?;
        let [(ann, bob_there), (bob, ann_there)] = pair(stage, &service, "&relay=1").await?;
        for (browser, peer) in [(&ann, &bob_there), (&bob, &ann_there)] {
            browser.sees_and_hears(peer).await?;
            browser
                .value(WATCH_FOR_LOSS, json!({ "gap": GAP_MS }))
                .await?;
        }
        ann.click("[data-testid=path]").await?;
        let mut times = Vec::new();
        while times.len() < LOSSES {
            let used = poll::until("the relay in use", async || {
                let text = ann.text_of("[data-testid=connection]").await?;
                let used = relays
                    .iter()
                    .position(|relay| text.contains(&relay.udp.to_string()));
                Ok(used.map_or(Look::NotYet(text), Look::There))
            })
            .await?;
            relays[used].process.signal(Signal::KILL)?;
            for browser in [&ann, &bob] {
                browser.value(KILLED, Value::Null).await?;
            }
            let mut slowest = 0.0_f64;
            for browser in [&ann, &bob] {
                let back = poll::until("media after the loss", async || {
                    let back = browser.value(UNNOTICED, Value::Null).await?;
                    Ok(back
                        .as_f64()
                        .map_or(Look::NotYet(back.to_string()), Look::There))
                })
                .await?;
                slowest = slowest.max(back);
            }
            times.push(slowest);
            // It is there again for the next one, and everybody knows.
            let address = relays[used].udp.to_string();
            relays[used] = stage.relay_at(&address, &secret).await?;
            poll::until("word of the relay's return", async || {
                let log = service.process.stderr()?;
                let returns = log.matches("a relay answers again").count();
                Ok(match returns >= times.len() {
                    true => Look::There(()),
                    false => Look::NotYet(log),
                })
            })
            .await?;
        }
        times.sort_unstable_by(f64::total_cmp);
        let p95 = times[LOSSES * 95 / 100 - 1];
        println!(
            "media back after {:.0} ms (median), {p95:.0} ms (p95), {:.0} ms (worst) of {LOSSES}",
            times[LOSSES / 2],
            times[LOSSES - 1],
        );
        assert!(p95 <= 5000.0, "{times:?}");
        Ok(())
    });
}

/// What changes the page when it is pressed, and changes it back when it is pressed again.
const BUTTONS: [&str; 6] = [
    "raise-hand",
    "toggle-microphone",
    "toggle-people",
    "toggle-settings",
    "toggle-chat",
    "path",
];
const PRESS_TWICE: &str = "(async () => {
  for (const time of [1, 2]) {
    document.querySelector(`[data-testid=${arg}]`).click();
    await new Promise((done) => setTimeout(done, 400));
  }
})()";
/// How many looks at memory are compared at least, also when a busy machine needs longer for them.
const LOOKS: usize = 9;

#[test]
#[ignore = "long: half an hour, or CALLBOX_SOAK_MINUTES"]
fn a_long_call_of_four_uses_no_more_in_the_end_than_in_the_beginning() {
    let minutes = number("CALLBOX_SOAK_MINUTES").unwrap_or(30);
    stage::run_for(Duration::from_secs(minutes * 60 + 900), async |stage| {
        let service = stage.signaling(&["--credential-ttl", "60"]).await?;
        let names = ["ann", "bob", "cyd", "dan"];
        let browsers = try_join_all(names.map(|name| stage.browser_of(Kind::CALM, name))).await?;
        for (browser, name) in browsers.iter().zip(names) {
            let query = if matches!(name, "ann" | "bob") {
                ""
            } else {
                "&video=0"
            };
            browser.enter(&service.room("tea", name, query)).await?;
        }
        for browser in &browsers {
            browser.peers(3).await?;
        }
        // Code is compiled and panels have been built once.
        try_join_all(browsers.iter().map(|browser| press_everything(browser))).await?;
        let end = Instant::now() + Duration::from_secs(minutes * 60);
        let mut looks: Vec<Vec<Usage>> = vec![Vec::new(); browsers.len()];
        while Instant::now() < end || looks[0].len() < LOOKS {
            let used = browsers.iter().map(async |browser| {
                press_everything(browser).await?;
                browser.usage().await
            });
            for (looks, used) in looks.iter_mut().zip(try_join_all(used).await?) {
                looks.push(used);
            }
        }
        for ((browser, looks), name) in browsers.iter().zip(&looks).zip(names) {
            let (first, last) = (
                middle(&looks[..looks.len() / 3]),
                middle(&looks[looks.len() * 2 / 3..]),
            );
            println!(
                "{name} after {minutes} min, {} looks: {first:?} -> {last:?}",
                looks.len()
            );
            assert!(
                last.heap_bytes < first.heap_bytes + 3 * MIB,
                "{name}: the heap grows"
            );
            assert!(last.nodes < first.nodes + 100, "{name}: the document grows");
            still_hears_everybody(browser).await?;
        }
        Ok(())
    });
}

async fn press_everything(browser: &Browser) -> anyhow::Result<()> {
    // One at a time: a script of all of them would outlast its limit on a busy machine.
    for button in BUTTONS {
        browser.value(PRESS_TWICE, json!(button)).await?;
    }
    Ok(())
}

async fn still_hears_everybody(browser: &Browser) -> anyhow::Result<()> {
    for peer in browser.peers(3).await? {
        poll::until("more sound", async || {
            let now = browser.everybody().await?;
            let heard = now
                .iter()
                .any(|now| now.id() == peer.id() && now.hears_more_than(&peer));
            Ok(if heard {
                Look::There(())
            } else {
                Look::NotYet(format!("{now:?}"))
            })
        })
        .await?;
    }
    Ok(())
}

/// The median of each figure.
fn middle(looks: &[Usage]) -> Usage {
    let median = |figure: fn(&Usage) -> u64| {
        let mut figures: Vec<_> = looks.iter().map(figure).collect();
        figures.sort_unstable();
        figures[figures.len() / 2]
    };
    Usage {
        heap_bytes: median(|look| look.heap_bytes),
        nodes: median(|look| look.nodes),
    }
}
