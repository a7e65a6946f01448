//! Acknowledgements that wait in line, and what that does to memory that comes in.
//!
//! A stream carries at most its window in a round trip. Where the host that receives it sends so much
//! itself that its card is full, the acknowledgements wait behind what stands in line there
//! ([`CardTraits::queue`](crate::network::CardTraits)): the round trip gets longer by queue ÷ speed, and
//! so the streams into that host carry less than the card does. Memory that comes into a host is slowed
//! by memory that leaves it, and not the other way round.
//!
//! Measured on Grid'5000 (Kherbache), where several streams into a host were slowed together as one alone:
//! here they share what one window lets through.
//!
//! Hosts are looked at one after the other. Of two that fill each other's cards, the first receives less, and
//! then no longer fills the card of the second: either may win (two windows on two lines have no other
//! balance), and of the pairs measured now the one did and now the other. So they are looked at in both
//! orders, and what a card lets in is the mean of both. The same goes for a card that receives from one that waits
//! itself: sending 0.9 of what it could, it is full now and then (assumption; a line that stands or does not, found
//! by looking until nothing changes, predicted worse).

use sim_core::ResourceId;

use super::World;
use super::fabric::{Fabric, Line};
use crate::network::{Link, Node};

/// From this share of its capacity on, a direction is full and a line stands before it. Two streams that a
/// third card held to 98 % of theirs still made acknowledgements wait (Grid'5000, plan 9).
const FULL: f64 = 0.95;

impl Fabric {
    /// Notes what stands in line where a host sends into `link`.
    pub(super) fn add_lines(&mut self, ends: [&Node; 2], link: &Link, pair: (ResourceId, ResourceId)) {
        let Some(queue) = link.card.queue else {
            return;
        };
        let capacity = link.capacity.bytes_per_sec_f64();
        let delay = queue.as_f64() / capacity;
        let both = [(ends[0], pair.0, pair.1), (ends[1], pair.1, pair.0)];
        for (end, outgoing, incoming) in both {
            // Where both directions share a capacity, there is nothing more to take from one.
            if matches!(end, Node::Host(_)) && outgoing != incoming {
                self.lines.push(Line { outgoing, incoming, capacity, delay, lets_in: capacity });
            }
        }
    }
}

impl World<'_> {
    /// Finds anew before which cards a line stands, after what happened just now.
    pub(super) fn wait_for_acknowledgements(&mut self) {
        let Some(window) = self.model.transport.window.filter(|_| self.fabric.has_lines()) else {
            return;
        };
        let window = window.as_f64() * f64::from(self.model.transport.streams);
        let count = self.fabric.lines.len();
        let upwards = self.let_in_by(window, 0..count);
        if upwards < 2 {
            return;
        }
        let let_in: Vec<f64> = self.fabric.lines.iter().map(|line| line.lets_in).collect();
        self.let_in_by(window, (0..count).rev());
        for (index, upwards) in let_in.into_iter().enumerate() {
            let downwards = self.fabric.lines[index].lets_in;
            self.let_in(index, f64::midpoint(upwards, downwards));
        }
    }

    /// Looks at the hosts in this order; gives how many cards were full before any acknowledgement waited.
    fn let_in_by(&mut self, window: f64, order: impl Iterator<Item = usize>) -> usize {
        for index in 0..self.fabric.lines.len() {
            self.let_in(index, self.fabric.lines[index].capacity);
        }
        let full = (0..self.fabric.lines.len()).filter(|index| self.is_full(*index)).count();
        for index in order {
            if self.is_full(index) {
                let line = self.fabric.lines[index];
                let behind = window / line.delay.max(f64::MIN_POSITIVE);
                self.let_in(index, line.capacity.min(behind));
            }
        }
        full
    }

    fn is_full(&mut self, index: usize) -> bool {
        let line = self.fabric.lines[index];
        self.fluid.load(line.outgoing) >= FULL * line.capacity
    }

    fn let_in(&mut self, index: usize, lets_in: f64) {
        let line = &mut self.fabric.lines[index];
        if line.lets_in != lets_in {
            line.lets_in = lets_in;
            self.fluid.set_capacity(self.now, line.incoming, lets_in);
        }
    }
}
