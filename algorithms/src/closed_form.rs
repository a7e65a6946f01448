//! Closed forms of the literature, to stand beside the simulation.
//!
//! - Liu et al., HPDC 2011: for a constant dirty rate D and transfer rate R, λ = D/R, round i sends
//!   V·λ^i, and n rounds bring the dirty set under a threshold, n = ⌈log_λ(V_thd/V)⌉.
//! - Akoush et al., MASCOTS 2010: V/L + o ≤ total time ≤ (5V − 1 page)/L + o for Xen's stop rules.

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

/// Liu's series for at most `limit` rounds: round i sends V·λ^(i−1) bytes. The last round is the
/// first whose predecessor left no more than `threshold`, or round `limit`.
///
/// λ ≥ 1 does not converge: the series then grows until `limit`, capped at `memory`.
pub fn liu_series(
    memory: Bytes,
    dirty_rate: ByteRate,
    rate: Bandwidth,
    threshold: Bytes,
    limit: u32,
) -> Vec<ClosedFormRound> {
    let transfer = rate.bytes_per_sec_f64();
    let lambda = dirty_rate.as_f64() / transfer;
    let mut rounds = Vec::new();
    let mut bytes_sent = memory.as_f64();
    for round in 1..=limit {
        let dirty_bytes_left = (bytes_sent * lambda).min(memory.as_f64());
        rounds.push(ClosedFormRound {
            round,
            bytes_sent,
            duration_s: bytes_sent / transfer,
            dirty_bytes_left,
        });
        if bytes_sent <= threshold.as_f64() && round > 1 {
            break;
        }
        bytes_sent = dirty_bytes_left;
    }
    rounds
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
