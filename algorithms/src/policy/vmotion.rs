//! VMware's vMotion, as far as it is published.
//!
//! - Pre-copy goes on until what is dirty can be sent within the switch-over time: below a second, half
//!   of one aimed at (VMware, "vMotion Architecture, Performance, and Best Practices in vSphere 5").
//! - Stun During Page Send (SDPS): where a guest dirties memory faster than it is sent, its vCPUs are
//!   put to sleep for milliseconds at a time, until it does not (the same; yellow-bricks.com, 2011).
//! - From where on, and how far, it is slowed down is not published. Assumption: to half of what is sent
//!   in the same time, where it dirties more, so that every pass is half of the one before.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, Span};

use super::{Counted, Next, PreCopyPolicy, RoundsSoFar, StopReason, ThrottleState};

/// A guest that SDPS slows down dirties this share of what is sent.
const SLOWED_TO: f64 = 0.5;

/// vMotion's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VMotion {
    /// Pause when the rest can be sent within this.
    pub switch_over: Span,
    /// Whether guests that are too fast are slowed down.
    pub stun: Stun,
}

/// Whether guests that are too fast are slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stun {
    /// Never.
    Off,
    /// Stun During Page Send.
    DuringPageSend,
}

impl Default for VMotion {
    fn default() -> VMotion {
        VMotion { switch_over: Span::from_millis(500), stun: Stun::DuringPageSend }
    }
}

impl PreCopyPolicy for VMotion {
    fn after_count(&self, so_far: &RoundsSoFar, dirty: Bytes) -> Next {
        let rate = so_far.last.map_or(0.0, |last| last.bytes_per_sec());
        if dirty.as_f64() <= rate * self.switch_over.as_secs_f64() {
            Next::Pause(StopReason::Converged)
        } else {
            Next::Round
        }
    }

    fn throttle(&self, so_far: &RoundsSoFar, _count: &Counted) -> ThrottleState {
        let state = so_far.throttle;
        let Some(last) = so_far.last.filter(|_| self.stun == Stun::DuringPageSend) else {
            return state;
        };
        let (sent, dirtied) = (last.sent.as_f64(), last.dirtied.as_f64());
        if dirtied <= SLOWED_TO * sent || sent == 0.0 {
            return state;
        }
        let running = f64::from(100 - state.percent) / 100.0;
        let slowed = (running * SLOWED_TO * sent / dirtied).min(1.0);
        ThrottleState { percent: ((1.0 - slowed) * 100.0).ceil().clamp(0.0, 99.0) as u32, ..state }
    }
}
