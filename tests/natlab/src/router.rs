//! Kinds of routers, and the nftables rules that make them. Pure.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use clap::ValueEnum;
use serde::Serialize;

/// A kind of access to the internet, named after what its router does to UDP (RFC 4787 in the words of RFC 3489, which people
/// know) or to everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Router {
    /// A public IPv4 address, nothing filtered.
    Open,
    /// Endpoint-independent mapping and filtering.
    Cone,
    /// Endpoint-independent mapping, address-dependent filtering.
    Restricted,
    /// Endpoint-independent mapping, address- and port-dependent filtering.
    PortRestricted,
    /// Address- and port-dependent mapping and filtering.
    Symmetric,
    /// Port-restricted for TCP, no UDP at all.
    UdpBlocked,
    /// Nothing but TCP to port 443.
    Tcp443,
    /// IPv6 alone, with a stateful firewall.
    V6Only,
    /// Port-restricted for IPv4 besides IPv6 with a stateful firewall.
    Dual,
    /// A port-restricted router behind a port-restricted one.
    Double,
    /// Port-restricted; forgets mappings of UDP after 30 s.
    Idle30,
    /// Port-restricted; loses one packet in 20, each way.
    Loss5,
    /// Port-restricted; loses one packet in 10, each way.
    Loss10,
    /// Port-restricted; loses one packet in 5, each way.
    Loss20,
    /// Port-restricted; packets of more than 1280 bytes are refused by ICMP.
    Mtu1280,
    /// Port-restricted; packets of more than 1280 bytes vanish.
    Mtu1280Black,
}

/// The chain of one that refuses packets without a word.
const MUTE: &str = "chain output { type filter hook output priority filter; policy accept;
    icmp type destination-unreachable drop
    }\n";

/// How a router assigns and guards addresses of UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Translation {
    /// Not at all.
    None,
    /// One mapping, open to everybody.
    Cone,
    /// One mapping, open to addresses that were sent to.
    Restricted,
    /// One mapping, open to addresses and ports that were sent to.
    PortRestricted,
    /// A mapping for each destination.
    Symmetric,
}

/// What a router lets out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    /// Everything.
    All,
    /// Everything but UDP.
    NoUdp,
    /// TCP to port 443.
    Tcp443,
}

/// Behaviour in the words of RFC 5780, section 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// The same whatever the other end is.
    EndpointIndependent,
    /// By the other end's address.
    AddressDependent,
    /// By the other end's address and port.
    AddressAndPortDependent,
}

impl Router {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Open,
        Self::Cone,
        Self::Restricted,
        Self::PortRestricted,
        Self::Symmetric,
        Self::UdpBlocked,
        Self::Tcp443,
        Self::V6Only,
        Self::Dual,
        Self::Double,
        Self::Idle30,
        Self::Loss5,
        Self::Loss10,
        Self::Loss20,
        Self::Mtu1280,
        Self::Mtu1280Black,
    ];

    /// Those whose pairs differ in the way that calls take.
    pub const CORE: [Self; 8] = [
        Self::Open,
        Self::Cone,
        Self::Restricted,
        Self::PortRestricted,
        Self::Symmetric,
        Self::UdpBlocked,
        Self::Tcp443,
        Self::V6Only,
    ];

    /// The name in tables and options.
    #[must_use]
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The rules for the other end of its line, where packets to it are refused.
    #[must_use]
    pub fn rules_of_the_core(self) -> Option<String> {
        (self == Self::Mtu1280Black).then(|| format!("table inet lab {{ {MUTE} }}"))
    }

    /// What it does to addresses of IPv4.
    #[must_use]
    pub const fn translation(self) -> Translation {
        match self {
            Self::Open | Self::V6Only => Translation::None,
            Self::Cone => Translation::Cone,
            Self::Restricted => Translation::Restricted,
            Self::Symmetric => Translation::Symmetric,
            Self::PortRestricted
            | Self::UdpBlocked
            | Self::Tcp443
            | Self::Dual
            | Self::Double
            | Self::Idle30
            | Self::Loss5
            | Self::Loss10
            | Self::Loss20
            | Self::Mtu1280
            | Self::Mtu1280Black => Translation::PortRestricted,
        }
    }

    /// What it lets out.
    #[must_use]
    pub const fn passes(self) -> Passes {
        match self {
            Self::UdpBlocked => Passes::NoUdp,
            Self::Tcp443 => Passes::Tcp443,
            _ => Passes::All,
        }
    }

    /// Whether its clients have IPv4.
    #[must_use]
    pub fn has_ipv4(self) -> bool {
        self != Self::V6Only
    }

    /// Whether its clients have IPv6.
    #[must_use]
    pub fn has_ipv6(self) -> bool {
        matches!(self, Self::V6Only | Self::Dual)
    }

    /// Whether another router stands behind it.
    #[must_use]
    pub fn has_carrier(self) -> bool {
        self == Self::Double
    }

    /// Packets lost of 100, each way.
    #[must_use]
    pub const fn loss_percent(self) -> u8 {
        match self {
            Self::Loss5 => 5,
            Self::Loss10 => 10,
            Self::Loss20 => 20,
            _ => 0,
        }
    }

    /// Seconds after which a mapping of UDP is forgotten, where they are shorter than the kernel's.
    #[must_use]
    pub fn idle_seconds(self) -> Option<u32> {
        (self == Self::Idle30).then_some(30)
    }

    /// The largest packet in bytes, where it is not Ethernet's.
    #[must_use]
    pub fn mtu(self) -> Option<u32> {
        matches!(self, Self::Mtu1280 | Self::Mtu1280Black).then_some(1280)
    }

    /// Mapping and filtering of UDP over IPv4 that a self-test must find; `None` where there is none.
    #[must_use]
    pub fn behaviour(self) -> Option<(Behaviour, Behaviour)> {
        use Behaviour::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
        if !self.has_ipv4() || self.passes() != Passes::All {
            return None;
        }
        Some(match self.translation() {
            Translation::None | Translation::Cone => (EndpointIndependent, EndpointIndependent),
            Translation::Restricted => (EndpointIndependent, AddressDependent),
            Translation::PortRestricted => (EndpointIndependent, AddressAndPortDependent),
            Translation::Symmetric => (AddressAndPortDependent, AddressAndPortDependent),
        })
    }

    /// The rules of its router for `nft -f -`. Its interfaces are `lan` and `wan`, its only client is `host`.
    ///
    /// The chain `event` comes first of all that is forwarded: it holds what happens in the middle of a call.
    #[must_use]
    pub fn rules(self, host: Ipv4Addr) -> String {
        let mut rules = String::from(
            "table inet lab {
             counter blocked { }
             counter lost { }
             set contacted { type inet_service . ipv4_addr; flags dynamic, timeout; timeout 10m; }
             chain event { }\n",
        );
        self.write_forward(&mut rules);
        self.write_translation(&mut rules, host);
        rules.push_str("}\n");
        rules
    }

    fn write_forward(self, rules: &mut String) {
        rules
            .push_str("chain forward { type filter hook forward priority filter; policy accept;\n");
        rules.push_str("jump event\n");
        if self.loss_percent() > 0 {
            let percent = self.loss_percent();
            let _ = writeln!(
                rules,
                "numgen random mod 100 < {percent} counter name lost drop"
            );
        }
        match self.passes() {
            Passes::All => {}
            Passes::NoUdp => rules.push_str("meta l4proto udp counter name blocked drop\n"),
            Passes::Tcp443 => {
                rules.push_str("meta l4proto udp counter name blocked drop\n");
                rules.push_str("iifname lan tcp dport != 443 counter name blocked drop\n");
            }
        }
        if self == Self::Mtu1280Black {
            // As routers with such lines do: connections would not pass at all otherwise.
            rules.push_str("tcp flags syn tcp option maxseg size set 1240\n");
        }
        if self.translation() == Translation::Restricted {
            rules.push_str(
                "iifname lan meta l4proto udp update @contacted { udp sport . ip daddr }\n",
            );
        }
        if self.translation() != Translation::None || self.has_ipv6() {
            rules.push_str("iifname wan ct state new ct status & dnat == 0 drop\n");
        }
        rules.push_str("}\n");
    }

    fn write_translation(self, rules: &mut String, host: Ipv4Addr) {
        let translation = self.translation();
        if translation == Translation::None {
            return;
        }
        // A packet that nobody asked for must leave no entry: its port could not be a mapping's any more.
        rules.push_str(
            "chain input { type filter hook input priority filter; policy accept;
             iifname wan meta l4proto udp ct state new drop
             }\n",
        );
        let open_to = match translation {
            Translation::Cone => Some(""),
            Translation::Restricted => Some("udp dport . ip saddr @contacted "),
            Translation::None | Translation::PortRestricted | Translation::Symmetric => None,
        };
        if let Some(open_to) = open_to {
            let _ = writeln!(
                rules,
                "chain prerouting {{ type nat hook prerouting priority dstnat;
                 iifname wan meta nfproto ipv4 meta l4proto udp {open_to}dnat ip to {host}
                 }}"
            );
        }
        // The kernel reuses a mapping for another destination unless it is asked for a random port.
        let random = match translation {
            Translation::Symmetric => " fully-random",
            _ => "",
        };
        let _ = writeln!(
            rules,
            "chain postrouting {{ type nat hook postrouting priority srcnat;
             oifname wan meta nfproto ipv4 masquerade{random}
             }}"
        );
        if self == Self::Mtu1280Black {
            rules.push_str(MUTE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_options() {
        for router in Router::ALL {
            assert_eq!(Router::from_str(&router.name(), false), Ok(router));
        }
        assert_eq!(Router::Mtu1280Black.name(), "mtu1280black");
    }

    #[test]
    fn only_open_routers_translate_nothing() {
        let host = Ipv4Addr::new(192, 168, 10, 2);
        for router in Router::ALL {
            let rules = router.rules(host);
            let translates = rules.contains("masquerade");
            assert_eq!(
                translates,
                router.translation() != Translation::None,
                "{router:?}"
            );
            assert_eq!(
                rules.matches('{').count(),
                rules.matches('}').count(),
                "{router:?}"
            );
        }
    }
}
