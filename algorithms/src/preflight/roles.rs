//! Prerequisites of what the cluster service moves.
//!
//! It has credentials of its own on every node, so that delegation and sessions do not matter. A role that
//! goes offline needs neither a migration network nor a listener; its saved state is bound to the processor
//! and the versions that it was saved on, as a running guest is.

use sim_core::Bytes;

use super::facts::{Administration, Initiation};
use super::{Pair, Prerequisites, Refusal, Rule, rules};
use crate::ids::{HostId, VmId};
use crate::records::MigrationKind;

/// What matters where nothing crosses the network. That a saved state has these prerequisites and no others
/// is our reading: Microsoft lists none for quick migration.
const OFFLINE: [Rule; 8] = [
    Rule::ProcessorVendor,
    Rule::ProcessorFeatures,
    Rule::OperatingSystem,
    Rule::ConfigurationVersion,
    Rule::VirtualSwitch,
    Rule::Memory,
    Rule::PassThroughDisks,
    Rule::IsoImage,
];

/// The same, begun by the cluster service.
pub(super) fn by_cluster(administration: &Administration) -> Administration {
    Administration { initiation: Initiation::Cluster, ..administration.clone() }
}

impl Prerequisites {
    /// What stands against the cluster moving `vm` in this way; the first or all of it.
    pub fn refusals_of_role(
        &self,
        vm: VmId,
        (source, destination): (HostId, HostId),
        kind: MigrationKind,
        free: Bytes,
    ) -> Vec<Refusal> {
        let Some(pair) = self.pair(vm, source, destination, free) else { return Vec::new() };
        let pair = Pair { administration: &self.by_cluster, ..pair };
        match kind {
            // Its ownership moves, and no state with it.
            MigrationKind::Stop => Vec::new(),
            MigrationKind::Quick => refusals(&pair, &OFFLINE),
            // Whoever owns it meanwhile has not run it.
            MigrationKind::Start => refusals(&Pair { source: pair.started_on, ..pair }, &OFFLINE),
            MigrationKind::Live | MigrationKind::Storage | MigrationKind::SharedNothing => {
                refusals(&pair, &Rule::ALL)
            }
        }
    }
}

fn refusals(pair: &Pair<'_>, among: &[Rule]) -> Vec<Refusal> {
    among.iter().filter_map(|rule| rules::refusal(*rule, pair)).collect()
}
