//! Which event Hyper-V would log for a refusal, and how sure that is.

use serde::{Deserialize, Serialize};

use super::Rule;

/// An event of the log `Microsoft-Windows-Hyper-V-VMMS/Admin` or, in a cluster,
/// `Microsoft-Windows-Hyper-V-High-Availability/Admin`.
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
    /// Practitioners have reported it for this failure.
    Reported,
    /// The number of failed live migrations in general; for this failure we found no source.
    Unverified,
}

impl Rule {
    /// The event that is logged where the rule refuses a move.
    ///
    /// - 21111, delegation: the seed guide; scripts in the field look for it, as "live migration failed".
    /// - 20306, no credentials (0x8009030E): blog.ittoby.com, February 2017.
    /// - 21502: Microsoft, "Troubleshoot live migration issues" (KB 4558514), which names it for a disabled
    ///   listener, processor features, unreachable networks, blocked sockets, missing switches, too
    ///   little memory and ISO images.
    pub const fn event(self) -> Event {
        let (id, evidence) = match self {
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
            Rule::OperatingSystem
            | Rule::ConfigurationVersion
            | Rule::AuthenticationType
            | Rule::Checkpoints
            | Rule::PassThroughDisks => (21502, Evidence::Unverified),
        };
        Event { id, evidence }
    }
}
