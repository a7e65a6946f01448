//! What holds activities back, and for how long: asked for by [`Fluid::keep_what_holds_back`].
//!
//! Progressive filling knows it anyway: an activity stops rising when its own cap is reached or
//! when one of its resources is full. Kept here is which, with the time that each lasted. Where
//! several stop it at the same level, the cap counts, then the resource that was added first.

use super::{ActivityId, Fluid, ResourceId};
use crate::time::{SimTime, Span};

/// What keeps an activity from being faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeldBy {
    /// Its own cap.
    Cap,
    /// A resource that is full.
    Resource(ResourceId),
}

/// By the slot of an activity: what has held it back so far.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldBack(Vec<Held>);

#[derive(Debug, Clone, Default)]
struct Held {
    now: Option<HeldBy>,
    since: SimTime,
    earlier: Vec<(HeldBy, Span)>,
}

impl HeldBack {
    pub(super) fn begin(&mut self, slot: u32, now: SimTime) {
        let slot = slot as usize;
        if self.0.len() <= slot {
            self.0.resize_with(slot + 1, Held::default);
        }
        let held = &mut self.0[slot];
        (held.now, held.since) = (None, now);
        held.earlier.clear();
    }

    pub(super) fn set(&mut self, slot: u32, now: SimTime, by: HeldBy) {
        let held = &mut self.0[slot as usize];
        if held.now != Some(by) {
            held.close(now);
            held.now = Some(by);
        }
    }
}

impl Held {
    fn close(&mut self, now: SimTime) {
        let span = now.since(self.since);
        self.since = now;
        let Some(by) = self.now.filter(|_| span > Span::ZERO) else {
            return;
        };
        match self.earlier.iter_mut().find(|(earlier, _)| *earlier == by) {
            Some((_, total)) => *total += span,
            None => self.earlier.push((by, span)),
        }
    }
}

impl Fluid {
    /// Keeps account of what holds activities back, for those that are started from now on. It costs
    /// nothing where it is not asked for.
    pub fn keep_what_holds_back(&mut self) {
        self.held_back.get_or_insert_with(HeldBack::default);
    }

    /// What has held `activity` back from its start until `now`, and for how long each; empty
    /// without [`Fluid::keep_what_holds_back`]. Ask before [`Fluid::cancel`], or after
    /// [`Fluid::pop_due`] gave it and before anything else is started.
    pub fn held_back(&mut self, now: SimTime, activity: ActivityId) -> &[(HeldBy, Span)] {
        if self.changes.at < now {
            self.settle();
        }
        match self.held_back.as_mut().and_then(|all| all.0.get_mut(activity.slot())) {
            Some(held) => {
                held.close(now);
                &held.earlier
            }
            None => &[],
        }
    }
}
