//! Nonces that the server computes and never stores.
//!
//! ```text
//! obMatJos2 wAAA TTTTTT…  cookie, 24 feature bits, base64url of time and MAC
//! ```
//! The MAC covers the feature bits, the time, the realm and the client's five-tuple, so that a
//! nonce is good for one client on one transport (RFC 8489 section 9.2.4 forbids the same nonce for
//! two addresses) and the feature bits can't be changed on the way (section 9.2.1).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

use crate::addr::{FiveTuple, Transport};
use crate::integrity::hmac_sha256;
use crate::limits;

/// RFC 8489 section 9.2.
const COOKIE: &[u8; 9] = b"obMatJos2";
/// The security features that a nonce announces (RFC 8489 section 18.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// Bit 0: the reply carries PASSWORD-ALGORITHMS.
    pub password_algorithms: bool,
    /// Bit 1: USERHASH may stand for USERNAME.
    pub username_anonymity: bool,
}

impl Features {
    /// What is announced to requests that are too small for more.
    pub(super) const NONE: Self = Self {
        password_algorithms: false,
        username_anonymity: false,
    };

    const fn bits(self) -> [u8; 3] {
        let first = (self.password_algorithms as u8) << 7 | (self.username_anonymity as u8) << 6;
        [first, 0, 0]
    }

    fn of_bits(bits: [u8; 3]) -> Self {
        let [first, ..] = bits;
        Self {
            password_algorithms: first & 0x80 != 0,
            username_anonymity: first & 0x40 != 0,
        }
    }
}

/// Seconds modulo 2^32.
const TIME_LEN: usize = 4;
/// 80 bits: nobody guesses them within a nonce's lifetime, and the 401 stays below 2.2 times the
/// smallest request on the wire.
const MAC_LEN: usize = 10;
/// 14 bytes are 19 characters without padding, which makes the whole nonce 32.
const BODY_LEN: usize = 19;
/// Length of a nonce in bytes.
pub const LEN: usize = COOKIE.len() + 4 + BODY_LEN;

const _: () = assert!(((TIME_LEN + MAC_LEN) * 8).div_ceil(6) == BODY_LEN && LEN == 32);

/// The keys of the MAC: the current one, and the one before so that no nonce dies of a change.
#[derive(Clone)]
pub struct NonceKeys {
    current: [u8; 32],
    previous: Option<[u8; 32]>,
}

impl std::fmt::Debug for NonceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hidden")
    }
}

impl NonceKeys {
    /// `seed` makes nonces unguessable.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        Self {
            current: hmac_sha256(seed, &[b"nonce"]),
            previous: None,
        }
    }

    /// A new key; nonces of the one before are accepted for as long as they live, if the next
    /// rotation is no sooner than that.
    #[must_use]
    pub fn rotated(&self, seed: &[u8; 32]) -> Self {
        Self {
            previous: Some(self.current),
            ..Self::new(seed)
        }
    }

    /// A key for another purpose.
    pub(super) fn derive(&self, purpose: &[u8]) -> [u8; 32] {
        hmac_sha256(&self.current, &[purpose])
    }

    /// A nonce for this client.
    pub(super) fn mint(
        &self,
        client: &FiveTuple,
        realm: &str,
        announced: Features,
        unix_s: u64,
    ) -> [u8; LEN] {
        write(&self.current, client, realm, announced, unix_s)
    }

    /// What a nonce announced, if it was minted for this client and is neither too old nor from the
    /// future.
    pub(super) fn verify(
        &self,
        nonce: &[u8],
        client: &FiveTuple,
        realm: &str,
        unix_s: u64,
    ) -> Option<Features> {
        let text = nonce.get(LEN - BODY_LEN..).filter(|_| nonce.len() == LEN)?;
        let mut bits = [0; 3];
        let cookie = nonce.get(COOKIE.len()..COOKIE.len() + 4)?;
        STANDARD.decode_slice_unchecked(cookie, &mut bits).ok()?;
        let announced = Features::of_bits(bits);
        let mut body = [0; TIME_LEN + MAC_LEN];
        // Its length in characters is right, so this decodes to the whole body or fails.
        URL_SAFE_NO_PAD
            .decode_slice_unchecked(text, &mut body)
            .ok()?;
        let (time, _) = body
            .split_first_chunk::<TIME_LEN>()
            .expect("the body starts with the time");
        let minted = u32::from_be_bytes(*time);
        // Shifted by the skew that is allowed, so that one comparison covers past and future and
        // the year 2106 as well.
        let skew = limits::NONCE_FUTURE_SKEW_S as u32;
        let age = (unix_s as u32).wrapping_add(skew).wrapping_sub(minted);
        let fresh = u64::from(age) <= limits::NONCE_LIFETIME_S + limits::NONCE_FUTURE_SKEW_S;
        // Comparing with the one nonce that this time and client can have covers every byte.
        let is_of = |key: &[u8; 32]| -> bool {
            write(key, client, realm, announced, minted.into())
                .ct_eq(nonce)
                .into()
        };
        let genuine = is_of(&self.current) || self.previous.as_ref().is_some_and(is_of);
        (genuine && fresh).then_some(announced)
    }
}

/// The one nonce that a client can have at a time.
fn write(
    key: &[u8; 32],
    client: &FiveTuple,
    realm: &str,
    announced: Features,
    unix_s: u64,
) -> [u8; LEN] {
    let [_, _, _, _, time @ ..] = unix_s.to_be_bytes();
    let mut body = [0; TIME_LEN + MAC_LEN];
    let (head, tail) = body.split_at_mut(TIME_LEN);
    head.copy_from_slice(&time);
    tail.copy_from_slice(&mac(key, time, client, realm, announced));

    let mut nonce = [0; LEN];
    let (cookie, rest) = nonce.split_at_mut(COOKIE.len());
    let (features, text) = rest.split_at_mut(4);
    cookie.copy_from_slice(COOKIE);
    encode(&STANDARD, &announced.bits(), features);
    encode(&URL_SAFE_NO_PAD, &body, text);
    nonce
}

fn mac(
    key: &[u8; 32],
    time: [u8; TIME_LEN],
    client: &FiveTuple,
    realm: &str,
    announced: Features,
) -> [u8; MAC_LEN] {
    let transport = match client.transport {
        Transport::Udp => 17_u8,
        Transport::Tcp | Transport::Tls => 6,
    };
    let mac = hmac_sha256(
        key,
        &[
            &announced.bits(),
            &time,
            &[transport],
            &address_bytes(client.client),
            &address_bytes(client.server),
            realm.as_bytes(),
        ],
    );
    let (mac, _) = mac
        .split_first_chunk::<MAC_LEN>()
        .expect("SHA-256 is longer");
    *mac
}

/// Address and port in a form of fixed length.
fn address_bytes(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; 18];
    let (head, tail) = bytes.split_at_mut(16);
    head.copy_from_slice(&ip.octets());
    tail.copy_from_slice(&address.port().to_be_bytes());
    bytes
}

fn encode(engine: &impl base64::Engine, bytes: &[u8], text: &mut [u8]) {
    engine
        .encode_slice(bytes, text)
        .expect("the places are as long as the text");
}
