//! The hold model: a queue is held at one size, each step takes the next event and schedules it
//! again (Jones, *An empirical comparison of priority-queue and event-set implementations*, CACM 29
//! (4), 1986).
//!
//! Increments are exponential, so that the pending times are spread from the start as they will be
//! for ever. Migrations are also moved as rates change: [`Moving`] adds that. The increments are
//! drawn in advance; what is measured is the queue.

#![allow(clippy::disallowed_types, reason = "measured, not recorded")]

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};
use rand_pcg::Pcg64;
use sim_core::{EventKey, EventQueue, SimTime, Span};

/// A queue of numbered events.
pub trait Pending: Default {
    /// Schedules `event`, which is not pending, behind all others at `time`.
    fn schedule(&mut self, time: SimTime, event: u32);
    /// Takes the next event; there is one.
    fn pop(&mut self) -> (SimTime, u32);
}

/// A queue whose events can be moved while they are pending.
pub trait Moving: Pending {
    /// Moves `event`, which is pending, behind all others at `time`.
    fn reschedule(&mut self, time: SimTime, event: u32);
}

/// A queue held at one size.
pub struct Hold<Q> {
    queue: Q,
    size: u32,
    now: SimTime,
    draws: Draws,
    steps: u64,
}

/// Of every so many operations, one moves a pending event in [`Hold::step_or_move`].
const MOVE_EVERY: u64 = 10;

impl<Q: Pending> Hold<Q> {
    /// A queue of `size` events, with draws that are always the same.
    pub fn new(size: u32) -> Hold<Q> {
        let mut draws = Draws::new(u64::from(size));
        let mut queue = Q::default();
        for event in 0..size {
            queue.schedule(SimTime::ZERO + draws.increment(), event);
        }
        Hold { queue, size, now: SimTime::ZERO, draws, steps: 0 }
    }

    /// Takes the next event and schedules it again. Gives its time and number.
    pub fn step(&mut self) -> (SimTime, u32) {
        let (time, event) = self.queue.pop();
        self.now = time;
        self.queue.schedule(time + self.draws.increment(), event);
        (time, event)
    }
}

impl<Q: Moving> Hold<Q> {
    /// As [`Hold::step`], but every tenth call moves a random pending event instead. Gives the time
    /// and the number of the event concerned.
    pub fn step_or_move(&mut self) -> (SimTime, u32) {
        self.steps += 1;
        if !self.steps.is_multiple_of(MOVE_EVERY) {
            return self.step();
        }
        let event = self.draws.generator.random_range(0..self.size);
        let time = self.now + self.draws.increment();
        self.queue.reschedule(time, event);
        (time, event)
    }
}

/// Exponential increments from a table that is read round and round, long enough that the queue
/// mixes them and short enough to stay in the cache.
struct Draws {
    increments: Vec<Span>,
    next: usize,
    generator: Pcg64,
}

impl Draws {
    const TABLE: usize = 4096;

    fn new(seed: u64) -> Draws {
        let mut generator = Pcg64::seed_from_u64(seed);
        let draw = |_| Span::from_secs_f64(Distribution::<f64>::sample(&Exp1, &mut generator));
        Draws { increments: (0..Draws::TABLE).map(draw).collect(), next: 0, generator }
    }

    fn increment(&mut self) -> Span {
        self.next = (self.next + 1) % Draws::TABLE;
        self.increments[self.next]
    }
}

impl Pending for EventQueue<u32> {
    fn schedule(&mut self, time: SimTime, event: u32) {
        EventQueue::schedule(self, time, event);
    }

    fn pop(&mut self) -> (SimTime, u32) {
        EventQueue::pop(self).expect("a held queue is never empty")
    }
}

/// Our queue, with the key of each pending event.
#[derive(Default)]
pub struct Keyed {
    queue: EventQueue<u32>,
    keys: Vec<Option<EventKey>>,
}

impl Pending for Keyed {
    fn schedule(&mut self, time: SimTime, event: u32) {
        let index = event as usize;
        if self.keys.len() <= index {
            self.keys.resize(index + 1, None);
        }
        self.keys[index] = Some(self.queue.schedule(time, event));
    }

    fn pop(&mut self) -> (SimTime, u32) {
        Pending::pop(&mut self.queue)
    }
}

impl Moving for Keyed {
    fn reschedule(&mut self, time: SimTime, event: u32) {
        let moved = self.keys[event as usize].is_some_and(|key| self.queue.reschedule(key, time));
        assert!(moved, "event {event} must be pending to be moved");
    }
}
