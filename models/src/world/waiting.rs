//! Acknowledgements that wait in line, and what that does to a stream.
//!
//! A stream carries at most its window in a round trip. Where the host that receives it sends so much
//! itself that its card is full, the acknowledgements wait behind what stands in line there
//! ([`CardTraits::queue`](crate::network::CardTraits)): the round trip gets longer by queue ÷ speed, and
//! the stream can be slower than every link on its way. So memory that comes into a host is slowed by
//! memory that leaves it, and not the other way round.
//!
//! Streams are looked at in the order in which their migrations began: of two that would each slow
//! the other, the earlier one is slowed, and then no longer fills its sender's card.

use sim_core::ResourceId;

use super::World;
use super::fabric::{Fabric, Line};
use super::migrating::Sending;
use crate::network::{Link, Node};

/// From this share of its capacity on, a direction is full and a line stands before it.
const FULL: f64 = 0.99;

impl Fabric {
    /// Notes what stands in line where a host sends into `link`.
    pub(super) fn add_queue(&mut self, ends: [&Node; 2], link: &Link, pair: (ResourceId, ResourceId)) {
        let Some(queue) = link.card.queue else {
            return;
        };
        let capacity = link.capacity.bytes_per_sec_f64();
        let both = [(ends[0], pair.0, pair.1), (ends[1], pair.1, pair.0)];
        for (end, outgoing, incoming) in both {
            if matches!(end, Node::Host(_)) {
                let most = outgoing.index().max(incoming.index()) + 1;
                self.queues.resize(most.max(self.queues.len()), None);
                let delay = queue.as_f64() / capacity;
                self.queues[incoming.index()] = Some(Line { outgoing, capacity, delay });
            }
        }
    }

    /// The line in which acknowledgements of what arrives over `incoming` stand.
    fn line_behind(&self, incoming: ResourceId) -> Option<Line> {
        *self.queues.get(incoming.index())?
    }
}

impl World<'_> {
    /// Finds anew which streams are held back by their acknowledgements, after what happened just now.
    pub(super) fn wait_for_acknowledgements(&mut self) {
        if !self.fabric.has_queues() {
            return;
        }
        for index in 0..self.migrations.len() {
            self.set_waiting(index, None);
        }
        for index in 0..self.migrations.len() {
            let cap = self.cap_by_waiting(index);
            self.set_waiting(index, cap);
        }
    }

    /// What a stream's window lets through while its acknowledgements wait; `None` where they do not.
    fn cap_by_waiting(&mut self, index: usize) -> Option<f64> {
        let migrating = self.migrations[index].as_ref()?;
        let settings = &self.model.hosts[migrating.assignment.source.index()].transfer;
        let transport = settings.transport.as_ref().unwrap_or(&self.model.transport);
        let window = transport.window?.as_f64() * f64::from(transport.streams);
        let lines: Vec<Line> =
            migrating.way.load.uses.iter().filter_map(|(link, _)| self.fabric.line_behind(*link)).collect();
        let mut round_trip = 2.0 * migrating.way.latency.as_secs_f64();
        let mut waits = false;
        for line in lines {
            if self.fluid.load(line.outgoing) >= FULL * line.capacity {
                round_trip += line.delay;
                waits = true;
            }
        }
        waits.then_some(window / round_trip)
    }

    fn set_waiting(&mut self, index: usize, waiting: Option<f64>) {
        let Some(migrating) = self.migrations[index].as_mut() else {
            return;
        };
        if let Sending::Flowing(flow) = &mut migrating.sending
            && flow.waiting != waiting
        {
            flow.waiting = waiting;
            let limit = flow.limit.map_or(f64::INFINITY, |limit| limit.bytes_per_sec_f64());
            let cap = migrating.way.load.cap.min(limit).min(waiting.unwrap_or(f64::INFINITY));
            self.fluid.set_cap(self.now, flow.activity, cap);
        }
    }
}
