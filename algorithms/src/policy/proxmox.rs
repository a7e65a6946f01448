//! Proxmox VE raises QEMU's downtime limit until pre-copy converges.
//!
//! `PVE/QemuMigrate.pm` (qemu-server): it asks for progress about once a second; a look at which more
//! remains than at the last one is counted, and after more than five of them the limit is doubled and
//! the count begins anew. It starts from the guest's `migrate_downtime`, 100 ms by default.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime, Span};

/// Between two looks.
const LOOK: Span = Span::from_secs(1);
/// More such looks than this double the limit.
const LOOKS: u32 = 5;
/// The limit is doubled no more often than this: 2^20 times 100 ms is more than a day.
const MOST_DOUBLINGS: u32 = 20;

/// The rule; it has no parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubling;

/// How far it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoublingState {
    /// Times that the limit was doubled.
    pub doubled: u32,
    looks: u32,
    looked: SimTime,
    remained: Bytes,
}

impl Doubling {
    /// The state after a count at `now` that found `dirty` bytes. What remains only grows at counts, so
    /// that a look can find more of it only if there was one since the last look.
    pub fn counted(self, state: DoublingState, now: SimTime, dirty: Bytes) -> DoublingState {
        if now.since(state.looked) < LOOK {
            return DoublingState { remained: state.remained.max(dirty), ..state };
        }
        let grew = state.remained > Bytes::ZERO && dirty.as_f64() >= 0.5 * state.remained.as_f64();
        let looks = state.looks + u32::from(grew);
        let next = DoublingState { looks, looked: now, remained: dirty, ..state };
        if looks > LOOKS && next.doubled < MOST_DOUBLINGS {
            return DoublingState { doubled: next.doubled + 1, looks: 0, ..next };
        }
        next
    }
}
