//! Whether the time of a refusal tells which user names exist. Measured on the core alone: over a
//! network the difference would drown in noise.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use stun_turn_proto::attribute::kind;
use stun_turn_proto::auth::Authenticator;
use stun_turn_proto::auth::nonce::NonceKeys;
use stun_turn_proto::message::{Class, Message, Method, TransactionId, Writer};
use stun_turn_proto::{FiveTuple, Transport};

use crate::turn::{Signed, UDP, request};

/// Refusals of each kind.
const ROUNDS: usize = 200_000;
/// The slowest of all are the machine's doing.
const KEPT: f64 = 0.9;
const UNIX: u64 = 1_800_000_000;

/// Asks with wrong credentials of different kinds by turns and compares their mean times.
pub(crate) fn run() -> anyhow::Result<()> {
    let users = [("alice".to_owned(), "wonder".to_owned())];
    let keys = NonceKeys::new(&[1; 32]);
    let authenticator = Authenticator::new("callbox", users, ["north".to_owned()], keys);
    let client = FiveTuple {
        transport: Transport::Udp,
        client: "192.0.2.1:4000".parse()?,
        server: "192.0.2.2:3478".parse()?,
    };
    let nonce = nonce(&authenticator, &client)?;
    // Names of one length, so that nothing but what they are differs.
    let kinds = [
        ("alice", "a static user"),
        ("nobod", "nobody"),
        ("19:ca", "a time-limited name"),
    ];
    let requests = kinds.map(|(user, _)| {
        let signed = Signed {
            nonce: &nonce,
            user,
            password: "wrong",
        };
        request(Method::Allocate, [7; 12], &[UDP], Some(signed))
    });
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (bytes, times) in requests.iter().zip(&mut times) {
            let message = Message::parse(bytes).ok().context("a good message")?;
            let start = Instant::now();
            let verified = black_box(authenticator.verify(&message, &client, None, UNIX));
            times.push(start.elapsed());
            anyhow::ensure!(verified.is_err(), "a wrong password was accepted");
        }
    }
    let means = times.map(mean);
    println!("| user name with a wrong password | mean time of the refusal |");
    println!("|---|---|");
    for ((_, what), mean) in kinds.iter().zip(means) {
        println!("| {what} | {:.0} ns |", mean * 1e9);
    }
    let (least, most) = means
        .iter()
        .fold((f64::MAX, 0.0_f64), |(least, most), mean| {
            (least.min(*mean), most.max(*mean))
        });
    println!(
        "\nlargest difference: {:.2} %",
        100.0 * (most - least) / least
    );
    Ok(())
}

fn nonce(authenticator: &Authenticator, client: &FiveTuple) -> anyhow::Result<Vec<u8>> {
    let mut buffer = [0; 512];
    let id = TransactionId([0; 12]);
    let mut writer = Writer::new(&mut buffer, Class::Error, Method::Allocate, id);
    authenticator.challenge(&mut writer, 100, client, UNIX);
    let length = writer.finish(None, false).context("it fits")?;
    let message = Message::parse(&buffer[..length]).ok().context("ours")?;
    Ok(message.first(kind::NONCE).context("a nonce")?.to_vec())
}

fn mean(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let kept = &times[..(times.len() as f64 * KEPT) as usize];
    kept.iter().map(Duration::as_secs_f64).sum::<f64>() / kept.len() as f64
}
