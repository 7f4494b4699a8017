//! A STUN and TURN client: one request at a time, with retransmissions over UDP (RFC 8489 section 6.2.1)
//! and long-term credentials (section 9.2).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stun_turn_proto::attribute::{decode_xor_address, kind};
use stun_turn_proto::auth::PasswordAlgorithm;
use stun_turn_proto::channel_data;
use stun_turn_proto::integrity::{Hash, Key, Signer};
use stun_turn_proto::message::{Class, Message, Method, TransactionId, Writer};

use super::transport::Link;

/// When a request over UDP is sent again for the first time; then after twice as long.
const FIRST_RETRANSMISSION: Duration = Duration::from_millis(500);
/// Room for a request or a Send indication.
const MESSAGE_BYTES: usize = 4096;
/// PASSWORD-ALGORITHM: SHA-256 without parameters.
const SHA256: [u8; 4] = [0, 2, 0, 0];

/// Who asks.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) password: String,
    /// Made of a secret.
    pub(super) is_minted: bool,
}

/// Why a request was not carried out.
#[derive(Debug)]
pub(super) enum Fault {
    /// No answer in time.
    Silence,
    /// The socket or the connection.
    Io(io::Error),
    /// An error reply.
    Refused {
        code: u16,
        reason: String,
        /// Of 300 Try Alternate.
        alternate: Option<SocketAddr>,
    },
    /// A reply that lacks what it must have.
    Incomplete(&'static str),
    /// A success reply whose integrity attribute is missing or wrong.
    Unsigned,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Fault {
    /// The code of an error reply.
    pub(super) const fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// The value of an attribute.
#[derive(Clone, Copy)]
pub(super) enum Value<'v> {
    Bytes(&'v [u8]),
    Address(SocketAddr),
}

/// An attribute of a request.
pub(super) type Attribute<'v> = (u16, Value<'v>);

/// What a 401 or 438 said.
#[derive(Clone)]
pub(super) struct Challenge {
    pub(super) realm: Vec<u8>,
    nonce: Vec<u8>,
    /// PASSWORD-ALGORITHMS, if SHA-256 is among them.
    algorithms: Option<Vec<u8>>,
}

impl Challenge {
    fn of(reply: &Message<'_>) -> Option<Self> {
        let algorithms = reply.first(kind::PASSWORD_ALGORITHMS);
        // Entries without parameters are four bytes each; no other has been defined.
        let has_sha256 = |list: &&[u8]| list.chunks(4).any(|entry| entry == SHA256);
        Some(Self {
            realm: reply.first(kind::REALM)?.to_vec(),
            nonce: reply.first(kind::NONCE)?.to_vec(),
            algorithms: algorithms.filter(has_sha256).map(<[u8]>::to_vec),
        })
    }

    /// The name of the algorithm that is answered with.
    pub(super) const fn algorithm(&self) -> &'static str {
        if self.algorithms.is_some() {
            "SHA-256"
        } else {
            "MD5"
        }
    }

    fn signer(&self, account: &Account) -> Signer {
        let (algorithm, hash) = match self.algorithms {
            Some(_) => (PasswordAlgorithm::Sha256, Hash::Sha256),
            None => (PasswordAlgorithm::Md5, Hash::Sha1),
        };
        let (name, password) = (account.name.as_bytes(), account.password.as_bytes());
        Signer {
            key: algorithm.key(name, &self.realm, password),
            hash,
        }
    }
}

/// A reply to a request.
pub(super) struct Reply(Vec<u8>);

impl Reply {
    fn message(&self) -> Option<Message<'_>> {
        Message::parse(&self.0).ok()
    }

    pub(super) fn bytes(&self, kind: u16) -> Option<&[u8]> {
        self.message()?.first(kind)
    }

    pub(super) fn address(&self, kind: u16) -> Option<SocketAddr> {
        let message = self.message()?;
        decode_xor_address(message.first(kind)?, message.transaction())
    }
}

/// One five-tuple to the server.
pub(super) struct Client {
    pub(super) link: Link,
    account: Option<Account>,
    patience: Duration,
    pub(super) challenge: Option<Challenge>,
}

impl Client {
    pub(super) const fn new(link: Link, account: Option<Account>, patience: Duration) -> Self {
        Self {
            link,
            account,
            patience,
            challenge: None,
        }
    }

    /// Asks without credentials.
    pub(super) fn ask(
        &mut self,
        method: Method,
        attributes: &[Attribute<'_>],
    ) -> Result<Reply, Fault> {
        let bytes = self.exchange(method, attributes, None)?;
        check_success(&bytes)?;
        Ok(Reply(bytes))
    }

    /// Asks with the credentials; a stale nonce is replaced once.
    pub(super) fn ask_signed(
        &mut self,
        method: Method,
        attributes: &[Attribute<'_>],
    ) -> Result<Reply, Fault> {
        let mut is_second = false;
        loop {
            let (Some(account), Some(challenge)) = (&self.account, &self.challenge) else {
                return Err(Fault::Incomplete("REALM and NONCE of a 401"));
            };
            let (account, challenge) = (account.clone(), challenge.clone());
            let signer = challenge.signer(&account);
            let mut all = attributes.to_vec();
            all.push((kind::USERNAME, Value::Bytes(account.name.as_bytes())));
            all.push((kind::REALM, Value::Bytes(&challenge.realm)));
            all.push((kind::NONCE, Value::Bytes(&challenge.nonce)));
            if let Some(algorithms) = &challenge.algorithms {
                all.push((kind::PASSWORD_ALGORITHMS, Value::Bytes(algorithms)));
                all.push((kind::PASSWORD_ALGORITHM, Value::Bytes(&SHA256)));
            }
            let bytes = self.exchange(method, &all, Some(&signer))?;
            match check_success(&bytes) {
                Err(fault) if fault.code() == Some(438) && !is_second => {
                    is_second = true;
                    let fresh = Message::parse(&bytes).ok();
                    self.challenge = fresh.as_ref().and_then(Challenge::of);
                }
                Err(fault) => return Err(fault),
                Ok(()) if !is_signed(&bytes, &signer.key) => return Err(Fault::Unsigned),
                Ok(()) => return Ok(Reply(bytes)),
            }
        }
    }

    /// Sends until there is an answer or patience ends.
    fn exchange(
        &mut self,
        method: Method,
        attributes: &[Attribute<'_>],
        signer: Option<&Signer>,
    ) -> Result<Vec<u8>, Fault> {
        let transaction = random_transaction()?;
        let request = write(Class::Request, method, transaction, attributes, signer)?;
        let end = Instant::now() + self.patience;
        let mut pause = FIRST_RETRANSMISSION;
        loop {
            self.link.send(&request)?;
            let until = if self.link.is_lossy() {
                end.min(Instant::now() + pause)
            } else {
                end
            };
            while let Some(bytes) = self.link.receive(until)? {
                // Whatever else comes is late data.
                let reply = Message::parse(&bytes).ok();
                if reply.is_some_and(|reply| is_reply(&reply, method, transaction)) {
                    self.remember_challenge(&bytes);
                    return Ok(bytes);
                }
            }
            if Instant::now() >= end {
                return Err(Fault::Silence);
            }
            pause *= 2;
        }
    }

    fn remember_challenge(&mut self, reply: &[u8]) {
        let challenge = Message::parse(reply).ok();
        let challenge = challenge.as_ref().and_then(Challenge::of);
        self.challenge = challenge.or(self.challenge.take());
    }

    /// Sends to a peer without a channel.
    pub(super) fn send_indication(&mut self, peer: SocketAddr, data: &[u8]) -> Result<(), Fault> {
        let attributes = [
            (kind::XOR_PEER_ADDRESS, Value::Address(peer)),
            (kind::DATA, Value::Bytes(data)),
        ];
        let transaction = random_transaction()?;
        let message = write(
            Class::Indication,
            Method::Send,
            transaction,
            &attributes,
            None,
        )?;
        Ok(self.link.send(&message)?)
    }

    /// Sends over a channel, with padding where the transport needs it.
    pub(super) fn send_channel_data(
        &mut self,
        channel: stun_turn_proto::ChannelNumber,
        data: &[u8],
    ) -> Result<(), Fault> {
        let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
        let mut message = channel_data::header(channel, length).to_vec();
        message.extend_from_slice(data);
        if !self.link.is_lossy() {
            message.resize(message.len() + channel_data::padding(data.len()), 0);
        }
        Ok(self.link.send(&message)?)
    }
}

fn is_reply(message: &Message<'_>, method: Method, transaction: TransactionId) -> bool {
    let is_answer = matches!(message.class(), Class::Success | Class::Error);
    is_answer && message.method() == method && message.transaction() == transaction
}

fn is_signed(bytes: &[u8], key: &Key) -> bool {
    Message::parse(bytes).is_ok_and(|message| message.is_signed_with(key))
}

/// The fault that an error reply tells.
fn check_success(bytes: &[u8]) -> Result<(), Fault> {
    let Ok(message) = Message::parse(bytes) else {
        return Err(Fault::Incomplete("the form of a STUN message"));
    };
    if message.class() == Class::Success {
        return Ok(());
    }
    let Some([_, _, class, number, reason @ ..]) = message.first(kind::ERROR_CODE) else {
        return Err(Fault::Incomplete("ERROR-CODE"));
    };
    let alternate = message.first(kind::ALTERNATE_SERVER);
    Err(Fault::Refused {
        code: u16::from(*class & 7) * 100 + u16::from(*number),
        reason: String::from_utf8_lossy(reason).into_owned(),
        alternate: alternate.and_then(decode_address),
    })
}

/// An address as ALTERNATE-SERVER has it: not XORed (RFC 8489 section 14.1).
fn decode_address(value: &[u8]) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], ip) = value.split_first_chunk::<4>()?;
    let ip = match family {
        1 => IpAddr::from(<[u8; 4]>::try_from(ip).ok()?),
        2 => IpAddr::from(<[u8; 16]>::try_from(ip).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([p0, p1])))
}

fn random_transaction() -> Result<TransactionId, Fault> {
    let mut id = [0; 12];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    Ok(TransactionId(id))
}

fn write(
    class: Class,
    method: Method,
    transaction: TransactionId,
    attributes: &[Attribute<'_>],
    signer: Option<&Signer>,
) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; MESSAGE_BYTES];
    let mut writer = Writer::new(&mut buffer, class, method, transaction);
    for (kind, value) in attributes {
        match value {
            Value::Bytes(bytes) => writer.attribute(*kind, bytes),
            Value::Address(address) => writer.xor_address(*kind, *address),
        };
    }
    let length = writer.finish(signer, false);
    let length =
        length.ok_or_else(|| io::Error::other("a user name or realm of more than 4 KB"))?;
    buffer.truncate(length);
    Ok(buffer)
}
