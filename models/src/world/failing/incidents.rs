//! What each fault does to hosts, links and storage, and whom it is told.

use algorithms::controller::Input;
use algorithms::failures::{Breakage, Side};
use algorithms::ids::{HostId, MigrationId, Name, StorageId, VmId};
use algorithms::orchestrator::{self, Incident};
use algorithms::records::{EventRecord, Level, MigrationKind, Record};
use sim_core::{Bytes, Span};

use super::super::migrating::{Migrating, Sending};
use super::super::{Event, World};
use super::{Cause, Trigger};
use crate::faults::Fault;

/// So many guests are named of those that a dying host takes with it.
const GUESTS_TOLD: usize = 5;

impl World<'_> {
    /// A fault begins or ends.
    pub(in crate::world) fn trigger(&mut self, trigger: Trigger) {
        match trigger {
            Trigger::Begin(cause) => {
                let Some(fault) = self.fault_of(cause) else { return };
                if let Some(lasts) = self.begin_fault(&fault, self.aim_of(cause)) {
                    let lasts = self.duration_of(cause, lasts);
                    self.queue.schedule(self.now + lasts, Event::Fault(Trigger::End(cause)));
                }
                if let (Cause::Scheduled(index), Some(failing)) = (cause, &mut self.failing) {
                    failing.happened.insert(index, fault);
                }
            }
            Trigger::End(cause) => self.mend(cause),
        }
    }

    /// What happens, with the hosts of the migration at which it was aimed put in.
    fn fault_of(&self, cause: Cause) -> Option<Fault> {
        let failing = self.failing.as_ref()?;
        let fault = match cause {
            Cause::Scheduled(index) => self.model.faults.scheduled[index].fault.clone(),
            Cause::Chance(index) => failing.chances[index].fault.clone(),
        };
        let hosts = || {
            let assignment = &self.migrations[self.aim_of(cause)?.index()].as_ref()?.assignment;
            Some((assignment.source, assignment.destination))
        };
        Some(match fault {
            Fault::SideDies(Side::Source) => Fault::HostDies(hosts()?.0),
            Fault::SideDies(Side::Destination) => Fault::HostDies(hosts()?.1),
            Fault::NetworkDown { lasts } => {
                Fault::LinkDown { links: failing.links_of[hosts()?.1.index()].clone(), lasts }
            }
            other => other,
        })
    }

    fn aim_of(&self, cause: Cause) -> Option<MigrationId> {
        match cause {
            Cause::Scheduled(index) => self.failing.as_ref()?.aimed_at.get(&index).copied(),
            Cause::Chance(_) => None,
        }
    }

    /// What is drawn where it happens by chance.
    fn duration_of(&mut self, cause: Cause, given: Span) -> Span {
        match (cause, &mut self.failing) {
            (Cause::Chance(index), Some(failing)) => failing.chances[index].duration(),
            _ => given,
        }
    }

    /// Breaks what is to break; gives how long that lasts, where it does not last for good.
    fn begin_fault(&mut self, fault: &Fault, aim: Option<MigrationId>) -> Option<Span> {
        match fault {
            Fault::HostDies(host) => self.host_dies(*host),
            Fault::LinkDown { links, lasts } => {
                self.say(Level::Warning, None, format!("the network is down: {}", self.link_names(links)));
                self.change_links(links, 1);
                return Some(*lasts);
            }
            Fault::AuthenticationFails { host, lasts } => {
                self.failing.as_mut()?.unauthenticated[host.index()] += 1;
                self.say(Level::Warning, Some(*host), "connections cannot be authenticated".into());
                return Some(*lasts);
            }
            Fault::MemoryTaken { host, amount } => self.memory_taken(*host, *amount),
            Fault::StorageFull(storage) => self.storage_full(*storage),
            Fault::StorageLost { storage, lasts } => {
                self.storage_lost(*storage);
                return Some(*lasts);
            }
            Fault::Fails(breakage) => {
                if let Some(migration) = aim {
                    self.tell(migration, Input::Broke(breakage.clone()));
                }
            }
            // Where the migration has ended before they came, they concern nobody.
            Fault::SideDies(_) | Fault::NetworkDown { .. } => {}
        }
        None
    }

    /// Mends what was broken for a time, and lets chance go on.
    fn mend(&mut self, cause: Cause) {
        let Some(failing) = &mut self.failing else { return };
        let fault = match cause {
            Cause::Scheduled(index) => failing.happened.remove(&index),
            Cause::Chance(index) => {
                let chance = &mut failing.chances[index];
                let time = self.now + chance.next();
                self.queue.schedule(time, Event::Fault(Trigger::Begin(cause)));
                Some(chance.fault.clone())
            }
        };
        match fault {
            Some(Fault::LinkDown { links, .. }) => {
                self.say(
                    Level::Information,
                    None,
                    format!("the network is up again: {}", self.link_names(&links)),
                );
                self.change_links(&links, -1);
            }
            Some(Fault::AuthenticationFails { host, .. }) => {
                failing.unauthenticated[host.index()] -= 1;
                self.say(Level::Information, Some(host), "connections can be authenticated again".into());
            }
            Some(Fault::StorageLost { storage, .. }) => self.storage_back(storage),
            _ => {}
        }
    }

    fn host_dies(&mut self, host: HostId) {
        let Some(failing) = &mut self.failing else { return };
        if std::mem::replace(&mut failing.dead[host.index()], true) {
            return;
        }
        let links = failing.links_of[host.index()].clone();
        let guests = self.guests_at(host);
        self.say_died(host, &guests);
        for vm in guests {
            if let Some(failing) = &mut self.failing {
                failing.off[vm.index()] = true;
            }
            self.pause_guest_io(vm);
        }
        self.put_links(&links, 1);
        self.befall(Incident::HostDied(host));
        self.cancel_quicks_at(host, "a host of it died");
        for index in 0..self.migrations.len() {
            let migrating = self.migrations[index].as_ref();
            let side = migrating.and_then(|migrating| side_of(migrating, host));
            if let Some(side) = side {
                self.tell(MigrationId(index as u32), Input::HostDied(side));
            }
        }
        self.look_at_network();
    }

    /// The guests that run on a host, those included that have just been handed over to it.
    fn guests_at(&self, host: HostId) -> Vec<VmId> {
        let moved = self.migrations.iter().flatten().filter(|each| each.state.handed_over);
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        for each in moved {
            let assignment = &each.assignment;
            if assignment.source == host && assignment.destination != host {
                gone.push(assignment.vm);
            } else if assignment.destination == host {
                come.push(assignment.vm);
            }
        }
        let mut guests = self.orchestrator.cluster().guests_on(host);
        guests.retain(|vm| !gone.contains(vm) && !come.contains(vm));
        guests.extend(come);
        guests
    }

    fn say_died(&mut self, host: HostId, guests: &[VmId]) {
        let name = |vm: &VmId| self.model.guests[vm.index()].name.to_string();
        let mut told: Vec<String> = guests.iter().take(GUESTS_TOLD).map(name).collect();
        if guests.len() > GUESTS_TOLD {
            told.push(format!("{} more", guests.len() - GUESTS_TOLD));
        }
        let off = match told.as_slice() {
            [] => "no guest ran there".to_string(),
            told => format!("guests that ran there are off: {}", told.join(", ")),
        };
        let refusal = self.orchestrator.cluster().death_of(host);
        let hyper_v = self.model.hypervisor.policy.logs_as_hyper_v();
        let event = EventRecord::error(self.now, format!("the host has died; {off}"));
        let event = event.at(&self.host_name(host)).with_id(hyper_v.then_some(refusal.event.id));
        let event = event.with_advice(Some((&refusal).into()));
        self.log.keep(Record::Event(event));
    }

    /// Changes how many things keep links down, and tells those whom it concerns.
    fn change_links(&mut self, links: &[usize], change: i32) {
        self.put_links(links, change);
        self.look_at_network();
    }

    fn put_links(&mut self, links: &[usize], change: i32) {
        let Some(failing) = &mut self.failing else { return };
        for link in links {
            let down = &mut failing.links_down[*link];
            let was = *down;
            *down = down.saturating_add_signed(change);
            if (was == 0) != (*down == 0) {
                for resource in self.fabric.link(*link) {
                    self.fabric.set_up(&mut self.fluid, self.now, resource, *down == 0);
                }
            }
        }
    }

    /// Others take memory, as far as it is nobody's: what guests of ours have, they keep.
    fn memory_taken(&mut self, host: HostId, amount: Bytes) {
        let held = self.held_memory(host);
        let Some(failing) = &mut self.failing else { return };
        let so_far = failing.taken[host.index()];
        let free = self.model.hosts[host.index()].memory.saturating_sub(held + so_far);
        let got = amount.min(free);
        failing.taken[host.index()] = so_far + got;
        self.say(Level::Warning, Some(host), format!("other guests have taken {got} of memory"));
        self.befall(Incident::MemoryTaken(host, got));
    }

    fn storage_full(&mut self, storage: StorageId) {
        let Some(failing) = &mut self.failing else { return };
        failing.storage_full[storage.index()] = true;
        let name = self.storage_name(storage);
        self.say(Level::Warning, None, format!("`{name}` is full: others have taken the rest of its space"));
        self.befall(Incident::StorageFilled(storage));
        self.break_copies(|_, to| to == storage, &Breakage::Space { storage: name });
    }

    fn storage_lost(&mut self, storage: StorageId) {
        let Some(failing) = &mut self.failing else { return };
        failing.storage_lost[storage.index()] += 1;
        self.put_device(storage);
        let name = self.storage_name(storage);
        self.say(Level::Error, None, format!("`{name}` cannot be reached from any host"));
        self.befall(Incident::StorageLost(storage));
        let breakage = Breakage::Storage { storage: Some(name) };
        self.break_copies(|from, to| from == storage || to == storage, &breakage);
    }

    fn storage_back(&mut self, storage: StorageId) {
        let Some(failing) = &mut self.failing else { return };
        failing.storage_lost[storage.index()] -= 1;
        self.put_device(storage);
        self.say(Level::Information, None, format!("`{}` can be reached again", self.storage_name(storage)));
        self.befall(Incident::StorageBack(storage));
    }

    /// Puts a storage device's resources up or down.
    fn put_device(&mut self, storage: StorageId) {
        let Some(failing) = &self.failing else { return };
        let up = failing.storage_lost[storage.index()] == 0;
        for resource in self.storing.device(storage) {
            self.fabric.set_up(&mut self.fluid, self.now, resource, up);
        }
    }

    /// Tells the migrations whose disk under way goes between such places.
    fn break_copies(&mut self, concerns: impl Fn(StorageId, StorageId) -> bool, breakage: &Breakage) {
        for index in 0..self.migrations.len() {
            let copying =
                self.migrations[index].as_ref().filter(|each| matches!(each.sending, Sending::Disk(_)));
            let broken =
                copying.is_some_and(|each| each.disks.iter().any(|disk| concerns(disk.from, disk.to)));
            if broken {
                self.tell(MigrationId(index as u32), Input::Broke(breakage.clone()));
            }
        }
    }

    fn befall(&mut self, incident: Incident) {
        self.tell_orchestrator(orchestrator::Input::Befell(incident));
    }

    fn link_names(&self, links: &[usize]) -> String {
        let names: Vec<&Name> = self.model.network.links().map(|(_, _, link)| &link.name).collect();
        let named: Vec<&str> =
            links.iter().filter_map(|link| names.get(*link)).map(|name| &***name).collect();
        named.join(", ")
    }

    fn say(&mut self, level: Level, host: Option<HostId>, message: String) {
        let event = EventRecord::new(self.now, level, message);
        let event = match host {
            Some(host) => event.at(&self.host_name(host)),
            None => event,
        };
        self.log.keep(Record::Event(event));
    }
}

/// Which end of a migration a host is.
fn side_of(migrating: &Migrating, host: HostId) -> Option<Side> {
    let assignment = &migrating.assignment;
    match host {
        _ if host == assignment.source => Some(Side::Source),
        _ if host == assignment.destination && assignment.kind != MigrationKind::Storage => {
            Some(Side::Destination)
        }
        _ => None,
    }
}
