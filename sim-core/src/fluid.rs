//! Fluid sharing: activities that use several resources at once, at weighted max-min fair rates.
//!
//! An *activity* is an amount of work (bytes to send, say) that flows at a rate. Each unit of its
//! work takes `coefficient` units of every resource that it uses: 1 byte of the source's link, 1.06
//! of the destination's, 0.58 ns of a processor. Rates are shared out by *progressive filling*:
//! all activities rise together, each at its weight, until a resource is full or an activity's
//! own cap is reached; those concerned stop there, the others rise on (Bertsekas & Gallager, Data
//! Networks, §6.5.2). The height at which an activity stops is its *level* = rate ÷ weight.
//!
//! ```text
//!  level ▲      ┌───┐            full: link B
//!        │  ┌───┤   │   ┌───┐    full: link A
//!        │  │ 1 │ 2 │ 3 │ 4 │  ┄ cap of 3
//!        └──┴───┴───┴───┴───┴──▶ activities
//! ```
//!
//! What makes it quick:
//!
//! - Changes at one point in time are solved together, when the next completion is asked for.
//! - A change can only move activities at or above the level that it touches, and only those joined
//!   to it through resources: just these are solved again (see `solve`).
//! - The work left is brought up to date only when a rate changes; completions stand in an indexed
//!   heap; all is held in flat arrays addressed by small numbers.
//!
//! Time is in whole nanoseconds: an activity completes at the first one at which its work is done.

mod solve;
mod store;

use crate::heap::{IndexedHeap, Order};
use crate::meter::Meter;
use crate::time::{SimTime, Span};
use solve::Scratch;
use store::{Member, Progress, Resource, Share, Use, UseArena, UseRange};

/// Names a resource of one [`Fluid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(u32);

/// Names an activity, until it has completed or was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActivityId {
    slot: u32,
    generation: u32,
}

impl ActivityId {
    /// A small number, unique among the activities under way and used again later: an index for
    /// tables beside this one.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// What an activity asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand<'a> {
    /// Resources and how many units of each a unit of work takes; above zero, no resource twice.
    pub uses: &'a [(ResourceId, f64)],
    /// Its share where it competes, against the weights of others.
    pub weight: f64,
    /// Its own highest rate in units of work per second; `f64::INFINITY` for none.
    pub cap: f64,
}

/// Resources and the activities that share them.
#[derive(Debug, Clone, Default)]
pub struct Fluid {
    resources: Vec<Resource>,
    shares: Vec<Share>,
    progress: Vec<Progress>,
    uses: UseArena,
    free: Vec<u32>,
    completions: IndexedHeap<Order>,
    started: u64,
    changes: Changes,
    scratch: Scratch,
}

/// What has changed since rates were last solved, all at the same time `at`.
#[derive(Debug, Clone, Default)]
struct Changes {
    at: SimTime,
    /// No activity below this level can be concerned (but for the fresh).
    floor: f64,
    touched: Vec<u32>,
    fresh: Vec<u32>,
}

impl Fluid {
    /// No resources yet.
    pub fn new() -> Fluid {
        Fluid::default()
    }

    /// Adds a resource that can give `capacity` units per second.
    ///
    /// # Panics
    ///
    /// If the capacity is negative, infinite or not a number.
    pub fn add_resource(&mut self, capacity: f64) -> ResourceId {
        assert!(
            capacity >= 0.0 && capacity.is_finite(),
            "a capacity must be a finite number of zero or more: {capacity}"
        );
        self.resources.push(Resource { capacity, load: 0.0, members: Vec::new(), meter: None });
        ResourceId(self.resources.len() as u32 - 1)
    }

    /// Keeps account of the use of `resource` from now on, in intervals of `interval` at first.
    pub fn meter(&mut self, resource: ResourceId, interval: Span) {
        self.resources[resource.0 as usize].meter = Some(Meter::new(interval));
    }

    /// The meter of `resource`, if it has one.
    pub fn meter_of(&mut self, resource: ResourceId) -> Option<&mut Meter> {
        self.resources[resource.0 as usize].meter.as_mut()
    }

    /// Changes what `resource` can give.
    ///
    /// # Panics
    ///
    /// As [`Fluid::add_resource`] does.
    pub fn set_capacity(&mut self, now: SimTime, resource: ResourceId, capacity: f64) {
        assert!(
            capacity >= 0.0 && capacity.is_finite(),
            "a capacity must be a finite number of zero or more: {capacity}"
        );
        self.begin_change(now);
        self.resources[resource.0 as usize].capacity = capacity;
        // A higher capacity can lift every activity of the component.
        self.changes.floor = 0.0;
        self.changes.touched.push(resource.0);
    }

    /// Starts an activity with `work` units to do (infinite for one that ends only by
    /// [`Fluid::cancel`]).
    ///
    /// # Panics
    ///
    /// If the demand is not as [`Demand`] says, has neither a use nor a cap, or `work` is negative.
    pub fn start(&mut self, now: SimTime, work: f64, demand: &Demand<'_>) -> ActivityId {
        assert!(work >= 0.0, "work must be zero or more: {work}");
        assert!(
            demand.weight > 0.0 && demand.weight.is_finite(),
            "a weight must be above zero: {}",
            demand.weight
        );
        assert!(demand.cap > 0.0, "a cap must be above zero: {}", demand.cap);
        assert!(
            !demand.uses.is_empty() || demand.cap.is_finite(),
            "an activity must use a resource or have a cap"
        );
        self.begin_change(now);
        let slot = self.free_slot();
        let uses = self.join_resources(slot, demand.uses);
        let Demand { weight, cap, .. } = *demand;
        self.shares[slot as usize] = Share { level: cap / weight, weight, rate: 0.0, cap, mark: 0, uses };
        let progress = &mut self.progress[slot as usize];
        *progress = Progress { remaining: work, updated: now, sequence: self.started, ..*progress };
        self.started += 1;
        if work == 0.0 {
            self.completions.set(slot, Order { time: now, sequence: progress.sequence });
        }
        self.changes.fresh.push(slot);
        ActivityId { slot, generation: progress.generation }
    }

    /// Changes the highest rate of an activity. `false` where it is no longer under way.
    ///
    /// # Panics
    ///
    /// If `cap` is zero, negative or not a number.
    pub fn set_cap(&mut self, now: SimTime, activity: ActivityId, cap: f64) -> bool {
        assert!(cap > 0.0, "a cap must be above zero: {cap}");
        if !self.is_active(activity) {
            return false;
        }
        self.begin_change(now);
        let share = &mut self.shares[activity.slot()];
        self.changes.floor = self.changes.floor.min(share.level);
        share.level = cap / share.weight;
        share.cap = cap;
        self.touch_uses(activity.slot);
        self.changes.fresh.push(activity.slot);
        true
    }

    /// Ends an activity and gives the work that was left; `None` where it was no longer under way.
    pub fn cancel(&mut self, now: SimTime, activity: ActivityId) -> Option<f64> {
        let remaining = self.remaining(now, activity)?;
        self.begin_change(now);
        self.completions.remove(activity.slot);
        self.remove(activity.slot);
        Some(remaining)
    }

    /// The work left at `now`, which must not be before the last change; `None` where the activity
    /// is no longer under way.
    pub fn remaining(&self, now: SimTime, activity: ActivityId) -> Option<f64> {
        if !self.is_active(activity) {
            return None;
        }
        let progress = &self.progress[activity.slot()];
        let done = self.shares[activity.slot()].rate * (now - progress.updated).as_secs_f64();
        Some((progress.remaining - done).max(0.0))
    }

    /// The activity's rate in units of work per second, after all changes so far; `None` where it is
    /// no longer under way.
    pub fn rate(&mut self, activity: ActivityId) -> Option<f64> {
        self.settle();
        self.is_active(activity).then(|| self.shares[activity.slot()].rate)
    }

    /// How much of `resource` is in use, in units per second, after all changes so far.
    pub fn load(&mut self, resource: ResourceId) -> f64 {
        self.settle();
        self.resources[resource.0 as usize].load
    }

    /// The time of the next completion, after all changes so far.
    pub fn next_time(&mut self) -> Option<SimTime> {
        self.settle();
        let (Order { time, .. }, _) = self.completions.peek()?;
        (time < SimTime::MAX).then_some(time)
    }

    /// Takes an activity that has completed by `now`, earliest first, then in the order in which they
    /// were started. Call it until it gives `None` before asking for [`Fluid::next_time`] again: the
    /// changes at `now` are then solved once.
    pub fn pop_due(&mut self, now: SimTime) -> Option<ActivityId> {
        let (Order { time, .. }, slot) = self.completions.peek()?;
        if time > now {
            return None;
        }
        self.begin_change(now);
        self.completions.remove(slot);
        let activity = ActivityId { slot, generation: self.progress[slot as usize].generation };
        self.remove(slot);
        Some(activity)
    }

    /// Whether `activity` has neither completed nor been cancelled.
    pub fn is_active(&self, activity: ActivityId) -> bool {
        self.progress.get(activity.slot()).is_some_and(|progress| progress.generation == activity.generation)
    }

    /// The number of activities under way.
    pub fn active(&self) -> usize {
        self.progress.len() - self.free.len()
    }

    /// Changes at another time than those that wait are solved apart from them.
    fn begin_change(&mut self, now: SimTime) {
        if self.changes.at == now && self.changes.is_pending() {
            return;
        }
        self.settle();
        assert!(now >= self.changes.at, "time ran backwards: {now} is before {}", self.changes.at);
        self.changes.at = now;
        self.changes.floor = f64::INFINITY;
    }

    fn free_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.shares.push(Share::ABSENT);
            self.progress.push(Progress {
                remaining: 0.0,
                updated: SimTime::ZERO,
                sequence: 0,
                generation: 0,
            });
            self.progress.len() as u32 - 1
        })
    }

    fn join_resources(&mut self, slot: u32, demanded: &[(ResourceId, f64)]) -> UseRange {
        let range = self.uses.take(demanded.len());
        for (offset, (resource, coefficient)) in demanded.iter().enumerate() {
            assert!(
                *coefficient > 0.0 && coefficient.is_finite(),
                "a coefficient must be above zero: {coefficient}"
            );
            let use_index = range.start + offset as u32;
            let members = &mut self.resources[resource.0 as usize].members;
            let position = members.len() as u32;
            members.push(Member { activity: slot, use_index, coefficient: *coefficient });
            self.uses.uses[use_index as usize] =
                Use { resource: resource.0, position, coefficient: *coefficient };
            self.changes.touched.push(resource.0);
        }
        range
    }

    fn touch_uses(&mut self, slot: u32) {
        let uses = self.uses.of(self.shares[slot as usize].uses);
        self.changes.touched.extend(uses.iter().map(|each| each.resource));
    }

    fn remove(&mut self, slot: u32) {
        let progress = &mut self.progress[slot as usize];
        progress.generation = progress.generation.wrapping_add(1);
        self.touch_uses(slot);
        let share = std::mem::replace(&mut self.shares[slot as usize], Share::ABSENT);
        self.changes.floor = self.changes.floor.min(share.level);
        let range = share.uses;
        for index in range.start..range.start + range.len {
            let Use { resource, position, .. } = self.uses.uses[index as usize];
            let members = &mut self.resources[resource as usize].members;
            members.swap_remove(position as usize);
            if let Some(moved) = members.get(position as usize) {
                self.uses.uses[moved.use_index as usize].position = position;
            }
        }
        self.uses.give_back(range);
        self.free.push(slot);
    }
}

impl Changes {
    fn is_pending(&self) -> bool {
        !self.touched.is_empty() || !self.fresh.is_empty()
    }
}
