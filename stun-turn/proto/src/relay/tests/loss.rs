//! Paths that lose packets, in either direction and for a long time: clients that send their requests again
//! (RFC 8489 section 6.2.1) get their allocations, and nobody gets two.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;

use rand::Rng as _;
use rand::rngs::StdRng;

use super::*;

/// How long clients come.
const TEN_MINUTES: Duration = Duration::from_secs(600);
/// Between the first packets of two clients.
const BETWEEN_CLIENTS: Duration = Duration::from_millis(200);
/// How long a client keeps what it has before the next request.
const HOLDS: Duration = Duration::from_secs(15);
/// RTO: how long until a request is sent again for the first time, then twice as long each time.
const RTO: Duration = Duration::from_millis(500);
/// Rc: how often it is sent at most.
const TRANSMISSIONS: u32 = 7;

/// What a client asks for, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// An allocation, without credentials: it learns the nonce.
    Challenge,
    Allocate,
    Refresh,
    /// A lifetime of 0.
    Delete,
}

/// A client that does not hear everything.
struct Caller {
    client: Client,
    stage: Stage,
    request: Vec<u8>,
    transmissions: u32,
    relayed: Option<SocketAddr>,
}

impl Caller {
    fn ask(&mut self, id: TransactionId) {
        let lifetime = |seconds: u32| raw(kind::LIFETIME, &seconds.to_be_bytes());
        self.request = match self.stage {
            Stage::Challenge => unsigned(Class::Request, Method::Allocate, &[udp()], false),
            Stage::Allocate => signed(&self.client, Method::Allocate, id, &[udp()]),
            Stage::Refresh => signed(&self.client, Method::Refresh, id, &[lifetime(600)]),
            Stage::Delete => signed(&self.client, Method::Refresh, id, &[lifetime(0)]),
        };
        self.transmissions = 0;
    }

    /// What is next, and after how long; `None` at the end.
    fn hear(&mut self, reply: &Reply) -> Option<(Stage, Duration)> {
        let code = reply.code;
        match self.stage {
            Stage::Challenge => {
                assert_eq!(code, 401);
                self.client.nonce = reply.get(kind::NONCE).unwrap().to_vec();
                Some((Stage::Allocate, Duration::ZERO))
            }
            Stage::Allocate => {
                assert_eq!(code, 0, "also for a request that came before");
                self.relayed = Some(reply.address(kind::XOR_RELAYED_ADDRESS));
                Some((Stage::Refresh, HOLDS))
            }
            Stage::Refresh => {
                assert_eq!(code, 0);
                Some((Stage::Delete, HOLDS))
            }
            Stage::Delete => {
                // 437: it was deleted by a request whose answer got lost.
                assert!(code == 0 || code == 437, "{code}");
                None
            }
        }
    }
}

impl World {
    fn pass_until(&mut self, at: Duration) {
        self.now.monotonic = at;
        self.now.unix_s = UNIX + at.as_secs();
        self.relay.handle_timeout(self.now);
    }
}

/// Shares of clients that got an allocation and that gave it back themselves.
fn ten_minutes(loss: f64, seed: u64) -> (f64, f64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    world.settings = Arc::new(Settings {
        ports: Arc::new(Ports::new(
            [RELAY_V4, RELAY_V6].map(|ip| ip.parse().unwrap()),
            40_000..=60_000,
        )),
        ..Settings::clone(&world.settings)
    });
    world.relay = Relay::new(Arc::clone(&world.settings), [2; 32]);
    let count = u32::try_from(TEN_MINUTES.as_millis() / BETWEEN_CLIENTS.as_millis()).unwrap();
    let mut callers = Vec::new();
    let mut due = BinaryHeap::new();
    for number in 0..count {
        let from = SocketAddr::from((Ipv4Addr::from(0xC633_0000 + number), 4000));
        let mut caller = Caller {
            client: world.client(&from.to_string(), "alice"),
            stage: Stage::Challenge,
            request: Vec::new(),
            transmissions: 0,
            relayed: None,
        };
        caller.ask(world.id());
        callers.push(caller);
        due.push(Reverse((BETWEEN_CLIENTS * number, number as usize)));
    }
    let mut deleted = 0_u32;
    let mut turns = 0_u32;
    while let Some(Reverse((at, number))) = due.pop() {
        world.pass_until(at);
        let caller = &mut callers[number];
        if caller.transmissions == TRANSMISSIONS {
            continue;
        }
        let again = RTO * 2_u32.pow(caller.transmissions);
        caller.transmissions += 1;
        let arrives = !random.random_bool(loss);
        let reply = arrives
            .then(|| world.receive(&caller.client.five_tuple, &caller.request))
            .flatten();
        turns += 1;
        // It looks at everything that there is.
        if turns.is_multiple_of(100) {
            world.settle();
        }
        let Some(reply) = reply.filter(|_| !random.random_bool(loss)) else {
            due.push(Reverse((at + again, number)));
            continue;
        };
        match caller.hear(&decode(&reply, &caller.client.key)) {
            Some((next, wait)) => {
                caller.stage = next;
                caller.ask(world.id());
                due.push(Reverse((at + wait, number)));
            }
            None => deleted += 1,
        }
    }
    let made = world.relay.totals().allocations_created.get();
    assert!(made <= u64::from(count), "{made} allocations for {count}");
    // Whoever was never heard again holds nothing either.
    world.advance(601);
    assert_eq!(world.relay.allocations(), 0);
    let allocated = callers.iter().filter(|caller| caller.relayed.is_some());
    let share = |number: u32| f64::from(number) / f64::from(count);
    (
        share(u32::try_from(allocated.count()).unwrap()),
        share(deleted),
    )
}

#[test]
fn clients_get_one_allocation_each_over_paths_that_lose_a_hundredth_a_twentieth_or_a_fifth() {
    for (loss, expected) in [(0.01, 0.999), (0.05, 0.999), (0.2, 0.99)] {
        for seed in 1..=2 {
            let (allocated, deleted) = ten_minutes(loss, seed);
            let seen =
                format!("{allocated} allocated, {deleted} deleted; loss {loss}, seed {seed}");
            assert!(allocated >= expected, "{seen}");
            assert!(deleted >= expected - 0.01, "{seen}");
        }
    }
}
