//! Storage devices as shared resources, the guests' own input and output on them, and the copying and
//! mirroring of disks.
//!
//! A copy reads at the source, crosses the network where the hosts differ, and writes at the
//! destination. A guest's write to a mirrored disk does the same at the same time, so it is as slow as
//! the slowest of these.

use algorithms::controller::Input;
use algorithms::ids::{StorageId, VmId};
use algorithms::orchestrator::{Assignment, DiskMove};
use algorithms::records::ResourceKind;
use sim_core::{ActivityId, Bytes, Demand, Fluid, ResourceId};

use super::World;
use super::fabric::Fabric;
use super::migrating::Migrating;
use super::way::BYTES_PER_GB;
use crate::cluster::ClusterModel;
use crate::storage::{DiskIo, Throughput};

/// One operation of a copy. Assumption: not published for Hyper-V.
pub(super) const COPY_BLOCK: Bytes = Bytes::from_mib(1);
/// Processor time to read or write a disk in such operations, at either end. Assumption.
pub(super) const DISK_CORE_SECONDS_PER_GB: f64 = 0.05;
/// The most that one copy within a host moves, where nothing else limits it. Assumption.
pub(super) const LOCAL_COPY_BYTES_PER_SEC: f64 = 8e9;
/// A guest writes so much and no more in one run: a work that no run comes to the end of, and whose
/// rest is still known to the byte (2^53).
const ENDLESS: f64 = 9_007_199_254_740_992.0;

/// Devices, and every disk that there is.
pub(super) struct Storing {
    devices: Vec<Device>,
    /// By guest, by disk; empty where no guest has any.
    disks: Vec<Vec<DiskState>>,
}

/// A storage location's resources; what never limits has none.
#[derive(Default)]
struct Device {
    read: Option<ResourceId>,
    write: Option<ResourceId>,
    iops: Option<ResourceId>,
}

struct DiskState {
    io: DiskIo,
    at: StorageId,
    reading: Option<ActivityId>,
    writing: Option<ActivityId>,
    mirror: Option<Mirror>,
    /// Written to both sides by the guest in the migration under way.
    mirrored: f64,
}

/// Where a disk's writes go too.
struct Mirror {
    to: StorageId,
    /// What a byte takes on its way there, the writing included.
    uses: Uses,
    cap: f64,
}

pub(super) type Uses = Vec<(ResourceId, f64)>;

impl Storing {
    /// Adds the devices of `model` to `fluid`.
    pub(super) fn new(model: &ClusterModel, fluid: &mut Fluid, fabric: &mut Fabric) -> Storing {
        let mut devices = Vec::new();
        for location in &model.storage {
            let mut add = |what: &str, kind, capacity| {
                let name = format!("{}{what}", location.name).into();
                Some(fabric.describe(fluid, name, kind, capacity))
            };
            let (read, write) = match location.throughput {
                Throughput::Unlimited => (None, None),
                Throughput::Common(rate) => {
                    let both = add("", ResourceKind::Disk, rate.as_f64());
                    (both, both)
                }
                Throughput::Separate { read, write } => (
                    add(" read", ResourceKind::Disk, read.as_f64()),
                    add(" write", ResourceKind::Disk, write.as_f64()),
                ),
            };
            let iops = location.iops.and_then(|iops| add(" iops", ResourceKind::Iops, f64::from(iops)));
            devices.push(Device { read, write, iops });
        }
        let disk = |disk: &crate::storage::Disk| DiskState {
            io: disk.io,
            at: disk.on,
            reading: None,
            writing: None,
            mirror: None,
            mirrored: 0.0,
        };
        let any = model.guests.iter().any(|guest| !guest.disks.is_empty());
        let guests = if any { &model.guests[..] } else { &[] };
        Storing {
            devices,
            disks: guests.iter().map(|guest| guest.disks.iter().map(disk).collect()).collect(),
        }
    }

    /// The resources of a location's device.
    pub(super) fn device(&self, at: StorageId) -> Vec<ResourceId> {
        let Device { read, write, iops } = &self.devices[at.index()];
        [*read, *write, *iops].into_iter().flatten().collect()
    }

    /// Where a guest's disks are.
    pub(super) fn places(&self, vm: VmId) -> impl Iterator<Item = StorageId> + '_ {
        self.disks.get(vm.index()).into_iter().flatten().map(|disk| disk.at)
    }

    /// Where a guest's first disk is.
    pub(super) fn first_location(&self, vm: VmId) -> Option<StorageId> {
        self.disks.get(vm.index())?.first().map(|disk| disk.at)
    }

    pub(super) fn reads(&self, at: StorageId, block: Bytes, uses: &mut Uses) {
        let device = &self.devices[at.index()];
        take(uses, device.read, 1.0);
        take(uses, device.iops, 1.0 / block.as_f64());
    }

    pub(super) fn writes(&self, at: StorageId, block: Bytes, uses: &mut Uses) {
        let device = &self.devices[at.index()];
        take(uses, device.write, 1.0);
        take(uses, device.iops, 1.0 / block.as_f64());
    }
}

/// Adds a use; where a resource is used already, both count.
pub(super) fn take(uses: &mut Uses, resource: Option<ResourceId>, coefficient: f64) {
    let Some(resource) = resource else { return };
    match uses.iter_mut().find(|(used, _)| *used == resource) {
        Some((_, so_far)) => *so_far += coefficient,
        None => uses.push((resource, coefficient)),
    }
}

impl World<'_> {
    /// All guests begin to read and write.
    pub(super) fn begin_guest_io(&mut self) {
        for vm in 0..self.storing.disks.len() as u32 {
            self.resume_guest_io(VmId(vm));
        }
    }

    /// The guest runs: it reads and writes, wherever its disks are.
    pub(super) fn resume_guest_io(&mut self, vm: VmId) {
        if self.is_off(vm) {
            return;
        }
        let World { storing, fluid, now, .. } = self;
        for disk in 0..storing.disks.get(vm.index()).map_or(0, Vec::len) {
            let state = &storing.disks[vm.index()][disk];
            let (io, at) = (state.io, state.at);
            let mut start = |uses: &Uses, cap: f64| {
                let demand = Demand { uses, weight: io.weight, cap };
                fluid.start(*now, ENDLESS, &demand)
            };
            let mut reading = None;
            if state.reading.is_none() && io.read.as_f64() > 0.0 {
                let mut uses = Uses::new();
                storing.reads(at, io.block, &mut uses);
                reading = Some(start(&uses, io.read.as_f64()));
            }
            let mut writing = None;
            if state.writing.is_none() && io.write.as_f64() > 0.0 {
                let (mut uses, cap) = state
                    .mirror
                    .as_ref()
                    .map_or((Uses::new(), f64::INFINITY), |mirror| (mirror.uses.clone(), mirror.cap));
                storing.writes(at, io.block, &mut uses);
                writing = Some(start(&uses, io.write.as_f64().min(cap)));
            }
            let state = &mut storing.disks[vm.index()][disk];
            state.reading = state.reading.or(reading);
            state.writing = state.writing.or(writing);
        }
    }

    /// The guest stands still, or what its writes take is about to change.
    pub(super) fn pause_guest_io(&mut self, vm: VmId) {
        let World { storing, fluid, now, .. } = self;
        for state in storing.disks.get_mut(vm.index()).into_iter().flatten() {
            if let Some(reading) = state.reading.take() {
                fluid.cancel(*now, reading);
            }
            if let Some(writing) = state.writing.take() {
                let left = fluid.cancel(*now, writing).unwrap_or(0.0);
                if state.mirror.is_some() {
                    state.mirrored += ENDLESS - left;
                }
            }
        }
    }

    /// Begins to mirror a disk's writes, and to copy it.
    pub(super) fn copy_disk(&mut self, migrating: &mut Migrating, disk: u32, bytes: Bytes) {
        let vm = migrating.assignment.vm;
        let moves = &migrating.disks;
        let Some(DiskMove { from, to, .. }) = moves.iter().find(|each| each.disk == disk).copied() else {
            panic!("a controller copies only disks that its migration moves");
        };
        self.pause_guest_io(vm);
        let load = migrating.way.disk_load(self.fabric.has_processors());
        let (mut way, cap) = (load.uses, load.cap);
        self.disk_processors(&migrating.assignment, &mut way);
        let state = &self.storing.disks[vm.index()][disk as usize];
        let mut mirror = way.clone();
        self.storing.writes(to, state.io.block, &mut mirror);
        let state = &mut self.storing.disks[vm.index()][disk as usize];
        (state.mirror, state.mirrored) = (Some(Mirror { to, uses: mirror, cap }), 0.0);
        self.resume_guest_io(vm);
        self.storing.reads(from, COPY_BLOCK, &mut way);
        self.storing.writes(to, COPY_BLOCK, &mut way);
        self.begin_disk(migrating, bytes, &Demand { uses: &way, weight: 1.0, cap });
    }

    /// The guest uses the copies of its disks, where it has any, and goes on.
    pub(super) fn switch_over(&mut self, vm: VmId) {
        self.pause_guest_io(vm);
        for state in self.storing.disks.get_mut(vm.index()).into_iter().flatten() {
            if let Some(mirror) = state.mirror.take() {
                state.at = mirror.to;
            }
        }
        self.resume_guest_io(vm);
    }

    /// Ends what is still mirrored; says how much the guest wrote to both sides.
    pub(super) fn end_mirror(&mut self, migrating: &Migrating) -> Input {
        let vm = migrating.assignment.vm;
        self.pause_guest_io(vm);
        let mut written = 0.0;
        for state in self.storing.disks.get_mut(vm.index()).into_iter().flatten() {
            state.mirror = None;
            written += std::mem::take(&mut state.mirrored);
        }
        self.resume_guest_io(vm);
        Input::MirrorEnded { written: Bytes::from_f64_floor(written) }
    }

    fn disk_processors(&self, assignment: &Assignment, uses: &mut Uses) {
        if self.fabric.has_processors() {
            for host in [assignment.source, assignment.destination] {
                take(uses, Some(self.fabric.cpu(host)), DISK_CORE_SECONDS_PER_GB / BYTES_PER_GB);
            }
        }
    }
}
