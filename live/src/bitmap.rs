//! A set of pages.

use sim_core::{Bytes, Pages};

/// Pages of one guest, a bit for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    pages: usize,
    count: usize,
}

impl Bitmap {
    /// None of `pages`.
    pub fn none(pages: usize) -> Bitmap {
        Bitmap { words: vec![0; pages.div_ceil(64)], pages, count: 0 }
    }

    /// All of `pages`.
    pub fn all(pages: usize) -> Bitmap {
        let mut bitmap = Bitmap::none(pages);
        bitmap.insert(0, pages);
        bitmap
    }

    /// Memory in it.
    pub fn bytes(&self) -> Bytes {
        Pages::new(self.count as u64).bytes()
    }

    /// Puts the pages from `start` up to `end` in.
    ///
    /// # Panics
    ///
    /// If there are no such pages.
    pub fn insert(&mut self, start: usize, end: usize) {
        assert!(end <= self.pages, "page {end} of {}", self.pages);
        let mut page = start;
        while page < end {
            let (word, bit) = (page / 64, page % 64);
            let take = (end - page).min(64 - bit);
            let mask = (u64::MAX >> (64 - take)) << bit;
            self.count += (mask & !self.words[word]).count_ones() as usize;
            self.words[word] |= mask;
            page += take;
        }
    }

    /// Pages in it.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether a page is in it.
    pub fn contains(&self, page: usize) -> bool {
        self.words.get(page / 64).is_some_and(|word| word & (1 << (page % 64)) != 0)
    }

    /// Takes a page out; whether it was in.
    pub fn remove(&mut self, page: usize) -> bool {
        let was = self.contains(page);
        if was {
            self.words[page / 64] &= !(1 << (page % 64));
            self.count -= 1;
        }
        was
    }

    /// Runs of pages that are in it, each from its first up to the one after its last.
    pub fn runs(&self) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for page in (0..self.pages).filter(|page| self.contains(*page)) {
            match runs.last_mut() {
                Some((_, end)) if *end == page => *end += 1,
                _ => runs.push((page, page + 1)),
            }
        }
        runs
    }

    /// The bits of these words, for sending: 64 pages each.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Puts the pages of this word in, which came from another; whether there are such pages.
    pub fn insert_word(&mut self, at: usize, bits: u64) -> bool {
        let last = self.pages % 64;
        let beyond = at + 1 == self.words.len() && last > 0 && bits >> last != 0;
        let Some(word) = self.words.get_mut(at).filter(|_| !beyond) else {
            return false;
        };
        self.count += (bits & !*word).count_ones() as usize;
        *word |= bits;
        true
    }

    /// Takes out the next page at or after `from`, coming round to the first.
    pub fn take_from(&mut self, from: usize) -> Option<usize> {
        let page = self.find(from).or_else(|| self.find(0))?;
        self.words[page / 64] &= !(1 << (page % 64));
        self.count -= 1;
        Some(page)
    }

    fn find(&self, from: usize) -> Option<usize> {
        let first = *self.words.get(from / 64)? & (u64::MAX << (from % 64));
        if first != 0 {
            return Some(from / 64 * 64 + first.trailing_zeros() as usize);
        }
        let words = self.words.iter().enumerate().skip(from / 64 + 1);
        words
            .filter(|(_, word)| **word != 0)
            .map(|(at, word)| at * 64 + word.trailing_zeros() as usize)
            .next()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Bitmap;

    proptest! {
        /// It does what a set does, and takes out in cyclic order.
        #[test]
        fn a_bitmap_is_a_set(
            ranges in proptest::collection::vec((0usize..300, 0usize..90), 0..12), from in 0usize..300
        ) {
            let mut bitmap = Bitmap::none(400);
            let mut set = BTreeSet::new();
            for (start, length) in ranges {
                bitmap.insert(start, start + length);
                set.extend(start..start + length);
            }
            prop_assert_eq!(bitmap.count, set.len());
            let expected: Vec<usize> = set.range(from..).chain(set.range(..from)).copied().collect();
            let mut at = from;
            let mut taken = Vec::new();
            while let Some(page) = bitmap.take_from(at) {
                taken.push(page);
                at = page + 1;
            }
            prop_assert_eq!(taken, expected);
            prop_assert_eq!(bitmap.bytes().get(), 0);
        }
    }
}
