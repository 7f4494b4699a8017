//! As much of a TURN client as load needs.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, bail};
use stun_turn_proto::attribute::{encode_xor_address, kind};
use stun_turn_proto::auth::long_term_key;
use stun_turn_proto::integrity::{Hash, Signer};
use stun_turn_proto::message::{Class, Message, Method, TransactionId, Writer};

/// How long an answer may take before the request is sent again.
const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: u32 = 10;

/// One client over UDP.
pub(crate) struct Client {
    pub(crate) socket: UdpSocket,
    nonce: Vec<u8>,
    transactions: u64,
}

/// The bytes of a request; signed where there is a nonce.
pub(crate) fn request(
    method: Method,
    id: [u8; 12],
    parts: &[(u16, &[u8])],
    signed: Option<Signed<'_>>,
) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let mut writer = Writer::new(&mut buffer, Class::Request, method, TransactionId(id));
    for (kind, value) in parts {
        writer.attribute(*kind, value);
    }
    let signer = signed.map(
        |Signed {
             nonce,
             user,
             password,
         }| {
            writer.attribute(kind::USERNAME, user.as_bytes());
            writer
                .attribute(kind::REALM, b"callbox")
                .attribute(kind::NONCE, nonce);
            Signer {
                key: long_term_key(user.as_bytes(), b"callbox", password.as_bytes()),
                hash: Hash::Sha1,
            }
        },
    );
    let length = writer.finish(signer.as_ref(), false).unwrap_or_default();
    buffer[..length].to_vec()
}

/// Credentials of a request.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) nonce: &'a [u8],
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
}

/// A request for a relayed UDP address.
pub(crate) const UDP: (u16, &[u8]) = (kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);

impl Client {
    pub(crate) fn new(from: &str, server: SocketAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(from)?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            nonce: Vec::new(),
            transactions: 0,
        })
    }

    /// Allocates and binds channel 0x4000 to a peer.
    pub(crate) fn allocate(&mut self, peer: SocketAddr) -> anyhow::Result<()> {
        self.ask(Method::Allocate, |_| vec![(UDP.0, UDP.1.to_vec())])?;
        self.ask(Method::ChannelBind, |id| {
            let (value, length) = encode_xor_address(peer, TransactionId(id));
            vec![
                (kind::CHANNEL_NUMBER, vec![0x40, 0, 0, 0]),
                (kind::XOR_PEER_ADDRESS, value[..length].to_vec()),
            ]
        })
    }

    /// The nonce that the server has for us.
    pub(crate) fn nonce(&mut self) -> anyhow::Result<Vec<u8>> {
        self.exchange(&request(Method::Allocate, [9; 12], &[UDP], None))?;
        Ok(self.nonce.clone())
    }

    fn ask(
        &mut self,
        method: Method,
        parts: impl Fn([u8; 12]) -> Vec<(u16, Vec<u8>)>,
    ) -> anyhow::Result<()> {
        for _ in 0..2 {
            self.transactions += 1;
            let mut id = [0; 12];
            id[..8].copy_from_slice(&self.transactions.to_be_bytes());
            let parts = parts(id);
            let parts: Vec<(u16, &[u8])> = parts
                .iter()
                .map(|(kind, value)| (*kind, &value[..]))
                .collect();
            let signed = (!self.nonce.is_empty()).then_some(Signed {
                nonce: &self.nonce,
                user: "alice",
                password: "wonder",
            });
            if self.exchange(&request(method, id, &parts, signed))? == 0 {
                return Ok(());
            }
        }
        bail!("{method:?} was refused")
    }

    /// Sends until there is an answer; its error code, 0 for success.
    fn exchange(&mut self, message: &[u8]) -> anyhow::Result<u16> {
        let mut buffer = [0; 2048];
        for _ in 0..TRIES {
            self.socket.send(message)?;
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let Ok(reply) = Message::parse(&buffer[..length]) else {
                    continue;
                };
                if reply.bytes().get(8..20) != message.get(8..20) {
                    continue;
                }
                if let Some(nonce) = reply.first(kind::NONCE) {
                    self.nonce = nonce.to_vec();
                }
                return Ok(match reply.first(kind::ERROR_CODE) {
                    Some([_, _, class, number, ..]) => u16::from(*class) * 100 + u16::from(*number),
                    _ => 0,
                });
            }
        }
        Err(anyhow::anyhow!("no answer")).context("the relay is silent")
    }
}
