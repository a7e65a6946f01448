//! What a check found, grouped: what is wrong once is told once, however many guests it concerns.

use std::collections::HashMap;

use algorithms::ids::{HostId, Name, VmId};
use algorithms::preflight::{Category, Evidence, Refusal, Rule};
use algorithms::records::MigrationKind;
use models::cluster::ClusterModel;
use models::preflight::{CheckedMove, Preflight};
use serde::Serialize;

/// A plan that was checked.
#[derive(Serialize)]
pub struct Checked {
    pub scenario: Name,
    pub alternative: Option<Name>,
    /// Moves that cannot be carried out.
    pub blocked: usize,
    pub moves: Vec<Moved>,
    /// What is wrong; what blocks moves first.
    pub findings: Vec<Group>,
}

/// A move, as it would go.
#[derive(Serialize)]
pub struct Moved {
    vm: Name,
    source: Name,
    /// Null where it would stay.
    destination: Option<Name>,
    /// Why it would stay.
    reason: Option<String>,
    /// How it would move.
    kind: MigrationKind,
    /// Of what a failover cluster moves: what makes it move, and why to there.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Name>,
}

/// One thing that is wrong.
#[derive(Serialize)]
pub struct Group {
    /// Null where it is no prerequisite: no host has room, no path leads there.
    pub rule: Option<Rule>,
    pub category: Option<Category>,
    pub event_id: Option<u32>,
    pub event_evidence: Option<Evidence>,
    pub message: String,
    pub cause: Option<String>,
    /// For the first guest and host; the same helps the others.
    pub fix: Option<String>,
    pub vms: Vec<Name>,
    /// Hosts that guests cannot go to because of it.
    pub destinations: Vec<Name>,
    /// Moves that it stops.
    pub blocks: usize,
    /// Moves that go elsewhere because of it.
    pub diverts: usize,
    /// Guests that a forced drain stops because of it.
    pub stops: usize,
}

/// Groups what `preflight` found.
pub fn of(model: &ClusterModel, preflight: &Preflight) -> Checked {
    let mut groups = Groups { model, groups: Vec::new(), by_key: HashMap::new() };
    preflight.moves.iter().for_each(|checked| groups.add(checked));
    let mut findings = groups.groups;
    findings.sort_by_key(|group| (group.blocks == 0, group.stops == 0));
    Checked {
        scenario: model.name.clone(),
        alternative: model.alternative.clone(),
        blocked: preflight.moves.iter().filter(|checked| checked.result.is_err()).count(),
        moves: preflight.moves.iter().map(|checked| moved(model, checked)).collect(),
        findings,
    }
}

fn moved(model: &ClusterModel, checked: &CheckedMove) -> Moved {
    Moved {
        vm: vm_name(model, checked.vm),
        source: host_name(model, checked.source),
        destination: checked.result.as_ref().ok().map(|host| host_name(model, *host)),
        reason: checked.result.as_ref().err().cloned(),
        kind: checked.kind,
        why: checked.why.clone(),
    }
}

struct Groups<'a> {
    model: &'a ClusterModel,
    groups: Vec<Group>,
    by_key: HashMap<(Option<Rule>, String), usize>,
}

impl Groups<'_> {
    fn add(&mut self, checked: &CheckedMove) {
        let blocked = checked.result.as_ref().err();
        // What refuses a guest on several hosts counts as one reason for this move.
        let mut counted = Vec::new();
        for by in &checked.refused {
            for refusal in &by.refusals {
                let index = self.group_of(refusal, by.destination);
                self.groups[index].concerns(&host_name(self.model, by.destination));
                if !counted.contains(&index) {
                    counted.push(index);
                }
            }
        }
        // A role has many hosts to go to, of which some are no prerequisite's: its own reason has them all.
        let is_told = checked.refused.iter().flat_map(|by| &by.refusals);
        let is_told = is_told.map(|refusal| &refusal.message).any(|told| Some(told) == blocked);
        let of_role = checked.why.is_some() && !is_told;
        if let Some(reason) = blocked.filter(|_| counted.is_empty() || of_role) {
            let refusal = checked.refusal.as_ref();
            let key = (refusal.map(|refusal| refusal.rule), reason.clone());
            counted.push(self.index(key, || refusal.map_or_else(|| without_rule(reason), of_refusal)));
        }
        let vm = vm_name(self.model, checked.vm);
        if let Some(why) = checked.why.as_ref().filter(|_| checked.kind == MigrationKind::Stop) {
            let stopped = self.index((None, why.to_string()), || without_rule(why));
            self.groups[stopped].vms.push(vm.clone());
            self.groups[stopped].stops += 1;
        }
        for index in counted {
            self.groups[index].count(&vm, blocked.is_some());
        }
    }

    /// The group of a refusal; the same with another destination is of the same group.
    fn group_of(&mut self, refusal: &Refusal, destination: HostId) -> usize {
        let pattern = refusal.message.replace(&*host_name(self.model, destination), "…");
        self.index((Some(refusal.rule), pattern), || of_refusal(refusal))
    }

    fn index(&mut self, key: (Option<Rule>, String), make: impl FnOnce() -> Group) -> usize {
        let next = self.groups.len();
        let index = *self.by_key.entry(key).or_insert(next);
        if index == next {
            self.groups.push(make());
        }
        index
    }
}

impl Group {
    fn concerns(&mut self, destination: &Name) {
        if !self.destinations.contains(destination) {
            self.destinations.push(destination.clone());
        }
    }

    fn count(&mut self, vm: &Name, blocked: bool) {
        self.vms.push(vm.clone());
        if blocked {
            self.blocks += 1;
        } else {
            self.diverts += 1;
        }
    }
}

fn of_refusal(refusal: &Refusal) -> Group {
    Group {
        rule: Some(refusal.rule),
        category: Some(refusal.category),
        event_id: Some(refusal.event.id),
        event_evidence: Some(refusal.event.evidence),
        message: refusal.message.clone(),
        cause: Some(refusal.cause.clone()),
        fix: Some(refusal.fix.clone()),
        ..without_rule("")
    }
}

fn without_rule(reason: &str) -> Group {
    Group {
        rule: None,
        category: None,
        event_id: None,
        event_evidence: None,
        message: reason.to_string(),
        cause: None,
        fix: None,
        vms: Vec::new(),
        destinations: Vec::new(),
        blocks: 0,
        diverts: 0,
        stops: 0,
    }
}

fn vm_name(model: &ClusterModel, vm: VmId) -> Name {
    model.guests[vm.index()].name.clone()
}

fn host_name(model: &ClusterModel, host: HostId) -> Name {
    model.hosts[host.index()].name.clone()
}
