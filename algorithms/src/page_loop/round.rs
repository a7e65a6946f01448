//! A round while it is sent, and what the bandwidth is measured over.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime, Span};

use super::PageInput;
use crate::policy::{MEASURING_WINDOW, RoundsSoFar, per_sec};

/// What the bandwidth is measured over.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) slice_began: SimTime,
    pub(super) sent: Bytes,
    pub(super) memory: Bytes,
    pub(super) time: Span,
    /// Whether a whole window has passed before this one.
    pub(super) complete: bool,
}

/// A round that is being sent, or that was sent and is not yet counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) began: SimTime,
    pub(super) duration: Span,
    /// Guest memory.
    pub(super) sent: Bytes,
    /// On the stream.
    pub(super) transferred: Bytes,
}

impl Ended {
    pub(super) fn beginning(now: SimTime) -> Ended {
        Ended { began: now, duration: Span::ZERO, sent: Bytes::ZERO, transferred: Bytes::ZERO }
    }

    pub(super) fn and(self, now: SimTime, across: Across) -> Ended {
        Ended {
            began: self.began,
            duration: now - self.began,
            sent: self.sent + across.memory,
            transferred: self.transferred + across.transferred,
        }
    }
}

/// What is across of what was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Across {
    pub(super) memory: Bytes,
    pub(super) transferred: Bytes,
}

impl Across {
    /// What the input says of `asked`; `None` where it says nothing of that, or too much.
    pub(super) fn of(input: PageInput, asked: Bytes) -> Option<Across> {
        match input {
            PageInput::RoundSent => Some(Across { memory: asked, transferred: asked }),
            PageInput::Sent { memory, transferred } if memory <= asked => {
                Some(Across { memory, transferred })
            }
            _ => None,
        }
    }
}

impl Window {
    /// Brings the measured bandwidth up to date when `memory` is across as `transferred` bytes.
    pub(super) fn measure(
        &mut self,
        now: SimTime,
        memory: Bytes,
        transferred: Bytes,
        so_far: &mut RoundsSoFar,
    ) {
        self.sent += transferred;
        self.memory += memory;
        self.time += now - self.slice_began;
        let whole = self.time >= MEASURING_WINDOW;
        if whole || (!self.complete && self.sent > Bytes::ZERO) {
            so_far.bandwidth = Some(per_sec(self.sent, self.time));
            so_far.memory_rate = Some(per_sec(self.memory, self.time));
        }
        if whole {
            *self = Window { slice_began: now, complete: true, ..Window::default() };
        }
    }
}
