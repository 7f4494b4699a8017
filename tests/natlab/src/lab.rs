//! The lab's networks: a core, hosts of servers, and sides behind routers. All are namespaces that end with their stage.

use std::fs;
use std::process::Command;

use ::tests::network::{Place, may_be_made};
use ::tests::stage::Stage;
use anyhow::Context as _;

use crate::lines::{Host, Line};
use crate::names::{self, NameServer};
use crate::router::Router;

/// Whether this process may make networks with routers.
#[must_use]
pub fn can_be_made() -> bool {
    let nft = Command::new("nft").arg("--version").output();
    may_be_made() && nft.is_ok_and(|output| output.status.success())
}

/// A side of a call: a host, and the lines that it may be plugged into.
#[derive(Debug)]
pub struct Side {
    /// Where the client runs.
    pub host: Place,
    /// The line in use at the start, and the other network where it may go.
    pub lines: [Plug; 2],
    _names: NameServer,
}

/// A line that is laid, with its routers.
#[derive(Debug)]
pub struct Plug {
    /// Its addresses.
    pub line: Line,
    /// The router whose rules make its kind, the host's own one.
    pub router: Place,
    _carrier: Option<Place>,
}

/// Everything.
#[derive(Debug)]
pub struct Lab {
    core: Place,
    /// Page and signaling.
    pub signaling: Place,
    /// The relay, when it is apart.
    pub relay: Place,
    /// Who calls whom.
    pub sides: Vec<Side>,
    _names: NameServer,
}

impl Lab {
    /// Lays lines for clients behind these routers.
    ///
    /// # Errors
    /// When the system does not let this process do that.
    pub async fn new(stage: &Stage, routers: &[Router]) -> anyhow::Result<Self> {
        let core = place(stage, "core", true).await?;
        let mut signaling = server(stage, &core, "signaling-host", Host::SIGNALING).await?;
        // It asks its relay how it is, by its name.
        let names = look_up(stage, &mut signaling)?;
        let relay = server(stage, &core, "relay-host", Host::RELAY).await?;
        let mut lab = Self {
            core,
            signaling,
            relay,
            sides: Vec::new(),
            _names: names,
        };
        for (side, router) in (0..).zip(routers) {
            let mut host = place(stage, &format!("host-{side}"), false).await?;
            let names = look_up(stage, &mut host)?;
            host.feed("nft", &["-f", "-"], COUNTERS)?;
            let mut lines = Vec::new();
            for way in 0..2 {
                let number = 2 * side + way;
                let line = Line {
                    number,
                    router: *router,
                };
                lines.push(lab.lay(stage, &host, line).await?);
            }
            let lines = <[Plug; 2]>::try_from(lines).ok().context("two lines")?;
            let side = Side {
                host,
                lines,
                _names: names,
            };
            side.plug_in(0)?;
            lab.sides.push(side);
        }
        Ok(lab)
    }

    /// A line from the core to a host, which is not yet plugged in.
    async fn lay(&self, stage: &Stage, host: &Place, line: Line) -> anyhow::Result<Plug> {
        let Line { number, router } = line;
        let home = place(stage, &format!("router-{number}"), true).await?;
        link(host, &format!("net{number}"), &home, "lan")?;
        let carrier = match router.has_carrier() {
            true => Some(place(stage, &format!("carrier-{number}"), true).await?),
            false => None,
        };
        self.join(carrier.as_ref().unwrap_or(&home), line)?;
        if let Some(carrier) = &carrier {
            stand_behind(carrier, &home, line)?;
        }
        let (inner, inner_host) = line.inner();
        let up = format!("address add {inner}/24 dev lan\nlink set lan up");
        batch(&home, &up)?;
        if router == Router::Open {
            let route = format!("route add {inner_host}/32 via {}", line.outer());
            batch(&self.core, &route)?;
        }
        if router.has_ipv6() {
            self.route_ipv6(&home, line)?;
        }
        home.feed("nft", &["-f", "-"], &router.rules(inner_host))?;
        self.limit(&home, line)?;
        Ok(Plug {
            line,
            router: home,
            _carrier: carrier,
        })
    }

    /// Connects the outermost router of a line to the core.
    fn join(&self, router: &Place, line: Line) -> anyhow::Result<()> {
        let (outer, gate) = (line.outer(), line.gate());
        let device = format!("line{}", line.number);
        link(&self.core, &device, router, "wan")?;
        let up = format!("address add {gate}/24 dev {device}\nlink set {device} up");
        batch(&self.core, &up)?;
        // So that a second address outlives the first one.
        router.inside(|| fs::write("/proc/sys/net/ipv4/conf/wan/promote_secondaries", "1"))??;
        let up = format!(
            "address add {outer}/24 dev wan
             link set wan up
             route add default via {gate}"
        );
        batch(router, &up)
    }

    /// Sizes and times, where they are not the kernel's.
    fn limit(&self, home: &Place, line: Line) -> anyhow::Result<()> {
        let Line { number, router } = line;
        if let Some(rules) = router.rules_of_the_core() {
            self.core.feed("nft", &["-f", "-"], &rules)?;
        }
        if let Some(mtu) = router.mtu() {
            // Of both ends: the kernel drops what is larger than the receiving end without a word.
            batch(&self.core, &format!("link set line{number} mtu {mtu}"))?;
            batch(home, &format!("link set wan mtu {mtu}"))?;
        }
        match router.idle_seconds() {
            Some(seconds) => forget_after(home, seconds),
            None => Ok(()),
        }
    }

    fn route_ipv6(&self, router: &Place, line: Line) -> anyhow::Result<()> {
        let ((outer, gate), (inner, host)) = (line.outer6(), line.inner6());
        let number = line.number;
        batch(
            router,
            &format!(
                "address add {outer}/64 dev wan nodad
             address add {inner}/64 dev lan nodad
             route add default via {gate}"
            ),
        )?;
        batch(
            &self.core,
            &format!(
                "address add {gate}/64 dev line{number} nodad
             route add {host}/128 via {outer}"
            ),
        )
    }
}

impl Side {
    /// What stands in its lines.
    #[must_use]
    pub fn router(&self) -> Router {
        self.lines[0].line.router
    }

    /// Gives the host an address on one of its lines, and a way out.
    ///
    /// # Errors
    /// When it has it already.
    pub fn plug_in(&self, way: usize) -> anyhow::Result<()> {
        let line = self.lines[way].line;
        let device = format!("net{}", line.number);
        let mut commands = format!("link set {device} up\n");
        if line.router.has_ipv4() {
            let (gate, host) = line.inner();
            commands +=
                &format!("address add {host}/24 dev {device}\nroute add default via {gate}\n");
        }
        if line.router.has_ipv6() {
            let (gate, host) = line.inner6();
            commands += &format!(
                "address add {host}/64 dev {device} nodad\nroute add default via {gate}\n"
            );
        }
        batch(&self.host, &commands)
    }

    /// Takes both away again.
    ///
    /// # Errors
    /// When the system does not.
    pub fn unplug(&self, way: usize) -> anyhow::Result<()> {
        let number = self.lines[way].line.number;
        batch(
            &self.host,
            &format!("address flush dev net{number}\nlink set net{number} down"),
        )
    }

    /// Gives the router another address, as many providers do at night: every mapping ends, and its connections with them.
    ///
    /// # Errors
    /// When the system does not.
    pub fn change_mappings(&self) -> anyhow::Result<()> {
        let Plug { line, router, .. } = &self.lines[0];
        let (old, new, gate) = (line.outer(), line.spare(), line.gate());
        batch(
            router,
            &format!(
                "address add {new}/24 dev wan
             address del {old}/24 dev wan
             route replace default via {gate} src {new}"
            ),
        )
    }

    /// Puts a rule in front of those of the router; an empty one takes it away.
    ///
    /// # Errors
    /// When the system does not.
    pub fn interfere(&self, rule: &str) -> anyhow::Result<()> {
        let rule = match rule {
            "" => String::new(),
            rule => format!("add rule inet lab event {rule}\n"),
        };
        let commands = format!("flush chain inet lab event\n{rule}");
        self.lines[0].router.feed("nft", &["-f", "-"], &commands)?;
        Ok(())
    }

    /// Packets of media that have come to the host.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn media_packets(&self) -> anyhow::Result<u64> {
        packets(&self.host, "media")
    }
}

/// Counts what is too large for a check, a refusal or a receipt and does not come from the service: pictures.
const COUNTERS: &str = "table inet lab {
    counter media { }
    chain input { type filter hook input priority filter; policy accept;
        tcp sport 443 ip saddr 11.77.1.2 accept
        tcp sport 443 ip6 saddr 2620:fe:77:1::2 accept
        iifname != lo meta length > 300 counter name media
    }
}";

/// What a named counter of a place has counted.
///
/// # Errors
/// When there is none of this name.
pub fn packets(place: &Place, counter: &str) -> anyhow::Result<u64> {
    let listed = place.feed("nft", &["list", "counter", "inet", "lab", counter], "")?;
    let mut words = listed
        .split_whitespace()
        .skip_while(|word| *word != "packets");
    let number = words.nth(1).and_then(|word| word.parse().ok());
    number.with_context(|| format!("no number of packets: {listed}"))
}

fn batch(place: &Place, commands: &str) -> anyhow::Result<()> {
    place.feed("ip", &["-batch", "-"], commands)?;
    Ok(())
}

fn link(a: &Place, name: &str, b: &Place, other: &str) -> anyhow::Result<()> {
    let holder = b.id();
    batch(
        a,
        &format!("link add {name} type veth peer name {other} netns {holder}"),
    )
}

/// A network of its own; one that forwards forwards both families.
async fn place(stage: &Stage, name: &str, forwards: bool) -> anyhow::Result<Place> {
    let place = Place::new(stage, name).await?;
    place.inside(|| {
        for key in ["ipv6/conf/all/accept_dad", "ipv6/conf/default/accept_dad"] {
            fs::write(format!("/proc/sys/net/{key}"), "0")?;
        }
        for key in ["ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter"] {
            fs::write(format!("/proc/sys/net/{key}"), "0")?;
        }
        if forwards {
            for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                fs::write(format!("/proc/sys/net/{key}"), "1")?;
            }
        }
        anyhow::Ok(())
    })??;
    Ok(place)
}

/// Has programs of a place look up names in it.
fn look_up(stage: &Stage, place: &mut Place) -> anyhow::Result<NameServer> {
    let file = stage.folder().join("resolv.conf");
    fs::write(&file, names::RESOLV_CONF)?;
    place.set_names(file);
    NameServer::start(place)
}

async fn server(stage: &Stage, core: &Place, name: &str, host: Host) -> anyhow::Result<Place> {
    let place = place(stage, name, false).await?;
    link(core, name, &place, "wan")?;
    let (gate, gate6) = host.gates();
    batch(
        core,
        &format!(
            "address add {gate}/24 dev {name}
         address add {gate6}/64 dev {name} nodad
         link set {name} up"
        ),
    )?;
    batch(
        &place,
        &format!(
            "address add {}/24 dev wan
         address add {}/24 dev wan
         address add {}/64 dev wan nodad
         link set wan up
         route add default via {gate}
         route add default via {gate6}",
            host.ipv4(),
            host.second_ipv4(),
            host.ipv6()
        ),
    )?;
    Ok(place)
}

/// Puts a carrier's router in front of a home router.
fn stand_behind(carrier: &Place, home: &Place, line: Line) -> anyhow::Result<()> {
    let (inside, outside) = line.carrier();
    link(carrier, "lan", home, "wan")?;
    let up = format!("address add {inside}/24 dev lan\nlink set lan up");
    batch(carrier, &up)?;
    let up = format!(
        "address add {outside}/24 dev wan
         link set wan up
         route add default via {inside}"
    );
    batch(home, &up)?;
    let rules = line.router.rules(outside);
    carrier.feed("nft", &["-f", "-"], &rules)?;
    Ok(())
}

/// How long a router remembers mappings of UDP.
fn forget_after(router: &Place, seconds: u32) -> anyhow::Result<()> {
    router.inside(|| {
        for key in [
            "nf_conntrack_udp_timeout",
            "nf_conntrack_udp_timeout_stream",
        ] {
            fs::write(
                format!("/proc/sys/net/netfilter/{key}"),
                seconds.to_string(),
            )?;
        }
        anyhow::Ok(())
    })?
}
