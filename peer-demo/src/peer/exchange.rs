//! Descriptions and candidates, to the other side and from it.

use anyhow::{Context, Result};
use signaling_proto::id::Epoch;
use signaling_proto::message::{Payload, SdpKind, Verbatim};
use tokio::time::{Duration, Instant};
use webrtc::peer_connection::{RTCIceCandidateInit, RTCSdpType, RTCSessionDescription};

use super::{Task, due, sdp};
use crate::negotiation::{OnCandidate, OnOffer, RESTART_WAIT};
use crate::signaling::Outgoing;

impl Task {
    pub(super) async fn first_offer(&mut self) -> Result<()> {
        if self.negotiation.has_begun() {
            return Ok(());
        }
        let Some(epoch) = self.negotiation.offer() else {
            return Ok(());
        };
        let offer = self.connection.offer(false).await?;
        self.send_description(epoch, &offer).await
    }

    /// Whether the way leads, or may lead, through a relay.
    pub(super) fn may_need_relay(&self) -> bool {
        let path = self.state.path.as_ref();
        self.state.left.is_none() && path.is_none_or(|path| path.kind == "relay")
    }

    /// Packets flow: there is no need to look for a way.
    pub(super) fn has_way(&mut self) {
        (self.is_lost, self.restart_due) = (false, None);
    }

    /// One side looks for a way, and both gather what they can offer.
    async fn begin_search(&mut self) {
        if self.is_lost {
            self.connection.give_up_relays().await;
        }
        self.has_way();
    }

    /// The way that there was does not work. It has some time to come back by itself.
    pub(super) fn lose_way(&mut self, patience: Duration) {
        if self.state.is_connected() && self.state.left.is_none() {
            self.is_lost = true;
            self.look_for_a_way(patience);
        }
    }

    /// One side of the pair will look, after at least this time.
    pub(super) fn look_for_a_way(&mut self, patience: Duration) {
        self.restart_due = due(self.negotiation.restart()).map(|due| due + patience);
    }

    /// Looks for a new way.
    pub(super) async fn restart_ice(&mut self) -> Result<()> {
        if !self.negotiation.has_begun() {
            return Ok(());
        }
        if !self.can_signal {
            // Later: an offer of now knows the relays of the server that is gone.
            self.is_lost = true;
            return Ok(());
        }
        let Some(epoch) = self.negotiation.offer() else {
            // First the answer that is on its way.
            self.restart_due = Some(Instant::now() + RESTART_WAIT);
            return Ok(());
        };
        tracing::info!("{}: looking for another way", self.id);
        self.begin_search().await;
        self.candidates.clear();
        let offer = self.connection.offer(true).await?;
        self.send_description(epoch, &offer).await
    }

    /// The other side has described itself: whether it looks for a new way.
    fn note_ufrag(&mut self, description: &RTCSessionDescription) -> bool {
        let ufrag = attribute(&description.sdp, "ice-ufrag");
        let before = std::mem::replace(&mut self.remote_ufrag, ufrag);
        if before != self.remote_ufrag {
            self.remote_candidates = sdp::candidates(&description.sdp);
        }
        before.is_some() && before != self.remote_ufrag
    }

    pub(super) async fn on_description(
        &mut self,
        epoch: Epoch,
        description: &Verbatim,
    ) -> Result<()> {
        let mut description: RTCSessionDescription = description
            .decode()
            .context("a description that can't be read")?;
        match description.sdp_type {
            RTCSdpType::Offer => {
                let roll_back = match self.negotiation.on_offer(epoch) {
                    OnOffer::Ignore => {
                        tracing::debug!("{}: offers crossed, ours counts", self.id);
                        return Ok(());
                    }
                    OnOffer::Answer => false,
                    OnOffer::RollBackAndAnswer => true,
                };
                description.sdp = sdp::without_simulcast(&description.sdp);
                if self.note_ufrag(&description) {
                    self.begin_search().await;
                }
                let answer = self.connection.answer(description, roll_back).await?;
                self.send_description(epoch, &answer).await?;
                if roll_back {
                    // The other side has dropped those of the offer that was taken back.
                    for candidate in self.candidates.clone() {
                        self.send_candidate(candidate).await?;
                    }
                }
            }
            RTCSdpType::Answer if self.negotiation.on_answer(epoch) => {
                self.note_ufrag(&description);
                self.connection.apply_answer(description).await?;
            }
            other => {
                tracing::debug!("{}: dropped a stale {other}", self.id);
                return Ok(());
            }
        }
        for candidate in self.negotiation.take_held() {
            self.remote_candidates += 1;
            self.connection.add_candidate(candidate).await?;
        }
        Ok(())
    }

    pub(super) async fn on_candidate(&mut self, epoch: Epoch, candidate: &Verbatim) -> Result<()> {
        let candidate: Option<RTCIceCandidateInit> = candidate
            .decode()
            .context("a candidate that can't be read")?;
        // The end of candidates needs no action: checks go on until a pair is found.
        let Some(candidate) = candidate.filter(|candidate| !candidate.candidate.is_empty()) else {
            return Ok(());
        };
        match self.negotiation.on_candidate(epoch, candidate) {
            OnCandidate::Add(candidate) => {
                self.remote_candidates += 1;
                self.connection.add_candidate(candidate).await
            }
            OnCandidate::Held | OnCandidate::Stale => Ok(()),
        }
    }

    async fn send_description(
        &mut self,
        epoch: Epoch,
        description: &RTCSessionDescription,
    ) -> Result<()> {
        self.local = Some((epoch, attribute(&description.sdp, "mid")));
        let kind = match description.sdp_type {
            RTCSdpType::Offer => SdpKind::Offer,
            _ => SdpKind::Answer,
        };
        let json = serde_json::json!({"type": kind, "sdp": description.sdp});
        let payload = Payload::Description(Verbatim::new(&json)?);
        self.send_signal(epoch, payload).await
    }

    pub(super) async fn send_candidate(
        &mut self,
        candidate: Option<RTCIceCandidateInit>,
    ) -> Result<()> {
        let Some((epoch, mid)) = self.local.clone() else {
            // It is sent with the first description.
            return Ok(());
        };
        let candidate = candidate.map(|candidate| RTCIceCandidateInit {
            // The crate leaves it empty, which browsers take for the name of a section.
            sdp_mid: mid,
            ..candidate
        });
        self.send_signal(epoch, Payload::Candidate(Verbatim::new(&candidate)?))
            .await
    }

    async fn send_signal(&mut self, epoch: Epoch, payload: Payload) -> Result<()> {
        let to = self.id.clone();
        self.common
            .outgoing
            .send(Outgoing::Signal { to, epoch, payload })
            .await
            .context("signaling is gone")
    }
}

/// The first attribute of this name in a description.
fn attribute(sdp: &str, name: &str) -> Option<String> {
    let value = |line: &str| {
        let (key, value) = line.strip_prefix("a=")?.split_once(':')?;
        (key == name).then(|| value.trim().to_owned())
    };
    sdp.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::attribute;

    #[test]
    fn candidates_belong_to_the_first_section() {
        let sdp = "v=0\r\na=group:BUNDLE audio video\r\nm=audio 9 X 111\r\na=mid:audio\r\nm=video 9 X 96\r\na=mid:video\r\n";
        assert_eq!(attribute(sdp, "mid").as_deref(), Some("audio"));
        assert_eq!(attribute("v=0\r\n", "mid"), None);
    }
}
