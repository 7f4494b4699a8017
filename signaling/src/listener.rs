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
use tokio_rustls::server::TlsStream;

use crate::linger::{self, Lingering};
use crate::places::{Limits, Place, Places};
use crate::proxies::{Proxies, Remote};
use crate::redirect;
use crate::shared_port::{self, Speech};

/// How long a TLS handshake, and then the head of a request, may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// Connections that are accepted, over those that are served: they wait, and cost next to nothing.
pub(crate) const WAITING: usize = 8192;
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
    /// Takes over the connections of clients that speak TURN.
    pub(crate) relay: Option<stun_turn::Handle>,
    pub(crate) proxies: Arc<Proxies>,
    /// Where closed connections linger.
    pub(crate) lingering: linger::Places,
    /// Turns true once.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Service {
    /// Whether clients may speak something else than the service's HTTP.
    const fn is_shared(&self) -> bool {
        self.tls.is_some() || self.relay.is_some()
    }
}

/// Accepts until told to stop. So many connections are served before they are WebSockets; more wait, at last in the system's
/// queue.
pub(crate) async fn serve(listener: TcpListener, service: Service, limits: Limits) {
    let permits = Arc::new(Semaphore::new(limits.served + WAITING));
    let places = Places::new(limits);
    let mut stopping = service.stopping.clone();
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut stopping) => return,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, remote, permit)) = accepted else {
            continue;
        };
        let (service, places) = (service.clone(), Arc::clone(&places));
        tokio::spawn(async move {
            serve_stream(stream, remote, service, places).await;
            drop(permit);
        });
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
    places: Arc<Places>,
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
    let Some(guest) = places.enter(service.proxies.source(remote)) else {
        return tracing::debug!(remote = %remote.0, "too many connections of one source");
    };
    let Ok(Some(place)) = timeout(HANDSHAKE_DEADLINE, guest.place()).await else {
        return tracing::debug!(remote = %remote.0, "no place in time");
    };
    let speech = match service.is_shared() {
        false => Speech::Http,
        true => match timeout(HANDSHAKE_DEADLINE, shared_port::spoken(&stream)).await {
            Ok(Ok(Some(speech))) => speech,
            Ok(Ok(None) | Err(_)) => return,
            Err(_) => return tracing::debug!(remote = %remote.0, "nothing was said in time"),
        },
    };
    if let (Speech::Turn, Some(relay)) = (speech, &service.relay) {
        return shared_port::hand_over(stream, remote, relay);
    }
    let stream = Lingering::new(stream, service.lingering.clone());
    let tls = service.tls.as_ref().map(|tls| tls.borrow().clone());
    match (tls, speech) {
        (None, _) => serve_http(stream, remote, service, place).await,
        (Some(_), Speech::Http) => {
            let router = redirect::router();
            let service = Service { router, ..service };
            serve_http(stream, remote, service, place).await;
        }
        (Some(tls), _) => match timeout(HANDSHAKE_DEADLINE, tls.accept(stream)).await {
            Ok(Ok(stream)) => serve_tls(stream, remote, service, place).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS handshake"),
            Err(_) => tracing::debug!("no TLS handshake in time"),
        },
    }
}

/// Serves what TLS carries: the page, or the relay where it is bundled.
async fn serve_tls(
    mut stream: TlsStream<Lingering>,
    remote: Remote,
    service: Service,
    place: Place,
) {
    let Some(relay) = &service.relay else {
        return serve_http(stream, remote, service, place).await;
    };
    match timeout(HANDSHAKE_DEADLINE, shared_port::spoken_inside(&mut stream)).await {
        Ok(Ok(Some(Speech::Turn))) => shared_port::hand_over_tls(stream, remote, relay),
        Ok(Ok(Some(Speech::Http))) => serve_http(stream, remote, service, place).await,
        Ok(Ok(Some(Speech::Tls))) => tracing::debug!("TLS inside of TLS"),
        Ok(Ok(None) | Err(_)) => {}
        Err(_) => tracing::debug!(remote = %remote.0, "nothing was said in time"),
    }
}

async fn serve_http<S>(stream: S, remote: Remote, service: Service, place: Place)
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
    let served = async {
        tokio::select! {
            result = connection.as_mut() => result,
            () = stopped(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    match timeout(place.time, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection ended"),
        Err(_) => tracing::debug!("an HTTP connection took too long"),
    }
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Whoever asked for the page again and again, and never read it, once kept its place for ever: 4,096 of these, and
    /// nobody else was let in.
    #[tokio::test]
    async fn who_reads_no_answer_loses_the_place() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_stop, stopping) = watch::channel(false);
        let page = "x".repeat(1 << 20);
        let service = Service {
            router: Router::new().route("/", get(move || std::future::ready(page.clone()))),
            tls: None,
            relay: None,
            proxies: Arc::default(),
            lingering: linger::Places::default(),
            stopping,
        };
        let limits = Limits {
            served: 1,
            served_of_source: 1,
            accepted_of_source: 2,
            of_network: (1, 2),
            time: Duration::from_millis(100),
        };
        tokio::spawn(serve(listener, service, limits));
        let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut deaf = TcpStream::connect(address).await.unwrap();
        deaf.write_all(&request.repeat(64)).await.unwrap();
        let mut other = TcpStream::connect(address).await.unwrap();
        other.write_all(request).await.unwrap();
        let mut answer = [0; 15];
        other.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
}
