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
//! What waits itself no longer fills its sender's card. Into host 1 waits for what host 1 sends, and so what
//! comes into host 0 does not wait for what host 0 sends to host 1:
//!
//! ```text
//! 3 ──▶ 0 ──▶ 1 ──▶ 2      1 ──▶ 2 full; 0 ──▶ 1 waits; no line at 0, 3 ──▶ 0 does not wait
//! ```
//!
//! Where hosts stand in a ring (two that send to each other are the smallest), each would have a line if the next
//! had none. Then a line stands for a share of the time, the same for all that are alike: the share for which the
//! load that it leaves is the load that makes it. It is found by trying (two windows on two lines have no
//! balance of another kind; measured pairs lost now the one and now the other).

use sim_core::ResourceId;

use super::World;
use super::fabric::{Fabric, Line};
use crate::network::{Link, Node};

/// Up to this share of its capacity, no line stands before a direction.
const NO_LINE: f64 = 0.90;

/// From this share on, one stands all the time: two streams that a third card held to 98 % of theirs still made
/// acknowledgements wait (Grid'5000, plan 9). Between the two, in proportion (assumption).
const ALWAYS_A_LINE: f64 = 0.97;

/// Shares of time that differ by less are the same.
const AGREED: f64 = 1e-3;

/// After so many tries the last one is taken.
const TRIES: u32 = 24;

/// A line that may stand, and how long it does.
struct Share {
    /// Its place among the lines.
    line: usize,
    /// Of the time.
    share: f64,
    /// How much of a difference the next try makes up for.
    step: f64,
    /// The last difference, signed.
    difference: f64,
}

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
        for index in 0..self.fabric.lines.len() {
            self.let_in(index, self.fabric.lines[index].capacity);
        }
        let may_stand = (0..self.fabric.lines.len()).filter(|index| self.standing(*index) > 0.0);
        let mut shares: Vec<Share> =
            may_stand.map(|line| Share { line, share: 1.0, step: 0.5, difference: 0.0 }).collect();
        for _ in 0..TRIES {
            if self.try_shares(window, &mut shares) < AGREED {
                break;
            }
        }
    }

    /// Lets lines stand for these shares of the time and corrects the shares by what load is left; gives the
    /// largest difference.
    fn try_shares(&mut self, window: f64, shares: &mut [Share]) -> f64 {
        for each in shares.iter() {
            let line = self.fabric.lines[each.line];
            let behind = (window / line.delay.max(f64::MIN_POSITIVE)).min(line.capacity);
            self.let_in(each.line, line.capacity - each.share * (line.capacity - behind));
        }
        let mut largest: f64 = 0.0;
        for each in shares {
            let difference = self.standing(each.line) - each.share;
            // What turns round was corrected by too much.
            if difference * each.difference < 0.0 {
                each.step *= 0.5;
            }
            each.difference = difference;
            each.share += each.step * difference;
            largest = largest.max(difference.abs());
        }
        largest
    }

    /// For what share of the time a line stands at the load of this moment.
    fn standing(&mut self, index: usize) -> f64 {
        let line = self.fabric.lines[index];
        let load = self.fluid.load(line.outgoing) / line.capacity;
        ((load - NO_LINE) / (ALWAYS_A_LINE - NO_LINE)).clamp(0.0, 1.0)
    }

    fn let_in(&mut self, index: usize, lets_in: f64) {
        let line = &mut self.fabric.lines[index];
        if line.lets_in != lets_in {
            line.lets_in = lets_in;
            self.fluid.set_capacity(self.now, line.incoming, lets_in);
        }
    }
}
