//! Things that have names: network cards, transports, hypervisors, workloads.
//!
//! Each says where its numbers come from; what nobody has published is called an assumption.

mod hypervisors;
mod nics;
mod transports;
mod workloads;

use std::fmt;

use models::cluster::Hypervisor;
use models::transport::Transport;
use models::workload::Workload;
use sim_core::Bytes;

pub(crate) use nics::Nic;

/// What a preset is a preset of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresetKind {
    /// A host's `nic`.
    Nic,
    /// A `transport`.
    Transport,
    /// A `hypervisor`.
    Hypervisor,
    /// A virtual machine's `workload`.
    Workload,
}

impl fmt::Display for PresetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PresetKind::Nic => "nic",
            PresetKind::Transport => "transport",
            PresetKind::Hypervisor => "hypervisor",
            PresetKind::Workload => "workload",
        })
    }
}

/// A preset as it is listed for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    /// Of what.
    pub kind: PresetKind,
    /// The name to write in a scenario.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// Where its numbers come from.
    pub source: &'static str,
}

/// All presets, by kind.
pub fn presets() -> Vec<Preset> {
    let mut all = Vec::new();
    all.extend(nics::NICS.iter().map(|entry| entry.listed(PresetKind::Nic)));
    all.extend(transports::TRANSPORTS.iter().map(|entry| entry.listed(PresetKind::Transport)));
    all.extend(hypervisors::HYPERVISORS.iter().map(|entry| entry.listed(PresetKind::Hypervisor)));
    all.extend(workloads::WORKLOADS.iter().map(|entry| entry.listed(PresetKind::Workload)));
    all
}

/// A preset's listing with what makes it.
struct Entry<T> {
    name: &'static str,
    summary: &'static str,
    source: &'static str,
    make: T,
}

impl<T> Entry<T> {
    fn listed(&self, kind: PresetKind) -> Preset {
        Preset { kind, name: self.name, summary: self.summary, source: self.source }
    }
}

/// The network card where a host names none.
pub(crate) const DEFAULT_NIC: &str = "10GbE";
/// The transport where a scenario names none.
pub(crate) const DEFAULT_TRANSPORT: &str = "tcp";
/// The hypervisor where a scenario names none.
pub(crate) const DEFAULT_HYPERVISOR: &str = "hyper-v-2022";

pub(crate) fn nic(name: &str) -> Option<Nic> {
    let entry = nics::NICS.iter().find(|entry| entry.name == name)?;
    Some(entry.make)
}

pub(crate) fn transport(name: &str) -> Option<Transport> {
    let entry = transports::TRANSPORTS.iter().find(|entry| entry.name == name)?;
    Some((entry.make)())
}

pub(crate) fn hypervisor(name: &str) -> Option<Hypervisor> {
    let entry = hypervisors::HYPERVISORS.iter().find(|entry| entry.name == name)?;
    Some((entry.make)())
}

/// The workload of that name in a guest with so much memory.
pub(crate) fn workload(name: &str, memory: Bytes) -> Option<Workload> {
    let entry = workloads::WORKLOADS.iter().find(|entry| entry.name == name)?;
    Some((entry.make)(memory))
}

/// The names of all presets of a kind.
pub(crate) fn names_of(kind: PresetKind) -> Vec<&'static str> {
    let of_kind = presets().into_iter().filter(|preset| preset.kind == kind);
    of_kind.map(|preset| preset.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_that_is_listed_can_be_made() {
        for preset in presets() {
            let made = match preset.kind {
                PresetKind::Nic => nic(preset.name).is_some(),
                PresetKind::Transport => transport(preset.name).is_some(),
                PresetKind::Hypervisor => hypervisor(preset.name).is_some(),
                PresetKind::Workload => workload(preset.name, Bytes::from_gib(4)).is_some(),
            };
            assert!(made, "{preset:?}");
            assert!(!preset.summary.is_empty() && !preset.source.is_empty());
        }
    }

    #[test]
    fn a_workload_preset_never_writes_more_than_the_guest_has() {
        for entry in workloads::WORKLOADS {
            for memory in [Bytes::from_mib(512), Bytes::from_gib(4), Bytes::from_gib(512)] {
                let working_set = (entry.make)(memory).working_set();
                assert!(working_set <= memory, "{} in {memory}", entry.name);
            }
        }
    }
}
