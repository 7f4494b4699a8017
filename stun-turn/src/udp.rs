//! Batched UDP input and output: one system call for many datagrams, and the local address that a
//! datagram was sent to. The only `unsafe` of the relay.

mod address;
mod errors;
pub(crate) mod raw;
mod receive;
mod send;
mod steering;
#[cfg(test)]
mod tests;

pub(crate) use address::{report_destination, report_original_destination, widen_buffers};
pub(crate) use errors::{forbid_fragments, receive_error, report_errors};
pub(crate) use receive::{Received, RecvBatch, SLOTS, coalesce_received};
pub(crate) use send::{Sender, Sent, Transmit};
pub(crate) use steering::Steering;

/// Messages that one system call may receive or send.
pub(crate) const BATCH: usize = 64;

const EMPTY_VECTOR: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};
