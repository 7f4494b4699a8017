use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use super::*;
use crate::tally::SocketErrors;

/// A part of a slot and nothing else.
fn plain(slot: usize, part: std::ops::Range<usize>, to: SocketAddr) -> Transmit {
    Transmit {
        head: 0..0,
        slot,
        part,
        tail: 0..0,
        to,
        from: None,
    }
}

fn all(sent: usize) -> Sent {
    Sent { sent, dropped: 0 }
}

/// Sends three datagrams to a socket on all addresses, then answers each from where it came.
fn round_trip(wildcard: &str, loopback: &str) {
    let server = UdpSocket::bind(wildcard).unwrap();
    report_destination(server.as_fd(), loopback.contains('[')).unwrap();
    let client = UdpSocket::bind(loopback).unwrap();
    let to = SocketAddr::new(
        client.local_addr().unwrap().ip(),
        server.local_addr().unwrap().port(),
    );
    let payloads: [&[u8]; 3] = [b"one", b"", &[7; 9000]];
    for payload in payloads {
        client.send_to(payload, to).unwrap();
    }
    let mut batch = RecvBatch::new();
    let slots = batch.receive(server.as_fd()).unwrap();
    assert_eq!(slots, 0..3, "loopback delivers at once");
    let mut transmits = Vec::new();
    for (index, payload) in payloads.iter().enumerate() {
        let (received, slot) = batch.get(index);
        assert_eq!(received.count(), 1);
        assert_eq!(&slot[received.payload(0)], *payload);
        assert_eq!(received.from, client.local_addr().unwrap());
        assert_eq!(received.to, Some(to.ip()));
        transmits.push(Transmit {
            from: received.to,
            ..plain(index, received.payload(0), received.from)
        });
    }
    let errors = SocketErrors::default();
    let sent = Sender::new().send(server.as_fd(), (&batch, &[]), &transmits, &errors);
    assert_eq!(sent, all(3));
    let mut buffer = [0; 10_000];
    for payload in payloads {
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (payload, to));
    }
    let error = batch.receive(server.as_fd()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn ipv4_round_trip_keeps_addresses() {
    round_trip("0.0.0.0:0", "127.0.0.1:0");
}

#[test]
fn ipv6_round_trip_keeps_addresses() {
    round_trip("[::]:0", "[::1]:0");
}

#[test]
fn a_refused_datagram_does_not_stop_the_others() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
    let mut batch = RecvBatch::new();
    assert_eq!(batch.receive(socket.as_fd()).unwrap(), 0..1);
    let part = batch.get(0).0.payload(0);
    let good = other.local_addr().unwrap();
    let addresses = [good, "127.0.0.1:0".parse().unwrap(), good];
    let transmits = addresses.map(|to| plain(0, part.clone(), to));
    let errors = SocketErrors::default();
    let sent = Sender::new().send(socket.as_fd(), (&batch, &[]), &transmits, &errors);
    assert_eq!(
        sent,
        Sent {
            sent: 2,
            dropped: 1
        }
    );
}

/// What a sender cuts out of one message arrives as several datagrams, in order and whole, however the
/// system hands them over; heads and tails travel with their parts.
#[test]
fn datagrams_of_one_size_travel_as_one_message() {
    const COUNT: usize = 40;
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    coalesce_received(receiver.as_fd());
    let source = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut batch = RecvBatch::new();
    for number in 0..COUNT as u8 {
        // The last one is shorter, and the one after it begins anew.
        let length = if number == 29 { 50 } else { 100 };
        let to = sender.local_addr().unwrap();
        source.send_to(&vec![number; length], to).unwrap();
    }
    assert_eq!(batch.receive(sender.as_fd()).unwrap(), 0..COUNT);
    let heads = b"headtail";
    let transmits: Vec<_> = (0..COUNT)
        .map(|slot| Transmit {
            head: 0..4,
            tail: 4..8,
            ..plain(
                slot,
                batch.get(slot).0.payload(0),
                receiver.local_addr().unwrap(),
            )
        })
        .collect();
    let errors = SocketErrors::default();
    let mut out = Sender::new();
    let sent = out.send(sender.as_fd(), (&batch, heads), &transmits, &errors);
    assert_eq!(sent, all(COUNT));

    batch.clear();
    let mut arrived = Vec::new();
    while let Ok(slots) = batch.receive(receiver.as_fd()) {
        for slot in slots {
            let (received, bytes) = batch.get(slot);
            let payloads =
                (0..received.count()).map(|index| bytes[received.payload(index)].to_vec());
            arrived.extend(payloads);
        }
        batch.clear();
    }
    let expected: Vec<Vec<u8>> = (0..COUNT as u8)
        .map(|number| {
            let length = if number == 29 { 50 } else { 100 };
            [b"head", &vec![number; length][..], b"tail"].concat()
        })
        .collect();
    assert_eq!(arrived, expected);
}

/// A way that is too narrow for a message's datagrams refuses the whole message; they go one by one
/// then, and nothing is lost or sent twice.
#[test]
fn what_the_system_does_not_cut_goes_one_by_one() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Without a checksum to be offloaded the kernel cuts nothing.
    let off: libc::c_int = 1;
    // SAFETY: the value is an int of the stated size and lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            std::os::fd::AsRawFd::as_raw_fd(&sender),
            libc::SOL_SOCKET,
            libc::SO_NO_CHECK,
            std::ptr::from_ref(&off).cast(),
            size_of_val(&off) as libc::socklen_t,
        )
    };
    assert_eq!(result, 0);
    sender
        .send_to(&[7; 100], sender.local_addr().unwrap())
        .unwrap();
    let mut batch = RecvBatch::new();
    assert_eq!(batch.receive(sender.as_fd()).unwrap(), 0..1);
    let part = batch.get(0).0.payload(0);
    let to = receiver.local_addr().unwrap();
    let transmits = vec![plain(0, part, to); 10];
    let errors = SocketErrors::default();
    let mut out = Sender::new();
    for _ in 0..20 {
        let sent = out.send(sender.as_fd(), (&batch, &[]), &transmits, &errors);
        assert_eq!(sent, all(10));
    }
    receiver.set_nonblocking(true).unwrap();
    let mut buffer = [0; 200];
    let count = std::iter::from_fn(|| receiver.recv(&mut buffer).ok()).count();
    assert_eq!(count, 200);
}

/// Eight routes that were not there for a moment once ended cutting for the whole worker, until it was
/// started again. A message that would be refused datagram by datagram is dropped with one call.
#[test]
fn a_way_that_is_closed_says_nothing_about_cutting() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = socket.local_addr().unwrap();
    coalesce_received(socket.as_fd());
    socket.send_to(&[7; 100], to).unwrap();
    let mut batch = RecvBatch::new();
    assert_eq!(batch.receive(socket.as_fd()).unwrap(), 0..1);
    let part = batch.get(0).0.payload(0);
    let errors = SocketErrors::default();
    let mut out = Sender::new();
    // Who has not asked for it may not broadcast.
    let refused = vec![plain(0, part.clone(), "255.255.255.255:9".parse().unwrap()); 10];
    for _ in 0..20 {
        let sent = out.send(socket.as_fd(), (&batch, &[]), &refused, &errors);
        let expected = Sent {
            sent: 0,
            dropped: 10,
        };
        assert_eq!(sent, expected);
    }
    let sent = out.send(
        socket.as_fd(),
        (&batch, &[]),
        &vec![plain(0, part, to); 10],
        &errors,
    );
    assert_eq!(sent, all(10));
    batch.clear();
    assert_eq!(batch.receive(socket.as_fd()).unwrap(), 0..1, "one message");
    assert_eq!(batch.get(0).0.count(), 10);
}
