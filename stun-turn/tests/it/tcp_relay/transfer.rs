//! Bytes through connections of several workers, at limits and with slow readers, to the end.

use super::*;

/// Numbered bytes, so that a lost, doubled or swapped part is seen.
fn pattern(length: usize) -> Vec<u8> {
    (0..length / 4)
        .flat_map(|number| u32::try_from(number).unwrap().to_be_bytes())
        .collect()
}

/// Sends much both ways at once. One end reads nothing until all that it has sent is there, so that
/// what comes to it must wait.
fn exchange(slow: &TcpStream, fast: &TcpStream) {
    const LENGTH: usize = 5 << 20;
    let all = &pattern(LENGTH);
    std::thread::scope(|scope| {
        for mut end in [slow, fast] {
            scope.spawn(move || end.write_all(all).unwrap());
        }
        for mut end in [fast, slow] {
            assert!(read(&mut end, LENGTH) == *all);
        }
    });
}

#[test]
fn a_slow_reader_loses_nothing() {
    let server = start_plain(1);
    let (mut client, _) = allocated(&server);
    let (listener, at) = listen();
    let id = connect(&mut client, at);
    let peer = accept(&listener);
    let data = bind(&server, id);
    exchange(&data, &peer);
    exchange(&peer, &data);
    server.shutdown();
}

#[test]
fn a_limit_slows_down_and_loses_nothing() {
    let mut options = options(&["tcp"], "127.0.0.1", 1);
    options.max_bps = Some(400_000);
    let server = start(options);
    let (mut client, _) = allocated(&server);
    let (listener, at) = listen();
    let id = connect(&mut client, at);
    let mut peer = accept(&listener);
    let mut data = bind(&server, id);
    let all = pattern(600_000);
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| data.write_all(&all).unwrap());
        assert!(read(&mut peer, all.len()) == all);
    });
    let took = start.elapsed().as_secs_f64();
    assert!(took > 1.0, "{took} s for 1.5 s' worth less one burst");
    server.shutdown();
}

#[test]
fn any_worker_takes_a_data_connection() {
    let server = start_plain(4);
    for _ in 0..4 {
        let (mut client, _) = allocated(&server);
        // The kernel chooses a worker for each: all of them are the client's by a chance of 4^-5.
        let mut pairs: Vec<_> = (0..5)
            .map(|_| {
                let (listener, at) = listen();
                let id = connect(&mut client, at);
                (accept(&listener), bind(&server, id))
            })
            .collect();
        for (peer, data) in &mut pairs {
            data.write_all(b"ping").unwrap();
            assert_eq!(read(peer, 4), b"ping");
            peer.write_all(b"pong").unwrap();
            assert_eq!(read(data, 4), b"pong");
        }
        drop(client);
        for (peer, data) in &mut pairs {
            assert_closed(data);
            assert_closed(peer);
        }
    }
    server.shutdown();
}

#[test]
fn everything_ends_with_the_allocation() {
    let server = start_plain(2);
    let (mut client, relayed) = allocated(&server);
    permit(&mut client, "127.0.0.1:1".parse().unwrap());
    let (listener, at) = listen();
    let id = connect(&mut client, at);
    let mut spliced = accept(&listener);
    let mut data = bind(&server, id);
    let (listener, at) = listen();
    connect(&mut client, at);
    let mut unbound = accept(&listener);
    let mut incoming = TcpStream::connect(relayed).unwrap();
    incoming.set_read_timeout(Some(patience())).unwrap();
    client.link.receive();
    client.request(Method::Refresh, &[(kind::LIFETIME, &[0; 4])]);
    for stream in [&mut spliced, &mut data, &mut unbound, &mut incoming] {
        assert_closed(stream);
    }
    let start = Instant::now();
    while TcpStream::connect(relayed).is_ok() {
        assert!(start.elapsed() < patience(), "{relayed} still listens");
    }
    // The control connection lives and may allocate again, datagrams this time.
    let datagrams = client.allocate(1);
    assert!(UdpSocket::bind(datagrams).is_err());
    let totals = server.handle().stream_totals();
    let closed = || totals.closed.load(Ordering::Relaxed);
    let start = Instant::now();
    while totals.accepted.load(Ordering::Relaxed) - closed() != 1 {
        assert!(start.elapsed() < patience(), "{} closed", closed());
        std::thread::yield_now();
    }
    server.shutdown();
}
