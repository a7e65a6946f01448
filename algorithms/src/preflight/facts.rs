//! What the prerequisites are decided from: settings of hosts and guests, and how a move is begun.
//!
//! Every default lets a guest move: what a scenario or an inventory does not say is taken to be as
//! it should be (one domain, delegation set, equal processors, one network).

use std::fmt;

use serde::{Deserialize, Serialize};
use sim_core::Bytes;

use super::processor::Processor;
use super::subnet::Subnet;
use super::versions::{ConfigurationVersion, WindowsServer};
use crate::ids::{HostId, Name};

/// A host's settings for migrations; the default lets everything pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSettings {
    /// Whether the host takes part in migrations at all.
    pub migration: MigrationService,
    /// How migrations are authenticated.
    pub authentication: Authentication,
    /// Networks that migrations may use here.
    pub migration_networks: MigrationNetworks,
    /// Subnets on which the host has an address; wherever it needs one where `None`.
    pub addresses: Option<Vec<Subnet>>,
    /// Whether the firewall lets migrations through.
    pub firewall: Firewall,
    /// The domain of its computer account.
    pub membership: Membership,
    /// To which hosts its computer account may delegate credentials.
    pub delegation: Delegation,
    /// Its processor; equal to those of all other hosts where `None`.
    pub processor: Option<Processor>,
    /// Its operating system; as on all other hosts where `None`.
    pub os: Option<WindowsServer>,
    /// Its virtual switches; those that guests need where `None`.
    pub switches: Option<Vec<Name>>,
}

impl Default for HostSettings {
    fn default() -> HostSettings {
        HostSettings {
            migration: MigrationService::Enabled,
            authentication: Authentication::Kerberos,
            migration_networks: MigrationNetworks::Any,
            addresses: None,
            firewall: Firewall::Open,
            membership: Membership::Common,
            delegation: Delegation::Everywhere,
            processor: None,
            os: None,
            switches: None,
        }
    }
}

/// `Enable-VMMigration` and `Disable-VMMigration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MigrationService {
    /// Guests can come and go.
    Enabled,
    /// Neither.
    Disabled,
}

/// `Set-VMHost -VirtualMachineMigrationAuthenticationType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// By computer accounts, with constrained delegation.
    Kerberos,
    /// By the credentials of whoever is signed in at the source.
    CredSsp,
}

impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Authentication::Kerberos => "Kerberos",
            Authentication::CredSsp => "CredSSP",
        })
    }
}

/// Networks that a host allows for migrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MigrationNetworks {
    /// `Set-VMHost -UseAnyNetworkForMigration $true`.
    Any,
    /// Only those added by `Add-VMMigrationNetwork`.
    Only(Vec<MigrationNetwork>),
}

/// A network allowed for migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationNetwork {
    /// Which.
    pub subnet: Subnet,
    /// Networks of a lower number are preferred.
    pub priority: u32,
}

/// Whether the rules of the group "Hyper-V" are enabled in a host's firewall (TCP 6600; 445 for SMB).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Firewall {
    /// They are.
    Open,
    /// They are not.
    Blocked,
}

/// The domain of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Membership {
    /// The same as of all others for which nothing is said.
    Common,
    /// This one.
    Domain(Name),
    /// None.
    Workgroup,
}

/// To whom a computer account may delegate (`msDS-AllowedToDelegateTo`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delegation {
    /// Both services of every host.
    Everywhere,
    /// These only.
    Only(Vec<Delegated>),
}

/// Services of one host to which credentials may be delegated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegated {
    /// The host.
    pub to: Name,
    /// Its services.
    pub services: Vec<Service>,
}

/// A service to which credentials are delegated; both are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Service {
    /// `cifs`: files, for disks that move along.
    Cifs,
    /// `Microsoft Virtual System Migration Service`: the guest itself.
    Migration,
}

impl Service {
    /// Both.
    pub const BOTH: [Service; 2] = [Service::Cifs, Service::Migration];

    /// The first part of its principal name.
    pub const fn principal(self) -> &'static str {
        match self {
            Service::Cifs => "cifs",
            Service::Migration => "Microsoft Virtual System Migration Service",
        }
    }
}

/// A guest's configuration, as far as it decides where it can go; the default can go anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestConfiguration {
    /// `Set-VMProcessor -CompatibilityForMigrationEnabled`.
    pub processor_compatibility: ProcessorCompatibility,
    /// The version of its configuration; its first host's default where `None`.
    pub version: Option<ConfigurationVersion>,
    /// Checkpoints that it has.
    pub checkpoints: u32,
    /// Physical disks that are attached to it.
    pub pass_through_disks: u32,
    /// What is in its DVD drive.
    pub iso: IsoImage,
    /// The virtual switch that it is connected to.
    pub switch: Option<Name>,
}

/// Whether a guest sees all features of its processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessorCompatibility {
    /// All that the host where it was started has.
    #[default]
    Off,
    /// Only those that all processors of the vendor have.
    On,
}

/// What is in a guest's DVD drive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IsoImage {
    /// Nothing.
    #[default]
    None,
    /// An image on a share or volume that every host has under the same path.
    Shared,
    /// An image on a disk of the host.
    Local,
}

/// What holds for all hosts together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Administration {
    /// Pairs of domains that trust each other.
    pub trusts: Vec<(Name, Name)>,
    /// From where migrations are begun.
    pub initiation: Initiation,
    /// The cluster's `MaximumParallelMigrations`: no host of it takes part in more at a time.
    pub maximum_parallel_migrations: Option<u32>,
}

/// From where a migration is begun.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Initiation {
    /// From a session on the host where the guest runs.
    #[default]
    AtSource,
    /// From a session on this host, whichever it is.
    From(Name),
    /// From a console elsewhere.
    Remote,
    /// By the cluster service, which has credentials of its own on every node.
    Cluster,
}

/// A host with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Its name.
    pub name: Name,
    /// Its settings.
    pub settings: HostSettings,
}

/// A guest with its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFacts {
    /// Its name.
    pub name: Name,
    /// Its memory.
    pub memory: Bytes,
    /// Where it was started: it goes on seeing that processor, wherever it moves.
    pub started_on: HostId,
    /// Its configuration.
    pub configuration: GuestConfiguration,
}
