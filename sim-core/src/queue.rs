//! The event queue: what will happen, in order of time, first come first served at equal times.
//!
//! Events are values of the caller's own type, usually an enum, and not closures: a run can then be
//! printed, stored and repeated. A scheduled event can be cancelled or moved by its [`EventKey`];
//! a moved event queues up behind those already waiting at its new time.

use crate::heap::{IndexedHeap, Order};
use crate::time::SimTime;

/// Names a scheduled event, until it has happened or was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventKey {
    slot: u32,
    generation: u32,
}

/// Events of type `E`, ordered by (time, order of scheduling).
#[derive(Debug, Clone)]
pub struct EventQueue<E> {
    order: IndexedHeap<Order>,
    slots: Vec<Slot<E>>,
    free: Vec<u32>,
    scheduled: u64,
}

#[derive(Debug, Clone)]
struct Slot<E> {
    generation: u32,
    event: Option<E>,
}

impl<E> EventQueue<E> {
    /// An empty queue.
    pub fn new() -> EventQueue<E> {
        EventQueue { order: IndexedHeap::new(), slots: Vec::new(), free: Vec::new(), scheduled: 0 }
    }

    /// Schedules `event` at `time`, behind all events already scheduled at that time.
    pub fn schedule(&mut self, time: SimTime, event: E) -> EventKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, event: None });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 events are pending")
        });
        let entry = &mut self.slots[slot as usize];
        entry.event = Some(event);
        let key = EventKey { slot, generation: entry.generation };
        self.place(slot, time);
        key
    }

    /// Moves a pending event to `time`, behind all others there. `false` where it has happened or
    /// was cancelled.
    pub fn reschedule(&mut self, key: EventKey, time: SimTime) -> bool {
        if !self.is_pending(key) {
            return false;
        }
        self.place(key.slot, time);
        true
    }

    /// Cancels a pending event and gives it back; `None` where it has happened or was cancelled.
    pub fn cancel(&mut self, key: EventKey) -> Option<E> {
        if !self.is_pending(key) {
            return None;
        }
        self.order.remove(key.slot);
        self.release(key.slot)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(SimTime, E)> {
        let (Order { time, .. }, slot) = self.order.pop()?;
        let event = self.release(slot)?;
        Some((time, event))
    }

    /// The time of the next event.
    pub fn next_time(&self) -> Option<SimTime> {
        self.order.peek().map(|(order, _)| order.time)
    }

    /// The number of pending events.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts `slot` behind everything that is scheduled at `time`.
    fn place(&mut self, slot: u32, time: SimTime) {
        self.order.set(slot, Order { time, sequence: self.scheduled });
        self.scheduled += 1;
    }

    fn is_pending(&self, key: EventKey) -> bool {
        let current = self.slots.get(key.slot as usize).map(|slot| slot.generation);
        current == Some(key.generation) && self.order.contains(key.slot)
    }

    fn release(&mut self, slot: u32) -> Option<E> {
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
        entry.event.take()
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> EventQueue<E> {
        EventQueue::new()
    }
}

#[cfg(test)]
mod tests {
    use super::EventQueue;
    use crate::time::SimTime;

    fn at(nanos: u64) -> SimTime {
        SimTime::from_nanos(nanos)
    }

    #[test]
    fn equal_times_are_first_come_first_served() {
        let mut queue = EventQueue::new();
        for event in ["a", "b", "c"] {
            queue.schedule(at(5), event);
        }
        queue.schedule(at(1), "first");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(order, ["first", "a", "b", "c"]);
    }

    #[test]
    fn a_moved_event_queues_behind_those_already_there() {
        let mut queue = EventQueue::new();
        let moved = queue.schedule(at(1), "moved");
        queue.schedule(at(5), "there");
        assert!(queue.reschedule(moved, at(5)));
        assert_eq!(queue.pop(), Some((at(5), "there")));
        assert_eq!(queue.pop(), Some((at(5), "moved")));
    }

    #[test]
    fn a_key_is_good_only_once() {
        let mut queue = EventQueue::new();
        let key = queue.schedule(at(1), 1);
        assert_eq!(queue.cancel(key), Some(1));
        assert_eq!(queue.cancel(key), None);
        let again = queue.schedule(at(2), 2);
        assert!(!queue.reschedule(key, at(9)), "the slot was reused, the old key must not reach it");
        assert_eq!(queue.pop(), Some((at(2), 2)));
        assert_eq!(queue.cancel(again), None);
        assert!(queue.is_empty());
    }
}
