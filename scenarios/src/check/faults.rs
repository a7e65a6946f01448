//! What breaks: every host, link and storage found.

use algorithms::failures::{Breakage, Side};
use algorithms::ids::{HostId, StorageId, VmId};
use models::faults::{Fault, Faults, MigrationStep, RandomFaults, Recurring, ScheduledFault, When};
use models::network::Node;
use sim_core::Span;

use super::Checker;
use super::plan::Ground;
use crate::error::Problem;
use crate::file::{
    CategoryFile, FaultFile, File, LinkDownFile, MigrationStepFile, Often, RandomFaultsFile, RecurringFile,
    WhatFile,
};
use crate::names::{self, Budget};
use crate::read::at::At;

/// Anything that breaks more often would only break.
const OFTENEST: Span = Span::from_secs(1);
/// So many links are told where none is of the name that was given.
const LINKS_TOLD: usize = 8;

impl Checker {
    /// Everything that breaks.
    pub(super) fn faults(&mut self, file: &File, ground: &Ground<'_>) -> Faults {
        let mut faults = Faults::default();
        if let Some(timeout) = &file.network_timeout {
            if timeout.value == Span::ZERO {
                let problem = Problem::at(timeout.place, "no connection lasts without a time-out", "is zero");
                self.problems.push(problem.help("20 s is the default"));
            }
            faults.network_timeout = timeout.value;
        }
        for each in file.faults.as_deref().unwrap_or(&[]) {
            if self.problems.are_enough() {
                break;
            }
            let found = scheduled(each, ground, &mut self.budget);
            faults.scheduled.extend(self.problems.take(found).unwrap_or_default());
        }
        if let Some(random) = &file.random_faults {
            let random = random_faults(random);
            faults.random = self.problems.take(random).unwrap_or_default();
        }
        faults
    }
}

/// The faults that an entry stands for: one for each time and each thing that it names.
fn scheduled(
    file: &At<FaultFile>,
    ground: &Ground<'_>,
    budget: &mut Budget,
) -> Result<Vec<ScheduledFault>, Problem> {
    let times = times(file, ground, budget)?;
    let faults = faults_of(file, ground, budget)?;
    budget.spend(times.len().saturating_mul(faults.len()), &words(file))?;
    let each = |when: When| faults.iter().map(move |fault| ScheduledFault { when, fault: fault.clone() });
    Ok(times.into_iter().flat_map(each).collect())
}

fn words(file: &At<FaultFile>) -> At<String> {
    At { value: String::new(), place: file.place }
}

fn times(file: &At<FaultFile>, ground: &Ground<'_>, budget: &mut Budget) -> Result<Vec<When>, Problem> {
    match (&file.at, &file.vm) {
        (Some(at), None) => match (&file.step, &file.after) {
            (None, None) => Ok(vec![When::At(at.value)]),
            (Some(step), _) => Err(only_with_vm(step, "`step` is of a guest's migration")),
            (None, Some(after)) => Err(only_with_vm(after, "`after` is since a step of a guest's migration")),
        },
        (None, Some(vm)) => {
            let Some(step) = &file.step else {
                let message = "a fault in a guest's migration needs its `step`";
                return Err(Problem::at(vm.place, message, "in which step?")
                    .help("for example: step: Round(1), or Preparation, Disks, Pause, HandOver, CleanUp"));
            };
            let (step, after) = (step_of(step)?, file.after.as_ref().map_or(Span::ZERO, |after| after.value));
            let vms = ground.guests.table.all(vm, budget)?.into_iter();
            Ok(vms.map(|vm| When::InStep { vm: VmId(vm), step, after }).collect())
        }
        (Some(at), Some(vm)) => Err(Problem::at(at.place, "a fault has a time or a guest", "this says one")
            .also(vm.place, "this the other")
            .help("write two faults")),
        (None, None) => Err(Problem::at(file.place, "this fault never happens", "no `at`, and no `vm`")
            .help("for example: at: \"30 s\", or vm: \"web1\", step: Pause")),
    }
}

fn only_with_vm<T>(at: &At<T>, message: &str) -> Problem {
    Problem::at(at.place, message, "no `vm` is given").help("write `vm` in place of `at`")
}

fn step_of(step: &At<MigrationStepFile>) -> Result<MigrationStep, Problem> {
    Ok(match step.value {
        MigrationStepFile::Preparation => MigrationStep::Preparation,
        MigrationStepFile::Disks => MigrationStep::Disks,
        MigrationStepFile::Round(0) => {
            return Err(Problem::at(step.place, "rounds are counted from 1", "no such round"));
        }
        MigrationStepFile::Round(round) => MigrationStep::Round(round),
        MigrationStepFile::Pause => MigrationStep::Pause,
        MigrationStepFile::HandOver => MigrationStep::HandOver,
        MigrationStepFile::CleanUp => MigrationStep::CleanUp,
    })
}

fn faults_of(file: &At<FaultFile>, ground: &Ground<'_>, budget: &mut Budget) -> Result<Vec<Fault>, Problem> {
    let of_migration = |fault| match file.vm {
        Some(_) => Ok(vec![fault]),
        None => {
            let message = "this breaks for one migration, and none is named";
            Err(Problem::at(file.fault.place, message, "no `vm` is given")
                .help("write vm: \"web1\", step: Round(1) in place of `at`"))
        }
    };
    let mut hosts = |pattern: &At<String>| -> Result<Vec<HostId>, Problem> {
        Ok(ground.hosts.table.all(pattern, budget)?.into_iter().map(HostId).collect())
    };
    match &file.fault.value {
        WhatFile::HostDies(host) => Ok(hosts(host)?.into_iter().map(Fault::HostDies).collect()),
        WhatFile::SourceDies => of_migration(Fault::SideDies(Side::Source)),
        WhatFile::DestinationDies => of_migration(Fault::SideDies(Side::Destination)),
        WhatFile::NetworkDown(file) => of_migration(Fault::NetworkDown { lasts: file.lasts }),
        WhatFile::Fails(category) => of_migration(Fault::Fails(breakage(*category))),
        WhatFile::LinkDown(file) => {
            Ok(vec![Fault::LinkDown { links: links(file, ground, budget)?, lasts: file.lasts }])
        }
        WhatFile::AuthenticationFails(file) => {
            let each = |host| Fault::AuthenticationFails { host, lasts: file.lasts };
            Ok(hosts(&file.host)?.into_iter().map(each).collect())
        }
        WhatFile::MemoryTaken(file) => {
            let each = |host| Fault::MemoryTaken { host, amount: file.amount };
            Ok(hosts(&file.host)?.into_iter().map(each).collect())
        }
        WhatFile::StorageFull(storage) => {
            let all = ground.storage.table.all(storage, budget)?.into_iter();
            Ok(all.map(|storage| Fault::StorageFull(StorageId(storage))).collect())
        }
        WhatFile::StorageLost(file) => {
            let all = ground.storage.table.all(&file.storage, budget)?.into_iter();
            Ok(all.map(|id| Fault::StorageLost { storage: StorageId(id), lasts: file.lasts }).collect())
        }
    }
}

fn breakage(category: CategoryFile) -> Breakage {
    match category {
        CategoryFile::Authentication => Breakage::Authentication,
        CategoryFile::Network => Breakage::Connection,
        CategoryFile::Resources => Breakage::Memory,
        CategoryFile::Storage => Breakage::Storage { storage: None },
    }
}

/// The links between two points, by their places in the network's list.
fn links(file: &LinkDownFile, ground: &Ground<'_>, budget: &mut Budget) -> Result<Vec<usize>, Problem> {
    let (first, second) = &file.between;
    let network = &ground.network.network;
    let name = |node: &Node| match node {
        Node::Host(host) => ground.hosts.table.name(host.0).to_string(),
        Node::Switch(name) => name.to_string(),
    };
    let [one, other] = [matcher(first, budget)?, matcher(second, budget)?];
    let all: Vec<(String, String)> = network.links().map(|(a, b, _)| (name(a), name(b))).collect();
    budget.spend(all.len(), first)?;
    let joins = |(a, b): &(String, String)| one(a) && other(b) || one(b) && other(a);
    let found: Vec<usize> = (0..all.len()).filter(|index| joins(&all[*index])).collect();
    if found.is_empty() {
        let message = format!("no link joins `{}` and `{}`", first.value, second.value);
        let known: Vec<String> =
            all.iter().take(LINKS_TOLD).map(|(a, b)| format!("(\"{a}\", \"{b}\")")).collect();
        let more = if all.len() > LINKS_TOLD { " and more" } else { "" };
        return Err(Problem::at(second.place, message, "no link to this")
            .also(first.place, "from this")
            .help(format!("links here: {}{more}", known.join(", "))));
    }
    Ok(found)
}

/// Whether a name is meant by a pattern.
fn matcher(pattern: &At<String>, budget: &mut Budget) -> Result<impl Fn(&str) -> bool + use<>, Problem> {
    let expanded = if pattern.contains('*') { None } else { Some(names::expand(pattern, budget)?) };
    let pattern = pattern.value.clone();
    Ok(move |name: &str| match &expanded {
        Some(names) => names.iter().any(|each| &**each == name),
        None => names::matches(&pattern, name),
    })
}

fn random_faults(file: &RandomFaultsFile) -> Result<RandomFaults, Problem> {
    let recurring = |file: &Option<RecurringFile>| -> Result<Option<Recurring>, Problem> {
        let Some(RecurringFile { rate, lasts }) = file else { return Ok(None) };
        if lasts.value == Span::ZERO {
            return Err(Problem::at(lasts.place, "what breaks for no time does not break", "is zero"));
        }
        Ok(Some(Recurring { every: often(rate)?, lasts: lasts.value }))
    };
    Ok(RandomFaults {
        host_dies: file.host_dies.as_ref().map(often).transpose()?,
        link_flaps: recurring(&file.link_flaps)?,
        authentication_fails: recurring(&file.authentication_fails)?,
        storage_lost: recurring(&file.storage_lost)?,
    })
}

fn often(at: &At<Often>) -> Result<Span, Problem> {
    let Often(every) = at.value;
    if every < OFTENEST {
        let problem = Problem::at(at.place, "nothing breaks more than once a second here", "too often");
        return Err(problem.help("for example: \"1 per 30 days\""));
    }
    Ok(every)
}
