//! A pair in a room of its own: what it notices of what others do to the server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::dialect::{Client, Part, Who, now_ns, sent_at};
use super::servers::Running;

/// Between two messages.
const INTERVAL: Duration = Duration::from_millis(5);
/// Nobody else has these numbers.
const NUMBERS: [u32; 2] = [60_000, 60_001];

/// One sends candidates, the other one takes the time.
pub(super) struct Bystanders {
    tasks: [JoinHandle<()>; 2],
    delays_ms: Arc<Mutex<Vec<f64>>>,
}

impl Bystanders {
    pub(super) async fn enter(server: &Running) -> anyhow::Result<Self> {
        let [sender, listener] = NUMBERS.map(async |number| {
            let who = Who::new(number, "apart");
            Client::connect(server.kind, server.address, &who).await
        });
        let (mut sender, mut listener) = (sender.await?, listener.await?);
        let (to, delays_ms) = (listener.id.clone(), Arc::<Mutex<Vec<f64>>>::default());
        let sending = async move {
            let mut next = tokio::time::interval(INTERVAL);
            loop {
                tokio::select! {
                    _ = next.tick() => {
                        if sender.signal(&to, Part::Candidate).await.is_err() {
                            return;
                        }
                    }
                    heard = sender.next() => {
                        if heard.is_err() || sender.acknowledge().await.is_err() {
                            return;
                        }
                    }
                }
            }
        };
        let heard = Arc::clone(&delays_ms);
        let listening = async move {
            while let Ok(text) = listener.next().await {
                if let Some(sent_at) = sent_at(&text) {
                    let delay = now_ns().saturating_sub(sent_at) as f64 / 1e6;
                    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.push(delay);
                }
                if listener.acknowledge().await.is_err() {
                    return;
                }
            }
        };
        let tasks = [tokio::spawn(sending), tokio::spawn(listening)];
        Ok(Self { tasks, delays_ms })
    }

    /// How long each message was on its way, in ms.
    pub(super) fn leave(self) -> Vec<f64> {
        self.tasks.iter().for_each(JoinHandle::abort);
        let mut delays_ms = self
            .delays_ms
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut delays_ms)
    }
}
