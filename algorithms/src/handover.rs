//! Handing a guest over so that there is exactly one of it, whatever breaks and whenever.
//!
//! Two-phase commit with the source as its coordinator. Each side keeps its phase on disk, and acts
//! only on what is there:
//!
//! ```text
//!  source   Undecided ──Commit──▶ Committed ──DestinationRuns──▶ Released
//!               │                     │ the destination has renounced
//!               └──────TakeBack───────┴──▶ TakenBack
//!
//!  destination   Receiving ──Prepare──▶ Prepared ──Commit──▶ Running
//!                    └──────Renounce────────┼──▶ Renounced     ▲ MemoryCame, MemoryLost
//!                                           └──CommitEarly──▶ PostCopying
//! ```
//!
//! In post-copy the destination owns the guest from `PostCopying` on, and the source stays `Committed` until all
//! memory has followed: it has what is missing. Where it has lost that, nobody has the guest's memory, and
//! the destination goes on with a guest that is started anew.
//!
//! The source may run the guest while `Undecided` and when it is `TakenBack`; the destination when it is
//! `Running`. Both at once cannot be: the destination comes to `Running` by a commit only, which the
//! source sends only when it is `Committed`; and from there it comes back only when the destination has
//! renounced, after which that refuses to run. `algorithms/tests/handover.rs` looks at every
//! reachable state, messages lost, doubled and late, and either side killed at any moment.
//!
//! Other than the textbook's participant, a prepared destination may renounce by itself: it
//! must, when it has lost the memory, and the source, which still has it, can then take the guest back.

use serde::{Deserialize, Serialize};

use crate::machine::Refused;

/// What the source's disk says of a hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourcePhase {
    /// The guest is the source's; nothing has been promised.
    Undecided,
    /// The guest is the destination's, which may not know it yet.
    Committed,
    /// The destination runs the guest; the source has let go of its memory.
    Released,
    /// The guest is the source's, for good.
    TakenBack,
}

/// What the destination's disk says of a hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationPhase {
    /// Memory is coming.
    Receiving,
    /// All of it is there; the guest waits for the source's decision.
    Prepared,
    /// The guest is the destination's.
    Running,
    /// The guest is the destination's, and part of its memory is still with the source.
    PostCopying,
    /// It will never run the guest by this hand-over.
    Renounced,
}

/// What moves a source on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceStep {
    /// The destination is prepared, and nothing speaks against it.
    Commit,
    /// Give up.
    TakeBack,
    /// The destination has said that it runs the guest.
    DestinationRuns,
    /// The destination has said that it never will.
    DestinationRenounced,
}

/// What moves a destination on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DestinationStep {
    /// All memory is there and is right.
    Prepare,
    /// The source has decided for it.
    Commit,
    /// The same, before all memory is there.
    CommitEarly,
    /// All memory has followed.
    MemoryCame,
    /// The rest of the memory never will follow: the guest is started anew.
    MemoryLost,
    /// Give up, by itself or because the source has taken the guest back.
    Renounce,
}

impl SourcePhase {
    /// The phase after `step`; the same where it was taken before.
    ///
    /// # Errors
    ///
    /// [`Refused`] where `step` may not be taken.
    pub fn after(self, step: SourceStep) -> Result<SourcePhase, Refused> {
        use {SourcePhase as Phase, SourceStep as Step};
        match (self, step) {
            (Phase::Undecided | Phase::Committed, Step::Commit) => Ok(Phase::Committed),
            (Phase::Undecided | Phase::TakenBack, Step::TakeBack) => Ok(Phase::TakenBack),
            (Phase::Committed | Phase::Released, Step::DestinationRuns) => Ok(Phase::Released),
            (Phase::Undecided | Phase::Committed | Phase::TakenBack, Step::DestinationRenounced) => {
                Ok(Phase::TakenBack)
            }
            (phase, step) => Err(Refused { input: format!("{step:?}"), state: format!("{phase:?}") }),
        }
    }

    /// The phase in which a source finds itself when it was killed and starts again. What was not
    /// decided is decided against.
    pub fn restarted(self) -> SourcePhase {
        match self {
            SourcePhase::Undecided => SourcePhase::TakenBack,
            decided => decided,
        }
    }

    /// Whether the guest is the source's.
    pub fn owns(self) -> bool {
        matches!(self, SourcePhase::Undecided | SourcePhase::TakenBack)
    }
}

impl DestinationPhase {
    /// The phase after `step`; the same where it was taken before.
    ///
    /// # Errors
    ///
    /// [`Refused`] where `step` may not be taken.
    pub fn after(self, step: DestinationStep) -> Result<DestinationPhase, Refused> {
        use {DestinationPhase as Phase, DestinationStep as Step};
        match (self, step) {
            (Phase::Receiving | Phase::Prepared, Step::Prepare) => Ok(Phase::Prepared),
            (Phase::Prepared | Phase::Running, Step::Commit) => Ok(Phase::Running),
            (Phase::Prepared | Phase::PostCopying, Step::CommitEarly) => Ok(Phase::PostCopying),
            (Phase::PostCopying | Phase::Running, Step::MemoryCame | Step::MemoryLost) => Ok(Phase::Running),
            (Phase::Receiving | Phase::Prepared | Phase::Renounced, Step::Renounce) => Ok(Phase::Renounced),
            (phase, step) => Err(Refused { input: format!("{step:?}"), state: format!("{phase:?}") }),
        }
    }

    /// The phase in which a destination finds itself when it was killed and starts again: the memory
    /// that it had received is gone. What is its own it starts anew.
    pub fn restarted(self) -> DestinationPhase {
        match self {
            DestinationPhase::PostCopying => DestinationPhase::Running,
            DestinationPhase::Receiving | DestinationPhase::Prepared => DestinationPhase::Renounced,
            decided => decided,
        }
    }

    /// Whether the guest is the destination's.
    pub fn owns(self) -> bool {
        matches!(self, DestinationPhase::Running | DestinationPhase::PostCopying)
    }
}

/// What brings a hand-over to its end, when both sides can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Nothing: it has ended, or is still going on by itself.
    Nothing,
    /// Tell the destination to commit: the decision stands.
    Commit,
    /// Tell the source that the destination runs the guest.
    Release,
    /// Tell the source that the destination never will.
    TakeBack,
    /// Tell the destination that the source has the guest.
    Renounce,
    /// Tell the source to send what is missing; one that has lost it lets go of the guest.
    Deliver,
    /// Tell the destination that nobody has what is missing: it starts the guest anew.
    Anew,
}

/// What to do about a hand-over of which the two sides say this; a side that knows nothing of it
/// is `None`. Apply and ask again until it is [`Resolution::Nothing`].
pub fn resolve(source: Option<SourcePhase>, destination: Option<DestinationPhase>) -> Resolution {
    use {DestinationPhase as There, SourcePhase as Here};
    match (source, destination) {
        (Some(Here::Committed), Some(There::Prepared)) => Resolution::Commit,
        (Some(Here::Committed), Some(There::Running)) => Resolution::Release,
        (Some(Here::Committed), Some(There::PostCopying)) => Resolution::Deliver,
        (Some(Here::Released) | None, Some(There::PostCopying)) => Resolution::Anew,
        // A destination that knows nothing of it cannot come to run the guest either.
        (Some(Here::Committed), Some(There::Renounced) | None) => Resolution::TakeBack,
        // Cannot be by the rules above; left for a person to look at.
        (Some(Here::Committed), Some(There::Receiving)) => Resolution::Nothing,
        (Some(Here::TakenBack) | None, Some(There::Receiving | There::Prepared)) => Resolution::Renounce,
        (Some(Here::Undecided), Some(There::Renounced)) => Resolution::TakeBack,
        (Some(Here::Undecided | Here::TakenBack | Here::Released) | None, _) => Resolution::Nothing,
    }
}
