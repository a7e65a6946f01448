//! Solving rates again after a change: which activities it can concern, and progressive filling of
//! just these.
//!
//! Progressive filling raises one level through all activities. Up to the lowest level that a
//! change touches, the old filling and the new one are the same step by step:
//!
//! - An activity that has left stood at some level ℓ: until ℓ was reached, none of its resources was
//!   full, and without it they are emptier still.
//! - An activity that has come fills its resources earlier. Where the other members stop at their
//!   old levels, a resource is full at the λ for which
//!   Σ coefficient · weight · min(level, λ) = capacity; before that, nothing differs.
//!
//! The *cut* is the least of these. Activities below the cut keep their rates; those at or above it,
//! and joined to the change through resources by others at or above it, are filled again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::Fluid;
use super::store::{Member, Resource, Share};
use crate::heap::Order;
use crate::time::{SimTime, Span};

/// Relative width within which two rates or levels count as one; far above rounding, far below
/// anything that matters.
const SAME: f64 = 1e-12;
/// The cut is lowered by this, so that rounding leaves no concerned activity above it.
const CUT_MARGIN: f64 = 1e-9;

/// Working space, kept to avoid allocating it for every change.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    /// Even numbers; an activity's mark is this when it is to be filled, this + 1 when it was.
    epoch: u64,
    resource_marks: Vec<u64>,
    resources: Vec<u32>,
    fill: Vec<Fill>,
    activities: Vec<u32>,
    candidates: BinaryHeap<Reverse<Candidate>>,
    moved: Vec<(Order, u32)>,
}

/// A resource while it is filled.
#[derive(Debug, Clone, Copy, Default)]
struct Fill {
    left: f64,
    /// Σ coefficient·weight of its members that still rise.
    slope: f64,
    rising: u32,
}

/// What may stop the rise: a full resource, or an activity's cap. Ordered by level, as the bits of
/// a positive float are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    level: u64,
    limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    Cap(u32),
    Full(u32),
}

impl Fill {
    fn rise(&mut self, member: &Member, share: &Share) {
        self.slope += member.coefficient * share.weight;
        self.rising += 1;
    }

    fn level(&self) -> f64 {
        (self.left / self.slope).max(0.0)
    }
}

impl Fluid {
    /// Solves what has changed, if anything has.
    pub(super) fn settle(&mut self) {
        if !self.changes.is_pending() {
            return;
        }
        let now = self.changes.at;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.begin(self.resources.len());
        let cut = self.cut() * (1.0 - CUT_MARGIN);
        self.collect(cut, &mut scratch);
        self.list_candidates(&mut scratch);
        self.fill(now, &mut scratch);
        self.account(now, &scratch);
        self.completions.set_all(&scratch.moved);
        self.scratch = scratch;
        self.changes.touched.clear();
        self.changes.fresh.clear();
        self.changes.floor = f64::INFINITY;
    }

    /// The lowest level that the changes can touch.
    fn cut(&mut self) -> f64 {
        let mut cut = self.changes.floor;
        self.changes.touched.sort_unstable();
        self.changes.touched.dedup();
        for resource in &self.changes.touched {
            if cut == 0.0 {
                break;
            }
            cut = cut.min(self.full_at(*resource));
        }
        cut
    }

    /// The level at which a resource is full when its members stop at their present levels (the
    /// fresh at their caps); infinite where it never is.
    fn full_at(&self, resource: u32) -> f64 {
        let resource = &self.resources[resource as usize];
        let mut level = 0.0;
        // Newton's method on a concave, piecewise straight line from below: each step that does not
        // end it passes a member's level, so there are at most as many steps as members, and few.
        for _ in 0..=resource.members.len() {
            let (mut stopped, mut slope) = (0.0, 0.0);
            for member in &resource.members {
                let share = &self.shares[member.activity as usize];
                let part = member.coefficient * share.weight;
                if share.level <= level { stopped += part * share.level } else { slope += part }
            }
            if slope == 0.0 {
                return f64::INFINITY;
            }
            let next = (resource.capacity - stopped) / slope;
            if next <= level {
                return level;
            }
            level = next;
        }
        level
    }

    /// Marks the activities that are concerned and the resources that they use, and finds what is
    /// left of each resource beside the activities that keep their rates.
    fn collect(&mut self, cut: f64, scratch: &mut Scratch) {
        for activity in &self.changes.fresh {
            // It may have left again in the same instant.
            if self.shares[*activity as usize].weight > 0.0 {
                scratch.add_activity(&mut self.shares, *activity);
            }
        }
        for resource in &self.changes.touched {
            scratch.add_resource(*resource);
        }
        let (mut next_resource, mut next_activity) = (0, 0);
        while let Some(resource) = scratch.resources.get(next_resource).copied() {
            next_resource += 1;
            self.collect_members(resource, cut, scratch);
            // Where every resource is in already, the activities lead to no further one.
            while scratch.resources.len() < self.resources.len()
                && let Some(activity) = scratch.activities.get(next_activity).copied()
            {
                next_activity += 1;
                for used in self.uses.of(self.shares[activity as usize].uses) {
                    scratch.add_resource(used.resource);
                }
            }
        }
    }

    /// All members at or above the cut rise again; what the others have is not to be shared out.
    fn collect_members(&mut self, resource: u32, cut: f64, scratch: &mut Scratch) {
        let Resource { capacity, members, .. } = &self.resources[resource as usize];
        let mut fill = Fill { left: *capacity, slope: 0.0, rising: 0 };
        for member in members {
            let share = &mut self.shares[member.activity as usize];
            if share.mark == scratch.epoch {
                fill.rise(member, share);
            } else if share.level >= cut {
                share.mark = scratch.epoch;
                scratch.activities.push(member.activity);
                fill.rise(member, share);
            } else {
                fill.left -= member.coefficient * share.rate;
            }
        }
        scratch.fill[resource as usize] = fill;
    }

    /// Lists what may stop the rise.
    fn list_candidates(&self, scratch: &mut Scratch) {
        let mut candidates = std::mem::take(&mut scratch.candidates).into_vec();
        for resource in &scratch.resources {
            let fill = &scratch.fill[*resource as usize];
            if fill.rising > 0 {
                candidates.push(Reverse(Candidate {
                    level: fill.level().to_bits(),
                    limit: Limit::Full(*resource),
                }));
            }
        }
        for activity in &scratch.activities {
            let share = &self.shares[*activity as usize];
            if share.cap.is_finite() {
                let level = share.cap / share.weight;
                candidates.push(Reverse(Candidate { level: level.to_bits(), limit: Limit::Cap(*activity) }));
            }
        }
        scratch.candidates = candidates.into();
    }

    /// Raises the level until every concerned activity has stopped.
    fn fill(&mut self, now: SimTime, scratch: &mut Scratch) {
        let mut rising = scratch.activities.len();
        while rising > 0 {
            let Some(mut next) = scratch.candidates.peek_mut() else {
                unreachable!("an activity has a cap or uses a resource, so something stops it");
            };
            let candidate = next.0;
            if let Limit::Full(resource) = candidate.limit {
                let fill = &scratch.fill[resource as usize];
                // Where others have stopped since it was listed, its level is higher now.
                if fill.rising > 0 && fill.level().to_bits() > candidate.level {
                    next.0.level = fill.level().to_bits();
                    continue;
                }
            }
            PeekMut::pop(next);
            rising -= match candidate.limit {
                Limit::Cap(activity) => self.stop(now, activity, f64::from_bits(candidate.level), scratch),
                Limit::Full(resource) => self.stop_members(now, resource, scratch),
            };
        }
        scratch.candidates.clear();
    }

    /// A resource is full: all its members that still rise stop. Gives their number.
    fn stop_members(&mut self, now: SimTime, resource: u32, scratch: &mut Scratch) -> usize {
        let Fill { rising, .. } = scratch.fill[resource as usize];
        if rising == 0 {
            return 0;
        }
        let level = scratch.fill[resource as usize].level();
        let mut stopped = 0;
        for index in 0..self.resources[resource as usize].members.len() {
            if stopped == rising as usize {
                break;
            }
            let activity = self.resources[resource as usize].members[index].activity;
            stopped += self.stop(now, activity, level, scratch);
        }
        stopped
    }

    /// An activity has reached its level: gives it its rate, and takes its part of its resources.
    /// Gives 1, or 0 where it had stopped before or does not rise.
    fn stop(&mut self, now: SimTime, activity: u32, level: f64, scratch: &mut Scratch) -> usize {
        let share = &mut self.shares[activity as usize];
        if share.mark != scratch.epoch {
            return 0;
        }
        share.mark = scratch.epoch + 1;
        share.level = level;
        let rate = level * share.weight;
        for used in self.uses.of(share.uses) {
            let fill = &mut scratch.fill[used.resource as usize];
            fill.left -= used.coefficient * rate;
            fill.slope -= used.coefficient * share.weight;
            fill.rising -= 1;
        }
        if (rate - share.rate).abs() <= SAME * share.rate {
            return 1;
        }
        let progress = &mut self.progress[activity as usize];
        let done = share.rate * (now - progress.updated).as_secs_f64();
        progress.remaining = (progress.remaining - done).max(0.0);
        progress.updated = now;
        share.rate = rate;
        let time = completion(now, progress.remaining, rate);
        scratch.moved.push((Order { time, sequence: progress.sequence }, activity));
        1
    }

    fn account(&mut self, now: SimTime, scratch: &Scratch) {
        for index in &scratch.resources {
            let resource = &mut self.resources[*index as usize];
            resource.load = (resource.capacity - scratch.fill[*index as usize].left).max(0.0);
            if let Some(meter) = &mut resource.meter {
                meter.set(now, resource.load);
            }
        }
    }
}

/// When `remaining` units are done at `rate`; never where there is no end or no rate.
fn completion(now: SimTime, remaining: f64, rate: f64) -> SimTime {
    if remaining == 0.0 {
        return now;
    }
    // Infinite spans saturate, and so does the sum: never.
    now + Span::from_secs_f64_ceil(remaining / rate)
}

impl Scratch {
    fn begin(&mut self, resources: usize) {
        self.epoch += 2;
        self.resource_marks.resize(resources, 0);
        self.fill.resize(resources, Fill::default());
        self.resources.clear();
        self.activities.clear();
        self.moved.clear();
    }

    fn add_activity(&mut self, shares: &mut [Share], activity: u32) {
        let share = &mut shares[activity as usize];
        if share.mark != self.epoch {
            share.mark = self.epoch;
            self.activities.push(activity);
        }
    }

    fn add_resource(&mut self, resource: u32) {
        let mark = &mut self.resource_marks[resource as usize];
        if *mark != self.epoch {
            *mark = self.epoch;
            self.resources.push(resource);
        }
    }
}
