//! Where the working sets of test guests lie: scattered over all memory, as the simulation takes them to lie.
//!
//! What of a set is dirty again before a pass comes to it depends on where it is.

/// An order of all pages in which any that follow each other lie far apart, and any part of it is
/// spread evenly: multiples of the golden section (Knuth, The Art of Computer Programming, vol. 3, 6.4).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scatter {
    /// How many there are.
    pages: u64,
    /// From one to the next, a number that shares no factor with them.
    pub(crate) step: u64,
}

impl Scatter {
    /// An order of so many pages, at least one.
    pub(crate) fn over(pages: u64) -> Scatter {
        let mut step = ((pages as f64 / 1.618_033_988_749_895) as u64).max(1);
        // One that shares a factor with the number of pages would not come to all of them.
        while greatest_common_divisor(step, pages) != 1 {
            step += 1;
        }
        Scatter { pages, step }
    }

    /// Where the page is that stands at `place` in this order.
    pub(crate) fn page(self, place: u64) -> u64 {
        (u128::from(place) * u128::from(self.step) % u128::from(self.pages)) as u64
    }
}

fn greatest_common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Scatter;

    #[test]
    fn no_page_is_anothers_and_every_part_is_spread_over_all() {
        for pages in [1_u64, 2, 3, 256, 1000, 65_536] {
            let scatter = Scatter::over(pages);
            let all: BTreeSet<u64> = (0..pages).map(|place| scatter.page(place)).collect();
            assert_eq!(all.len() as u64, pages);
        }
        let scatter = Scatter::over(65_536);
        for begin in [0, 7000, 50_000] {
            let part: BTreeSet<u64> = (begin..begin + 8000).map(|place| scatter.page(place)).collect();
            for eighth in 0..8 {
                let within = part.range(eighth * 8192..(eighth + 1) * 8192).count();
                assert!((995..=1005).contains(&within), "{within} of 1000");
            }
        }
    }
}
