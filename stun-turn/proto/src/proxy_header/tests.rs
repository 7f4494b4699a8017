//! Good headers, wrong ones, and every prefix of both.

use proptest::prelude::*;

use super::*;

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut header = V2_SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    header.extend(block);
    header
}

fn v2_of(source: SocketAddr, tlvs: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    let family = match source.ip() {
        IpAddr::V4(ip) => {
            block.extend(ip.octets());
            block.extend([192, 0, 2, 1]);
            0x11
        }
        IpAddr::V6(ip) => {
            block.extend(ip.octets());
            block.extend(Ipv6Addr::LOCALHOST.octets());
            0x21
        }
    };
    block.extend(source.port().to_be_bytes());
    block.extend(443_u16.to_be_bytes());
    block.extend(tlvs);
    v2(0x21, family, &block)
}

fn v1_of(source: SocketAddr) -> Vec<u8> {
    let (family, destination) = match source {
        SocketAddr::V4(_) => ("TCP4", "192.0.2.1"),
        SocketAddr::V6(_) => ("TCP6", "2001:db8::1"),
    };
    let (ip, port) = (source.ip(), source.port());
    format!("PROXY {family} {ip} {destination} {port} 443\r\n").into_bytes()
}

/// Whole with this source, whatever follows; partial at every byte before.
fn assert_whole(header: &[u8], source: Option<SocketAddr>) {
    let consumed = header.len();
    for end in 0..consumed {
        assert_eq!(parse(&header[..end]), Header::Partial, "{end} bytes");
    }
    for rest in [&b""[..], b"\x16\x03\x01", b"\r\n\r\n"] {
        let stream = [header, rest].concat();
        assert_eq!(parse(&stream), Header::Whole { source, consumed });
    }
}

#[test]
fn a_proxy_that_speaks_for_itself_has_no_source() {
    assert_whole(b"PROXY UNKNOWN\r\n", None);
    assert_whole(b"PROXY UNKNOWN ffff:: what ever 1 2\r\n", None);
    assert_whole(&v2(0x20, 0x00, &[]), None);
    assert_whole(&v2(0x20, 0x11, &[7; 40]), None);
    assert_whole(&v2(0x20, 0xEE, &[]), None);
    assert_whole(&v2(0x21, 0x00, &[1; 9]), None);
    assert_whole(&v2(0x21, 0x31, &[b'/'; 216]), None);
}

#[test]
fn the_longest_lines_fit() {
    let ip = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let line = format!("PROXY TCP6 {ip} {ip} 65535 65535\r\n");
    let source = SocketAddr::new(ip.parse().unwrap(), 65_535);
    assert_whole(line.as_bytes(), Some(source));
    let padding = "x".repeat(MAX_V1_BYTES - b"PROXY UNKNOWN \r\n".len());
    assert_whole(format!("PROXY UNKNOWN {padding}\r\n").as_bytes(), None);
    assert_whole(&v2(0x20, 0, &[0; MAX_V2_BYTES - V2_FIXED_BYTES]), None);
}

#[test]
fn ipv4_clients_written_as_ipv6_are_ipv4() {
    let mapped: SocketAddr = "[::ffff:203.0.113.9]:5".parse().unwrap();
    let plain: SocketAddr = "203.0.113.9:5".parse().unwrap();
    assert_whole(&v2_of(mapped, &[]), Some(plain));
    assert_whole(&v1_of(mapped), Some(plain));
}

#[test]
fn what_is_no_header_is_refused_at_the_first_telling_byte() {
    let ipv4 = [1; 12];
    let mut too_long = v2(0x21, 0x11, &ipv4);
    too_long.truncate(14);
    too_long.extend([0xFF, 0xFF]);
    for wrong in [
        // A crash of another parser.
        b"\x74\x03\x12\x0d".to_vec(),
        b"GET / HTTP/1.1\r\n".to_vec(),
        b"\x16\x03\x01".to_vec(),
        b"\x00\x01\x00\x00".to_vec(),
        b"proxy TCP4".to_vec(),
        b"PROXY\tTCP4".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rx".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4.5 5.6.7.8 1 2\r\n".to_vec(),
        b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(),
        b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
        b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
        b"PROXY \r\n".to_vec(),
        b"PROXY TCP4\r\n".to_vec(),
        [&b"PROXY UNKNOWN "[..], &[b'x'; 93]].concat(),
        b"PROXY UNKNOWN \xC3\xA9\r\n".to_vec(),
        v2(0x22, 0x11, &ipv4),
        v2(0x11, 0x11, &ipv4),
        v2(0x21, 0x12, &ipv4),
        v2(0x21, 0x41, &ipv4),
        v2(0x21, 0x11, &ipv4[..11]),
        v2(0x21, 0x21, &[1; 35]),
        v2(0x21, 0x31, &[1; 215]),
        v2(0x20, 0, &[0; MAX_V2_BYTES - V2_FIXED_BYTES + 1]),
        too_long,
    ] {
        assert_eq!(parse(&wrong), Header::Malformed, "{wrong:02X?}");
    }
}

proptest! {
    #[test]
    fn what_a_proxy_writes_is_read(ip: IpAddr, port: u16, tlvs in prop::collection::vec(any::<u8>(), 0..400)) {
        let source = SocketAddr::new(ip, port);
        let canonical = SocketAddr::new(ip.to_canonical(), port);
        assert_whole(&v1_of(source), Some(canonical));
        assert_whole(&v2_of(source, &tlvs), Some(canonical));
    }

    /// However the bytes are damaged: no panic, and nothing beyond the header is taken.
    #[test]
    fn damage_is_survived(
        ip: IpAddr,
        port: u16,
        is_v1: bool,
        at in 0_usize..60,
        with: u8,
        rest in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let source = SocketAddr::new(ip, port);
        let mut stream = if is_v1 { v1_of(source) } else { v2_of(source, &[]) };
        if let Some(byte) = stream.get_mut(at) {
            *byte = with;
        }
        stream.extend(rest);
        for end in 0..=stream.len() {
            if let Header::Whole { consumed, .. } = parse(&stream[..end]) {
                prop_assert!(consumed <= end && consumed <= MAX_V2_BYTES);
            }
        }
    }

    #[test]
    fn noise_is_survived(stream in prop::collection::vec(any::<u8>(), 0..200)) {
        let whole = parse(&stream);
        prop_assert!(!matches!(whole, Header::Whole { .. }), "{whole:?}");
    }
}
