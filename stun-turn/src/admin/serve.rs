//! HTTP/1.1 on another thread, with bounds that axum's own `serve` lacks.

use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{sleep, timeout};

/// How long the head of a request may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// How long a connection may last, whatever it does.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(10);
/// Connections at once. One more ends the oldest: an honest one asks one thing and is gone, and whoever
/// opens many must not keep a probe waiting.
const MAX_CONNECTIONS: usize = 64;
/// How long to wait when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves on another thread, on which `beside` runs as well.
pub(super) fn start(
    listener: TcpListener,
    router: Router,
    beside: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = {
        let _context = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            runtime.spawn(beside);
            runtime.block_on(serve(listener, router));
        })?;
    Ok(())
}

async fn serve(listener: tokio::net::TcpListener, router: Router) {
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.retain(|connection| !connection.is_finished());
                if connections.len() >= MAX_CONNECTIONS
                    && let Some(oldest) = connections.pop_front()
                {
                    oldest.abort();
                }
                let served = timeout(CONNECTION_DEADLINE, serve_stream(stream, router.clone()));
                connections.push_back(tokio::spawn(served).abort_handle());
                // What was accepted has its turn before more is.
                yield_now().await;
            }
            Err(error) => {
                tracing::debug!(%error, "a connection to the admin address was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One request.
async fn serve_stream(stream: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the admin address ended");
    }
}
