//! Whoever is put out of a room loses what it holds on the bundled relay.

use std::net::UdpSocket;
use std::time::Instant;

use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::IceServer;
use stun_turn::proto::attribute::kind;
use stun_turn::proto::auth::long_term_key;
use stun_turn::proto::integrity::{Hash, Signer};
use stun_turn::proto::message::{Class, Message, Method, TransactionId, Writer};

use crate::harness::{Client, patience, start};

/// Realm of the relay unless told otherwise.
const REALM: &[u8] = b"callbox";
/// REQUESTED-TRANSPORT for UDP (RFC 8656, 14.7).
const UDP: &[u8] = &[17, 0, 0, 0];

/// A TURN client that can allocate and refresh.
struct TurnClient {
    socket: UdpSocket,
    username: String,
    password: String,
    nonce: Vec<u8>,
    requests: u8,
}

impl TurnClient {
    fn new(server: &IceServer) -> Self {
        let host = server.urls[0].strip_prefix("turn:").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(host.split_once('?').unwrap().0).unwrap();
        socket.set_read_timeout(Some(patience())).unwrap();
        let mut client = Self {
            socket,
            username: server.username.clone().unwrap(),
            password: server.credential.clone().unwrap(),
            nonce: Vec::new(),
            requests: 0,
        };
        let reply = client.exchange(Method::Allocate, &[(kind::REQUESTED_TRANSPORT, UDP)]);
        let reply = Message::parse(&reply).unwrap();
        client.nonce = reply.first(kind::NONCE).unwrap().to_vec();
        client
    }

    /// What became of a request, signed as soon as there is a nonce: the code of the refusal.
    fn request(&mut self, method: Method, parts: &[(u16, &[u8])]) -> Result<(), u16> {
        let reply = self.exchange(method, parts);
        let reply = Message::parse(&reply).unwrap();
        let code = reply.first(kind::ERROR_CODE);
        code.map_or(Ok(()), |it| Err(u16::from(it[2]) * 100 + u16::from(it[3])))
    }

    fn exchange(&mut self, method: Method, parts: &[(u16, &[u8])]) -> Vec<u8> {
        self.requests += 1;
        let id = TransactionId([self.requests; 12]);
        let mut buffer = [0; 1024];
        let mut writer = Writer::new(&mut buffer, Class::Request, method, id);
        for (kind, value) in parts {
            writer.attribute(*kind, value);
        }
        let signer = (!self.nonce.is_empty()).then(|| {
            let name = self.username.as_bytes();
            writer.attribute(kind::USERNAME, name);
            writer.attribute(kind::REALM, REALM);
            writer.attribute(kind::NONCE, &self.nonce);
            Signer {
                key: long_term_key(name, REALM, self.password.as_bytes()),
                hash: Hash::Sha1,
            }
        });
        let length = writer.finish(signer.as_ref(), false).unwrap();
        self.socket.send(&buffer[..length]).unwrap();
        let mut reply = vec![0; 1500];
        let length = self.socket.recv(&mut reply).unwrap();
        reply.truncate(length);
        reply
    }
}

#[tokio::test]
async fn a_kick_ends_what_the_peer_holds_on_the_bundled_relay_and_revokes_its_credential() {
    let server = start(&["--turn-listen", "udp:127.0.0.1:0"]).await;
    let (mut host, of_host) = Client::enter(&server, "r").await;
    let (mut guest, of_guest) = Client::enter(&server, "r").await;
    let allocate = [(kind::REQUESTED_TRANSPORT, UDP)];
    let mut spared = TurnClient::new(&of_host.ice_servers[1]);
    let mut put_out = TurnClient::new(&of_guest.ice_servers[1]);
    for client in [&mut spared, &mut put_out] {
        assert_eq!(client.request(Method::Allocate, &allocate), Ok(()));
        assert_eq!(client.request(Method::Refresh, &[]), Ok(()));
    }

    let kick = r#"{"type":"moderate","id":1,"action":"kick","peer":"#;
    host.say(&format!(r#"{kick}"{}"}}"#, of_guest.peer)).await;
    assert_eq!(guest.hear_out().await.1, 4403);
    assert!(matches!(host.hear().await, ServerMessage::PeerJoined(_)));
    assert!(matches!(host.hear().await, ServerMessage::PeerLeft(_)));

    // The relay's thread may still be about to hear of it.
    let since = Instant::now();
    while put_out.request(Method::Refresh, &[]).is_ok() {
        assert!(since.elapsed() < patience(), "the allocation goes on");
    }
    assert_eq!(put_out.request(Method::Allocate, &allocate), Err(401));
    let mut again = TurnClient::new(&of_guest.ice_servers[1]);
    assert_eq!(again.request(Method::Allocate, &allocate), Err(401));
    assert_eq!(spared.request(Method::Refresh, &[]), Ok(()), "goes on");
    server.stop().await;
}
