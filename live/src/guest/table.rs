//! How often each page was written: what memory must say.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::bitmap::Bitmap;
use crate::memory::Memory;
use crate::stamp::{self, Found};

/// The value for a page that arrived torn.
const TORN: u64 = u64::MAX;

/// A page that is written so fast that it cannot be looked at between two writes.
const MOST_LOOKS: usize = 1000;

/// For each page twice the writes made to it, and one more while the next is made.
#[derive(Debug)]
pub struct Table(Vec<AtomicU64>);

impl Table {
    /// Of pages that were never written.
    pub fn new(pages: usize) -> Table {
        Table((0..pages).map(|_| AtomicU64::new(0)).collect())
    }

    /// A write begins; the number that it has.
    pub(crate) fn begin_write(&self, page: usize) -> u64 {
        let writes = self.0[page].load(Ordering::Relaxed) / 2;
        self.0[page].store(2 * writes + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        writes + 1
    }

    /// The write of this number is done.
    pub(crate) fn end_write(&self, page: usize, sequence: u64) {
        self.0[page].store(2 * sequence, Ordering::Release);
    }

    /// Takes what arrived in `memory` as what must be there, or as torn.
    pub(crate) fn take_over(&self, memory: &Memory, page: usize) {
        self.note(page, stamp::read(memory.words(page), page as u64));
    }

    /// Takes what was found as what must be there, or as torn; how that stands here.
    pub(crate) fn note(&self, page: usize, found: Found) -> u64 {
        let value = match found {
            Found::Zero => 0,
            Found::Whole { sequence } => sequence.saturating_mul(2),
            Found::Torn => TORN,
        };
        self.0[page].store(value, Ordering::Release);
        value
    }

    /// The [`digest`] of the pages that are not in this set.
    pub(crate) fn digest_without(&self, missing: &Bitmap) -> u64 {
        let present = (0..self.0.len()).filter(|page| !missing.contains(*page));
        present.fold(0, |sum, page| {
            sum.wrapping_add(stamp::fingerprint(page as u64, self.0[page].load(Ordering::Relaxed)))
        })
    }

    /// What is wrong with a page, if anything; one that is being written is looked at again.
    pub(crate) fn problem(&self, memory: &Memory, page: usize) -> Option<String> {
        for _ in 0..MOST_LOOKS {
            let before = self.0[page].load(Ordering::Acquire);
            let found = stamp::read(memory.words(page), page as u64);
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.0[page].load(Ordering::Relaxed) == before {
                return problem(page, before / 2, found);
            }
            std::thread::yield_now();
        }
        None
    }
}

fn problem(page: usize, writes: u64, found: Found) -> Option<String> {
    match found {
        Found::Zero if writes == 0 => None,
        Found::Whole { sequence } if sequence == writes => None,
        Found::Zero => Some(format!("page {page} is zero and was written {writes} times")),
        Found::Whole { sequence } => {
            Some(format!("page {page} has write {sequence} and was written {writes} times"))
        }
        Found::Torn => Some(format!("page {page}, written {writes} times, is torn")),
    }
}

/// One number for all pages and how often each was written. Source and destination agree on it
/// exactly when no write was lost and no page is torn.
pub fn digest(table: &Table) -> u64 {
    let pages = table.0.iter().zip(0..);
    pages.fold(0, |sum, (writes, page)| {
        u64::wrapping_add(sum, stamp::fingerprint(page, writes.load(Ordering::Relaxed)))
    })
}
