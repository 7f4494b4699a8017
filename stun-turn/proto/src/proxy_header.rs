//! The header of the PROXY protocol, versions 1 and 2: what a load balancer writes in front of a
//! stream to tell whom it accepted the connection from.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest header of version 1, with its line end, in bytes.
pub const MAX_V1_BYTES: usize = 107;
/// Longest header of version 2, in bytes: one that fits into the smallest TCP segment, as senders
/// are asked to keep it. The format itself would allow 64 KiB.
pub const MAX_V2_BYTES: usize = 536;

/// The answer to "does the stream start with a whole header?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A header of `consumed` bytes.
    Whole {
        /// Whom the proxy speaks for; `None` when it speaks for itself (`LOCAL`, `UNKNOWN`, `UNSPEC`
        /// and UNIX sockets): the connection's own address counts then.
        source: Option<SocketAddr>,
        /// Where the client's own bytes start.
        consumed: usize,
    },
    /// More bytes are needed.
    Partial,
    /// No header, or one that is wrong or too long.
    Malformed,
}

const V1_PREFIX: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length.
const V2_FIXED_BYTES: usize = 16;
const IPV4_BLOCK_BYTES: usize = 12;
const IPV6_BLOCK_BYTES: usize = 36;
const UNIX_BLOCK_BYTES: usize = 216;

/// Looks at the first bytes of a stream. Says [`Header::Malformed`] at the first byte that no header
/// can have, so that nothing is waited for in vain.
#[must_use]
pub fn parse(stream: &[u8]) -> Header {
    let starts_like = |prefix: &[u8]| stream.iter().zip(prefix).all(|(a, b)| a == b);
    if starts_like(V1_PREFIX) {
        parse_v1(stream)
    } else if starts_like(V2_SIGNATURE) {
        parse_v2(stream)
    } else {
        Header::Malformed
    }
}

fn parse_v1(stream: &[u8]) -> Header {
    let line = stream.get(..MAX_V1_BYTES).unwrap_or(stream);
    let Some(end) = line.iter().position(|byte| !(b' '..=b'~').contains(byte)) else {
        return if line.len() < MAX_V1_BYTES {
            Header::Partial
        } else {
            Header::Malformed
        };
    };
    let (text, line_end) = line.split_at(end);
    let source = match line_end {
        [b'\r', b'\n', ..] => v1_source(text),
        [b'\r'] if line.len() < MAX_V1_BYTES => return Header::Partial,
        _ => None,
    };
    source.map_or(Header::Malformed, |source| Header::Whole {
        source,
        consumed: end.saturating_add(2),
    })
}

/// The outer `None` stands for a line that is none.
fn v1_source(line: &[u8]) -> Option<Option<SocketAddr>> {
    let rest = std::str::from_utf8(line).ok()?.strip_prefix("PROXY ")?;
    let (protocol, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let is_ipv4 = match protocol {
        "TCP4" => true,
        "TCP6" => false,
        // Whatever follows is to be ignored.
        "UNKNOWN" => return Some(None),
        _ => return None,
    };
    let mut fields = rest.split(' ');
    let (source, _destination) = (
        v1_address(fields.next()?, is_ipv4)?,
        v1_address(fields.next()?, is_ipv4)?,
    );
    let (port, _destination) = (v1_port(fields.next()?)?, v1_port(fields.next()?)?);
    if fields.next().is_some() {
        return None;
    }
    Some(Some(SocketAddr::new(source.to_canonical(), port)))
}

fn v1_address(text: &str, is_ipv4: bool) -> Option<IpAddr> {
    text.parse()
        .ok()
        .filter(|address: &IpAddr| address.is_ipv4() == is_ipv4)
}

/// Digits alone: `parse` by itself would take `+5`.
fn v1_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn parse_v2(stream: &[u8]) -> Header {
    // Each byte is judged as soon as it is there.
    let command = stream.get(12).copied();
    let family = stream.get(13).copied();
    if command.is_some_and(|command| !matches!(command, 0x20 | 0x21)) {
        return Header::Malformed;
    }
    let is_local = command == Some(0x20);
    // The least that the family's addresses take; TLVs may follow them.
    let least = match family {
        _ if is_local => 0,
        None | Some(0x00) => 0,
        Some(0x11) => IPV4_BLOCK_BYTES,
        Some(0x21) => IPV6_BLOCK_BYTES,
        Some(0x31 | 0x32) => UNIX_BLOCK_BYTES,
        // Datagrams and what version 2 does not know can't stand in front of a stream.
        Some(_) => return Header::Malformed,
    };
    let Some(&[high, low]) = stream.get(14..16) else {
        return Header::Partial;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let consumed = length.saturating_add(V2_FIXED_BYTES);
    if length < least || consumed > MAX_V2_BYTES {
        return Header::Malformed;
    }
    let Some(block) = stream.get(V2_FIXED_BYTES..consumed) else {
        return Header::Partial;
    };
    let source = match family {
        Some(0x11) if !is_local => v2_ipv4(block),
        Some(0x21) if !is_local => v2_ipv6(block),
        _ => None,
    };
    Header::Whole { source, consumed }
}

fn v2_ipv4(block: &[u8]) -> Option<SocketAddr> {
    let ip: [u8; 4] = *block.first_chunk()?;
    let port: [u8; 2] = *block.get(8..)?.first_chunk()?;
    Some(SocketAddr::new(
        Ipv4Addr::from(ip).into(),
        u16::from_be_bytes(port),
    ))
}

fn v2_ipv6(block: &[u8]) -> Option<SocketAddr> {
    let ip: [u8; 16] = *block.first_chunk()?;
    let port: [u8; 2] = *block.get(32..)?.first_chunk()?;
    // Some proxies write IPv4 clients like this.
    let ip = IpAddr::from(Ipv6Addr::from(ip)).to_canonical();
    Some(SocketAddr::new(ip, u16::from_be_bytes(port)))
}

#[cfg(test)]
mod tests;
