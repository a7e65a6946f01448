//! The events that Hyper-V and its cluster log, their numbers, and how sure each number is: the only
//! place where numbers of events stand.
//!
//! Numbers were looked up in Microsoft's "Troubleshoot live migration issues" (*KB* 4558514), in the list
//! of the provider `Microsoft-Windows-Hyper-V-High-Availability` with its messages (*list*: github.com/
//! scheatkode/brain, `event-logs/Microsoft-Windows-Hyper-V-High-Availability.md`), and in what
//! practitioners have published. Messages are our own.

use serde::{Deserialize, Serialize};

use crate::preflight::Rule;

/// An event of a log of Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number.
    pub id: u32,
    /// Where the number comes from.
    pub evidence: Evidence,
}

/// How sure an event's number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Microsoft documents it for this failure.
    Documented,
    /// Practitioners have reported it for this failure, or the provider's own list of events says so.
    Reported,
    /// The number of failed live migrations in general; for this failure we found no source.
    Unverified,
}

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Logged {
    /// A move is refused before anything moves.
    Refused(Rule),
    /// A migration has begun.
    Started,
    /// A migration was completed.
    Completed,
    /// A migration was completed after an unexpectedly long pause.
    CompletedAfterLongBlackout,
    /// How a migration went, all in all.
    Summary,
    /// How long its memory was copied while the guest ran.
    Brownout,
    /// How long the guest stood still, and what was sent then.
    Blackout,
    /// The two hosts could not authenticate each other.
    AuthenticationFailed,
    /// No connection, or the connection broke.
    ConnectionFailed,
    /// The destination has no memory for the guest.
    OutOfMemory,
    /// No space for the copy of a disk.
    StorageFull,
    /// Storage that the guest needs cannot be reached.
    StorageLost,
    /// A host went away without a word.
    HostDied,
    /// What is left of a guest that has moved could not be removed.
    CleanUpFailed,
}

impl Logged {
    /// Its event.
    ///
    /// - 21111 "live migration failed" (list), for delegation: the seed guide.
    /// - 20306, no credentials (0x8009030E): blog.ittoby.com, February 2017.
    /// - 21501, the limit of migrations is reached; 21502: KB, which names it for a disabled listener,
    ///   processor features, unreachable networks, blocked sockets, connections that time out or are
    ///   reset, missing switches, too little memory, and ISO images.
    /// - 20417, an unexpectedly long blackout: KB. 20413: KB has it for a configuration that could not be
    ///   registered; in logs it stands at the start of every migration (not verified).
    /// - 20415 and 20418, success; 22507 summary, 22508 brownout, 22509 blackout: ramprasadtech.com,
    ///   November 2016; 20415 and 20417 with the blackout's length: scripts that read them from the log.
    /// - 1135, a node was removed from the cluster's membership: reported with hosts that crash. A host
    ///   without a cluster logs nothing but, when it starts again, 6008 of the source `EventLog`.
    /// - 21104, failed to unregister the virtual machine: list; that a migration's clean-up logs it is
    ///   not verified.
    pub const fn event(self) -> Event {
        let (id, evidence) = match self {
            Logged::Refused(rule) => return of_rule(rule),
            Logged::Started => (20413, Evidence::Unverified),
            Logged::Completed => (20418, Evidence::Reported),
            Logged::CompletedAfterLongBlackout => (20417, Evidence::Documented),
            Logged::Summary => (22507, Evidence::Reported),
            Logged::Brownout => (22508, Evidence::Reported),
            Logged::Blackout => (22509, Evidence::Reported),
            Logged::AuthenticationFailed => (21111, Evidence::Reported),
            Logged::ConnectionFailed | Logged::OutOfMemory => (21502, Evidence::Documented),
            Logged::StorageFull | Logged::StorageLost => (21502, Evidence::Unverified),
            Logged::HostDied => (1135, Evidence::Reported),
            Logged::CleanUpFailed => (21104, Evidence::Unverified),
        };
        Event { id, evidence }
    }
}

const fn of_rule(rule: Rule) -> Event {
    let (id, evidence) = match rule {
        Rule::Delegation => (21111, Evidence::Reported),
        Rule::Session | Rule::Domain => (20306, Evidence::Reported),
        Rule::MigrationEnabled
        | Rule::ProcessorVendor
        | Rule::ProcessorFeatures
        | Rule::MigrationNetwork
        | Rule::Firewall
        | Rule::VirtualSwitch
        | Rule::Memory
        | Rule::IsoImage => (21502, Evidence::Documented),
        Rule::StorageMigrations => (21501, Evidence::Documented),
        Rule::OperatingSystem
        | Rule::ConfigurationVersion
        | Rule::AuthenticationType
        | Rule::Checkpoints
        | Rule::PassThroughDisks
        | Rule::StorageReachable
        | Rule::StoragePath
        | Rule::StorageSpace => (21502, Evidence::Unverified),
        Rule::HostAlive => (1135, Evidence::Reported),
    };
    Event { id, evidence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_an_event_and_what_is_documented_is_marked_so() {
        for rule in Rule::ALL.into_iter().chain(Rule::OF_THE_CLUSTER) {
            let Event { id, evidence } = Logged::Refused(rule).event();
            assert!((1000..30_000).contains(&id), "{rule:?}");
            assert!(evidence != Evidence::Documented || [21501, 21502].contains(&id), "{rule:?}");
        }
        assert_eq!(Logged::CompletedAfterLongBlackout.event().id, 20417);
    }
}
