//! What can go wrong with a migration that is under way, at which point, and what is said of it.
//!
//! ```text
//!                 before the hand-over                              after it
//!   ┌──────────────────────────────────────────────────┐  ┌──────────────────────────┐
//!   preparation ─▶ disks ─▶ rounds ─▶ pause (hand-over) ─▶ clean-up
//!   source dies:       the guest is off                     a warning; it runs at the destination
//!   destination dies:  after a time-out it runs on at the   the guest is off
//!                      source; in the pause it goes on there
//!   network silent:    stands still, then goes on; after a  nothing
//!                      time-out as above
//!   anything else:     it runs on at the source             a warning; it runs at the destination
//! ```
//!
//! The rules themselves are rows of the [controller](crate::controller); here are their words: the four
//! categories of the troubleshooting guide, events, likely causes and the commands that help.

pub mod catalogue;

use serde::{Deserialize, Serialize};
use sim_core::Span;

use crate::ids::Name;
use crate::preflight::Category;
use crate::records::Advice;
use catalogue::{Event, Evidence, Logged};

/// How long a connection may be silent: Windows repeats what is not acknowledged five times, waiting
/// twice as long each time (`TcpMaxDataRetransmissions`, default 5), so that with the shortest first wait
/// of 300 ms (assumption) it gives up after 18.9 s; here rounded to 20 s.
pub const NETWORK_TIMEOUT: Span = Span::from_secs(20);

/// A pause from this on is unexpectedly long (event 20417). Assumption: Microsoft gives an example of
/// 63 s and no limit.
pub const LONG_BLACKOUT: Span = Span::from_secs(10);

/// One of the two hosts of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Where the guest runs at first.
    Source,
    /// Where it goes.
    Destination,
}

/// What broke, as a host says it while it is still there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Breakage {
    /// The hosts cannot authenticate each other any more.
    Authentication,
    /// The connection was closed by the other end.
    Connection,
    /// The destination has run out of memory.
    Memory,
    /// There is no space left for the copies of disks.
    Space {
        /// On this storage.
        storage: Name,
    },
    /// Storage that the guest's disks are on, or go to, is not there any more.
    Storage {
        /// Which; `None` where the host does not say.
        storage: Option<Name>,
    },
}

/// Why a migration failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// A host said so.
    Broke(Breakage),
    /// Nothing came through for this long.
    Silence(Span),
    /// The source died.
    SourceDied,
    /// The destination died.
    DestinationDied,
    /// A host said so, in words of its own.
    Said(String),
}

/// How far a migration had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailurePoint {
    /// Connecting, authenticating, creating the guest at the destination.
    Preparation,
    /// Disks were being copied.
    Disks,
    /// Memory was being copied, in this round.
    Round(u32),
    /// The guest stood still.
    Pause,
    /// The guest ran at the destination.
    CleanUp,
}

/// A failure, for the record of its migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// How far it had come.
    pub point: FailurePoint,
    /// Where the event's number comes from, where it has one.
    pub evidence: Option<Evidence>,
    /// Its kind, its likely cause, and what would mend it; `None` for failures in words of a host's own.
    pub advice: Option<Advice>,
}

/// The two hosts of a migration and its guest, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parties<'a> {
    pub(crate) vm: &'a str,
    pub(crate) source: &'a str,
    pub(crate) destination: &'a str,
}

impl Failure {
    /// What is logged of it.
    pub fn logged(&self) -> Option<Logged> {
        match self {
            Failure::Broke(Breakage::Authentication) => Some(Logged::AuthenticationFailed),
            Failure::Broke(Breakage::Connection) | Failure::Silence(_) => Some(Logged::ConnectionFailed),
            Failure::Broke(Breakage::Memory) => Some(Logged::OutOfMemory),
            Failure::Broke(Breakage::Space { .. }) => Some(Logged::StorageFull),
            Failure::Broke(Breakage::Storage { .. }) => Some(Logged::StorageLost),
            Failure::SourceDied | Failure::DestinationDied => Some(Logged::HostDied),
            Failure::Said(_) => None,
        }
    }

    /// Its event, where one is logged.
    pub fn event(&self) -> Option<Event> {
        self.logged().map(Logged::event)
    }

    /// What happened, in a sentence.
    pub(crate) fn message(&self, parties: Parties<'_>) -> String {
        let Parties { source, destination, .. } = parties;
        match self {
            Failure::Broke(Breakage::Authentication) => {
                format!("{source} and {destination} cannot authenticate each other")
            }
            Failure::Broke(Breakage::Connection) => {
                format!("the connection from {source} was closed by {destination}")
            }
            Failure::Broke(Breakage::Memory) => format!("{destination} has no memory left for the guest"),
            Failure::Broke(Breakage::Space { storage }) => {
                format!("`{storage}` is full, the copy of a disk cannot go on")
            }
            Failure::Broke(Breakage::Storage { storage: Some(storage) }) => {
                format!("the disks on `{storage}` cannot be opened")
            }
            Failure::Broke(Breakage::Storage { storage: None }) => {
                format!("{destination} cannot open the guest's disks")
            }
            Failure::Silence(span) => {
                format!("nothing came through between {source} and {destination} for {span}")
            }
            Failure::SourceDied => format!("{source} died"),
            Failure::DestinationDied => format!("{destination} died"),
            Failure::Said(words) => words.clone(),
        }
    }

    /// Its kind, its likely cause, and what would mend it.
    pub(crate) fn advice(&self, parties: Parties<'_>) -> Option<Advice> {
        let Parties { source, destination, .. } = parties;
        let (category, cause, fix) = match self {
            Failure::Broke(Breakage::Authentication) => (
                Category::Authentication,
                "delegation was changed, a ticket or password has expired, or no domain controller answers",
                format!(
                    "Invoke-Command -ComputerName \"{destination}\" -ScriptBlock {{ Get-VMHost }} -Authentication Kerberos"
                ),
            ),
            Failure::Broke(Breakage::Connection) => (
                Category::Network,
                "the management service of the destination was restarted, or something between closed its port",
                format!("Test-NetConnection -ComputerName \"{destination}\" -Port 6600"),
            ),
            Failure::Silence(_) => (
                Category::Network,
                "a link, switch or network card between the two was down for longer than the connection waits",
                format!(
                    "Test-NetConnection -ComputerName \"{destination}\" -Port 6600; Get-NetAdapter -CimSession \"{source}\", \"{destination}\" | Select-Object PSComputerName, Name, Status"
                ),
            ),
            Failure::Broke(Breakage::Memory) => (
                Category::Resources,
                "other guests have taken the destination's memory since the move was asked for",
                format!(
                    "Get-VM -ComputerName \"{destination}\" | Sort-Object MemoryAssigned -Descending | Select-Object Name, MemoryAssigned  # then move or stop some"
                ),
            ),
            Failure::Broke(Breakage::Space { .. }) => (
                Category::Storage,
                "other files have taken the space that was free when the copy began",
                format!(
                    "Get-Volume -CimSession \"{destination}\" | Select-Object DriveLetter, SizeRemaining, Size  # then make room, or choose another path"
                ),
            ),
            Failure::Broke(Breakage::Storage { .. }) => (
                Category::Storage,
                "the path to the storage is down, or its share or volume is offline",
                format!(
                    "Get-VMHardDiskDrive -VMName \"{}\" | Test-Path; Get-ClusterSharedVolume | Select-Object Name, State",
                    parties.vm
                ),
            ),
            Failure::SourceDied => (Category::Resources, DIED, how_it_died(source)),
            Failure::DestinationDied => (Category::Resources, DIED, how_it_died(destination)),
            Failure::Said(_) => return None,
        };
        Some(Advice { category, cause: cause.into(), fix })
    }
}

/// What is probably behind a host that dies.
pub(crate) const DIED: &str = "the host lost power, or its operating system or hardware failed";

/// The command that shows why a host died.
pub(crate) fn how_it_died(host: &str) -> String {
    format!(
        "Get-WinEvent -ComputerName \"{host}\" -FilterHashtable @{{LogName=\"System\"; Id=41,1001,6008}} -MaxEvents 5  # when it runs again"
    )
}
