//! Closed forms of the literature, to stand beside the simulation.
//!
//! - Liu et al., HPDC 2011: for a constant dirty rate D and transfer rate R, λ = D/R, round i sends
//!   V·λ^i, and n rounds bring the dirty set under a threshold, n = ⌈log_λ(V_thd/V)⌉.
//! - Akoush et al., MASCOTS 2010: V/L + o ≤ total time ≤ (5V − 1 page)/L + o for Xen's stop rules.
//! - [`convergence`]: the fixed point of any D(t) that does not fall; [`map`]: where it is.

pub mod convergence;
pub mod map;

use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, ByteRate, Bytes, PAGE_SIZE, Span};

/// One round as a closed form predicts it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClosedFormRound {
    /// From 1.
    pub round: u32,
    /// Bytes sent in the round.
    pub bytes_sent: f64,
    /// Seconds that it takes.
    pub duration_s: f64,
    /// Bytes dirty when it ends.
    pub dirty_bytes_left: f64,
}

/// What Liu's series is a function of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiuSeries {
    /// V: what the first round sends.
    pub memory: Bytes,
    /// D, constant.
    pub dirty_rate: ByteRate,
    /// No more than this is ever dirty after the first round.
    pub working_set: Bytes,
    /// R, constant.
    pub rate: Bandwidth,
    /// V_thd: what may be left for the last round.
    pub threshold: Bytes,
    /// Rounds at most, the last included.
    pub most_rounds: u32,
}

impl LiuSeries {
    /// Round i sends V·λ^(i−1) bytes, with λ = D/R; the last is the first that sends no more than the
    /// threshold. λ ≥ 1 does not converge: every round then sends the working set, to the limit.
    pub fn rounds(&self) -> Vec<ClosedFormRound> {
        let transfer = self.rate.bytes_per_sec_f64();
        let lambda = self.dirty_rate.as_f64() / transfer;
        let mut rounds = Vec::new();
        let mut bytes_sent = self.memory.as_f64();
        for round in 1..=self.most_rounds {
            let dirtied = (bytes_sent * lambda).min(self.working_set.as_f64());
            let is_last = round == self.most_rounds || (round > 1 && bytes_sent <= self.threshold.as_f64());
            // Nothing is dirtied in the last round: the guest is paused.
            let dirty_bytes_left = if is_last { 0.0 } else { dirtied };
            rounds.push(ClosedFormRound {
                round,
                bytes_sent,
                duration_s: bytes_sent / transfer,
                dirty_bytes_left,
            });
            if is_last {
                break;
            }
            bytes_sent = dirtied;
        }
        rounds
    }
}

/// The shortest and longest total migration time for memory V, link rate L and overhead o.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// V/L + o.
    pub at_least: Span,
    /// (5V − 1 page)/L + o.
    pub at_most: Span,
}

/// Akoush's bounds on total migration time under Xen's stop rules (29 rounds, 50 pages, 3 × memory).
pub fn akoush_bounds(memory: Bytes, link: Bandwidth, overhead: Span) -> Bounds {
    let worst = Bytes::new((5 * memory.get()).saturating_sub(PAGE_SIZE));
    Bounds { at_least: link.time_for(memory) + overhead, at_most: link.time_for(worst) + overhead }
}
