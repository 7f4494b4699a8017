//! Totals in the format that Prometheus reads. Sets of labels are closed: nothing that clients send
//! makes them grow.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use stun_turn_proto::Transport;
use stun_turn_proto::attribute::ErrorCode;
use stun_turn_proto::message::Method;
use stun_turn_proto::relay::{Cause, DropReason, RefusalKind};

use crate::control::Handle;
use crate::logging;

/// The content type of [`Handle::metrics`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Handle {
    /// All totals as OpenMetrics text, version 1.0.0.
    #[must_use]
    pub fn metrics(&self) -> String {
        let mut registry = Registry::with_prefix("stun_turn");
        registry.register_collector(Box::new(Totals(self.clone())));
        let mut text = String::new();
        // Writing to a String never fails.
        let _ = text::encode(&mut text, &registry);
        text
    }
}

#[derive(Debug)]
struct Totals(Handle);

impl Collector for Totals {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.allocations(&mut encoder)?;
        self.requests(&mut encoder)?;
        self.data(&mut encoder)?;
        self.sockets(&mut encoder)
    }
}

impl Totals {
    fn allocations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let relay = &self.0;
        let mut family = gauge(encoder, "allocations", "Allocations that live")?;
        for transport in Transport::ALL {
            let count = relay.sum(|totals| totals.allocations[transport as usize].get());
            let label = ("transport", transport.name());
            family.encode_family(&[label])?.encode_gauge(&count)?;
        }
        let created = relay.sum(|totals| totals.allocations_created.get());
        plain(encoder, "allocations_created", "Allocations made", created)?;
        let mut family = counter(encoder, "allocations_closed", "Allocations ended, by cause")?;
        for cause in Cause::ALL {
            let count = relay.sum(|totals| totals.allocations_closed[cause as usize].get());
            count_labelled(&mut family, &[("cause", cause.name())], count)?;
        }
        Ok(())
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests answered, by method and error code (0 for success)";
        let mut family = counter(encoder, "requests", help)?;
        for method in Method::ALL.into_iter().filter(|method| method.is_request()) {
            let successes = self.0.sum(|totals| totals.successes[method as usize].get());
            let method_label = ("method", method.name());
            count_labelled(&mut family, &[method_label, ("code", "0")], successes)?;
            for code in ErrorCode::ALL {
                let errors = |totals: &stun_turn_proto::totals::Totals| {
                    totals.errors[method as usize][code.index()].get()
                };
                let number = (code as u16).to_string();
                count_labelled(
                    &mut family,
                    &[method_label, ("code", &number)],
                    self.0.sum(errors),
                )?;
            }
        }
        let help =
            "Requests refused, by reason; without first challenges, aged nonces and redirections";
        let mut family = counter(encoder, "refusals", help)?;
        for kind in RefusalKind::ALL {
            let count = self.0.sum(|totals| totals.refusals[kind as usize].get());
            count_labelled(&mut family, &[("reason", kind.name())], count)?;
        }
        let help = "Records of closed allocations left out of the log";
        plain(
            encoder,
            "log_records_left_out",
            help,
            self.0.records_left_out(),
        )
    }

    fn data(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let relay = &self.0;
        let packets = [
            (
                "to_peers",
                relay.sum(|totals| totals.to_peers.packets.get()),
            ),
            (
                "to_clients",
                relay.sum(|totals| totals.to_clients.packets.get()),
            ),
        ];
        let bytes = [
            ("to_peers", relay.sum(|totals| totals.to_peers.bytes.get())),
            (
                "to_clients",
                relay.sum(|totals| totals.to_clients.bytes.get()),
            ),
        ];
        for (name, help, counts) in [
            ("relayed_packets", "Application datagrams relayed", packets),
            ("relayed_bytes", "Their bytes, headers not counted", bytes),
        ] {
            let mut family = counter(encoder, name, help)?;
            for (direction, count) in counts {
                count_labelled(&mut family, &[("direction", direction)], count)?;
            }
        }
        let icmp = relay.sum(|totals| totals.icmp.get());
        plain(encoder, "icmp_errors", "ICMP errors told to clients", icmp)?;
        let help = "Messages and datagrams that went nowhere, by reason";
        let mut family = counter(encoder, "dropped", help)?;
        for reason in DropReason::ALL {
            let count = relay.sum(|totals| totals.drops[reason as usize].get());
            count_labelled(&mut family, &[("reason", reason.name())], count)?;
        }
        Ok(())
    }

    fn sockets(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Errors that the system reported for sockets, by cause";
        let mut family = counter(encoder, "socket_errors", help)?;
        for (cause, count) in self.0.socket_errors() {
            count_labelled(&mut family, &[("cause", cause)], count)?;
        }
        self.streams(encoder)?;
        let (help, lost) = ("Lines of the log that nobody took", logging::lost_lines());
        plain(encoder, "log_lines_lost", help, lost)?;
        let hung = self.0.hung_workers() as u64;
        let help = "Threads that do not answer: whoever they serve is cut off";
        gauge(encoder, "workers_hung", help)?.encode_gauge(&hung)?;
        let help = "Addresses that are relayed from, by family";
        let mut family = gauge(encoder, "relay_addresses", help)?;
        for (name, count) in ["ipv4", "ipv6"].into_iter().zip(self.0.relay_addresses()) {
            family
                .encode_family(&[("family", name)])?
                .encode_gauge(&count)?;
        }
        let help = "Addresses that are listened on and that the host does not have";
        let missing = self.0.missing_listeners();
        gauge(encoder, "listen_addresses_missing", help)?.encode_gauge(&missing)?;
        if let Some(end) = self.0.first_certificate_end() {
            let help = "When the first certificate ends, in Unix seconds";
            gauge(encoder, "certificate_not_after_seconds", help)?.encode_gauge(&end)?;
        }
        let is_ready = u64::from(self.0.is_ready());
        gauge(encoder, "ready", "1 while new allocations are welcome")?.encode_gauge(&is_ready)
    }
}

impl Totals {
    fn streams(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let totals = self.0.stream_totals();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Read in this order, so that what is closed in between is not counted as open for ever.
        let closed = read(&totals.closed);
        let open = read(&totals.accepted).saturating_sub(closed);
        gauge(
            encoder,
            "connections",
            "Connections of clients that are open",
        )?
        .encode_gauge(&open)?;
        plain(
            encoder,
            "connections_accepted",
            "Connections accepted",
            read(&totals.accepted),
        )?;
        let handshakes = read(&totals.tls_handshakes);
        plain(
            encoder,
            "tls_handshakes",
            "TLS handshakes completed",
            handshakes,
        )?;
        let help = "Messages of peers dropped for clients that read too slowly";
        plain(
            encoder,
            "stream_media_dropped",
            help,
            read(&totals.media_dropped),
        )?;
        let help = "Connections closed for what the client did, by reason";
        let mut family = counter(encoder, "connections_refused", help)?;
        for (reason, counter) in [
            ("tls_failed", &totals.tls_failures),
            ("too_many_handshakes", &totals.tls_evicted),
            ("too_many_connections", &totals.strangers_evicted),
            ("unauthenticated", &totals.unauthenticated),
            ("timed_out", &totals.timed_out),
            ("garbage", &totals.garbage),
            ("not_tls", &totals.plain_refused),
            ("proxy_header", &totals.proxy_malformed),
            ("replies_piled_up", &totals.overflowed),
        ] {
            count_labelled(&mut family, &[("reason", reason)], read(counter))?;
        }
        Ok(())
    }
}

fn gauge<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &str,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}

fn counter<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &str,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Counter)
}

fn plain(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, count: u64) -> fmt::Result {
    counter(encoder, name, help)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

fn count_labelled(
    family: &mut MetricEncoder<'_>,
    labels: &[(&str, &str)],
    count: u64,
) -> fmt::Result {
    family
        .encode_family(&labels)?
        .encode_counter::<NoLabelSet, _, u64>(&count, None)
}
