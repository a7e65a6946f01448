//! What the page loop is told, what it wants done, and how it ends.

use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Bytes, SimTime};

use crate::policy::StopReason;

/// What the loop is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PageInput {
    /// Begin: all memory is dirty.
    Begin,
    /// What was to be sent is across, byte for byte.
    RoundSent,
    /// What was to be sent is across, where its pages are not all the same to the stream.
    Sent {
        /// Guest memory that was sent: what was asked for, less what was skipped because it is dirty
        /// again.
        memory: Bytes,
        /// What it took on the stream.
        transferred: Bytes,
    },
    /// The dirty memory was counted; this much is dirty now, the unsent included.
    Counted {
        /// All that is dirty.
        dirty: Bytes,
    },
    /// The guest stands still.
    Paused,
    /// The guest runs at the destination.
    Resumed,
    /// Pause after this round, whatever the policy says.
    ForcePause,
}

/// What the loop wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PageCommand {
    /// Send `bytes` of dirty memory; answer [`PageInput::RoundSent`].
    Send {
        /// How much.
        bytes: Bytes,
        /// At most at this rate.
        limit: Option<Bandwidth>,
        /// Whether this begins a round, which costs a trip over the network.
        opening: Opening,
    },
    /// Count what is dirty and reset the log; answer [`PageInput::Counted`].
    Count {
        /// Dirty already, since the last pass left it.
        unsent: Bytes,
    },
    /// Keep the guest's processors from running for this share of the time. There is no answer.
    Throttle {
        /// From 0 to 99.
        percent: u32,
    },
    /// Stop the guest; answer [`PageInput::Paused`].
    Pause,
    /// Hand over: start the guest at the destination; answer [`PageInput::Resumed`].
    Resume,
}

/// Whether sending begins a round or goes on with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opening {
    /// The first slice of a round.
    Round,
    /// A further slice of the same round.
    Slice,
    /// The rest, while the guest runs at the destination and asks for the pages that it misses.
    PostCopy,
}

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PagesMoved {
    /// Why the last round was the last.
    pub reason: StopReason,
    /// When the guest was told to pause.
    pub paused: SimTime,
    /// When it ran again.
    pub resumed: SimTime,
}
