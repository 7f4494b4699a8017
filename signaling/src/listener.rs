//! Accepts connections and speaks HTTP/1.1 on them, with deadlines that axum's own `serve` lacks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::linger::Lingering;
use crate::proxies::{Proxies, Remote};

/// How long a TLS handshake, and then the head of a request, may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// Largest head of a request, in bytes (the least that hyper can be told).
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// How long to wait when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What to serve and until when.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) router: Router,
    /// Makes TLS connections with the certificate in force.
    pub(crate) tls: Option<watch::Receiver<TlsAcceptor>>,
    pub(crate) proxies: Arc<Proxies>,
    /// Turns true once.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Accepts until told to stop. At most `max_requests` connections are served before they are
/// WebSockets; more wait in the system's queue.
pub(crate) async fn serve(listener: TcpListener, service: Service, max_requests: usize) {
    let permits = Arc::new(Semaphore::new(max_requests));
    let mut stopping = service.stopping.clone();
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut stopping) => return,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, remote, permit)) = accepted else {
            continue;
        };
        tokio::spawn(serve_stream(stream, remote, service.clone(), permit));
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone: the same.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, remote)) => Some((stream, remote, permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn serve_stream(
    mut stream: TcpStream,
    remote: SocketAddr,
    service: Service,
    permit: OwnedSemaphorePermit,
) {
    // Signaling is small messages that should not wait for each other.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let introduced = service.proxies.introduce(&mut stream, remote);
    let remote = match timeout(HANDSHAKE_DEADLINE, introduced).await {
        Ok(Ok(remote)) => remote,
        Ok(Err(error)) => return tracing::debug!(%error, %remote, "no PROXY header"),
        Err(_) => return tracing::debug!(%remote, "no PROXY header in time"),
    };
    let stream = Lingering::new(stream);
    let tls = service.tls.as_ref().map(|tls| tls.borrow().clone());
    match tls {
        None => serve_http(stream, remote, service, permit).await,
        Some(tls) => match timeout(HANDSHAKE_DEADLINE, tls.accept(stream)).await {
            Ok(Ok(stream)) => serve_http(stream, remote, service, permit).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS handshake"),
            Err(_) => tracing::debug!("no TLS handshake in time"),
        },
    }
}

async fn serve_http<S>(stream: S, remote: Remote, service: Service, permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut stopping = service.stopping;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_DEADLINE)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(
            TokioIo::new(stream),
            WithRemote {
                router: TowerToHyperService::new(service.router),
                remote,
            },
        )
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an HTTP connection ended");
    }
    drop(permit);
}

/// Tells the router where a request comes from.
struct WithRemote {
    router: TowerToHyperService<Router>,
    remote: Remote,
}

impl hyper::service::Service<Request<Incoming>> for WithRemote {
    type Response =
        <TowerToHyperService<Router> as hyper::service::Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as hyper::service::Service<Request<Incoming>>>::Error;
    type Future =
        <TowerToHyperService<Router> as hyper::service::Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.remote);
        self.router.call(request)
    }
}
