//! The file format: what may stand in a scenario, before it is checked.
//!
//! These types say what a file *can* say, no more: every field that has a sensible default is an
//! `Option`, every value that a later check may object to is an [`At`], which knows where it was
//! written. The docs of the fields are the descriptions in the JSON schema.

mod cluster;
mod drain;
mod failover;
mod faults;
mod forms;
mod hypervisor;
mod named;
mod plan;
pub(crate) mod qemu;
mod settings;
mod storage;
mod workload;

use schemars::JsonSchema;
use serde::Deserialize;
use sim_core::Span;

use crate::read::at::At;

pub(crate) use cluster::{
    BackgroundFile, DuplexFile, GraphFile, HostFile, LinkFile, NetworkFile, NicFile, PatternFile,
    PlacementFile, RdmaFile,
};
pub(crate) use drain::{DrainFile, DrainStorageFile};
pub(crate) use failover::{
    AutoFailbackFile, ClusterFile, DrainNodeFile, FailbackFile, HowFile, MaintainFile, MoveRoleFile,
    OfflineActionFile, PriorityFile, ResumeFile, RoleFile,
};
pub(crate) use faults::{
    CategoryFile, FaultFile, LinkDownFile, MigrationStepFile, Often, RandomFaultsFile, RecurringFile,
    WhatFile,
};
pub(crate) use forms::{Limit, OrPreset, Size};
pub(crate) use hypervisor::{
    AdaptiveRateFile, CompressionFile, DeadlineActionFile, DeadlineFile, HypervisorFile, LiveFile,
    PolicyFile, TimingFile, TransportFile, XenFile,
};
pub(crate) use named::Named;
pub(crate) use plan::{MeasuredFile, MeasuredRow, MoveFile, StepFile, TaskFile};
pub(crate) use settings::{
    AdministrationFile, AuthenticationFile, ConfigurationFile, DelegatedFile, FirewallFile, InitiationFile,
    IsoFile, MigrationFile, MigrationNetworkFile, MigrationNetworksFile, ProcessorFile, ServiceFile,
    VendorFile,
};
pub(crate) use storage::{
    DiskFile, DiskFormatFile, DiskIoFile, IncludeFile, MoveStorageFile, StorageFile, StorageKindFile,
};
pub(crate) use workload::{
    BurstsFile, ClassFile, CurvePointFile, GuestFile, PhaseFile, PhasesFile, RateFile, TraceFile,
    WorkloadFile, ZipfFile,
};

/// A scenario: a cluster of hosts, the virtual machines on it, and a plan of what is to move.
///
/// Quantities are text with their unit: "8 GiB", "10 Gbit/s", "300 ms". Names that contain
/// `{01..16}` stand for that many things, numbered.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a scenario in round brackets, such as (hosts: […], vms: […], plan: […])"
)]
#[schemars(rename = "Scenario")]
pub(crate) struct File {
    /// The scenario's name; by default the name of its file.
    pub(crate) name: Option<String>,
    /// What the scenario shows, for people.
    pub(crate) description: Option<String>,
    /// Scenario files, relative to this one, to take every field from that is not given here. Of
    /// several that give a field, the last one counts.
    pub(crate) include: Option<Vec<At<String>>>,
    /// Seed of all chance; 1 by default. The same seed gives the same run.
    pub(crate) seed: Option<u64>,
    /// The hosts.
    pub(crate) hosts: Option<At<Vec<At<HostFile>>>>,
    /// The network card of hosts that give none: a preset's name, or its speed; "10GbE" by default. `migtwin
    /// live probe` writes one, to be included.
    pub(crate) nic: Option<At<OrPreset<NicFile>>>,
    /// What joins the hosts; by default one switch, as fast as all network cards together.
    pub(crate) network: Option<At<NetworkFile>>,
    /// Where disks can be: disks of hosts, and storage that several share. By default none is known, and
    /// moves do not ask for it.
    pub(crate) storage: Option<Vec<At<StorageFile>>>,
    /// Workloads of this scenario by name, to be used like presets where several virtual machines
    /// have the same: {"batch": Uniform(rate: "80 MB/s", working_set: "25 %")}.
    pub(crate) workloads: Option<Named<WorkloadFile>>,
    /// The virtual machines.
    pub(crate) vms: Option<At<Vec<At<GuestFile>>>>,
    /// Traffic between hosts that is not migration.
    pub(crate) background: Option<Vec<At<BackgroundFile>>>,
    /// The hypervisor of all hosts: a preset's name, or its settings; "hyper-v-2022" by default.
    pub(crate) hypervisor: Option<At<OrPreset<HypervisorFile>>>,
    /// How memory crosses the network: a preset's name, or its costs; "tcp" by default.
    pub(crate) transport: Option<At<OrPreset<TransportFile>>>,
    /// How destinations are chosen where the plan names none; `MostFreeMemory` by default.
    pub(crate) placement: Option<PlacementFile>,
    /// From where migrations are begun, which domains trust each other, the cluster's own limit.
    pub(crate) administration: Option<At<AdministrationFile>>,
    /// The failover cluster's settings; virtual machines with a `role` are clustered.
    pub(crate) cluster: Option<At<ClusterFile>>,
    /// What is to be done, step after step: each begins when the one before has ended.
    pub(crate) plan: Option<Vec<At<StepFile>>>,
    /// What breaks, and when: [(at: "30 s", fault: HostDies("node2"))].
    pub(crate) faults: Option<Vec<At<FaultFile>>>,
    /// What breaks by chance, and how often: (host_dies: "1 per 30 days").
    pub(crate) random_faults: Option<At<RandomFaultsFile>>,
    /// How long a connection bears that nothing comes through; "20 s" by default.
    pub(crate) network_timeout: Option<At<Span>>,
    /// What others measured, to compare with.
    pub(crate) measured: Option<Vec<At<MeasuredFile>>>,
    /// Variants of the scenario by name, each with the fields that it replaces. Every one is run,
    /// under the same chance.
    pub(crate) alternatives: Option<Named<File>>,
}

impl File {
    /// This file, with the fields that it does not give taken from `base`.
    pub(crate) fn over(self, base: File) -> File {
        File {
            name: self.name.or(base.name),
            description: self.description.or(base.description),
            include: None,
            seed: self.seed.or(base.seed),
            hosts: self.hosts.or(base.hosts),
            nic: self.nic.or(base.nic),
            network: self.network.or(base.network),
            storage: self.storage.or(base.storage),
            workloads: self.workloads.or(base.workloads),
            vms: self.vms.or(base.vms),
            background: self.background.or(base.background),
            hypervisor: self.hypervisor.or(base.hypervisor),
            transport: self.transport.or(base.transport),
            placement: self.placement.or(base.placement),
            administration: self.administration.or(base.administration),
            cluster: self.cluster.or(base.cluster),
            plan: self.plan.or(base.plan),
            faults: self.faults.or(base.faults),
            random_faults: self.random_faults.or(base.random_faults),
            network_timeout: self.network_timeout.or(base.network_timeout),
            measured: self.measured.or(base.measured),
            alternatives: self.alternatives.or(base.alternatives),
        }
    }
}
