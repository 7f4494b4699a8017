//! What a socket's turn reads: several batches at once, so that it can be weighed before any of it is
//! relayed, and no more than others can wait for.

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use crate::tally::SocketErrors;
use crate::udp::{BATCH, RecvBatch, SLOTS};

/// Slots that one socket may fill before the others have their turn.
const SLOTS_A_TURN: usize = SLOTS;
/// The same for a socket that is behind, which drops most of what it takes
/// ([`FairShare`](super::fair_share::FairShare)).
const SLOTS_TO_CATCH_UP: usize = 4 * SLOTS;
/// Datagrams after which a turn ends, where many come in one slot.
const DATAGRAMS_A_TURN: usize = 1024;

/// What was read at once.
pub(super) struct Window {
    /// Of the batch.
    pub(super) slots: Range<usize>,
    pub(super) datagrams: usize,
    /// Whether there may be more.
    is_full: bool,
}

impl Window {
    /// Fills slots as long as there are any, and datagrams for them; the rest waits for its turn.
    pub(super) fn receive(
        batch: &mut RecvBatch,
        socket: BorrowedFd<'_>,
        errors: &SocketErrors,
    ) -> Self {
        let start = batch.used();
        let mut window = Self {
            slots: start..start,
            datagrams: 0,
            is_full: false,
        };
        for _ in 0..SLOTS / BATCH {
            let room = batch.room();
            match batch.receive(socket) {
                Ok(slots) => {
                    window.is_full = slots.len() == room;
                    window.slots.end = slots.end;
                    window.datagrams += slots.map(|it| batch.get(it).0.count()).sum::<usize>();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    window.is_full = false;
                }
                // An error of an earlier datagram, reported late: asked again, but a socket that ends
                // with an error waits for its next event, for no error may spin.
                Err(error) => {
                    errors.count(&error);
                    window.is_full = false;
                    continue;
                }
            }
            if !window.is_full || batch.room() == 0 || window.datagrams > DATAGRAMS_A_TURN {
                break;
            }
        }
        window
    }

    /// Whether it has more datagrams than slots: some sender's came many at a time.
    pub(super) const fn is_crowded(&self) -> bool {
        self.datagrams > SLOTS
    }
}

/// How much a socket has had of its turn.
pub(super) struct TurnSoFar {
    slots_left: usize,
    datagrams: usize,
}

impl TurnSoFar {
    pub(super) const fn new(is_behind: bool) -> Self {
        let slots_left = match is_behind {
            true => SLOTS_TO_CATCH_UP,
            false => SLOTS_A_TURN,
        };
        Self {
            slots_left,
            datagrams: 0,
        }
    }

    /// Whether there may be more, once the turn is over.
    pub(super) fn ends_after(&mut self, window: &Window) -> Option<bool> {
        self.slots_left = self.slots_left.saturating_sub(window.slots.len());
        self.datagrams += window.datagrams;
        let is_over = self.slots_left == 0 || self.datagrams > DATAGRAMS_A_TURN;
        (!window.is_full || is_over).then_some(window.is_full)
    }
}
