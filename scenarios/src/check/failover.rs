//! The failover cluster: its settings, and the roles of guests.

use algorithms::failover::{AntiAffinity, AutoFailback, FailoverSettings, OfflineAction, Priority, Role};
use algorithms::ids::HostId;
use sim_core::Span;

use super::Checker;
use super::hosts::Hosts;
use crate::error::Problem;
use crate::file::{AutoFailbackFile, ClusterFile, OfflineActionFile, PriorityFile, RoleFile};
use crate::read::at::At;

const LAST_HOUR: u32 = 23;

impl Checker {
    pub(super) fn failover_settings(&mut self, file: Option<&At<ClusterFile>>) -> FailoverSettings {
        let base = FailoverSettings::default();
        let Some(file) = file else { return base };
        let begins_at = file.begins_at.as_ref().map(time_of_day).transpose();
        FailoverSettings {
            move_type_threshold: file.move_type_threshold.unwrap_or(base.move_type_threshold),
            anti_affinity: match file.enforced_anti_affinity {
                Some(true) => AntiAffinity::Enforced,
                None | Some(false) => AntiAffinity::Preferred,
            },
            begins_at: self.problems.take(begins_at).flatten().unwrap_or_default(),
            failover_after: file.failover_after.unwrap_or(base.failover_after),
            shut_down: file.shut_down.unwrap_or(base.shut_down),
            boot: file.boot.unwrap_or(base.boot),
        }
    }

    /// The role of all guests of an entry; `None` where they are not clustered.
    pub(super) fn role(&mut self, file: Option<&At<RoleFile>>, hosts: &Hosts) -> Option<Role> {
        let file = file?;
        let failback = self.problems.take(auto_failback(file.failback.as_ref()));
        let possible = file.possible_owners.as_ref().map_or(&[][..], |owners| &owners.value);
        if let Some(none) = file.possible_owners.as_ref().filter(|owners| owners.is_empty()) {
            let problem = Problem::at(none.place, "no host may own the role", "this list is empty");
            self.problems.push(problem.help("leave `possible_owners` out for all hosts"));
        }
        Some(Role {
            priority: priority(file.priority),
            possible_owners: self.owners(possible, hosts),
            preferred_owners: self.owners(file.preferred_owners.as_deref().unwrap_or(&[]), hosts),
            anti_affinity: file.anti_affinity.iter().flatten().map(|class| class.as_str().into()).collect(),
            offline_action: file.offline_action.map(offline_action).unwrap_or_default(),
            failback: failback.unwrap_or_default(),
        })
    }

    /// The hosts that patterns stand for, in the order in which they are written.
    fn owners(&mut self, patterns: &[At<String>], hosts: &Hosts) -> Vec<HostId> {
        let mut owners = Vec::new();
        for pattern in patterns {
            let found = hosts.table.all(pattern, &mut self.budget);
            for host in self.problems.take(found).unwrap_or_default() {
                if !owners.contains(&HostId(host)) {
                    owners.push(HostId(host));
                }
            }
        }
        owners
    }
}

/// A role must be on a host that may own it.
pub(super) fn owned_here(
    file: Option<&At<RoleFile>>,
    role: Option<&Role>,
    host: HostId,
    hosts: &Hosts,
) -> Result<(), Problem> {
    let owners = file.and_then(|file| file.possible_owners.as_ref());
    match (owners, role) {
        (Some(owners), Some(role)) if !owners.is_empty() && !role.may_be_owned_by(host) => {
            let message =
                format!("it starts on `{}`, which is none of its possible owners", hosts.table.name(host.0));
            Err(Problem::at(owners.place, message, "must contain the host where it starts"))
        }
        _ => Ok(()),
    }
}

fn priority(file: Option<PriorityFile>) -> Priority {
    match file {
        Some(PriorityFile::High) => Priority::High,
        None | Some(PriorityFile::Medium) => Priority::Medium,
        Some(PriorityFile::Low) => Priority::Low,
        Some(PriorityFile::NoAutoStart) => Priority::NoAutoStart,
    }
}

pub(super) fn offline_action(file: OfflineActionFile) -> OfflineAction {
    match file {
        OfflineActionFile::Save => OfflineAction::Save,
        OfflineActionFile::ShutDown => OfflineAction::ShutDown,
        OfflineActionFile::TurnOff => OfflineAction::TurnOff,
    }
}

fn auto_failback(file: Option<&At<AutoFailbackFile>>) -> Result<AutoFailback, Problem> {
    let Some(file) = file else { return Ok(AutoFailback::default()) };
    match file.value {
        AutoFailbackFile::Prevent => Ok(AutoFailback::Prevent),
        AutoFailbackFile::Allow => Ok(AutoFailback::Allow),
        AutoFailbackFile::Window { from: start, to: end } if start.max(end) <= LAST_HOUR => {
            Ok(AutoFailback::Window { start, end })
        }
        AutoFailbackFile::Window { from: start, to: end } => {
            let message = format!("a window from {start} to {end} has no such hours");
            Err(Problem::at(file.place, message, "hours are from 0 to 23"))
        }
    }
}

/// "22:30" as the time since midnight.
fn time_of_day(text: &At<String>) -> Result<Span, Problem> {
    let parts = text.split_once(':').and_then(|(hours, minutes)| {
        let (hours, minutes) = (hours.parse::<u64>().ok()?, minutes.parse::<u64>().ok()?);
        (hours < 24 && minutes < 60).then(|| Span::from_secs(60 * (60 * hours + minutes)))
    });
    parts.ok_or_else(|| {
        let message = format!("`{}` is no time of day", text.value);
        Problem::at(text.place, message, "must be from \"0:00\" to \"23:59\"")
    })
}
