//! Ethernet frames made by hand: half the generator's work is not done twice, as the kernel neither
//! looks up routes nor builds headers for them. What the server receives is the same.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Ethernet, IPv4 and UDP headers.
pub(crate) const HEADERS: usize = 14 + 20 + 8;

/// Both ends of a cable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cable {
    pub(crate) server: [u8; 6],
    pub(crate) generator: [u8; 6],
}

impl Cable {
    /// Writes the headers of a datagram to the server's end whose payload of `length` bytes lies
    /// behind them. Without UDP checksum, as memory does not lose bits.
    pub(crate) fn write(
        &self,
        frame: &mut [u8],
        from: SocketAddrV4,
        to: SocketAddrV4,
        length: usize,
    ) {
        frame[..6].copy_from_slice(&self.server);
        frame[6..12].copy_from_slice(&self.generator);
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        let (ip, udp) = frame[14..HEADERS].split_at_mut(20);
        // Version and length, no service, total length; no identification, not to be cut; 64 hops, UDP.
        ip[..2].copy_from_slice(&[0x45, 0]);
        ip[2..4].copy_from_slice(&((28 + length) as u16).to_be_bytes());
        ip[4..12].copy_from_slice(&[0, 0, 0x40, 0, 64, 17, 0, 0]);
        ip[12..16].copy_from_slice(&Ipv4Addr::octets(from.ip()));
        ip[16..20].copy_from_slice(&Ipv4Addr::octets(to.ip()));
        let sum = checksum(ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        udp[..2].copy_from_slice(&from.port().to_be_bytes());
        udp[2..4].copy_from_slice(&to.port().to_be_bytes());
        udp[4..6].copy_from_slice(&((8 + length) as u16).to_be_bytes());
        udp[6..8].copy_from_slice(&[0, 0]);
    }
}

/// The Internet checksum (RFC 1071) of a header whose own field is zero.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2);
    let sum: u32 = words
        .map(|it| u32::from(u16::from_be_bytes([it[0], it[1]])))
        .sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    !((folded & 0xFFFF) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that goes around: 192.168.0.1 to 192.168.0.199, UDP, sum b861.
    #[test]
    fn the_sum_is_that_of_rfc_1071() {
        let header = [
            0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0x00, 0x00, 0xC0, 0xA8,
            0x00, 0x01, 0xC0, 0xA8, 0x00, 0xC7,
        ];
        assert_eq!(checksum(&header), 0xB861);
    }
}
