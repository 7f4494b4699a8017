//! STUN and TURN servers that say what they are told to: what a browser behind a certain NAT would hear, or from a relay in
//! trouble.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context as _;
use stun_turn_proto::attribute::kind;
use stun_turn_proto::auth::{credential, long_term_key};
use stun_turn_proto::integrity::{Hash, Signer};
use stun_turn_proto::message::{Class, Message, Method, Writer};
use tokio::net::UdpSocket;

/// RFC 8489, section 5: type and length, the magic cookie, the transaction id.
const HEADER_BYTES: usize = 20;
const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];
const IPV4: u8 = 1;
const REALM: &[u8] = b"callbox";

/// Answers each Binding request with the sender's address and `port`, as long as the test runs. Returns its address.
///
/// # Errors
/// When there is no free port.
pub async fn stun_server_that_sees(port: u16) -> anyhow::Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if let Ok(answer) = answer(&buffer[..length], from, port) {
                // A lost answer is asked for again.
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    Ok(address)
}

/// Refuses every request to allocate with an error code, once it is signed with a password made from `secret`: browsers listen
/// to nobody who does not know their password. Returns its address.
///
/// # Errors
/// When there is no free port.
pub async fn relay_that_refuses(
    secret: &'static str,
    code: u16,
    reason: &'static str,
) -> anyhow::Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if let Some(refusal) = refusal(&buffer[..length], secret, code, reason) {
                // A lost answer is asked for again.
                let _ = socket.send_to(&refusal, from).await;
            }
        }
    });
    Ok(address)
}

fn refusal(request: &[u8], secret: &str, code: u16, reason: &str) -> Option<Vec<u8>> {
    let request = Message::parse(request).ok()?;
    if request.method() != Method::Allocate {
        return None;
    }
    let signer = request.first(kind::USERNAME).and_then(|username| {
        let (expires, id) = str::from_utf8(username).ok()?.split_once(':')?;
        let known = credential::mint(secret.as_bytes(), id, expires.parse().ok()?);
        let key = long_term_key(username, REALM, known.password.as_bytes());
        let hash = Hash::Sha1;
        Some(Signer { key, hash })
    });
    let (code, reason) = match signer {
        Some(_) => (code, reason),
        None => (401, "Unauthorized"),
    };
    // RFC 8489, section 14.8: the hundreds, and the rest of the code.
    let [hundreds, rest] = [code / 100, code % 100].map(|part| part.to_be_bytes()[1]);
    let mut answer = vec![0; 500];
    let transaction = request.transaction();
    let mut writer = Writer::new(&mut answer, Class::Error, Method::Allocate, transaction);
    let error = [&[0, 0, hundreds, rest], reason.as_bytes()];
    writer.attribute_of_parts(kind::ERROR_CODE, &error);
    writer.attribute(kind::REALM, REALM);
    writer.attribute(kind::NONCE, b"0123456789abcdef");
    let length = writer.finish(signer.as_ref(), true)?;
    answer.truncate(length);
    Some(answer)
}

fn answer(request: &[u8], from: SocketAddr, port: u16) -> anyhow::Result<Vec<u8>> {
    let header = request.get(..HEADER_BYTES).context("too short")?;
    let IpAddr::V4(address) = from.ip() else {
        anyhow::bail!("it listens on IPv4")
    };
    let mut answer = Vec::from(BINDING_SUCCESS);
    answer.extend([0, 12]);
    answer.extend(&header[4..]);
    answer.extend(XOR_MAPPED_ADDRESS);
    answer.extend([0, 8, 0, IPV4]);
    let plain = port.to_be_bytes().into_iter();
    answer.extend(plain.zip(MAGIC).map(|(byte, key)| byte ^ key));
    let plain = address.octets().into_iter();
    answer.extend(plain.zip(MAGIC).map(|(byte, key)| byte ^ key));
    Ok(answer)
}
