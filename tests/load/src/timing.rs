//! Whether the time of a refusal tells which user names exist, or how much of a code was right. Measured on the core alone: over a
//! network the difference would drown in noise.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use stun_turn_proto::attribute::kind;
use stun_turn_proto::auth::Authenticator;
use stun_turn_proto::auth::nonce::NonceKeys;
use stun_turn_proto::message::{Class, Integrity, Message, Method, TransactionId, Writer};
use stun_turn_proto::{FiveTuple, Transport};

use crate::turn::{Signed, UDP, request};

/// Refusals of each pair.
const MEASUREMENTS: usize = 1_000_000;
/// The slowest of all are the machine's doing.
const KEPT: f64 = 0.9;
/// Beyond this value of Welch's t two kinds take different times, beyond doubt.
const DIFFERENT: f64 = 4.5;
const UNIX: u64 = 1_800_000_000;

/// Two kinds of refused requests whose times must not differ.
struct Pair {
    what: [&'static str; 2],
    requests: [Vec<u8>; 2],
}

/// Measures refusals of two kinds in random order, and tells whether their times differ.
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
    println!("| refused | and | mean times | Welch's t |");
    println!("|---|---|---|---|");
    let mut worst = 0.0_f64;
    for pair in pairs(&nonce)? {
        let times = measure(&authenticator, &client, &pair)?;
        let [first, second] = times.map(Sample::of);
        let t = first.welch(&second);
        let ([a, b], [x, y]) = (pair.what, [first.mean, second.mean]);
        println!("| {a} | {b} | {x:.0} and {y:.0} ns | {t:.2} |");
        worst = worst.max(t.abs());
    }
    let verdict = if worst < DIFFERENT {
        "no difference can be told"
    } else {
        "a difference can be told"
    };
    println!("\n{verdict}: |t| is at most {worst:.2}, from {DIFFERENT} on there is one");
    Ok(())
}

fn pairs(nonce: &[u8]) -> anyhow::Result<Vec<Pair>> {
    let signed = |user, password| {
        let signed = Signed {
            nonce,
            user,
            password,
        };
        request(Method::Allocate, [7; 12], &[UDP], Some(signed))
    };
    // Names of one length, so that nothing but what they are differs.
    let wrong = |user| signed(user, "wrong");
    let good = signed("alice", "wonder");
    let message = Message::parse(&good).ok().context("a good message")?;
    let Some(Integrity::Sha1(attribute)) = message.integrity() else {
        anyhow::bail!("expected MESSAGE-INTEGRITY");
    };
    // Behind the attribute's type and length are the 20 bytes of HMAC-SHA1.
    let with_flipped = |place: usize| {
        let mut request = good.clone();
        request[attribute + 4 + place] ^= 1;
        request
    };
    Ok(vec![
        Pair {
            what: ["a static user", "nobody"],
            requests: [wrong("alice"), wrong("nobod")],
        },
        Pair {
            what: ["the code's first byte", "its last byte"],
            requests: [with_flipped(0), with_flipped(19)],
        },
        // What two equal kinds give: the noise of the machine.
        Pair {
            what: ["nobody", "nobody of another name"],
            requests: [wrong("nobod"), wrong("carol")],
        },
    ])
}

/// The times of each kind in nanoseconds.
fn measure(
    authenticator: &Authenticator,
    client: &FiveTuple,
    pair: &Pair,
) -> anyhow::Result<[Vec<f64>; 2]> {
    let mut random = StdRng::seed_from_u64(1);
    let mut times = [const { Vec::new() }; 2];
    // Both kinds lie in one place, so that caches can't tell them apart.
    let mut bytes = pair.requests[0].clone();
    for _ in 0..MEASUREMENTS {
        let kind = usize::from(random.random::<bool>());
        bytes.copy_from_slice(&pair.requests[kind]);
        let message = Message::parse(&bytes).ok().context("a good message")?;
        let start = Instant::now();
        let verified = black_box(authenticator.verify(&message, client, None, UNIX));
        times[kind].push(start.elapsed().as_nanos() as f64);
        anyhow::ensure!(verified.is_err(), "wrong credentials were accepted");
    }
    Ok(times)
}

struct Sample {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Sample {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_unstable_by(f64::total_cmp);
        let kept = &times[..(times.len() as f64 * KEPT) as usize];
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let squares: f64 = kept.iter().map(|time| (time - mean).powi(2)).sum();
        Self {
            count,
            mean,
            variance: squares / (count - 1.0),
        }
    }

    fn welch(&self, other: &Self) -> f64 {
        let error = self.variance / self.count + other.variance / other.count;
        (self.mean - other.mean) / error.sqrt()
    }
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
