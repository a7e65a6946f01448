//! The guests of a run: booted before its clock starts, and measured.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use algorithms::ids::{StorageId, VmId};
use models::cluster::ClusterModel;
use models::workload::Workload;
use sim_core::{ByteRate, Bytes};

use super::RunOptions;
use crate::qemu::QemuError;
use crate::qemu::accelerator::wait_until_running;
use crate::qemu::attach;
use crate::qemu::process::{Machine, MachineSpec, Role};
use crate::qemu::rom::{self, RomGuest, WorkingSet, counters};

/// How long guests may take to fill their memory, all at once.
const FILLED_WITHIN: Duration = Duration::from_secs(240);

/// A guest, and the machine that runs it.
pub(super) struct Home {
    pub(super) machine: Machine,
    /// What it does; `None` for a guest of somebody else's.
    pub(super) guest: Option<RomGuest>,
    /// How many machines it has had.
    pub(super) generation: u32,
    /// Where its disks are now.
    pub(super) places: Vec<StorageId>,
}

/// What a guest really wrote before it moved.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredGuest {
    /// Which.
    pub vm: VmId,
    /// For each of its working sets, writes per second: asked for, and done.
    pub sets: Vec<(f64, f64)>,
}

impl MeasuredGuest {
    /// `workload` at the rates that were measured. A set of which nothing was asked stays as it is.
    pub fn applied_to(&self, workload: &Workload) -> Workload {
        let mut rates = self.sets.iter().copied();
        let mut scaled = |rate: ByteRate| match rates.next() {
            Some((asked, done)) if asked > 0.0 => {
                ByteRate::from_bytes_per_sec((rate.as_f64() * done / asked) as u64)
            }
            _ => rate,
        };
        match workload.clone() {
            Workload::Linear { rate, working_set } => Workload::Linear { rate: scaled(rate), working_set },
            Workload::Uniform { rate, working_set } => Workload::Uniform { rate: scaled(rate), working_set },
            Workload::Classes(mut classes) => {
                classes.iter_mut().for_each(|class| class.rate = scaled(class.rate));
                Workload::Classes(classes)
            }
            other => other,
        }
    }
}

/// Starts every guest that the plan may move, and waits until all are up.
pub(super) fn boot(
    model: &ClusterModel,
    options: &RunOptions<'_>,
) -> Result<BTreeMap<VmId, Box<Home>>, QemuError> {
    let rom = rom::build(options.directory)?;
    let mut homes = BTreeMap::new();
    for vm in movable(model) {
        let of = &model.guests[vm.index()];
        if let Some(attached) = options.attached.iter().find(|attached| *attached.vm == *of.name) {
            let machine = attach::source(attached, of.memory)?;
            (options.progress)(&format!("{} runs at {}", of.name, machine.socket().display()));
            homes.insert(vm, Box::new(Home { machine, guest: None, generation: 0, places: Vec::new() }));
            continue;
        }
        let named = |error: QemuError| QemuError::Scenario(format!("virtual machine `{}`: {error}", of.name));
        let guest = RomGuest::of(of.memory, &of.workload).map_err(named)?;
        let loader = guest.loader_arguments(options.accelerator.ticks_per_sec);
        let places: Vec<_> = of.disks.iter().map(|disk| disk.on).collect();
        let disks = images(model, options, vm, &places)?;
        let spec = MachineSpec {
            binary: options.binary,
            namespace: None,
            name: &format!("{}-0", of.name),
            directory: options.directory,
            accelerator: options.accelerator.kind,
            memory_mib: guest.memory.get() >> 20,
            rom: &rom,
            arguments: &loader,
            disks: &disks,
            role: Role::Boots,
        };
        let machine = Machine::start(&spec, channel().0)?;
        (options.progress)(&format!("{} boots, process {}", of.name, machine.pid().unwrap_or_default()));
        homes.insert(vm, Box::new(Home { machine, guest: Some(guest), generation: 0, places }));
    }
    for home in homes.values_mut() {
        if let Some(guest) = &home.guest {
            wait_until_running(&mut home.machine, guest.sets.len(), FILLED_WITHIN)?;
        }
    }
    check_names(model, &homes, options)?;
    Ok(homes)
}

/// Who is attached to must be a guest that the plan moves: else it was named by mistake.
fn check_names(
    model: &ClusterModel,
    homes: &BTreeMap<VmId, Box<Home>>,
    options: &RunOptions<'_>,
) -> Result<(), QemuError> {
    let moved: Vec<&str> = homes.keys().map(|vm| &*model.guests[vm.index()].name).collect();
    match options.attached.iter().find(|attached| !moved.contains(&attached.vm.as_str())) {
        None => Ok(()),
        Some(attached) => Err(QemuError::Scenario(format!(
            "the plan moves no virtual machine `{}` that could be attached to; it moves {}",
            attached.vm,
            moved.join(", ")
        ))),
    }
}

/// Guests that the plan moves by name, or with their host.
fn movable(model: &ClusterModel) -> BTreeSet<VmId> {
    let mut found = BTreeSet::new();
    for phase in &model.plan.phases {
        found.extend(phase.moves.iter().map(|each| each.vm));
        let on_drained = |(index, guest): (usize, &models::cluster::Guest)| {
            phase.drains.contains(&guest.host).then_some(VmId(index as u32))
        };
        found.extend(model.guests.iter().enumerate().filter_map(on_drained));
    }
    found
}

/// The images of a guest's disks at these places, made where they are not there yet: sparse, and as large as
/// the guest sees them.
pub(super) fn images(
    model: &ClusterModel,
    options: &RunOptions<'_>,
    vm: VmId,
    places: &[StorageId],
) -> Result<Vec<PathBuf>, QemuError> {
    let guest = &model.guests[vm.index()];
    let mut paths = Vec::new();
    for (disk, place) in guest.disks.iter().zip(places) {
        let location = &model.storage[place.index()].name;
        let path = options.directory.join(format!("{}-{}-{location}.raw", guest.name, disk.name));
        let size: Bytes = disk.size;
        let made = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        made.and_then(|file| file.set_len(size.get()))
            .map_err(|source| QemuError::File { path: path.clone(), source })?;
        paths.push(path);
    }
    Ok(paths)
}

/// Lets all guests write for a while, and counts.
pub(super) fn measure(
    homes: &mut BTreeMap<VmId, Box<Home>>,
    for_so_long: Duration,
) -> Result<Vec<MeasuredGuest>, QemuError> {
    let before = count(homes)?;
    std::thread::sleep(for_so_long);
    let after = count(homes)?;
    let mut measured = Vec::new();
    for ((home, vm), (before, after)) in homes.values().zip(homes.keys()).zip(before.iter().zip(&after)) {
        let Some(guest) = &home.guest else { continue };
        let seconds = (after.0 - before.0).as_secs_f64();
        let done = before.1.iter().zip(&after.1).map(|(before, after)| (after - before) as f64 / seconds);
        let asked = guest.sets.iter().map(|set: &WorkingSet| set.writes_per_sec);
        measured.push(MeasuredGuest { vm: *vm, sets: asked.zip(done).collect() });
    }
    Ok(measured)
}

fn count(homes: &mut BTreeMap<VmId, Box<Home>>) -> Result<Vec<(Instant, Vec<u64>)>, QemuError> {
    let mut counts = Vec::new();
    for home in homes.values_mut() {
        let writes = match &home.guest {
            Some(guest) => counters(&mut home.machine.qmp, guest.sets.len())?.writes,
            None => Vec::new(),
        };
        counts.push((Instant::now(), writes));
    }
    Ok(counts)
}
