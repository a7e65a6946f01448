//! Settings that decide whether a guest may move: of hosts, of guests, of all together.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::read::at::At;

/// A host's settings for migrations, as `Set-VMHost` and its relatives set them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "settings in brackets, such as (simultaneous: 4, authentication: Kerberos)"
)]
#[schemars(rename = "Migration")]
pub(crate) struct MigrationFile {
    /// Whether guests can come and go; true by default.
    pub(crate) enabled: Option<bool>,
    /// MaximumVirtualMachineMigrations: 1 to 10, 2 by default. `migration_limit` is the same without
    /// Hyper-V's bounds.
    pub(crate) simultaneous: Option<At<u32>>,
    /// How migrations are authenticated; `Kerberos` by default.
    pub(crate) authentication: Option<AuthenticationFile>,
    /// Networks that migrations may use; any by default.
    pub(crate) networks: Option<MigrationNetworksFile>,
    /// Whether the firewall lets migrations through; `Open` by default.
    pub(crate) firewall: Option<FirewallFile>,
    /// Hosts to which the computer account may delegate credentials; to all, both services, by
    /// default. An empty list is no delegation at all.
    pub(crate) delegates_to: Option<Vec<At<DelegatedFile>>>,
}

/// How migrations are authenticated.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Authentication")]
pub(crate) enum AuthenticationFile {
    /// By computer accounts, with constrained delegation.
    Kerberos,
    /// By the credentials of whoever is signed in at the source.
    CredSSP,
}

/// Networks that migrations may use.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "MigrationNetworks")]
pub(crate) enum MigrationNetworksFile {
    /// UseAnyNetworkForMigration.
    Any,
    /// Only these.
    Only(Vec<MigrationNetworkFile>),
}

/// A network that migrations may use.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a network in brackets, such as (subnet: \"10.10.50.0/24\", priority: 1)"
)]
#[schemars(rename = "MigrationNetwork")]
pub(crate) struct MigrationNetworkFile {
    /// Such as "10.10.50.0/24".
    pub(crate) subnet: At<String>,
    /// Lower numbers are preferred; 1 by default.
    pub(crate) priority: Option<u32>,
}

/// Whether the firewall's rules for migrations are enabled.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Firewall")]
pub(crate) enum FirewallFile {
    /// They are.
    Open,
    /// They are not.
    Blocked,
}

/// Hosts to which credentials may be delegated.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "hosts in brackets, such as (to: \"node2\", services: [Cifs, Migration])"
)]
#[schemars(rename = "Delegated")]
pub(crate) struct DelegatedFile {
    /// A host's name, or a pattern.
    pub(crate) to: At<String>,
    /// Its services; both by default.
    pub(crate) services: Option<Vec<ServiceFile>>,
}

/// A service to which credentials are delegated.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Service")]
pub(crate) enum ServiceFile {
    /// cifs.
    Cifs,
    /// Microsoft Virtual System Migration Service.
    Migration,
}

/// A host's processor.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a processor in brackets, such as (vendor: Intel, family: \"Ice Lake-SP\")"
)]
#[schemars(rename = "Processor")]
pub(crate) struct ProcessorFile {
    /// Who made it.
    pub(crate) vendor: VendorFile,
    /// A family: one that is known by name, or any together with `features`.
    pub(crate) family: At<String>,
    /// Features that guests see; by default those of the family.
    pub(crate) features: Option<Vec<String>>,
}

/// Who made a processor.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Vendor")]
pub(crate) enum VendorFile {
    /// Intel.
    Intel,
    /// AMD.
    #[serde(rename = "AMD")]
    Amd,
}

/// A guest's configuration, as far as it decides where it can go.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a configuration in brackets, such as (processor_compatibility: true)"
)]
#[schemars(rename = "Configuration")]
pub(crate) struct ConfigurationFile {
    /// Set-VMProcessor -CompatibilityForMigrationEnabled; false by default.
    pub(crate) processor_compatibility: Option<bool>,
    /// The version of its configuration, such as "9.0"; the default of its host's `os` by default.
    pub(crate) version: Option<At<String>>,
    /// Checkpoints, which move along; 0 by default.
    pub(crate) checkpoints: Option<u32>,
    /// Physical disks attached to it; 0 by default.
    pub(crate) pass_through_disks: Option<u32>,
    /// An image in its DVD drive; none by default.
    pub(crate) iso: Option<IsoFile>,
    /// The virtual switch that it is connected to.
    pub(crate) switch: Option<String>,
}

/// Where the image in a DVD drive is.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Iso")]
pub(crate) enum IsoFile {
    /// On a share or volume that all hosts have.
    Shared,
    /// On a disk of the host.
    Local,
}

/// What holds for all hosts together.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "administration in brackets, such as (initiated: Remote, trusts: [(\"a.example\", \"b.example\")])"
)]
#[schemars(rename = "Administration")]
pub(crate) struct AdministrationFile {
    /// From where migrations are begun; `AtSource` by default.
    pub(crate) initiated: Option<InitiationFile>,
    /// Pairs of domains that trust each other.
    pub(crate) trusts: Option<Vec<(String, String)>>,
    /// The cluster's MaximumParallelMigrations: holds at every host beside the host's own limit; none
    /// by default.
    pub(crate) maximum_parallel_migrations: Option<At<u32>>,
}

/// From where migrations are begun.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Initiation")]
pub(crate) enum InitiationFile {
    /// From a session on the host where the guest runs.
    AtSource,
    /// From a session on this host.
    From(At<String>),
    /// From a console that is none of the hosts.
    Remote,
    /// By the cluster service.
    Cluster,
}
