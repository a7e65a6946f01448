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
//! Hosts are looked at in their order: of two that fill each other's cards, the first receives less, and
//! then no longer fills the card of the second.

use sim_core::ResourceId;

use super::World;
use super::fabric::{Fabric, Line};
use crate::network::{Link, Node};

/// From this share of its capacity on, a direction is full and a line stands before it.
const FULL: f64 = 0.99;

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
                self.lines.push(Line { outgoing, incoming, capacity, delay, stands: false });
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
        for index in 0..self.fabric.lines.len() {
            self.set_line(index, window, false);
        }
        for index in 0..self.fabric.lines.len() {
            let line = self.fabric.lines[index];
            let stands = self.fluid.load(line.outgoing) >= FULL * line.capacity;
            self.set_line(index, window, stands);
        }
    }

    fn set_line(&mut self, index: usize, window: f64, stands: bool) {
        let line = &mut self.fabric.lines[index];
        let behind = window / line.delay.max(f64::MIN_POSITIVE);
        if line.stands != stands && behind < line.capacity {
            line.stands = stands;
            let capacity = if stands { behind } else { line.capacity };
            self.fluid.set_capacity(self.now, line.incoming, capacity);
        }
    }
}
