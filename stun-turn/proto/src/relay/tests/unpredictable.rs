//! What an attacker must not predict: nonces and relayed ports. A server that drew both from one
//! small generator let its state be computed from fifty nonces (CVE-2025-69217).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// Bits in the order in which an attacker would see them.
fn bits(bytes: impl IntoIterator<Item = u8>) -> Vec<bool> {
    let of_byte = |byte: u8| (0..8).rev().map(move |bit| byte >> bit & 1 == 1);
    bytes.into_iter().flat_map(of_byte).collect()
}

/// How far a count of heads lies from half of the tosses, in standard deviations.
fn deviations(heads: usize, tosses: usize) -> f64 {
    let tosses = tosses as f64;
    (heads as f64 - tosses / 2.0).abs() / (tosses.sqrt() / 2.0)
}

/// Length of the shortest linear feedback shift register that makes these bits (Berlekamp-Massey).
/// Noise needs half as many places as it has bits; what a register makes needs only its own.
fn linear_complexity(bits: &[bool]) -> usize {
    let (mut register, mut before) = (vec![true], vec![true]);
    let (mut length, mut shift) = (0, 1);
    for at in 0..bits.len() {
        let taps = register.iter().zip((0..=at).rev());
        let predicted = taps.take(length + 1).skip(1);
        let differs = predicted.fold(bits[at], |sum, (tap, place)| sum ^ (*tap && bits[place]));
        if !differs {
            shift += 1;
            continue;
        }
        let old = register.clone();
        register.resize(register.len().max(before.len() + shift), false);
        for (place, tap) in before.iter().enumerate() {
            register[place + shift] ^= tap;
        }
        if 2 * length <= at {
            length = at + 1 - length;
            before = old;
            shift = 1;
        } else {
            shift += 1;
        }
    }
    length
}

#[test]
fn a_shift_register_would_be_found_out() {
    let mut state = 0xACE1_u16;
    let output: Vec<bool> = (0..1000)
        .map(|_| {
            let bit = (state ^ state >> 2 ^ state >> 3 ^ state >> 5) & 1;
            state = state >> 1 | bit << 15;
            bit == 1
        })
        .collect();
    assert_eq!(linear_complexity(&output), 16);
}

#[test]
fn fifty_thousand_nonces_tell_nothing_of_the_next() {
    let world = World::new();
    let macs: Vec<Vec<u8>> = (0..50_000_u32)
        .map(|number| {
            let [_, high, middle, low] = number.to_be_bytes();
            let client = FiveTuple {
                transport: Transport::Udp,
                client: SocketAddr::from(([20, high, middle, low], 4000)),
                server: address("9.9.9.9:3478"),
            };
            let nonce = nonce(&world.settings, &client, UNIX);
            let body = URL_SAFE_NO_PAD.decode(&nonce[13..]).unwrap();
            body[4..].to_vec()
        })
        .collect();
    let mut sorted = macs.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), macs.len());
    let all: Vec<Vec<bool>> = macs.iter().map(|mac| bits(mac.iter().copied())).collect();
    for place in 0..all[0].len() {
        let ones = all.iter().filter(|mac| mac[place]).count();
        assert!(deviations(ones, all.len()) < 5.0, "bit {place}: {ones}");
        let pairs = all
            .windows(2)
            .filter(|pair| pair[0][place] == pair[1][place]);
        let equal = pairs.count();
        assert!(
            deviations(equal, all.len() - 1) < 5.0,
            "bit {place}: {equal}"
        );
    }
    let fifty: Vec<bool> = all[..50].concat();
    let half = fifty.len() / 2;
    assert!(linear_complexity(&fifty).abs_diff(half) < 50);
}

#[test]
fn ten_thousand_relayed_ports_tell_nothing_of_the_next() {
    const DRAWS: usize = 10_000;
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:4000", "alice");
    let ports: Vec<u16> = (0..DRAWS)
        .map(|_| {
            let port = world.allocate(&mut client).port();
            let end = [raw(kind::LIFETIME, &[0; 4])];
            assert_eq!(world.request(&mut client, Method::Refresh, &end).code, 0);
            port - 50_000
        })
        .collect();
    // Chi-squared over a hundred bins: 99 degrees of freedom, deviation 14.
    let mut bins = [0_u32; 100];
    for port in &ports {
        bins[usize::from(*port) / 10] += 1;
    }
    let expected = DRAWS as f64 / 100.0;
    let squares = bins
        .iter()
        .map(|count| (f64::from(*count) - expected).powi(2) / expected);
    let sum: f64 = squares.sum();
    assert!((sum - 99.0).abs() < 5.0 * 14.0, "{sum}");
    let rising = ports.windows(2).filter(|pair| pair[0] < pair[1]).count();
    // Neighbours share a value in between, so the variance is a third of that of tosses.
    assert!(deviations(rising, DRAWS - 1) < 5.0, "{rising}");
    let low: Vec<bool> = ports.iter().map(|port| port & 1 == 1).take(2000).collect();
    assert!(linear_complexity(&low).abs_diff(1000) < 50);
}
