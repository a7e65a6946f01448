//! What agents, and those who command them, say to each other.
//!
//! Every connection carries [frames](frame): a short head, then at most so many bytes as its kind allows.
//! The first is a [`Hello`]; an agent answers it with [`Reply::Welcome`], or closes. After it, a control
//! connection carries one [`Request`] at a time, answered by [`Reply`]s of which the last is no
//! [`Reply::Heartbeat`] and no [`Reply::Record`]; a page connection carries [pages] in one direction.
//!
//! Nothing that comes over a connection makes the reader panic, or take more than a frame's bound of
//! memory.

pub(crate) mod blocks;
pub mod frame;
pub(crate) mod missing;
mod order;
pub mod pages;
pub mod probe;

use std::io;

use algorithms::handover::{DestinationPhase, Resolution, SourcePhase};
use algorithms::records::{Outcome, Record};
use serde::{Deserialize, Serialize};
use sim_core::{Bytes, Span};
use thiserror::Error;

use crate::disk::DiskProof;
use crate::guest::{GuestSpec, GuestState};
use crate::token::Token;
pub use order::{Compression, DiskTarget, Encryption, MigrateRequest, Sending, StorageRequest};
use probe::{ProbeAccount, ProbeRequest, Probed};

/// The version of everything here. Agents of different versions do not talk.
pub const VERSION: u32 = 3;

/// What came over a connection and cannot be used.
#[derive(Debug, Error)]
pub enum ProtocolError {
    /// The connection failed, was closed, or was silent for too long.
    #[error("the connection to {peer} is lost: {source}")]
    Lost {
        /// The other side.
        peer: String,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are no frame.
    #[error("what came is no frame: {0}")]
    NoFrame(String),
    /// A frame is larger than its kind allows.
    #[error("a frame of {length} bytes came, where at most {limit} are allowed")]
    TooLong {
        /// Its length.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// The frame does not hold what its kind says.
    #[error("a frame holds something else than it says: {0}")]
    Malformed(String),
    /// The other side speaks another version.
    #[error(
        "{peer} speaks version {theirs} of the protocol, this is version {VERSION}; install the same migtwin"
    )]
    Version {
        /// The other side.
        peer: String,
        /// Its version.
        theirs: u32,
    },
    /// What was said does not belong here.
    #[error("{0} was not expected here")]
    Unexpected(String),
}

/// The first frame of every connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The sender's [`VERSION`].
    pub version: u32,
    /// The sender's name, which its certificate must carry too.
    pub name: String,
    /// What the connection is for.
    pub purpose: Purpose,
}

/// What a connection is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Purpose {
    /// Requests and replies.
    Control,
    /// Pages of the migration that has this token.
    Pages {
        /// Given over a control connection, which alone makes it known.
        token: Token,
    },
    /// In post-copy: pages that the guest waits for, of the migration that has this token.
    Faults {
        /// As for pages.
        token: Token,
    },
    /// Sectors of disks of the migration that has this token.
    Disks {
        /// As for pages.
        token: Token,
    },
}

/// What an agent can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Say who you are and what you hold: [`Reply::Description`].
    Describe,
    /// Make a guest and start it: [`Reply::Done`].
    Create(GuestSpec),
    /// Stop a guest and forget it: [`Reply::Done`].
    Remove {
        /// Its name.
        guest: String,
    },
    /// Check every page of a guest: [`Reply::Verified`].
    Verify {
        /// Its name.
        guest: String,
    },
    /// Move a guest to another agent: [`Reply::Record`]s, then [`Reply::Migrated`].
    Migrate(Box<MigrateRequest>),
    /// Give up the migration of a guest: [`Reply::Done`].
    Cancel {
        /// Its name.
        guest: String,
        /// Who wants it so, and why.
        reason: String,
    },
    /// List the hand-overs that have not ended: [`Reply::Handovers`].
    Handovers,
    /// Say what you know of one hand-over: [`Reply::Handovers`], with one or none.
    Ask {
        /// Which.
        token: Token,
    },
    /// Bring a hand-over to its end: [`Reply::Done`].
    Settle {
        /// Which.
        token: Token,
        /// How; as [`algorithms::handover::resolve`] says, for this agent's side. What is no order to it is refused.
        resolution: Resolution,
    },
    /// From a source: make room for a guest: [`Reply::Done`].
    Receive(Box<ReceiveRequest>),
    /// From a source: say when every stream has come to this barrier: [`Reply::Done`].
    Await {
        /// Counted from 1 within a migration.
        barrier: u64,
    },
    /// From a source: say when all sectors of disks up to this barrier are in their files: [`Reply::Done`].
    AwaitDisks {
        /// Counted from 1 within a migration.
        barrier: u64,
    },
    /// From a source: all memory has been sent: [`Reply::Done`] when it is there and right, and the
    /// phase is [`DestinationPhase::Prepared`] on disk.
    Prepare {
        /// What the guest goes on from.
        state: Box<GuestState>,
        /// What the memory must be, see [`crate::guest::digest`].
        digest: u64,
        /// In post-copy: pages that will follow the guest. Which they are was told over the connection for faults.
        #[serde(default)]
        missing: u64,
    },
    /// From a source, in post-copy: say when all memory has followed: [`Reply::Followed`].
    AwaitMemory,
    /// From a source, in post-copy: here is what is missing, again; the connection before has broken:
    /// [`Reply::Done`].
    Rejoin {
        /// Which hand-over.
        token: Token,
    },
    /// Measure what migration to another agent would get: [`Reply::Probed`].
    Probe(Box<ProbeRequest>),
    /// From a source: take in test memory, which becomes no guest: [`Reply::Done`].
    ReceiveProbe(Box<ReceiveRequest>),
    /// From a source: answer at once, so that the round trip can be timed: [`Reply::Done`].
    Echo,
    /// From a source: say what the probe has cost so far: [`Reply::ProbeAccount`].
    AccountProbe,
    /// From a source: forget the test memory: [`Reply::Done`].
    EndProbe,
}

/// What a source tells a destination of the guest to come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceiveRequest {
    /// Names the hand-over.
    pub token: Token,
    /// The guest, with its disks where they will be.
    pub spec: GuestSpec,
    /// The disks that are copied, by their places; the others are reached from both hosts.
    #[serde(default)]
    pub moved: Vec<u32>,
    /// The source's name.
    pub source: String,
    /// Where the source's agent listens.
    pub source_address: String,
    /// Page connections to come.
    pub streams: u32,
    /// Whether the guest may be handed over before all of its memory.
    #[serde(default)]
    pub hand_over: HandOverAt,
}

/// When a guest is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandOverAt {
    /// When all of its memory is there.
    #[default]
    TheEnd,
    /// When the policy says so: memory may follow.
    AnyTime,
}

/// What a guest went through while its memory followed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Followed {
    /// Pages that it waited for.
    pub faults: u64,
    /// Time in which it, or a part of it, waited.
    pub waited: Span,
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Hello`].
    Welcome {
        /// The agent's [`VERSION`].
        version: u32,
        /// The agent's name.
        name: String,
    },
    /// It is done.
    Done,
    /// Still at it. Sent at least every [`HEARTBEAT`](crate::connection::HEARTBEAT).
    Heartbeat,
    /// It is not done, and why.
    Refused {
        /// In a sentence.
        reason: String,
    },
    /// A migration has ended, and it is not known which side has the guest.
    InDoubt {
        /// The guest.
        guest: String,
        /// Why it is not known.
        reason: String,
    },
    /// It is not done: there is no space left for disks.
    Full {
        /// On this storage location.
        storage: String,
        /// In a sentence.
        reason: String,
    },
    /// To [`Request::Describe`].
    Description(Box<Description>),
    /// To [`Request::Verify`].
    Verified {
        /// Pages looked at.
        pages: u64,
        /// Writes that the guest has made, here and where it ran before.
        writes: u64,
        /// The same of its disks.
        #[serde(default)]
        disks: DiskProof,
        /// What is wrong with the first few that are wrong.
        wrong: Vec<String>,
    },
    /// To [`Request::AwaitMemory`].
    Followed(Followed),
    /// Of a migration under way.
    Record(Box<Record>),
    /// The migration has ended.
    Migrated {
        /// How.
        outcome: Outcome,
        /// Where its journal is, on the source.
        journal: String,
        /// The share of processor time that others took from this machine meanwhile, 0 to 1.
        steal: f64,
    },
    /// To [`Request::Handovers`].
    Handovers(Vec<Handover>),
    /// To [`Request::Probe`].
    Probed(Box<Probed>),
    /// To [`Request::AccountProbe`].
    ProbeAccount(ProbeAccount),
}

/// What an agent is and holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// How dirty memory is found there.
    pub tracking: String,
    /// Memory that guests may have.
    pub memory: Bytes,
    /// Memory that they have.
    pub used: Bytes,
    /// The guests.
    pub guests: Vec<GuestDescription>,
}

/// A guest, as an agent sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestDescription {
    /// What it is.
    pub spec: GuestSpec,
    /// Whether it runs there now.
    pub activity: Activity,
    /// Writes that it has made.
    pub writes: u64,
}

/// Whether a guest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// It runs.
    Running,
    /// It stands still.
    Paused,
    /// Its memory is on its way here.
    Incoming,
}

/// A hand-over as one of its sides knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// Which.
    pub token: Token,
    /// The guest.
    pub guest: String,
    /// The other side's address.
    pub peer: String,
    /// Which side this is, and what its disk says.
    pub side: Side,
    /// Whether a migration of it is under way just now: then it ends by itself.
    pub under_way: bool,
    /// Whether part of the memory was lost in post-copy, and the destination started the guest anew.
    #[serde(default)]
    pub memory_lost: bool,
}

/// A side of a hand-over, with its phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The source.
    Source(SourcePhase),
    /// The destination.
    Destination(DestinationPhase),
}
