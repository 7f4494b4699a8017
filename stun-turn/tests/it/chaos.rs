//! A relay on a host where things change at random while calls go on: addresses, routes, descriptors,
//! ports of other programs, the configuration's file, signals, and a process that is stopped for a moment.
//! Calls are over UDP and TCP, of both families.
//!
//! The model beside it says what must be so: no call ends that need not, no Allocate is refused that
//! need not be, `/readyz`, metrics and the log say what has happened. A failure prints its seed.
//! `CALLBOX_CHAOS_SEED` draws the same numbers again; the events follow them as far as the system
//! answers as before: which ports are free, and when the long form ends, is not drawn.
//! `CALLBOX_CHAOS_MINUTES` says for how long. The clock stays as it is: Linux has no namespace for the
//! wall clock, and one for the monotonic clock has an offset that is fixed before its first process. Steps
//! of the wall clock are tried under virtual time (`stun-turn/proto/src/relay/tests/clock.rs`).

mod call;

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::limit::Limit;
use crate::network::{can_run_inside, ip, run_inside, until_delivered};
use crate::running::{Program, eventually};
use call::{Call, Way};

const PORT: u16 = 3478;
/// Relayed ports of each address.
const PORTS: (u16, u16) = (50_000, 50_999);
const CHANNEL: u16 = 0x4000;
/// Addresses that may come and go, by their numbers: 11.0.0.1 and so on, and behind them 2620:fe::5 and so on.
const ADDRESSES: u8 = 8;
/// The first number of IPv6.
const FIRST_IPV6: u8 = 5;
const MAX_CALLS: usize = 12;
const MAX_FOREIGN: usize = 300;
/// How long an allocation lives whose client says nothing more, and some.
const LIFETIME: Duration = Duration::from_secs(660);
/// What happens in a run of the short form.
const EVENTS: u32 = 60;

#[test]
fn some_seconds_of_chaos() {
    run_inside("chaos::inside");
}

#[test]
#[ignore = "long: an hour, or CALLBOX_CHAOS_MINUTES"]
fn an_hour_of_chaos() {
    // A run of nothing would pass.
    assert!(can_run_inside(), "network namespaces can't be made here");
    if std::env::var_os("CALLBOX_CHAOS_MINUTES").is_none() {
        // The process in the namespace inherits it.
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["chaos::some_seconds_of_chaos", "--exact", "--nocapture"])
            .env("CALLBOX_CHAOS_MINUTES", "60")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    run_inside("chaos::inside");
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn inside() {
    let seed = number("CALLBOX_CHAOS_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now();
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64 | 1
    });
    println!("CALLBOX_CHAOS_SEED={seed}");
    let minutes = number("CALLBOX_CHAOS_MINUTES");
    let end = minutes.map(|minutes| Instant::now() + Duration::from_secs(minutes * 60));
    let mut world = World::new(seed);
    let mut events = 0_u32;
    while end.map_or(events < EVENTS, |end| Instant::now() < end) {
        world.happen();
        events += 1;
    }
    println!("{events} events, {} calls", world.made);
    world.finish();
}

struct World {
    state: u64,
    program: Program,
    folder: tempfile::TempDir,
    present: BTreeSet<u8>,
    calls: Vec<Call>,
    /// Calls whose address went without a goodbye, since when: their allocations live on, so nobody else
    /// may have their ports.
    left: Vec<(Instant, Call)>,
    foreign: Vec<UdpSocket>,
    has_route: bool,
    made: u64,
}

fn address(number: u8) -> String {
    match is_ipv6(number) {
        true => format!("2620:fe::{number:x}"),
        false => format!("11.0.0.{number}"),
    }
}

const fn is_ipv6(number: u8) -> bool {
    number >= FIRST_IPV6
}

impl World {
    fn new(seed: u64) -> Self {
        ip("link set lo up");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay.toml");
        std::fs::write(&file, GOOD).unwrap();
        let listeners = ["udp:0.0.0.0", "tcp:0.0.0.0", "udp:[::]", "tcp:[::]"];
        let listeners = listeners.map(|on| format!("--listen={on}:{PORT}"));
        let ports = format!("--relay-ports={}-{}", PORTS.0, PORTS.1);
        let mut arguments: Vec<&str> = listeners.iter().map(String::as_str).collect();
        arguments.extend(["--config", file.to_str().unwrap(), &ports, "--workers=2"]);
        arguments.extend(["--relay-address=0.0.0.0", "--relay-address=::"]);
        arguments.extend(["--allow-peer=127.0.0.0/8", "--allow-peer=::1/128"]);
        let program = Program::start(&arguments);
        let mut world = Self {
            state: seed,
            program,
            folder,
            present: BTreeSet::new(),
            calls: Vec::new(),
            left: Vec::new(),
            foreign: Vec::new(),
            has_route: false,
            made: 0,
        };
        world.agree();
        world.add_address(1);
        world.add_address(FIRST_IPV6);
        world
    }

    /// A number below the bound (xorshift).
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 16) as usize % bound
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("relay.toml")
    }

    /// One event, and a look at some calls.
    fn happen(&mut self) {
        match self.below(17) {
            0..=4 => self.begin_call(),
            5 | 6 => self.end_call(),
            16 => self.pause(),
            7 | 8 => self.change_address(),
            9 | 10 => self.change_neighbours(),
            11 => self.change_route(),
            12 => self.reload(),
            13 => self.reload_badly(),
            14 => self.renew_certificates(),
            _ => self.run_short_of_descriptors(),
        }
        for _ in 0..self.calls.len().min(3) {
            let call = self.below(self.calls.len());
            self.calls[call].speak();
        }
    }

    fn begin_call(&mut self) {
        let present: Vec<u8> = self.present.iter().copied().collect();
        if present.is_empty() || self.calls.len() >= MAX_CALLS {
            return;
        }
        let on = present[self.below(present.len())];
        let way = [Way::Udp, Way::Tcp][self.below(2)];
        let mut call = Call::new(on, way);
        call.begin();
        self.calls.push(call);
        self.made += 1;
    }

    fn end_call(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let place = self.below(self.calls.len());
        let call = self.calls.swap_remove(place);
        match self.below(4) {
            0 => call.hang_up(false),
            1 => call.hang_up(true),
            _ => call.end(),
        }
    }

    fn change_address(&mut self) {
        let last = u8::try_from(1 + self.below(ADDRESSES.into())).unwrap();
        match self.present.contains(&last) {
            false => self.add_address(last),
            true => self.remove_address(last),
        }
    }

    fn add_address(&mut self, last: u8) {
        ip(&match is_ipv6(last) {
            true => format!("address add {}/128 dev lo nodad", address(last)),
            false => format!("address add {}/32 dev lo", address(last)),
        });
        self.present.insert(last);
        let quoted = format!("\"{}\"", address(last));
        let line = ["INFO", "\"relaying from this address\"", &quoted];
        self.program.wait_for_log(&line);
        until_delivered(&address(last));
        self.agree();
    }

    fn remove_address(&mut self, last: u8) {
        let (of_address, others) = std::mem::take(&mut self.calls)
            .into_iter()
            .partition(|call| call.on == last);
        self.calls = others;
        let of_address: Vec<Call> = of_address;
        for call in of_address {
            // Most clients say goodbye; what is left behind keeps its port until it expires.
            match self.below(4) {
                0 => self.left.push((Instant::now(), call)),
                _ => call.end(),
            }
        }
        self.left.retain(|(since, _)| since.elapsed() < LIFETIME);
        let length = if is_ipv6(last) { 128 } else { 32 };
        ip(&format!("address del {}/{length} dev lo", address(last)));
        self.present.remove(&last);
        let quoted = format!("\"{}\"", address(last));
        self.program
            .wait_for_log(&["WARN", "not relaying", &quoted]);
        if self.present.is_empty() {
            self.program
                .wait_for_log(&["ERROR", "no address to relay from"]);
        }
        self.agree();
    }

    /// Metrics and readiness say what is so.
    fn agree(&self) {
        for (family, of_family) in [("ipv4", false), ("ipv6", true)] {
            let present = self.present.iter().filter(|it| is_ipv6(**it) == of_family);
            let count = present.count() as u64;
            let name = format!("stun_turn_relay_addresses{{family=\"{family}\"}}");
            eventually("the addresses are counted", || {
                self.program.metric(&name) == count
            });
        }
        let expected = if self.present.is_empty() { 503 } else { 200 };
        eventually("readiness is told", || {
            self.program.get("/readyz").0 == expected
        });
    }

    /// Other programs take ports of the relay's range, or give them back.
    fn change_neighbours(&mut self) {
        if self.foreign.len() > MAX_FOREIGN || self.below(4) == 0 {
            let kept = self.below(self.foreign.len() + 1);
            self.foreign.truncate(kept);
            return;
        }
        for _ in 0..20 {
            let offset = self.below(usize::from(PORTS.1 - PORTS.0) + 1);
            let port = PORTS.0 + u16::try_from(offset).unwrap();
            let on = ["0.0.0.0", "::"][self.below(2)];
            // The relay may have it.
            self.foreign.extend(UdpSocket::bind((on, port)));
        }
    }

    fn change_route(&mut self) {
        let change = if self.has_route { "del" } else { "add" };
        ip(&format!("route {change} blackhole 12.0.0.0/24"));
        ip(&format!("route {change} local 13.0.0.0/24 dev lo"));
        self.has_route = !self.has_route;
    }

    fn reload(&mut self) {
        std::fs::write(self.file(), GOOD).unwrap();
        self.program.signal("HUP");
        self.program.wait_for_log(&["INFO", "reloaded users"]);
    }

    fn reload_badly(&mut self) {
        match self.below(3) {
            0 => std::fs::write(self.file(), "user = [\"alice").unwrap(),
            1 => std::fs::write(self.file(), b"user = [\"\xFF\"]").unwrap(),
            _ => std::fs::remove_file(self.file()).unwrap(),
        }
        self.program.signal("HUP");
        self.program.wait_for_log(&["ERROR", "not reloaded"]);
        std::fs::write(self.file(), GOOD).unwrap();
    }

    fn renew_certificates(&mut self) {
        self.program.signal("USR2");
        self.program
            .wait_for_log(&["INFO", "reloaded certificates"]);
    }

    /// The only time when a refusal is true.
    fn run_short_of_descriptors(&mut self) {
        // Of IPv4, which an Allocate without a family asks for.
        let Some(on) = self.present.first().copied().filter(|it| !is_ipv6(*it)) else {
            return;
        };
        let client = || Call::new(on, Way::Udp).into_client();
        let limit = Limit::until_refused(&self.program, client);
        self.program.wait_for_log(&["WARN", "no descriptor"]);
        for call in &mut self.calls {
            call.speak();
        }
        drop(limit);
        self.program
            .wait_for_log(&["INFO", "there are descriptors again"]);
        self.agree();
        for way in [Way::Udp, Way::Tcp] {
            let mut again = Call::new(on, way);
            again.begin();
            again.end();
        }
    }

    /// The process stands still, as when its host is moved: what is said meanwhile comes late.
    fn pause(&mut self) {
        self.program.signal("STOP");
        self.calls.iter_mut().for_each(Call::say);
        self.program.signal("CONT");
        self.calls.iter_mut().for_each(Call::hear);
    }

    fn finish(mut self) {
        for call in &mut self.calls {
            call.speak();
        }
        for call in self.calls.drain(..) {
            call.end();
        }
        self.program.signal("INT");
        let log = self.program.rest_of_log();
        assert!(!log.contains("a bug"), "{log}");
    }
}

/// Without bounds of a user, so that only true shortages refuse.
const GOOD: &str = "user = [\"alice:wonder\"]\nuser-quota = 0\nsource-quota = 0\n";
