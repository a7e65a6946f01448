//! Storage as a plan knows it, and as the orchestrator that carries the plan out is to know it.
//!
//! Real hosts tell which disks are where, not which storage they reach or how much it holds: that is the
//! scenario's, and stands in the plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim_core::Bytes;

use super::{DrainPlan, Inventory, PlanError, PlannedMove};
use crate::ids::{HostId, Name, StorageId, VmId};
use crate::orchestrator::StorageView;
use crate::plan::{DiskTarget, StorageMove};
use crate::storage_mirror::DiskOrder;

/// Where disks can be, and how many hosts move at a time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedStorage {
    /// The storage locations.
    pub locations: Vec<PlannedLocation>,
    /// By host: migrations with storage at a time, coming and going together; any number at others.
    pub limits: BTreeMap<Name, u32>,
}

/// A place where disks can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedLocation {
    /// Its name; agents have a directory of this name.
    pub name: Name,
    /// The hosts that reach it.
    pub hosts: Vec<Name>,
    /// How much it holds; no limit where `None`.
    pub capacity: Option<Bytes>,
}

impl PlannedStorage {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.locations.is_empty()
    }

    fn location(&self, name: &Name) -> Result<StorageId, PlanError> {
        let place = self.locations.iter().position(|location| location.name == *name);
        place.map(|place| StorageId(place as u32)).ok_or_else(|| unknown("storage", name))
    }
}

impl Inventory {
    /// The number by which the orchestrator knows a host.
    pub(crate) fn host(&self, name: &Name) -> Result<HostId, PlanError> {
        let place = self.hosts.iter().position(|host| host.name == *name);
        place.map(|place| HostId(place as u32)).ok_or_else(|| unknown("host", name))
    }

    /// The same of a guest.
    pub(crate) fn guest(&self, name: &Name) -> Result<VmId, PlanError> {
        let place = self.guests.iter().position(|guest| guest.name == *name);
        place.map(|place| VmId(place as u32)).ok_or_else(|| unknown("guest", name))
    }
}

impl DrainPlan {
    /// Storage and the disks on it, for an orchestrator.
    pub(crate) fn storage_view(&self) -> Result<StorageView, PlanError> {
        let mut view = StorageView::default();
        for location in &self.storage.locations {
            let hosts = location.hosts.iter().map(|host| self.inventory.host(host));
            let hosts = hosts.collect::<Result<Vec<HostId>, PlanError>>()?;
            view.add_location(location.name.clone(), hosts, location.capacity);
        }
        for host in &self.inventory.hosts {
            // Disks go where the plan says, so that no default is needed.
            view.add_host(None, self.storage.limits.get(&host.name).copied());
        }
        for (vm, guest) in (0..).map(VmId).zip(&self.inventory.guests) {
            for disk in &guest.disks {
                view.add_disk(vm, disk.name.clone(), self.storage.location(&disk.on)?, disk.bytes);
            }
        }
        Ok(view)
    }

    /// What becomes of the disks of a guest that moves so.
    pub(crate) fn storage_of(&self, planned: &PlannedMove) -> Result<StorageMove, PlanError> {
        if planned.disks.is_empty() {
            return Ok(StorageMove::Stays);
        }
        let guest = &self.inventory.guests[self.inventory.guest(&planned.vm)?.index()];
        let target = |order: &DiskOrder| {
            let disk = guest.disks.get(order.disk as usize);
            let known = disk.filter(|disk| disk.name == order.name && disk.on == order.from);
            known.ok_or_else(|| unknown("disk", &order.name))?;
            Ok(DiskTarget { disk: order.disk, to: self.storage.location(&order.to)? })
        };
        Ok(StorageMove::To(planned.disks.iter().map(target).collect::<Result<_, PlanError>>()?))
    }
}

fn unknown(what: &'static str, name: &Name) -> PlanError {
    PlanError::Unknown { what, name: name.clone() }
}
