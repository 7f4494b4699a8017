//! Running totals of one worker, for the operator.
//!
//! The worker alone writes, anybody may read at any time: a counter is one plain addition for the
//! packet path and never a lock. Sets of labels are closed enums, so that nothing a client sends
//! can make them grow.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::addr::Transport;
use crate::attribute::ErrorCode;
use crate::header::HEADER_LEN;
use crate::message::{self, Class, Method};
use crate::refusal::{RefusalCause, RefusalKind};
use crate::relay::{Cause, DropReason};

/// A number with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; by the one writer only.
    pub fn add(&self, more: u64) {
        let value = self.0.load(Ordering::Relaxed).wrapping_add(more);
        self.0.store(value, Ordering::Relaxed);
    }

    /// Takes away; by the one writer only.
    pub fn sub(&self, less: u64) {
        self.add(less.wrapping_neg());
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Packets and bytes in one direction.
#[derive(Debug, Default)]
pub struct Flow {
    /// Application datagrams.
    pub packets: Counter,
    /// Their payload, headers not counted.
    pub bytes: Counter,
}

impl Flow {
    pub(crate) fn count(&self, bytes: usize) {
        self.packets.add(1);
        self.bytes.add(bytes as u64);
    }
}

/// What one worker has done since its start.
#[derive(Debug, Default)]
pub struct Totals {
    /// Allocations that live now, by the client's transport.
    pub allocations: [Counter; Transport::ALL.len()],
    /// Allocations ever made.
    pub allocations_created: Counter,
    /// Allocations ended, by cause.
    pub allocations_closed: [Counter; Cause::ALL.len()],
    /// Clients' data to peers.
    pub to_peers: Flow,
    /// Peers' data to clients.
    pub to_clients: Flow,
    /// ICMP errors told to clients.
    pub icmp: Counter,
    /// Requests answered with success, by method.
    pub successes: [Counter; Method::ALL.len()],
    /// Requests answered with an error, by method and code.
    pub errors: [[Counter; ErrorCode::ALL.len()]; Method::ALL.len()],
    /// Requests refused, by reason; without what belongs to every connection.
    pub refusals: [Counter; RefusalKind::ALL.len()],
    /// Messages and datagrams that went nowhere, by reason.
    pub drops: [Counter; DropReason::ALL.len()],
}

impl Totals {
    /// Counts a reply by what stands in it, so that no path to one can be forgotten. `cause` is why
    /// the request was refused, where its code alone does not tell.
    pub(crate) fn count_reply(&self, reply: &[u8], cause: Option<RefusalCause>) {
        let Some((class, method)) = message::class_and_method(reply) else {
            return;
        };
        let counter = match class {
            Class::Error => {
                let code = error_code(reply);
                if let Some(kind) = code.and_then(|code| RefusalKind::of(code, cause))
                    && let Some(counter) = self.refusals.get(kind as usize)
                {
                    counter.add(1);
                }
                let codes = self.errors.get(method as usize);
                codes
                    .zip(code)
                    .and_then(|(codes, code)| codes.get(code.index()))
            }
            _ => self.successes.get(method as usize),
        };
        if let Some(counter) = counter {
            counter.add(1);
        }
    }

    /// Counts what went nowhere; also for drivers that drop something themselves.
    pub fn count_drop(&self, reason: DropReason) {
        if let Some(counter) = self.drops.get(reason as usize) {
            counter.add(1);
        }
    }

    pub(crate) fn count_created(&self, transport: Transport) {
        self.allocations_created.add(1);
        if let Some(gauge) = self.allocations.get(transport as usize) {
            gauge.add(1);
        }
    }

    pub(crate) fn count_moved(&self, allocations: usize, from: Transport, to: Transport) {
        if let Some(gauge) = self.allocations.get(from as usize) {
            gauge.sub(allocations as u64);
        }
        if let Some(gauge) = self.allocations.get(to as usize) {
            gauge.add(allocations as u64);
        }
    }

    pub(crate) fn count_closed(&self, transport: Transport, cause: Cause) {
        if let Some(counter) = self.allocations_closed.get(cause as usize) {
            counter.add(1);
        }
        if let Some(gauge) = self.allocations.get(transport as usize) {
            gauge.sub(1);
        }
    }
}

/// ERROR-CODE is the first attribute of every error that we write.
fn error_code(reply: &[u8]) -> Option<ErrorCode> {
    let attribute = reply.get(HEADER_LEN..)?.first_chunk::<8>()?;
    let [_, _, _, _, _, _, class, number] = *attribute;
    ErrorCode::of_digits([class, number])
}
