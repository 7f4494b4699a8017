//! What tests ask of our page, through its debugging interface `window.callbox` and its elements.

use std::path::Path;

use anyhow::{bail, ensure};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::picture::{COLUMNS, Picture, ROWS};
use crate::poll::{self, Look};

/// Frames that must have been decoded between two looks.
const MORE_FRAMES: u64 = 5;
/// Mean brightness that a black picture does not reach.
const NOT_BLACK: f64 = 25.0;
/// How much a cell must change to count as movement: coding alone moves still pictures by less.
const MOVED: f64 = 12.0;

/// Mean colours of a grid over the video that shows a peer (`arg`: peer, columns, rows), or null.
const COLOURS: &str = r#"(() => {
  const video = document.querySelector(`video[data-peer="${CSS.escape(arg.peer)}"]`);
  if (!video || video.videoWidth === 0) return null;
  const side = 20, width = arg.columns * side, height = arg.rows * side;
  const context = Object.assign(document.createElement('canvas'), { width, height }).getContext('2d');
  context.drawImage(video, 0, 0, width, height);
  const colours = [];
  for (let row = 0; row < arg.rows; row += 1) {
    for (let column = 0; column < arg.columns; column += 1) {
      const { data } = context.getImageData(column * side + side / 4, row * side + side / 4, side / 2, side / 2);
      const sum = [0, 0, 0];
      data.forEach((value, index) => { if (index % 4 < 3) sum[index % 4] += value; });
      colours.push(...sum.map((value) => value / (data.length / 4)));
    }
  }
  return colours;
})()"#;

/// The text of the first visible element that a CSS selector (`arg`) finds, or undefined.
const TEXT: &str = "[...document.querySelectorAll(arg)]
    .find((element) => element.checkVisibility() && element.textContent)?.textContent";
/// Everybody else in the call.
const PEERS: &str = "callbox.peers()";

/// Another peer as the page sees it.
#[derive(Debug, Clone)]
pub struct Peer(Value);

impl Peer {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0["id"].as_str().unwrap_or_default()
    }

    /// The name that it gave.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0["name"].as_str().unwrap_or_default()
    }

    /// How media travels: `host`, `prflx`, `srflx`, `relay`; empty as long as it does not.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0["path"].as_str().unwrap_or_default()
    }

    /// What our side of the selected pair speaks, a relayed one with its relay: `udp`, `tcp`, `tls`.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.0["protocol"].as_str().unwrap_or_default()
    }

    /// Whether it can be asked to take a file.
    fn takes_files(&self) -> bool {
        self.0["files"] == true
    }

    /// Whether the server has lost sight of it.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.0["away"] == true
    }

    /// Whether it says that its microphone is on.
    #[must_use]
    pub fn sends_audio(&self) -> bool {
        self.0["media"]["audio"] == true
    }

    /// Whether it says that it sends video.
    #[must_use]
    pub fn sends_video(&self) -> bool {
        self.0["media"]["video"] == true
    }

    /// Chat texts from it, oldest first.
    #[must_use]
    pub fn chat(&self) -> Vec<&str> {
        let texts = self.0["chat"].as_array().into_iter().flatten();
        texts.filter_map(Value::as_str).collect()
    }

    /// Whether more sound has come from it than at an earlier look.
    #[must_use]
    pub fn hears_more_than(&self, earlier: &Self) -> bool {
        self.audio_bytes() > earlier.audio_bytes()
    }

    /// Whether more pictures have come from it than at an earlier look.
    #[must_use]
    pub fn sees_more_than(&self, earlier: &Self) -> bool {
        self.frames() > earlier.frames()
    }

    fn frames(&self) -> u64 {
        self.0["framesDecoded"].as_u64().unwrap_or_default()
    }

    fn audio_bytes(&self) -> u64 {
        self.0["audioBytes"].as_u64().unwrap_or_default()
    }

    fn is_connected(&self) -> bool {
        self.0["connectionState"] == "connected" && !self.path().is_empty()
    }
}

/// The peers that [`PEERS`] names.
fn everybody_in(peers: Value) -> anyhow::Result<Vec<Peer>> {
    let Value::Array(peers) = peers else {
        bail!("peers() is no list: {peers}");
    };
    Ok(peers.into_iter().map(Peer).collect())
}

impl Browser {
    /// Opens a room's URL and waits until the server has let the page in.
    ///
    /// # Errors
    /// When it does not get in.
    pub async fn enter(&self, url: &str) -> anyhow::Result<()> {
        self.open(url).await?;
        self.is_in_the_room().await
    }

    /// Waits until the server has let the page in.
    ///
    /// # Errors
    /// When it does not get in.
    pub async fn is_in_the_room(&self) -> anyhow::Result<()> {
        let state = "[callbox.signaling(), callbox.self()]";
        self.watch("entry into the room", state, Value::Null, |state| {
            let is_in = state[0] == "open" && state[1].as_str().is_some_and(|id| !id.is_empty());
            Ok(if is_in {
                Look::There(())
            } else {
                Look::NotYet(state.to_string())
            })
        })
        .await
    }

    /// Everybody else in the call, now.
    ///
    /// # Errors
    /// When the page is in no call.
    pub async fn everybody(&self) -> anyhow::Result<Vec<Peer>> {
        everybody_in(self.value(PEERS, Value::Null).await?)
    }

    /// Waits until exactly `count` others are in the call and connected.
    ///
    /// # Errors
    /// When that does not happen.
    pub async fn peers(&self, count: usize) -> anyhow::Result<Vec<Peer>> {
        let what = format!("{count} connected peers");
        self.watch(&what, PEERS, Value::Null, |peers| {
            let peers = everybody_in(peers)?;
            if peers.len() == count && peers.iter().all(Peer::is_connected) {
                return Ok(Look::There(peers));
            }
            Ok(Look::NotYet(format!("{peers:?}")))
        })
        .await
    }

    /// Waits until a peer is as `wanted`.
    ///
    /// # Errors
    /// When that does not happen.
    pub async fn peer_until(
        &self,
        id: &str,
        what: &str,
        wanted: impl Fn(&Peer) -> bool,
    ) -> anyhow::Result<Peer> {
        self.watch(what, PEERS, Value::Null, |peers| {
            let peers = everybody_in(peers)?;
            match peers.iter().find(|peer| peer.id() == id) {
                Some(peer) if wanted(peer) => Ok(Look::There(peer.clone())),
                peer => Ok(Look::NotYet(format!("{peer:?}"))),
            }
        })
        .await
    }

    /// Sends `count` numbered messages over the data channel; all must come back in order.
    ///
    /// # Errors
    /// When one is lost or out of order.
    pub async fn echo(&self, peer: &Peer, count: u32) -> anyhow::Result<()> {
        let arguments = json!({"peer": peer.id(), "count": count});
        // The channel opens shortly after the connection does.
        poll::until("open data channel", async || {
            let echo = self.value("callbox.echo(arg.peer, arg.count)", arguments.clone());
            match echo.await {
                Err(error) if error.to_string().contains("not open") => {
                    Ok(Look::NotYet(error.to_string()))
                }
                result => {
                    let result = result?;
                    let expected = json!({"sent": count, "echoed": count, "inOrder": true});
                    ensure!(result == expected, "messages got lost: {result}");
                    Ok(Look::There(()))
                }
            }
        })
        .await
    }

    /// Writes into the chat.
    ///
    /// # Errors
    /// When the page is in no call.
    pub async fn send_chat(&self, text: &str) -> anyhow::Result<()> {
        self.value("callbox.sendChat(arg)", json!(text)).await?;
        Ok(())
    }

    /// Chooses a file for everybody in the call, as soon as everybody can be asked.
    ///
    /// # Errors
    /// When somebody can't.
    pub async fn send_file(&self, file: &Path) -> anyhow::Result<()> {
        self.watch("peers who take files", PEERS, Value::Null, |peers| {
            let peers = everybody_in(peers)?;
            let ready = !peers.is_empty() && peers.iter().all(Peer::takes_files);
            Ok(if ready {
                Look::There(())
            } else {
                Look::NotYet(format!("{peers:?}"))
            })
        })
        .await?;
        self.choose_file("[data-testid=file-input]", file).await
    }

    /// What the video of a peer shows now; `None` as long as there is none.
    ///
    /// # Errors
    /// When the page can't be asked.
    pub async fn picture(&self, peer: &Peer) -> anyhow::Result<Option<Picture>> {
        let arguments = json!({"peer": peer.id(), "columns": COLUMNS, "rows": ROWS});
        match self.value(COLOURS, arguments).await? {
            Value::Null => Ok(None),
            colours => Picture::from_json(&colours).map(Some),
        }
    }

    /// Video works: decoded frames advance, and the pixels on the page are not black and move. Sound arrives, too.
    ///
    /// # Errors
    /// When something of it is missing.
    pub async fn sees_and_hears(&self, peer: &Peer) -> anyhow::Result<()> {
        self.media_advances(peer).await?;
        let mut first = None;
        poll::until("moving picture", async || {
            let Some(now) = self.picture(peer).await? else {
                return Ok(Look::NotYet("no picture".into()));
            };
            if now.brightness() < NOT_BLACK {
                return Ok(Look::NotYet(format!("black: {}", now.brightness())));
            }
            let before = first.get_or_insert_with(|| now.clone());
            let difference = now.difference(before);
            Ok(if difference > MOVED {
                Look::There(())
            } else {
                Look::NotYet(format!("it moved by {difference}"))
            })
        })
        .await
    }

    /// Video from `peer-demo` works: decoded frames advance, the colour bars on the page are right, and the frame
    /// counter in the pixels goes up.
    ///
    /// # Errors
    /// When something of it is missing.
    pub async fn sees_the_test_picture(&self, peer: &Peer) -> anyhow::Result<()> {
        self.media_advances(peer).await?;
        let first = self.frame_counter(peer, "frame counter", |_| true).await?;
        let later = |counter: u16| (1..1000).contains(&counter.wrapping_sub(first));
        let what = format!("frame counter beyond {first}");
        self.frame_counter(peer, &what, later).await?;
        Ok(())
    }

    async fn frame_counter(
        &self,
        peer: &Peer,
        what: &str,
        wanted: impl Fn(u16) -> bool,
    ) -> anyhow::Result<u16> {
        poll::until(what, async || {
            let Some(picture) = self.picture(peer).await? else {
                return Ok(Look::NotYet("no picture".into()));
            };
            Ok(match picture.frame_counter() {
                Ok(counter) if wanted(counter) => Look::There(counter),
                seen => Look::NotYet(format!("{seen:?}")),
            })
        })
        .await
    }

    /// Waits until more frames have been decoded and more sound has been received than at the first look.
    ///
    /// # Errors
    /// When either stands still.
    pub async fn media_advances(&self, peer: &Peer) -> anyhow::Result<()> {
        let before = self.peer_until(peer.id(), "the peer", |_| true).await?;
        let enough = before.frames() + MORE_FRAMES;
        let more = |now: &Peer| now.frames() >= enough && now.audio_bytes() > before.audio_bytes();
        let what = format!("{enough} decoded frames, and more sound");
        self.peer_until(peer.id(), &what, more).await?;
        Ok(())
    }

    /// Clicks on an element as soon as it is there to be clicked.
    ///
    /// # Errors
    /// When it does not appear.
    pub async fn click_when_there(&self, selector: &str) -> anyhow::Result<()> {
        self.text_of(selector).await?;
        self.click(selector).await
    }

    /// Waits for a visible element, found by a CSS selector, that has a text, and returns that.
    ///
    /// # Errors
    /// When it does not appear.
    pub async fn text_of(&self, selector: &str) -> anyhow::Result<String> {
        self.watch(selector, TEXT, json!(selector), |text| {
            Ok(match text.as_str() {
                Some(text) => Look::There(text.to_owned()),
                None => Look::NotYet("nothing visible".into()),
            })
        })
        .await
    }

    /// Waits until the first visible element that a CSS selector finds has all these words in its text: what is shown
    /// may come bit by bit.
    ///
    /// # Errors
    /// When words are still missing, with the text that was there last.
    pub async fn says(&self, selector: &str, words: &[&str]) -> anyhow::Result<()> {
        let what = format!("{words:?} in {selector}");
        self.watch(&what, TEXT, json!(selector), |text| {
            let text = text.as_str().unwrap_or_default();
            Ok(if words.iter().all(|words| text.contains(words)) {
                Look::There(())
            } else {
                Look::NotYet(text.to_owned())
            })
        })
        .await
    }
}
