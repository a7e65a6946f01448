//! How resources and activities are held: flat arrays, tied to each other by numbers.
//!
//! An activity and a resource that it uses each know where the other keeps the tie, so that it is
//! cut in constant time. What solving touches ([`Share`]) is kept apart from what it does not
//! ([`Progress`]), to be compact in the cache.

use crate::meter::Meter;
use crate::time::SimTime;

#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) capacity: f64,
    pub(super) load: f64,
    pub(super) members: Vec<Member>,
    pub(super) meter: Option<Meter>,
}

/// An activity as a resource sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) activity: u32,
    /// Where the activity keeps the other end of this tie, in the arena.
    pub(super) use_index: u32,
    pub(super) coefficient: f64,
}

/// What solving reads and writes of an activity; kept apart from the rest, to be compact.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) level: f64,
    pub(super) weight: f64,
    pub(super) rate: f64,
    pub(super) cap: f64,
    pub(super) mark: u64,
    pub(super) uses: UseRange,
}

/// The rest of an activity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// Work left at `updated`; infinite for an activity without end.
    pub(super) remaining: f64,
    pub(super) updated: SimTime,
    pub(super) sequence: u64,
    pub(super) generation: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct UseRange {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// A resource as an activity sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) resource: u32,
    /// Where the activity stands among the resource's members.
    pub(super) position: u32,
    pub(super) coefficient: f64,
}

/// All the activities' uses in one array; ranges that were given back are used again by length.
#[derive(Debug, Clone, Default)]
pub(super) struct UseArena {
    pub(super) uses: Vec<Use>,
    pub(super) free_by_len: Vec<Vec<u32>>,
}

impl Share {
    /// In a slot that no activity has.
    pub(super) const ABSENT: Share =
        Share { level: 0.0, weight: 0.0, rate: 0.0, cap: 0.0, mark: 0, uses: UseRange { start: 0, len: 0 } };
}

impl UseArena {
    pub(super) fn take(&mut self, len: usize) -> UseRange {
        let free = self.free_by_len.get_mut(len).and_then(Vec::pop);
        let start = free.unwrap_or_else(|| {
            let start = self.uses.len();
            self.uses.resize(start + len, Use { resource: 0, position: 0, coefficient: 0.0 });
            start as u32
        });
        UseRange { start, len: len as u32 }
    }

    pub(super) fn give_back(&mut self, range: UseRange) {
        let len = range.len as usize;
        if self.free_by_len.len() <= len {
            self.free_by_len.resize(len + 1, Vec::new());
        }
        self.free_by_len[len].push(range.start);
    }

    pub(super) fn of(&self, range: UseRange) -> &[Use] {
        &self.uses[range.start as usize..(range.start + range.len) as usize]
    }
}
