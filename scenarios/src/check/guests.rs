//! Virtual machines, and whether they fit where they start.

use std::collections::BTreeMap;

use algorithms::failover::Role;
use algorithms::ids::{HostId, VmId};
use algorithms::preflight::facts::GuestConfiguration;
use models::cluster::{Guest, MemoryUse};
use models::transport::Compressibility;
use sim_core::Bytes;

use super::hosts::Hosts;
use super::storage::Storages;
use super::table::Table;
use super::workload;
use super::{Checker, failover, missing, settings};
use crate::error::Problem;
use crate::file::{File, GuestFile, Named, WorkloadFile};
use crate::names;
use crate::read::at::{At, Place};

/// Guests that one model may have.
const MAX_GUESTS: usize = 1_000_000;
/// The largest coefficient of variation that makes sense: speeds then differ a thousandfold.
const MAX_VARIATION: f64 = 10.0;
/// The highest compression ratio that makes sense: a guest of zeros.
const MAX_RATIO: f64 = 1000.0;

/// The guests, with what other checks need of them.
pub(crate) struct Guests {
    pub(crate) guests: Vec<Guest>,
    pub(crate) table: Table,
    /// Those that are clustered.
    pub(crate) roles: BTreeMap<VmId, Role>,
}

impl Checker {
    pub(crate) fn guests(
        &mut self,
        file: &File,
        (hosts, storage): (&Hosts, &Storages),
        whole: Place,
    ) -> Guests {
        let table = Table::new("virtual machine", "virtual machines");
        let mut guests = Guests { guests: Vec::new(), table, roles: BTreeMap::new() };
        let example = "vms: [(name: \"vm1\", host: \"node1\", memory: \"8 GiB\")]";
        let own = file.workloads.clone().unwrap_or_default();
        for problem in own.bad_names("workloads") {
            self.problems.push(problem);
        }
        let Some(files) = &file.vms else {
            self.problems.push(missing("vms", whole, example));
            return guests;
        };
        for file in &files.value {
            if self.problems.are_enough() {
                return guests;
            }
            let added = self.guest(file, &own, (hosts, storage), &mut guests);
            self.problems.take(added);
        }
        self.check_room(hosts, &guests);
        let space = storage.check_space(&guests.guests, |guest| guests.table.place(guest));
        self.problems.take(space);
        guests
    }

    fn guest(
        &mut self,
        file: &GuestFile,
        own: &Named<WorkloadFile>,
        (hosts, storage): (&Hosts, &Storages),
        guests: &mut Guests,
    ) -> Result<(), Problem> {
        let names = names::expand(&file.name, &mut self.budget)?;
        if guests.guests.len() + names.len() > MAX_GUESTS {
            let message = format!("the scenario has more than {MAX_GUESTS} virtual machines");
            return Err(Problem::at(file.name.place, message, "too many, counted with all before"));
        }
        let (template, on) = self.template(file, own, hosts);
        if let Some(template) = &template {
            let parts = workload::parts(&template.workload);
            self.budget.spend(names.len().saturating_mul(parts), &file.name)?;
        }
        let role = self.role(file.role.as_ref(), hosts);
        let owners = role.as_ref().map_or(0, |role| role.possible_owners.len() + role.preferred_owners.len());
        self.budget.spend(names.len().saturating_mul(owners), &file.name)?;
        for (index, name) in names.into_iter().enumerate() {
            guests.table.add(name.clone(), file.name.place)?;
            // A guest with mistakes is kept by name, so that its name is not reported as unknown.
            let guest = template.clone().unwrap_or_else(stand_in);
            let host = on.get(index % on.len().max(1)).copied().unwrap_or(0);
            if let Some(host) = hosts.hosts.get(host as usize) {
                settings::runs_here(file.configuration.as_ref(), &guest.configuration, host)?;
            }
            let host = HostId(host);
            failover::owned_here(file.role.as_ref(), role.as_ref(), host, hosts)?;
            if let Some(role) = &role {
                guests.roles.insert(VmId(guests.guests.len() as u32), role.clone());
            }
            let files = file.disks.as_deref().unwrap_or(&[]);
            self.budget.spend(files.len(), &file.name)?;
            let disks = storage.disks(files, host, hosts);
            let disks = self.problems.take(disks).unwrap_or_default();
            guests.guests.push(Guest { name, host, disks, ..guest });
        }
        Ok(())
    }

    /// What all guests of an entry have in common, and the hosts that they are dealt to.
    fn template(
        &mut self,
        file: &GuestFile,
        own: &Named<WorkloadFile>,
        hosts: &Hosts,
    ) -> (Option<Guest>, Vec<u32>) {
        let on = hosts.table.all(&file.host, &mut self.budget);
        let on = if hosts.table.names().is_empty() {
            None // said already
        } else {
            self.problems.take(on)
        };
        let workload = if file.memory.value == Bytes::ZERO {
            let place = file.memory.place;
            self.problems.push(Problem::at(place, "the guest has no memory", "must be more than zero"));
            None
        } else {
            self.problems.take(workload::workload(file, own))
        };
        let variation = self.problems.take(speed_variation(file.speed_variation.as_ref()));
        let compressibility = self.problems.take(compressibility(file.compression_ratio.as_ref()));
        let configuration = self.problems.take(settings::configuration(file.configuration.as_ref()));
        let memory_use = workload.as_ref().map(|workload| workload::memory_use(file, workload));
        let memory_use = memory_use.and_then(|memory_use| self.problems.take(memory_use)).unwrap_or_default();
        let parts = workload.zip(variation).zip(compressibility).zip(configuration).filter(|_| on.is_some());
        let guest = parts.map(|(((workload, speed_variation), compressibility), configuration)| Guest {
            memory: file.memory.value,
            workload,
            speed_variation,
            compressibility,
            configuration,
            memory_use,
            ..stand_in()
        });
        (guest, on.unwrap_or_default())
    }

    /// Every host must have the memory for the guests that it starts with.
    fn check_room(&mut self, hosts: &Hosts, guests: &Guests) {
        let mut used = vec![Bytes::ZERO; hosts.hosts.len()];
        let mut told = vec![false; hosts.hosts.len()];
        for (index, guest) in (0u32..).zip(&guests.guests) {
            let at = guest.host.index();
            let (Some(host), Some(used)) = (hosts.hosts.get(at), used.get_mut(at)) else {
                continue;
            };
            *used += guest.memory;
            if *used > host.memory && !told[at] {
                told[at] = true;
                self.problems.push(no_room(guest, index, host, *used, guests, hosts));
            }
        }
    }
}

fn no_room(
    guest: &Guest,
    index: u32,
    host: &models::hardware::Host,
    used: Bytes,
    guests: &Guests,
    hosts: &Hosts,
) -> Problem {
    let message = format!(
        "`{}` does not fit on `{}`: with it, {used} are needed where there are {}",
        guest.name, host.name, host.memory
    );
    Problem::at(guests.table.place(index), message, "the first that does not fit")
        .also(hosts.table.place(guest.host.0), "on this host")
        .help("give the host more memory, or start the guest elsewhere (`host: \"*\"` deals guests out to all hosts)")
}

fn stand_in() -> Guest {
    Guest {
        name: "".into(),
        host: HostId(0),
        memory: Bytes::ZERO,
        workload: models::workload::Workload::Idle,
        speed_variation: 0.0,
        compressibility: Compressibility::default(),
        configuration: GuestConfiguration::default(),
        disks: Vec::new(),
        memory_use: MemoryUse::default(),
    }
}

fn compressibility(given: Option<&At<f64>>) -> Result<Compressibility, Problem> {
    match given {
        None => Ok(Compressibility::default()),
        Some(given) if (1.0..=MAX_RATIO).contains(&given.value) => Ok(Compressibility(given.value)),
        Some(given) => {
            let message = format!("memory cannot be compressed {} times", given.value);
            let label = format!("must be from 1 to {MAX_RATIO}");
            Err(Problem::at(given.place, message, label)
                .help("live guests were measured at 2.5 to 3.4; 1 is not at all"))
        }
    }
}

fn speed_variation(given: Option<&At<f64>>) -> Result<f64, Problem> {
    match given {
        None => Ok(0.0),
        Some(given) if (0.0..=MAX_VARIATION).contains(&given.value) => Ok(given.value),
        Some(given) => {
            let message = format!("{} is no coefficient of variation", given.value);
            let label = format!("must be from 0 to {MAX_VARIATION}");
            Err(Problem::at(given.place, message, label).help("0.1 makes speeds differ by about 10 %"))
        }
    }
}
