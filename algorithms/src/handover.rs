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

/// What is known of one side of a hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Known<P> {
    /// It is in this phase: it says so, or that is what can be seen of it.
    At(P),
    /// It answers, and knows nothing of this hand-over: it never began there, or has long ended.
    Nothing,
    /// It is gone for good, and its copy of the VM with it. A side that merely does not answer is not gone: nothing can
    /// be resolved until it does.
    Gone,
}

impl<P> From<Option<P>> for Known<P> {
    /// What a side that answers says; nothing where it knows nothing.
    fn from(said: Option<P>) -> Known<P> {
        said.map_or(Known::Nothing, Known::At)
    }
}

/// What brings a hand-over to its end, when both sides are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Nothing: it has ended, or is still going on by itself.
    Nothing,
    /// Tell the destination to commit: it runs the VM from then on.
    Commit,
    /// Tell the source that the destination runs the VM.
    Release,
    /// Tell the source that the destination never will run it.
    TakeBack,
    /// Tell the destination that it never will run the VM; then the source does.
    Renounce,
    /// Tell the source to send what is missing; one that has lost it lets go of the VM.
    Deliver,
    /// Tell the destination that nobody has what is missing: it starts the VM anew.
    Anew,
    /// Nobody has the VM any more.
    Lost,
    /// Nobody runs it, and the destination may have run it before it went: an operator must say whether the source's
    /// older copy may go on.
    InDoubt,
    /// Both run it, which the rules above cannot come to: somebody has started one by hand.
    Both,
}

impl Resolution {
    /// Whether there is something to do, and then to ask again. What is not open has ended, or is an operator's.
    pub const fn is_open(self) -> bool {
        !matches!(self, Resolution::Nothing | Resolution::Lost | Resolution::InDoubt | Resolution::Both)
    }
}

/// Returns what to do about a hand-over of whose sides this is known: the one rule by which exactly one copy of a VM
/// goes on, for our agents and for QEMU. Apply it and ask again while it [is open](Resolution::is_open).
pub fn resolve(source: Known<SourcePhase>, destination: Known<DestinationPhase>) -> Resolution {
    use Known::{At, Gone, Nothing};
    use {DestinationPhase as There, SourcePhase as Here};
    match (source, destination) {
        (At(Here::Committed) | Gone, At(There::Prepared)) => Resolution::Commit,
        (At(Here::Committed), At(There::Running)) => Resolution::Release,
        (At(Here::Committed), At(There::PostCopying)) => Resolution::Deliver,
        // A destination that knows nothing of it cannot come to run the VM either.
        (At(Here::Committed), At(There::Renounced) | Nothing) => Resolution::TakeBack,
        // What it was told to run is gone, or not all there, and it may have run it.
        (At(Here::Committed), At(There::Receiving) | Gone) => Resolution::InDoubt,
        (At(Here::Released) | Nothing | Gone, At(There::PostCopying)) => Resolution::Anew,
        (At(Here::TakenBack) | Nothing, At(There::Receiving | There::Prepared)) => Resolution::Renounce,
        (At(Here::Undecided), At(There::Renounced) | Gone) => Resolution::TakeBack,
        (At(Here::Undecided | Here::TakenBack), At(There::Running | There::PostCopying)) => Resolution::Both,
        (Gone, At(There::Receiving | There::Renounced) | Nothing | Gone) => Resolution::Lost,
        (At(Here::Released) | Nothing, Gone) => Resolution::Lost,
        (At(Here::Undecided), At(There::Receiving | There::Prepared) | Nothing)
        | (At(Here::TakenBack), At(There::Renounced) | Nothing | Gone)
        | (
            At(Here::Released),
            At(There::Receiving | There::Prepared | There::Running | There::Renounced) | Nothing,
        )
        | (Nothing, At(There::Running | There::Renounced) | Nothing)
        | (Gone, At(There::Running)) => Resolution::Nothing,
    }
}
