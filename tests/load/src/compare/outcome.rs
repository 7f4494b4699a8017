//! What became of an offer.

use std::time::Duration;

/// What was sent, what arrived and when.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Flows below this count; one beyond is the hog, who gets what is left.
    calm: usize,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Of these, while the offer lasted: what lay in queues at its end does not count.
    pub(crate) in_time: u64,
    /// Overtaken by a later one of the same flow and direction, or come twice.
    pub(crate) misordered: u64,
    /// How long the offer lasted.
    pub(crate) lasted: Duration,
    /// Of those received, in ns.
    delays: Vec<u32>,
}

impl Outcome {
    pub(crate) const fn new(calm: usize) -> Self {
        Self {
            calm,
            sent: 0,
            received: 0,
            in_time: 0,
            misordered: 0,
            lasted: Duration::ZERO,
            delays: Vec::new(),
        }
    }

    pub(crate) const fn is_calm(&self, flow: usize) -> bool {
        flow < self.calm
    }

    /// A packet came, after a delay in ns.
    pub(crate) fn arrived(&mut self, flow: usize, delay: u64) {
        if self.is_calm(flow) {
            self.received += 1;
            self.delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
        }
    }

    /// Packets per second that the generator sent.
    pub(crate) fn offered(&self) -> f64 {
        self.sent as f64 / self.lasted.as_secs_f64()
    }

    /// Packets per second that arrived meanwhile.
    pub(crate) fn carried(&self) -> f64 {
        self.in_time as f64 / self.lasted.as_secs_f64()
    }

    /// Part of the sent ones that did not arrive.
    pub(crate) fn loss(&self) -> f64 {
        self.sent.saturating_sub(self.received) as f64 / self.sent.max(1) as f64
    }

    /// Delays in µs that these parts of the received ones stayed below.
    pub(crate) fn delays_us<const N: usize>(&mut self, parts: [f64; N]) -> [f64; N] {
        self.delays.sort_unstable();
        let last = self.delays.len().saturating_sub(1);
        parts.map(|part| {
            let place = (self.delays.len() as f64 * part) as usize;
            f64::from(
                self.delays
                    .get(place.min(last))
                    .copied()
                    .unwrap_or_default(),
            ) / 1000.0
        })
    }
}
