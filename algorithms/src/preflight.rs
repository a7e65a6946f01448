//! Prerequisites of a live migration: may this guest go from this host to that one, and if not, why.
//!
//! A pure function of what is known of the two hosts, the guest, and how the move is begun. It is
//! asked by `migtwin check` before anything runs, by the planner for every candidate of a drain, and
//! by the orchestrator when a move is asked for and again when it starts.
//!
//! ```text
//!   source, destination, guest, initiation ──▶ Rule 1 … Rule 16 ──▶ refusals, each with
//!                                                category · event id · message · cause · fix
//! ```
//!
//! Rules follow Windows Server 2022; where its documentation is silent, the rule says so. What is not
//! given passes. [`Rule::OF_THE_CLUSTER`] are not asked here but where the cluster is known, by
//! `orchestrator/storage.rs` and `orchestrator/failures.rs`: storage, and which hosts are still there.

pub mod facts;
pub mod network;
mod passed;
pub mod processor;
mod roles;
mod rules;
pub mod subnet;
pub mod versions;

use serde::{Deserialize, Serialize};
use sim_core::Bytes;

use crate::failures::catalogue::Logged;
pub use crate::failures::catalogue::{Event, Evidence};
use crate::ids::{HostId, VmId};
use facts::{Administration, GuestConfiguration, GuestFacts, HostFacts, HostSettings};

/// One prerequisite, in the order in which they are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Both hosts take part in migrations.
    MigrationEnabled,
    /// Both processors are of one vendor.
    ProcessorVendor,
    /// The destination has the processor features that the guest sees.
    ProcessorFeatures,
    /// The destination's Windows Server is no older than the source's.
    OperatingSystem,
    /// The destination runs guests of this configuration version.
    ConfigurationVersion,
    /// Both hosts authenticate migrations in the same way.
    AuthenticationType,
    /// For Kerberos: one domain, or domains that trust each other.
    Domain,
    /// For Kerberos: the source may delegate to both services of the destination.
    Delegation,
    /// For CredSSP: whoever begins it is signed in at the source.
    Session,
    /// There is a network that both hosts are on and allow for migrations.
    MigrationNetwork,
    /// The firewalls of both hosts let migrations through.
    Firewall,
    /// The destination has the guest's virtual switch.
    VirtualSwitch,
    /// The destination has memory for the guest.
    Memory,
    /// Checkpoints move along; they block nothing.
    Checkpoints,
    /// No physical disk is attached to the guest.
    PassThroughDisks,
    /// No image of the source's own disks is in the guest's DVD drive.
    IsoImage,
    /// The destination reaches the guest's disks.
    StorageReachable,
    /// The destination has a place for disks that move.
    StoragePath,
    /// There is space for disks that move.
    StorageSpace,
    /// Both hosts allow storage migrations.
    StorageMigrations,
    /// Both hosts are there.
    HostAlive,
}

impl Rule {
    /// The event that is logged where the rule refuses a move.
    pub const fn event(self) -> Event {
        Logged::Refused(self).event()
    }

    /// Those about two hosts and a guest, in order.
    pub const ALL: [Rule; 16] = [
        Rule::MigrationEnabled,
        Rule::ProcessorVendor,
        Rule::ProcessorFeatures,
        Rule::OperatingSystem,
        Rule::ConfigurationVersion,
        Rule::AuthenticationType,
        Rule::Domain,
        Rule::Delegation,
        Rule::Session,
        Rule::MigrationNetwork,
        Rule::Firewall,
        Rule::VirtualSwitch,
        Rule::Memory,
        Rule::Checkpoints,
        Rule::PassThroughDisks,
        Rule::IsoImage,
    ];

    /// Those about the cluster as it stands.
    pub const OF_THE_CLUSTER: [Rule; 5] = [
        Rule::StorageReachable,
        Rule::StoragePath,
        Rule::StorageSpace,
        Rule::StorageMigrations,
        Rule::HostAlive,
    ];

    /// In a few words.
    pub const fn name(self) -> &'static str {
        match self {
            Rule::MigrationEnabled => "migration enabled",
            Rule::ProcessorVendor => "processor vendor",
            Rule::ProcessorFeatures => "processor features",
            Rule::OperatingSystem => "operating system",
            Rule::ConfigurationVersion => "configuration version",
            Rule::AuthenticationType => "authentication type",
            Rule::Domain => "domain and trust",
            Rule::Delegation => "delegation",
            Rule::Session => "session",
            Rule::MigrationNetwork => "migration network",
            Rule::Firewall => "firewall",
            Rule::VirtualSwitch => "virtual switch",
            Rule::Memory => "memory",
            Rule::Checkpoints => "checkpoints",
            Rule::PassThroughDisks => "pass-through disks",
            Rule::IsoImage => "ISO image",
            Rule::StorageReachable => "storage reachable",
            Rule::StoragePath => "storage path",
            Rule::StorageSpace => "storage space",
            Rule::StorageMigrations => "storage migrations",
            Rule::HostAlive => "host alive",
        }
    }
}

/// What kind of failure a refusal is: the four of the troubleshooting guide, and hosts that do not
/// match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Accounts, delegation, sessions.
    Authentication,
    /// Networks, firewalls, listeners.
    Network,
    /// Memory.
    Resources,
    /// Disks and images.
    Storage,
    /// Processors and versions.
    Compatibility,
}

impl Category {
    /// As in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Category::Authentication => "authentication",
            Category::Network => "network",
            Category::Resources => "resources",
            Category::Storage => "storage",
            Category::Compatibility => "compatibility",
        }
    }
}

/// Why a guest may not move, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The rule that is broken.
    pub rule: Rule,
    /// The kind of failure.
    pub category: Category,
    /// The event that Hyper-V would log.
    pub event: Event,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What is probably behind it.
    pub cause: String,
    /// The PowerShell command that mends it, or that shows what has to be mended.
    pub fix: String,
}

/// A rule and how it came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which.
    pub rule: Rule,
    /// Why it holds, or the refusal.
    pub verdict: Result<String, Refusal>,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// Where the guest runs.
    pub source: &'a HostFacts,
    /// Where it is to run.
    pub destination: &'a HostFacts,
    /// Where it was started: the processor that it knows.
    pub started_on: &'a HostFacts,
    /// The guest.
    pub guest: &'a GuestFacts,
    /// What holds for all hosts.
    pub administration: &'a Administration,
    /// Memory that is free at the destination.
    pub free: Bytes,
}

impl Pair<'_> {
    /// Every rule, with why it holds or not.
    pub fn explain(&self) -> Vec<Finding> {
        let verdict = |rule| rules::refusal(rule, self).map_or_else(|| Ok(passed::why(rule, self)), Err);
        Rule::ALL.into_iter().map(|rule| Finding { rule, verdict: verdict(rule) }).collect()
    }

    /// Everything that stands against the move.
    pub fn refusals(&self) -> Vec<Refusal> {
        Rule::ALL.into_iter().filter_map(|rule| rules::refusal(rule, self)).collect()
    }

    /// The first that stands against it.
    pub fn first_refusal(&self) -> Option<Refusal> {
        Rule::ALL.into_iter().find_map(|rule| rules::refusal(rule, self))
    }
}

/// Everything that the rules know of a cluster. Empty, it refuses nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prerequisites {
    hosts: Vec<HostFacts>,
    guests: Vec<GuestFacts>,
    administration: Administration,
    /// The same for what the cluster service moves.
    by_cluster: Administration,
    /// Whether anything differs from the defaults, under which every rule but memory holds.
    special: bool,
}

impl Prerequisites {
    /// Without hosts and guests.
    pub fn new(administration: Administration) -> Prerequisites {
        let by_cluster = roles::by_cluster(&administration);
        Prerequisites { administration, by_cluster, ..Prerequisites::default() }
    }

    /// Adds the next host.
    pub fn add_host(&mut self, host: HostFacts) {
        self.special |= host.settings != HostSettings::default();
        self.hosts.push(host);
    }

    /// Adds the next guest. The host where it was started must have been added.
    pub fn add_guest(&mut self, guest: GuestFacts) {
        self.special |= guest.configuration != GuestConfiguration::default();
        self.guests.push(guest);
    }

    /// A host's settings have changed; `false` where there is no such host.
    pub fn change_host(&mut self, host: HostId, settings: HostSettings) -> bool {
        self.special = true;
        match self.hosts.get_mut(host.index()) {
            Some(facts) => {
                facts.settings = settings;
                true
            }
            None => false,
        }
    }

    /// What the rules look at for this move; `None` where the hosts or the guest are not known.
    pub fn pair(&self, vm: VmId, source: HostId, destination: HostId, free: Bytes) -> Option<Pair<'_>> {
        let guest = self.guests.get(vm.index())?;
        Some(Pair {
            source: self.hosts.get(source.index())?,
            destination: self.hosts.get(destination.index())?,
            started_on: self.hosts.get(guest.started_on.index())?,
            guest,
            administration: &self.administration,
            free,
        })
    }

    /// Why `vm` may not go from `source` to `destination`, where `free` memory is left; `None` where
    /// it may, or where nothing is known.
    pub fn first_refusal(
        &self,
        vm: VmId,
        source: HostId,
        destination: HostId,
        free: Bytes,
    ) -> Option<Refusal> {
        let pair = self.pair(vm, source, destination, free)?;
        // Asked for every candidate of every guest of a drain: the common case must cost nothing.
        if !self.special && free >= pair.guest.memory {
            return None;
        }
        pair.first_refusal()
    }
}
