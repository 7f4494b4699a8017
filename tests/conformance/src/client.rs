//! A TURN client for cases: it does the usual things, and hands out what is needed to do unusual ones.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::case::{Outcome, fail, not_applicable};
use crate::codec::{Builder, Class, Integrity, Message, attribute, channel_data, method};
use crate::credential::{User, md5_key, sha256_key};
use crate::link::{Frame, Link};

/// How long an answer may take. Generous: a busy machine is no failure.
const ANSWER: Duration = Duration::from_secs(4);
/// How long nothing must arrive to count as silence.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);
/// PASSWORD-ALGORITHM: SHA-256 without parameters, RFC 8489 §18.5.
pub(crate) const SHA256: [u8; 4] = [0, 2, 0, 0];

/// What a 401 or 438 told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) realm: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
    /// PASSWORD-ALGORITHMS as it came.
    pub(crate) algorithms: Option<Vec<u8>>,
}

impl Challenge {
    pub(crate) fn of(message: &Message) -> Outcome<Self> {
        let realm = message.get(attribute::REALM);
        let nonce = message.get(attribute::NONCE);
        let (Some(realm), Some(nonce)) = (realm, nonce) else {
            return fail("REALM and NONCE", message);
        };
        let algorithms = message.get(attribute::PASSWORD_ALGORITHMS);
        Ok(Self {
            realm: realm.to_vec(),
            nonce: nonce.to_vec(),
            algorithms: algorithms.map(<[u8]>::to_vec),
        })
    }

    /// The security features of the nonce cookie, RFC 8489 §9.2: three bytes as base64.
    pub(crate) fn features(&self) -> Option<u32> {
        use base64::Engine as _;
        let text = self.nonce.strip_prefix(b"obMatJos2")?.get(..4)?;
        let bytes = base64::prelude::BASE64_STANDARD.decode(text).ok()?;
        let &[a, b, c] = bytes.as_slice() else {
            return None;
        };
        Some(u32::from_be_bytes([0, a, b, c]))
    }

    /// Security feature bit 0 of RFC 8489 §18.1.
    pub(crate) fn has_password_algorithms(&self) -> bool {
        self.features().is_some_and(|bits| bits & 0x80_0000 != 0)
    }

    /// Security feature bit 1 of RFC 8489 §18.1.
    pub(crate) fn has_username_anonymity(&self) -> bool {
        self.features().is_some_and(|bits| bits & 0x40_0000 != 0)
    }
}

/// A link, a user and what the server said.
pub(crate) struct Client {
    pub(crate) link: Link,
    pub(crate) user: User,
    challenge: Option<Challenge>,
    backlog: VecDeque<Frame>,
    has_allocation: bool,
}

/// What an Allocate success response tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allocation {
    pub(crate) relayed: SocketAddr,
}

impl Client {
    pub(crate) fn new(link: Link, user: User) -> Self {
        Self {
            link,
            user,
            challenge: None,
            backlog: VecDeque::new(),
            has_allocation: false,
        }
    }

    /// Sends bytes and waits for the response with this transaction id. Other frames are kept for later.
    pub(crate) fn exchange(&mut self, bytes: &[u8], transaction: [u8; 12]) -> Outcome<Message> {
        self.link.send(bytes)?;
        match self.response(transaction, ANSWER)? {
            Some(message) => Ok(message),
            None => fail("an answer", "nothing"),
        }
    }

    /// Sends a message as it is and waits for its response.
    pub(crate) fn ask(&mut self, message: Builder) -> Outcome<Message> {
        let (method, transaction) = (message.method(), message.transaction());
        let answer = self.exchange(&message.bytes(), transaction)?;
        if answer.method() != method {
            return fail("an answer of the request's method", answer);
        }
        Ok(answer)
    }

    /// Sends a message as it is; the response, or `None` after a silence.
    pub(crate) fn ask_or_silence(&mut self, message: Builder) -> Outcome<Option<Message>> {
        let transaction = message.transaction();
        self.link.send(&message.bytes())?;
        self.response(transaction, SILENCE)
    }

    fn response(&mut self, transaction: [u8; 12], limit: Duration) -> Outcome<Option<Message>> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.link.receive(left)? {
                Some(Frame::Stun(message))
                    if message.transaction() == transaction
                        && matches!(message.class(), Class::Success | Class::Error) =>
                {
                    return Ok(Some(message));
                }
                Some(Frame::Closed) => return fail("an answer", Frame::Closed),
                Some(other) => self.backlog.push_back(other),
                None => return Ok(None),
            }
        }
    }

    /// The next frame, those first that came while waiting for something else.
    pub(crate) fn receive(&mut self, limit: Duration) -> Outcome<Option<Frame>> {
        if let Some(frame) = self.backlog.pop_front() {
            return Ok(Some(frame));
        }
        Ok(self.link.receive(limit)?)
    }

    /// The next frame; there must be one.
    pub(crate) fn expect(&mut self, what: &str) -> Outcome<Frame> {
        match self.receive(ANSWER)? {
            Some(frame) => Ok(frame),
            None => fail(what, "nothing"),
        }
    }

    /// Nothing arrives.
    pub(crate) fn expect_silence(&mut self) -> Outcome {
        match self.receive(SILENCE)? {
            Some(frame) => fail("silence", frame),
            None => Ok(()),
        }
    }

    /// The challenge for this link; asked for when there is none yet.
    pub(crate) fn challenge(&mut self) -> Outcome<Challenge> {
        if let Some(challenge) = &self.challenge {
            return Ok(challenge.clone());
        }
        let response = self.ask(Builder::allocate())?;
        expect_error(&response, 401)?;
        let challenge = Challenge::of(&response)?;
        self.challenge = Some(challenge.clone());
        Ok(challenge)
    }

    pub(crate) fn set_challenge(&mut self, challenge: Challenge) {
        self.challenge = Some(challenge);
    }

    /// The long-term key with MD5.
    pub(crate) fn key(&mut self) -> Outcome<Vec<u8>> {
        let realm = self.challenge()?.realm;
        Ok(md5_key(&self.user.name, &realm, &self.user.password))
    }

    /// The long-term key with SHA-256.
    pub(crate) fn sha256_key(&mut self) -> Outcome<Vec<u8>> {
        let realm = self.challenge()?.realm;
        Ok(sha256_key(&self.user.name, &realm, &self.user.password))
    }

    /// With USERNAME, REALM and NONCE.
    pub(crate) fn identified(&mut self, message: Builder) -> Outcome<Builder> {
        let challenge = self.challenge()?;
        Ok(message
            .attribute(attribute::USERNAME, self.user.name.as_bytes())
            .attribute(attribute::REALM, &challenge.realm)
            .attribute(attribute::NONCE, &challenge.nonce))
    }

    /// With credentials as every server understands them: MD5 key, HMAC-SHA1.
    pub(crate) fn signed(&mut self, message: Builder) -> Outcome<Builder> {
        let key = self.key()?;
        Ok(self.identified(message)?.integrity(Integrity::Sha1, &key))
    }

    /// With credentials as RFC 8489 has them; not applicable to a server that does not offer SHA-256.
    pub(crate) fn signed_sha256(&mut self, message: Builder) -> Outcome<Builder> {
        let algorithms = self.password_algorithms()?;
        let key = self.sha256_key()?;
        Ok(self
            .identified(message)?
            .attribute(attribute::PASSWORD_ALGORITHMS, &algorithms)
            .attribute(attribute::PASSWORD_ALGORITHM, &SHA256)
            .integrity(Integrity::Sha256, &key))
    }

    /// PASSWORD-ALGORITHMS as the server sent it.
    pub(crate) fn password_algorithms(&mut self) -> Outcome<Vec<u8>> {
        let challenge = self.challenge()?;
        match challenge.algorithms.clone() {
            Some(algorithms) if challenge.has_password_algorithms() => Ok(algorithms),
            _ => not_applicable("the server does not offer password algorithms"),
        }
    }

    /// A signed request and its response. A stale nonce is renewed once; a success must be signed.
    pub(crate) fn call(&mut self, message: &Builder) -> Outcome<Message> {
        let request = self.signed(message.clone())?;
        let mut response = self.ask(request)?;
        if response.error() == Some(438) {
            self.challenge = Some(Challenge::of(&response)?);
            let request = self.signed(message.clone())?;
            response = self.ask(request)?;
        }
        let key = self.key()?;
        if response.class() == Class::Success
            && response.integrity(Integrity::Sha1, &key) != Some(true)
        {
            return fail("a success response signed as the request was", response);
        }
        Ok(response)
    }

    /// A signed request that must succeed.
    pub(crate) fn succeed(&mut self, message: &Builder) -> Outcome<Message> {
        let response = self.call(message)?;
        expect_success(&response)?;
        Ok(response)
    }

    /// A signed request that must be refused with this code.
    pub(crate) fn refuse(&mut self, message: &Builder, code: u16) -> Outcome<Message> {
        let response = self.call(message)?;
        expect_error(&response, code)?;
        Ok(response)
    }

    /// An allocation for UDP over IPv4, as servers make it when nothing else is asked for.
    pub(crate) fn allocate(&mut self) -> Outcome<Allocation> {
        self.allocate_with(&Builder::allocate())
    }

    pub(crate) fn allocate_with(&mut self, message: &Builder) -> Outcome<Allocation> {
        let response = self.succeed(message)?;
        self.has_allocation = true;
        match response.addresses(attribute::XOR_RELAYED_ADDRESS)[..] {
            [relayed, ..] => Ok(Allocation { relayed }),
            [] => fail("XOR-RELAYED-ADDRESS", response),
        }
    }

    /// An allocation over IPv6; not applicable where the server has none.
    pub(crate) fn allocate_ipv6(&mut self) -> Outcome<Allocation> {
        let request = Builder::allocate().family(attribute::REQUESTED_ADDRESS_FAMILY, 2);
        let response = self.call(&request)?;
        if response.error() == Some(440) {
            return not_applicable("the server relays no IPv6");
        }
        expect_success(&response)?;
        self.has_allocation = true;
        match response.addresses(attribute::XOR_RELAYED_ADDRESS)[..] {
            [relayed] if relayed.is_ipv6() => Ok(Allocation { relayed }),
            _ => fail("one relayed address of IPv6", response),
        }
    }

    /// Ends the connection with a reset; the allocation is left to the server.
    pub(crate) fn reset(mut self) -> Outcome {
        self.has_allocation = false;
        Ok(self.link.reset_on_close()?)
    }

    /// Tells the client that its allocation was made or ended otherwise than with its own methods.
    pub(crate) fn remember_allocation(&mut self, there: bool) {
        self.has_allocation = there;
    }

    pub(crate) fn permit(&mut self, peer: IpAddr) -> Outcome {
        let request = Builder::request(method::CREATE_PERMISSION).peer(SocketAddr::new(peer, 0));
        self.succeed(&request).map(drop)
    }

    pub(crate) fn bind(&mut self, channel: u16, peer: SocketAddr) -> Outcome {
        self.succeed(&bind_request(channel, peer)).map(drop)
    }

    /// Sends to a peer with a Send indication.
    pub(crate) fn send_to(&mut self, peer: SocketAddr, data: &[u8]) -> Outcome {
        let indication = Builder::indication(method::SEND).peer(peer);
        let bytes = indication.attribute(attribute::DATA, data).bytes();
        Ok(self.link.send(&bytes)?)
    }

    /// Sends on a channel, padded on streams.
    pub(crate) fn send_on(&mut self, channel: u16, data: &[u8]) -> Outcome {
        let mut bytes = channel_data(channel, data);
        if matches!(self.link, Link::Stream(_)) {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        Ok(self.link.send(&bytes)?)
    }

    /// A Data indication of a peer: who sent it, and what.
    pub(crate) fn expect_data(&mut self) -> Outcome<(SocketAddr, Vec<u8>)> {
        let frame = self.expect("a Data indication")?;
        let Frame::Stun(message) = &frame else {
            return fail("a Data indication", frame);
        };
        let peers = message.addresses(attribute::XOR_PEER_ADDRESS);
        let data = message.get(attribute::DATA);
        match (peers[..].first(), data) {
            (Some(peer), Some(data)) if message.is(method::DATA, Class::Indication) => {
                Ok((*peer, data.to_vec()))
            }
            _ => fail("a Data indication with XOR-PEER-ADDRESS and DATA", message),
        }
    }

    /// A ChannelData message on this channel.
    pub(crate) fn expect_channel_data(&mut self, channel: u16) -> Outcome<Vec<u8>> {
        match self.expect("ChannelData")? {
            Frame::ChannelData {
                channel: number,
                payload,
                ..
            } if number == channel => Ok(payload),
            other => fail(format_args!("ChannelData on {channel:#06x}"), other),
        }
    }

    pub(crate) fn refresh(&mut self, lifetime: u32) -> Outcome<Message> {
        if lifetime == 0 {
            self.has_allocation = false;
        }
        self.call(&refresh_request(lifetime))
    }
}

/// Leaves nothing behind on the server.
impl Drop for Client {
    fn drop(&mut self) {
        if self.has_allocation
            && let Ok(request) = self.signed(refresh_request(0))
        {
            // A server that has gone has no allocation either.
            let _ = self.link.send(&request.bytes());
        }
    }
}

pub(crate) fn refresh_request(lifetime: u32) -> Builder {
    Builder::request(method::REFRESH).number(attribute::LIFETIME, lifetime)
}

pub(crate) fn bind_request(channel: u16, peer: SocketAddr) -> Builder {
    let request = Builder::request(method::CHANNEL_BIND);
    request.channel(channel).peer(peer)
}

pub(crate) fn permission_request(peer: SocketAddr) -> Builder {
    Builder::request(method::CREATE_PERMISSION).peer(peer)
}

pub(crate) fn expect_error(response: &Message, code: u16) -> Outcome {
    if response.class() == Class::Error && response.error() == Some(code) {
        return Ok(());
    }
    fail(format_args!("error {code}"), response)
}

/// One of several codes, where the RFC leaves a choice.
pub(crate) fn expect_error_of(response: &Message, codes: &[u16]) -> Outcome {
    match response.error() {
        Some(code) if response.class() == Class::Error && codes.contains(&code) => Ok(()),
        _ => fail(format_args!("an error of {codes:?}"), response),
    }
}

pub(crate) fn expect_success(response: &Message) -> Outcome {
    if response.class() == Class::Success {
        return Ok(());
    }
    fail("success", response)
}
