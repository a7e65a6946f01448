//! What breaks, as it happens to hosts, links and storage: injected here, judged by the controllers.
//!
//! ```text
//!   schedule, chance ─▶ Trigger ─▶ incident ─▶ hosts, links, storage
//!   step of a migration ─┘                        │
//!                         orchestrator ◀── Befell ┴─ HostDied, Silent, Heard, Broke ──▶ controllers
//! ```
//!
//! A link that is down carries nothing, and steps that need both hosts stand still; a migration that
//! uses one is told that nothing comes through. A dead host's links stay down.

mod chance;
mod incidents;

use std::collections::BTreeMap;

use algorithms::controller::{Command, Input};
use algorithms::failures::Breakage;
use algorithms::ids::{HostId, MigrationId, Name, StorageId, VmId};
use algorithms::orchestrator::DiskMove;
use algorithms::page_loop::{Opening, PageCommand};
use algorithms::records::{GuestRecord, MigrationKind, Power};
use algorithms::storage_mirror::MirrorCommand;
use sim_core::{Bytes, SimTime, Span, Streams};

use super::migrating::{Migrating, Pending, Step};
use super::{Event, World};
use crate::cluster::ClusterModel;
use crate::faults::{Fault, MigrationStep, When};
use crate::network::Node;
use chance::Chance;

/// What is broken just now, and what is still to break.
pub(super) struct Failing {
    /// By guest: faults of the schedule that wait for a step of its migration.
    aimed: BTreeMap<VmId, Vec<usize>>,
    /// By fault of the schedule: what it came to, and the migration at which it was aimed.
    happened: BTreeMap<usize, Fault>,
    aimed_at: BTreeMap<usize, MigrationId>,
    chances: Vec<Chance>,
    /// By link: how many things keep it down.
    links_down: Vec<u32>,
    /// By host: the links that end at it.
    links_of: Vec<Vec<usize>>,
    dead: Vec<bool>,
    /// By guest: whether its host has died.
    off: Vec<bool>,
    /// By host: how many things keep it from authenticating.
    unauthenticated: Vec<u32>,
    /// By host: memory that guests which are not ours have taken.
    taken: Vec<Bytes>,
    /// By storage location: how many things keep hosts from reaching it.
    storage_lost: Vec<u32>,
    storage_full: Vec<bool>,
    network_timeout: Span,
}

/// When a fault begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    Begin(Cause),
    End(Cause),
}

/// Where a fault comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// By its place in the schedule.
    Scheduled(usize),
    /// By its place among the chances.
    Chance(usize),
}

/// What the driver keeps of a migration for the sake of what may break.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Watched {
    /// Whether nothing comes through between its hosts.
    silent: bool,
    /// A step that stands still, with what is left of its time.
    held: Option<(Span, Step)>,
    /// Whether a fault comes in the step that begins now, however short it is.
    aimed_at: bool,
    /// The round of its memory.
    round: u32,
    paused: bool,
    /// Whether its memory is taken at the destination.
    prepared: bool,
    /// Whether the guest runs at the destination.
    handed_over: bool,
}

impl Watched {
    /// Whether `step` cannot begin to take its time; it will when something comes through again.
    pub(super) fn holds(&mut self, span: Span, step: Step) -> bool {
        let holds = self.silent && step.crosses_the_network();
        if holds {
            self.held = Some((span, step));
        }
        holds
    }

    pub(super) fn is_aimed_at(&mut self) -> bool {
        std::mem::take(&mut self.aimed_at)
    }

    /// What stood still will not go on.
    pub(super) fn let_go(&mut self) {
        self.held = None;
    }
}

impl Failing {
    pub(super) fn new(model: &ClusterModel, streams: &Streams) -> Option<Box<Failing>> {
        let faults = &model.faults;
        if faults.are_none() {
            return None;
        }
        let mut aimed: BTreeMap<VmId, Vec<usize>> = BTreeMap::new();
        for (index, fault) in faults.scheduled.iter().enumerate() {
            if let When::InStep { vm, .. } = fault.when {
                aimed.entry(vm).or_default().push(index);
            }
        }
        let mut links_of = vec![Vec::new(); model.hosts.len()];
        for (index, (a, b, _)) in model.network.links().enumerate() {
            for end in [a, b] {
                if let Node::Host(host) = end {
                    links_of[host.index()].push(index);
                }
            }
        }
        Some(Box::new(Failing {
            aimed,
            happened: BTreeMap::new(),
            aimed_at: BTreeMap::new(),
            chances: chance::all(model, streams),
            links_down: vec![0; model.network.links().count()],
            links_of,
            dead: vec![false; model.hosts.len()],
            off: vec![false; model.guests.len()],
            unauthenticated: vec![0; model.hosts.len()],
            taken: vec![Bytes::ZERO; model.hosts.len()],
            storage_lost: vec![0; model.storage.len()],
            storage_full: vec![false; model.storage.len()],
            network_timeout: faults.network_timeout,
        }))
    }
}

impl World<'_> {
    /// Whether a guest's host has died.
    pub(super) fn is_off(&self, vm: VmId) -> bool {
        self.failing.as_ref().is_some_and(|failing| failing.off[vm.index()])
    }

    /// A guest whose host had died was started elsewhere.
    pub(super) fn runs_again(&mut self, vm: VmId) {
        if let Some(failing) = &mut self.failing {
            failing.off[vm.index()] = false;
        }
    }

    /// Schedules what is to break at a point in time, and what breaks by chance.
    pub(super) fn begin_faults(&mut self) {
        let Some(failing) = &mut self.failing else { return };
        let mut first = Vec::new();
        for (index, fault) in self.model.faults.scheduled.iter().enumerate() {
            if let When::At(time) = fault.when {
                if time == SimTime::ZERO {
                    first.push(index);
                    continue;
                }
                self.queue.schedule(time, Event::Fault(Trigger::Begin(Cause::Scheduled(index))));
            }
        }
        for (index, chance) in failing.chances.iter_mut().enumerate() {
            let time = self.now + chance.next();
            self.queue.schedule(time, Event::Fault(Trigger::Begin(Cause::Chance(index))));
        }
        // What is broken from the first is so before anything begins.
        for index in first {
            self.trigger(Trigger::Begin(Cause::Scheduled(index)));
        }
    }

    /// Tells a migration to begin, and, where nothing comes through, that too.
    pub(super) fn begin_watched(&mut self, mut migrating: Box<Migrating>) {
        let id = migrating.assignment.migration;
        let limit = self.failing.as_ref().map(|failing| failing.network_timeout);
        migrating.state.silent = limit.is_some() && self.is_cut_off(&migrating);
        let silent = migrating.state.silent;
        self.follow(migrating, Some(Input::Begin));
        if let Some(limit) = limit.filter(|_| silent) {
            self.tell(id, Input::Silent { limit });
        }
    }

    /// Notes what a command begins, and calls the faults that wait for it; gives what keeps the command
    /// from being carried out.
    pub(super) fn watch(&mut self, migrating: &mut Migrating, command: Command) -> Option<Input> {
        let state = &mut migrating.state;
        let step = match command {
            Command::Prepare => MigrationStep::Preparation,
            Command::Storage(MirrorCommand::Copy { .. }) => MigrationStep::Disks,
            Command::Page(PageCommand::Send { opening: Opening::Round, .. }) if !state.paused => {
                state.round += 1;
                MigrationStep::Round(state.round)
            }
            Command::Page(PageCommand::Pause) => {
                state.paused = true;
                MigrationStep::Pause
            }
            Command::Page(PageCommand::Resume) => MigrationStep::HandOver,
            Command::Finish => MigrationStep::CleanUp,
            _ => return None,
        };
        self.call_aimed(migrating, step);
        match command {
            Command::Storage(MirrorCommand::Copy { disk, .. }) => self.copy_breaks(migrating, disk),
            _ => None,
        }
    }

    fn call_aimed(&mut self, migrating: &mut Migrating, begun: MigrationStep) {
        let Some(failing) = &mut self.failing else { return };
        let Some(aimed) = failing.aimed.get_mut(&migrating.assignment.vm) else { return };
        let scheduled = &self.model.faults.scheduled;
        let (now_due, later): (Vec<usize>, Vec<usize>) = aimed
            .iter()
            .partition(|index| matches!(scheduled[**index].when, When::InStep { step, .. } if step == begun));
        *aimed = later;
        for index in now_due {
            let When::InStep { after, .. } = scheduled[index].when else { continue };
            failing.aimed_at.insert(index, migrating.assignment.migration);
            migrating.state.aimed_at = true;
            let event = Event::Fault(Trigger::Begin(Cause::Scheduled(index)));
            self.queue.schedule(self.now + after, event);
        }
    }

    /// Why a disk cannot be copied.
    fn copy_breaks(&self, migrating: &Migrating, disk: u32) -> Option<Input> {
        let failing = self.failing.as_ref()?;
        let DiskMove { from, to, .. } = *migrating.disks.iter().find(|each| each.disk == disk)?;
        let lost = [from, to].into_iter().find(|at| failing.storage_lost[at.index()] > 0);
        let breakage = match lost {
            Some(at) => Breakage::Storage { storage: Some(self.storage_name(at)) },
            None if failing.storage_full[to.index()] => Breakage::Space { storage: self.storage_name(to) },
            None => return None,
        };
        Some(Input::Broke(breakage))
    }

    /// What a step comes to instead of its end, where something is broken.
    pub(super) fn breaks(&self, migrating: &mut Migrating, step: Step) -> Option<Input> {
        let failing = self.failing.as_ref()?;
        let assignment = &migrating.assignment;
        let alone = assignment.kind == MigrationKind::Storage;
        let ends = [assignment.source, assignment.destination];
        let lost = || self.storing.places(assignment.vm).find(|at| failing.storage_lost[at.index()] > 0);
        let breakage = match step {
            Step::Prepared if !alone && ends.iter().any(|end| failing.unauthenticated[end.index()] > 0) => {
                Breakage::Authentication
            }
            Step::Prepared if !alone && self.lacks_memory(failing, migrating) => Breakage::Memory,
            Step::Prepared | Step::Resumed => match lost() {
                Some(at) => Breakage::Storage { storage: Some(self.storage_name(at)) },
                None => {
                    migrating.state.prepared = true;
                    migrating.state.handed_over = step == Step::Resumed;
                    return None;
                }
            },
            Step::Opened | Step::Paused | Step::Finished => return None,
        };
        Some(Input::Broke(breakage))
    }

    /// Whether others have taken the memory that was reserved for the guest.
    fn lacks_memory(&self, failing: &Failing, migrating: &Migrating) -> bool {
        let host = migrating.assignment.destination;
        let taken = failing.taken[host.index()];
        let memory = self.model.guests[migrating.assignment.vm.index()].memory;
        taken > Bytes::ZERO && self.held_memory(host) + memory + taken > self.model.hosts[host.index()].memory
    }

    /// Memory that guests of ours have at a host: those that run there, and those that are prepared there.
    fn held_memory(&self, host: HostId) -> Bytes {
        let memory = |vm: VmId| self.model.guests[vm.index()].memory;
        let there = self.orchestrator.cluster().guests_on(host).into_iter().map(memory).sum::<Bytes>();
        let under_way = self.migrations.iter().flatten();
        let coming = under_way.filter(|each| each.assignment.destination == host && each.state.prepared);
        let with_memory = coming.filter(|each| each.assignment.kind != MigrationKind::Storage);
        there + with_memory.map(|each| memory(each.assignment.vm)).sum::<Bytes>()
    }

    /// Whether a link that a migration uses is down.
    fn is_cut_off(&self, migrating: &Migrating) -> bool {
        let Some(failing) = &self.failing else { return false };
        let down = (0..failing.links_down.len()).filter(|link| failing.links_down[*link] > 0);
        let uses = &migrating.way.load.uses;
        down.flat_map(|link| self.fabric.link(link)).any(|down| uses.iter().any(|(used, _)| *used == down))
    }

    /// Tells every migration for which something begins or ceases to come through.
    fn look_at_network(&mut self) {
        let Some(failing) = &self.failing else { return };
        let limit = failing.network_timeout;
        for index in 0..self.migrations.len() {
            let Some(mut migrating) = self.migrations[index].take() else { continue };
            let (was, is) = (migrating.state.silent, self.is_cut_off(&migrating));
            migrating.state.silent = is;
            match (was, is) {
                (false, true) => {
                    self.hold(&mut migrating);
                    self.follow(migrating, Some(Input::Silent { limit }));
                }
                (true, false) => {
                    if let Some((span, step)) = migrating.state.held.take() {
                        self.schedule_step(&mut migrating, span, step);
                    }
                    self.follow(migrating, Some(Input::Heard));
                }
                _ => self.migrations[index] = Some(migrating),
            }
        }
    }

    /// Stops the clock of a step that needs both hosts.
    fn hold(&mut self, migrating: &mut Migrating) {
        if let Some(Pending { key, due, step }) = migrating.step.take_if(|it| it.step.crosses_the_network()) {
            self.queue.cancel(key);
            migrating.state.held = Some((due - self.now, step));
        }
    }

    /// Where every guest is, in a run in which something could break.
    pub(super) fn guest_records(&self) -> Vec<GuestRecord> {
        let Some(failing) = &self.failing else { return Vec::new() };
        let cluster = self.orchestrator.cluster();
        assert!(
            cluster.is_settled(),
            "whatever failed gives back the memory, the space and the slots that it took"
        );
        let guests = (0..).map(VmId).zip(&self.model.guests);
        let record = |(vm, guest): (VmId, &crate::cluster::Guest)| {
            let host = cluster.host_of(vm);
            let off = failing.off[vm.index()] || cluster.is_dead(host) || cluster.is_offline(vm);
            let power = if off { Power::Off } else { Power::Running };
            GuestRecord { vm: guest.name.clone(), host: self.host_name(host), power }
        };
        guests.map(record).collect()
    }

    fn storage_name(&self, at: StorageId) -> Name {
        self.model.storage[at.index()].name.clone()
    }
}
