//! The moments of a migration at which something could be killed: told to whoever watches.

use std::sync::Arc;

/// A moment at an agent, just after what it says was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Source: the hand-over is on disk, undecided.
    Begun,
    /// Source: the destination has made room, streams are open.
    Connected,
    /// Source: a disk is copied; what the guest writes to it goes to both.
    DiskCopied,
    /// Source, where it keeps the guest: the guest uses the copies of its disks, on disk; the old ones are there.
    SwitchedOver,
    /// Source: a round, or a slice of one, is across.
    RoundSent,
    /// Source: the guest stands still.
    Paused,
    /// Source: the destination has said that it is prepared.
    Ready,
    /// Source: the decision is on disk; the destination has not been told.
    Committed,
    /// Source, in post-copy: the destination runs the guest; missing memory is about to follow.
    Following,
    /// Source: the destination has said that it runs the guest; on disk.
    Released,
    /// Destination: room is made; on disk.
    Receiving,
    /// Destination: sectors of disks have come.
    DisksCame,
    /// Destination: pages have come.
    PagesCame,
    /// Destination: all memory is there and right; on disk. The source has not been told.
    Prepared,
    /// Destination: the guest is its own; on disk. It does not run yet.
    Running,
    /// Destination: the guest runs. The source has not been told.
    Resumed,
    /// Destination, in post-copy: memory has followed the guest that runs.
    PagesFollowed,
    /// Destination, in post-copy: all memory is there; on disk. The source has not been told.
    AllFollowed,
}

impl Step {
    /// All of them, in order on each side.
    pub const ALL: [Step; 18] = [
        Step::Begun,
        Step::Connected,
        Step::DiskCopied,
        Step::SwitchedOver,
        Step::RoundSent,
        Step::Paused,
        Step::Ready,
        Step::Committed,
        Step::Following,
        Step::Released,
        Step::Receiving,
        Step::DisksCame,
        Step::PagesCame,
        Step::Prepared,
        Step::Running,
        Step::Resumed,
        Step::PagesFollowed,
        Step::AllFollowed,
    ];

    /// Whether it is a moment at the source.
    pub fn is_at_source(self) -> bool {
        self <= Step::Released
    }
}

/// Is told each moment, in the thread in which it comes: what it does, the migration waits for.
pub type Watch = Arc<dyn Fn(Step) + Send + Sync>;

/// One that logs.
pub fn log() -> Watch {
    Arc::new(|step| tracing::debug!(?step, "migration step"))
}
