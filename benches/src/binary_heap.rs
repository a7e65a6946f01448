//! The baseline of the event queue: the standard library's binary heap of (time, order of
//! scheduling, event), as most simulators hold their events.
//!
//! Such a heap cannot move an entry. [`Lazy`] does as is usual then: it schedules the event once
//! more and passes over the old entry when that comes up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sim_core::SimTime;

use crate::hold::{Moving, Pending};

/// A heap whose events only come up.
#[derive(Default)]
pub struct Plain {
    heap: BinaryHeap<Reverse<(SimTime, u64, u32)>>,
    scheduled: u64,
}

impl Pending for Plain {
    fn schedule(&mut self, time: SimTime, event: u32) {
        self.heap.push(Reverse((time, self.scheduled, event)));
        self.scheduled += 1;
    }

    fn pop(&mut self) -> (SimTime, u32) {
        let Reverse((time, _, event)) = self.heap.pop().expect("a held queue is never empty");
        (time, event)
    }
}

/// A heap whose events can be moved, by lazy deletion.
#[derive(Default)]
pub struct Lazy {
    heap: BinaryHeap<Reverse<(SimTime, u64, u32)>>,
    scheduled: u64,
    /// By event: the order of scheduling of its valid entry.
    valid: Vec<u64>,
}

impl Pending for Lazy {
    fn schedule(&mut self, time: SimTime, event: u32) {
        let index = event as usize;
        if self.valid.len() <= index {
            self.valid.resize(index + 1, u64::MAX);
        }
        self.valid[index] = self.scheduled;
        self.heap.push(Reverse((time, self.scheduled, event)));
        self.scheduled += 1;
    }

    fn pop(&mut self) -> (SimTime, u32) {
        loop {
            let Reverse((time, order, event)) = self.heap.pop().expect("a held queue is never empty");
            // An event schedules itself again before its old entries come up: they differ in order.
            if self.valid[event as usize] == order {
                return (time, event);
            }
        }
    }
}

impl Moving for Lazy {
    fn reschedule(&mut self, time: SimTime, event: u32) {
        self.schedule(time, event);
    }
}
