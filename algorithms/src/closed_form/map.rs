//! The convergence map: for which bandwidths and dirty rates, or downtime limits, pre-copy converges.

use serde::{Deserialize, Serialize};
use sim_core::math;

use super::convergence::{FixedPoint, StopAt};

/// Columns and rows to either side of the guest as it is.
const TO_EITHER_SIDE: i32 = 8;
/// How far apart neighbours are, as a ratio: two steps are a doubling.
const STEP: f64 = std::f64::consts::SQRT_2;

/// What the bandwidth is shown against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// How many times as fast the guest dirties its memory.
    DirtyRate,
    /// The pause that is tolerated, in seconds.
    DowntimeLimit,
}

/// Where pre-copy converges, and in how many passes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConvergenceMap {
    /// What the rows are.
    pub against: Against,
    /// Bytes per second of each column, growing.
    pub rates: Vec<f64>,
    /// The value of each row, growing: a factor, or seconds.
    pub rows: Vec<f64>,
    /// By row, by column: the passes until it converges; `None` where it does not.
    pub passes: Vec<Vec<Option<u32>>>,
    /// The column and the row of the guest as it is.
    pub here: (usize, usize),
}

impl ConvergenceMap {
    /// The map around a guest; `None` against the downtime limit where the page loop stops at a number of
    /// bytes. No more than `most_passes` count as convergence.
    pub fn around(
        guest: &FixedPoint<'_>,
        against: Against,
        most_passes: Option<u32>,
    ) -> Option<ConvergenceMap> {
        let limit = match (against, guest.stop) {
            (Against::DirtyRate, _) => 1.0,
            (Against::DowntimeLimit, StopAt::Seconds(seconds)) => seconds,
            (Against::DowntimeLimit, StopAt::Bytes(_)) => return None,
        };
        let around = |middle: f64| -> Vec<f64> {
            (-TO_EITHER_SIDE..=TO_EITHER_SIDE).map(|steps| middle * math::powi(STEP, steps)).collect()
        };
        let (rates, rows) = (around(guest.rate), around(limit));
        let cell = |row: f64, rate: f64| {
            let passes = match against {
                Against::DirtyRate => {
                    let dirtied = |seconds: f64| (guest.dirtied)(seconds * row);
                    FixedPoint { rate, dirtied: &dirtied, ..*guest }.test().passes
                }
                Against::DowntimeLimit => {
                    FixedPoint { rate, stop: StopAt::Seconds(row), ..*guest }.test().passes
                }
            };
            passes.filter(|passes| most_passes.is_none_or(|most| *passes <= most))
        };
        let passes = rows.iter().map(|row| rates.iter().map(|rate| cell(*row, *rate)).collect()).collect();
        let here = (TO_EITHER_SIDE as usize, TO_EITHER_SIDE as usize);
        Some(ConvergenceMap { against, rates, rows, passes, here })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_dirty_rate_divides_the_map_along_its_diagonal() {
        let dirtied = |seconds: f64| 100.0 * seconds;
        let guest = FixedPoint { memory: 1e6, rate: 120.0, stop: StopAt::Seconds(0.3), dirtied: &dirtied };
        let map = ConvergenceMap::around(&guest, Against::DirtyRate, None).unwrap_or_else(|| unreachable!());
        for (row, factor) in map.rows.iter().enumerate() {
            for (column, rate) in map.rates.iter().enumerate() {
                assert_eq!(map.passes[row][column].is_some(), 100.0 * factor < *rate, "{factor} at {rate}");
            }
        }
    }
}
