//! A relay dies while peers are in a room.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::sync::Arc;

use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{IceServer, IceServersReason, IceServersRenewed};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::harness::{Client, patience, start};
use crate::hung::Hung;
use crate::process::{FREE, Running, signaling};

/// A STUN server of which nothing but its answers to Bindings matters.
async fn relay(answered: &Arc<Notify>) -> (JoinHandle<()>, String, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (
        tokio::spawn(answer(socket, answered.clone())),
        format!("turn:{address}?transport=udp"),
        address,
    )
}

async fn answer(socket: UdpSocket, answered: Arc<Notify>) {
    let mut request = [0; 1500];
    loop {
        let (length, from) = socket.recv_from(&mut request).await.unwrap();
        // Binding request to Binding success.
        request[0] |= 1;
        socket.send_to(&request[..length], from).await.unwrap();
        answered.notify_one();
    }
}

async fn news(client: &mut Client) -> IceServersRenewed {
    match timeout(patience(), client.hear()).await.expect("in time") {
        ServerMessage::IceServers(news) => news,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lost_relay_is_told_and_again_when_it_is_back() {
    let answered = Arc::new(Notify::new());
    let (alive, alive_url, _) = relay(&Arc::default()).await;
    let (dying, dying_url, address) = relay(&answered).await;
    let options = [
        "--turn-mode",
        "external",
        "--auth-secret",
        "north",
        "--turn-url",
        &alive_url,
        "--turn-url",
        &dying_url,
    ];
    let server = start(&options).await;
    let (mut client, welcome) = Client::enter(&server, "r").await;
    let mut both = vec![alive_url.clone(), dying_url.clone()];
    assert_eq!(welcome.ice_servers[0].urls, both);
    // It has been seen alive.
    timeout(patience(), answered.notified()).await.unwrap();

    dying.abort();
    let lost = news(&mut client).await;
    assert_eq!(lost.reason, Some(IceServersReason::RelayLost));
    assert_eq!(lost.ice_servers[0].urls, [alive_url.as_str()]);

    let socket = UdpSocket::bind(address).await.unwrap();
    let again = tokio::spawn(answer(socket, answered));
    let back = news(&mut client).await;
    assert_eq!(back.reason, Some(IceServersReason::Renewal));
    both.sort();
    let mut urls = back.ice_servers[0].urls.clone();
    urls.sort();
    assert_eq!(urls, both);
    alive.abort();
    again.abort();
    server.stop().await;
}

/// A thread of the bundled relay that hangs keeps its sockets: nothing but its silence tells.
#[tokio::test]
async fn a_hung_thread_of_the_bundled_relay_is_told_and_again_when_it_lives() {
    let options = [&FREE[..], &["--turn-workers", "2"]].concat();
    let mut process = Running(signaling(&options).spawn().unwrap());
    let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
    let page = lines.next().unwrap().unwrap();
    let page = page.strip_prefix("Page: http://").unwrap();
    let page = page.trim_end_matches('/').parse().unwrap();
    let mut client = Client::connect_to(page).await;
    let welcome = client.hello("r").await;

    let urls = |servers: &[IceServer]| -> Vec<_> {
        servers.iter().flat_map(|it| it.urls.clone()).collect()
    };
    let hung = Hung::thread(process.0.id(), "relay-0");
    let lost = news(&mut client).await;
    assert_eq!(lost.reason, Some(IceServersReason::RelayLost));
    // The other thread has the same addresses.
    assert_eq!(urls(&lost.ice_servers), urls(&welcome.ice_servers));
    drop(hung);
    let back = news(&mut client).await;
    assert_eq!(back.reason, Some(IceServersReason::Renewal));
}
