//! The floor: a WebSocket server that does nothing but pass frames on. The first line of a frame says
//! to whom.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;

/// Passes frames on, and nothing else
#[derive(Debug, clap::Args)]
pub(crate) struct ForwardWebSockets {
    address: SocketAddr,
}

type Clients = Arc<Mutex<HashMap<String, mpsc::Sender<Utf8Bytes>>>>;

/// Frames that may wait for one client.
const QUEUE: usize = 64;
/// As ours reads and writes.
const BUFFER_BYTES: usize = 4096;

impl ForwardWebSockets {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let router = Router::new()
                .route("/", get(upgrade))
                .with_state(Clients::default());
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(self.address)?;
            let listener = socket.listen(4096)?.tap_io(|stream| {
                // Where it fails the connection is gone already.
                let _ = stream.set_nodelay(true);
            });
            axum::serve(listener, router).await?;
            Ok(())
        })
    }
}

async fn upgrade(
    State(clients): State<Clients>,
    RawQuery(name): RawQuery,
    upgrade: WebSocketUpgrade,
) -> axum::response::Response {
    upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .on_upgrade(move |socket| serve(socket, clients, name.unwrap_or_default()))
}

async fn serve(socket: WebSocket, clients: Clients, name: String) {
    let table = || clients.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut sink, mut stream) = socket.split();
    let (sender, mut queue) = mpsc::channel::<Utf8Bytes>(QUEUE);
    table().insert(name.clone(), sender);
    let write = async {
        while let Some(text) = queue.recv().await {
            if sink.send(Message::Text(text)).await.is_err() {
                return;
            }
        }
    };
    let read = async {
        while let Some(Ok(message)) = stream.next().await {
            let Message::Text(text) = message else {
                continue;
            };
            let Some((to, body)) = text.split_once('\n') else {
                continue;
            };
            let to = table().get(to).cloned();
            if let Some(to) = to {
                // Whom it was for may be gone.
                let _ = to.send(body.into()).await;
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    table().remove(&name);
}
