//! Which pages of a guest it ever writes: the others are zero, and lie in runs among them.
//!
//! Zeros in one piece would make a part of the memory sent say something else than all of it, and a pass
//! race at its end; the simulation takes them to lie everywhere.

/// Pages in a run: a batch of a migration's.
const RUN: u64 = 64;

/// Where the pages that are written lie among all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Runs in all.
    runs: u64,
    /// Runs with pages that are written.
    written_runs: u64,
}

impl Layout {
    /// `written` of so many `pages`, spread as evenly as runs are.
    pub(crate) fn new(pages: u64, written: u64) -> Layout {
        Layout { runs: pages.div_ceil(RUN), written_runs: written.div_ceil(RUN).max(1) }
    }

    /// The page that is the `number`-th of those that are written.
    pub(crate) fn page(self, number: usize) -> usize {
        let (run, within) = (number as u64 / RUN, number as u64 % RUN);
        // The last run of the memory may be short: it is used only where all are.
        let run = run * self.runs / self.written_runs;
        (run * RUN + within) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Layout;

    #[test]
    fn every_part_of_the_memory_has_its_share_and_no_page_comes_twice() {
        for (pages, written) in [(1, 1), (100, 100), (100, 7), (1000, 999), (1000, 0), (65_536, 32_768)] {
            let layout = Layout::new(pages, written);
            let found: Vec<usize> = (0..written as usize).map(|number| layout.page(number)).collect();
            assert!(found.is_sorted_by(|one, next| one < next), "{written} of {pages}");
            assert!(found.last().is_none_or(|last| (*last as u64) < pages), "{written} of {pages}");
            if written == pages {
                assert!(found.into_iter().eq(0..pages as usize));
            }
        }
        let layout = Layout::new(65_536, 16_384);
        for eighth in 0..8 {
            let part = eighth * 8192..(eighth + 1) * 8192;
            assert_eq!((0..16_384).filter(|number| part.contains(&layout.page(*number))).count(), 2048);
        }
    }
}
