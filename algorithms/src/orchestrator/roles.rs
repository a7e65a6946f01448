//! Where a clustered role can go: its owners, anti-affinity, memory, storage and prerequisites, host by host.
//!
//! Among the hosts that can take it, those without a role of its anti-affinity class come first, then its
//! preferred owners in their order, then the placement rule: the order in which the reference of
//! `AntiAffinityClassNames` goes through them. Where only hosts with such a role are left, they are taken,
//! unless `ClusterEnforcedAntiAffinity` is set.

use sim_core::Bytes;

use super::cluster::{ClusterView, NoPlace};
use crate::failover::{AntiAffinity, Role};
use crate::ids::{HostId, VmId};
use crate::plan::{Placement, StorageMove};
use crate::planner;
use crate::preflight::{Refusal, Rule};
use crate::records::MigrationKind;

/// So many hosts are named for each thing that stands in the way.
const HOSTS_TOLD: usize = 3;

/// A host, and the words for why it was chosen.
pub(super) type Chosen = (HostId, String);

/// Why a host cannot take a role.
enum Obstacle {
    Plain(String),
    Memory(Bytes),
    Refused(Box<Refusal>),
}

impl ClusterView {
    /// Where `vm` goes if it is moved in this way: to `wanted` if that can be, else to the best place.
    pub(super) fn place_role(
        &self,
        vm: VmId,
        wanted: Option<HostId>,
        kind: MigrationKind,
    ) -> Result<Chosen, NoPlace> {
        let source = self.host_of(vm);
        if kind != MigrationKind::Start {
            self.refuse_the_dead(source, wanted)?;
        }
        if kind == MigrationKind::Stop {
            return Ok(self.place_stopped(vm));
        }
        if kind == MigrationKind::Live && self.forbids(source) {
            return Err("its host allows no migrations".into());
        }
        if let Some(host) = wanted {
            return match self.obstacle(vm, host, kind) {
                None => Ok((host, self.company(vm, host).unwrap_or_default())),
                Some(obstacle) => Err(self.only_obstacle(vm, host, obstacle)),
            };
        }
        let others = self.host_ids().filter(|host| *host != source);
        let judged: Vec<_> = others.map(|host| (host, self.obstacle(vm, host, kind))).collect();
        let able: Vec<HostId> =
            judged.iter().filter(|(_, obstacle)| obstacle.is_none()).map(|(host, _)| *host).collect();
        if able.is_empty() { Err(self.all_obstacles(vm, judged)) } else { self.best_of(vm, able) }
    }

    /// The best of the hosts that can take a role.
    fn best_of(&self, vm: VmId, able: Vec<HostId>) -> Result<Chosen, NoPlace> {
        let apart: Vec<HostId> =
            able.iter().copied().filter(|host| self.clash(vm, *host).is_none()).collect();
        let together = apart.is_empty();
        let among = if together { able } else { apart };
        let preferred = self.role(vm).map_or(&[][..], |role| &role.preferred_owners);
        let best = match preferred.iter().zip(1..).find(|(host, _)| among.contains(host)) {
            Some((host, place)) => (*host, format!("preferred owner {place} of {}", preferred.len())),
            None => {
                let memory = self.memory_of(vm);
                let suits = |host| among.contains(&host);
                let host = planner::choose(self.placement, &self.hosts, self.host_of(vm), memory, suits)?;
                (host, self.rule_in_words())
            }
        };
        let company = self.company(vm, best.0).filter(|_| together);
        let note = company.map(|with| format!(", {with}: no other host can take it")).unwrap_or_default();
        Ok((best.0, best.1 + &note))
    }

    fn rule_in_words(&self) -> String {
        match self.placement {
            Placement::MostFreeMemory => "the most free memory".into(),
            Placement::FewestVms => "the fewest guests".into(),
        }
    }

    /// The next owner of a role that is offline: it needs neither memory nor a processor there. It stays
    /// where it is if no other host may own it.
    fn place_stopped(&self, vm: VmId) -> Chosen {
        let source = self.host_of(vm);
        let may = |host: HostId| {
            let owner = self.role(vm).is_none_or(|role| role.may_be_owned_by(host));
            owner && self.storage().plan(vm, source, host, &StorageMove::Stays).is_ok()
        };
        match planner::choose(self.placement, &self.hosts, source, Bytes::ZERO, may) {
            Ok(host) => (host, "as a failed role".into()),
            Err(_) => (source, "no other host may own it".into()),
        }
    }

    /// What stands against `host` taking the role.
    fn obstacle(&self, vm: VmId, host: HostId, kind: MigrationKind) -> Option<Obstacle> {
        let (source, live) = (self.host_of(vm), kind == MigrationKind::Live);
        let plain = |text: &str| Some(Obstacle::Plain(text.to_string()));
        if host == source && kind != MigrationKind::Start {
            return plain("it is there already");
        }
        if self.is_dead(host) {
            return plain("dead");
        }
        if self.is_paused(host) || !self.is_open(host) && !self.forbids(host) {
            return plain("paused");
        }
        if self.role(vm).is_some_and(|role| !role.may_be_owned_by(host)) {
            return plain("no possible owner of it");
        }
        if live && self.forbids(host) {
            return plain("allows no migrations");
        }
        if live && !self.reaches(source, host) {
            return plain("not reached over the network");
        }
        if let Err(message) = self.storage().plan(vm, source, host, &StorageMove::Stays) {
            return Some(Obstacle::Plain(message.message));
        }
        let (free, memory) = (self.free(host), self.memory_of(vm));
        let refusals = self.prerequisites().refusals_of_role(vm, (source, host), kind, free);
        if let Some(refusal) = refusals.into_iter().find(|refusal| refusal.rule != Rule::Memory) {
            return Some(Obstacle::Refused(Box::new(refusal)));
        }
        if free < memory {
            return Some(Obstacle::Memory(free));
        }
        let enforced = self.failover().settings.anti_affinity == AntiAffinity::Enforced;
        self.company(vm, host).filter(|_| enforced).map(Obstacle::Plain)
    }

    /// The role from which `vm` keeps away and which is on `host`, or on its way there.
    fn clash(&self, vm: VmId, host: HostId) -> Option<VmId> {
        let role = self.role(vm).filter(|role| !role.anti_affinity.is_empty())?;
        let there = |other: VmId| {
            !self.is_offline(other) && self.host_of(other) == host || self.bound_for(other) == Some(host)
        };
        let mut others = self.failover().roles.iter().filter(|(other, _)| **other != vm);
        others.find(|(other, theirs)| role.keeps_away_from(theirs) && there(**other)).map(|(other, _)| *other)
    }

    /// In words: with whom it would share `host` though they keep away from each other.
    fn company(&self, vm: VmId, host: HostId) -> Option<String> {
        let other = self.clash(vm, host)?;
        Some(format!("together with {}, from which it keeps away", self.guest_name(other)))
    }

    fn role(&self, vm: VmId) -> Option<&Role> {
        self.failover().role(vm)
    }

    fn only_obstacle(&self, vm: VmId, host: HostId, obstacle: Obstacle) -> NoPlace {
        let name = self.host_name(host);
        match obstacle {
            Obstacle::Plain(text) => format!("{name}: {text}").into(),
            Obstacle::Memory(free) => self.too_little(vm, free, vec![host]),
            Obstacle::Refused(refusal) => NoPlace { reason: refusal.message.clone(), refusal: Some(refusal) },
        }
    }

    /// No host can take it: what stands in the way, each once, with the hosts that it concerns.
    fn all_obstacles(&self, vm: VmId, judged: Vec<(HostId, Option<Obstacle>)>) -> NoPlace {
        let mut groups: Vec<(String, Vec<HostId>)> = Vec::new();
        let (mut first, mut most_free, mut short) = (None, Bytes::ZERO, Vec::new());
        for (host, obstacle) in judged {
            let text = match obstacle {
                Some(Obstacle::Plain(text)) => text,
                Some(Obstacle::Refused(refusal)) => {
                    let pattern = refusal.message.replace(&*self.host_name(host), "it");
                    first.get_or_insert(refusal);
                    pattern
                }
                Some(Obstacle::Memory(free)) => {
                    most_free = most_free.max(free);
                    short.push(host);
                    continue;
                }
                None => continue,
            };
            match groups.iter_mut().find(|(known, _)| *known == text) {
                Some((_, hosts)) => hosts.push(host),
                None => groups.push((text, vec![host])),
            }
        }
        let mut told: Vec<String> = Vec::new();
        if !short.is_empty() {
            told.push(self.too_little(vm, most_free, short).reason);
        }
        told.extend(groups.into_iter().map(|(text, hosts)| format!("{}: {text}", self.names(&hosts))));
        if told.is_empty() {
            return "there is no other host to go to".into();
        }
        NoPlace { reason: format!("no host can take it: {}", told.join("; ")), refusal: first }
    }

    fn too_little(&self, vm: VmId, most: Bytes, hosts: Vec<HostId>) -> NoPlace {
        let needed = self.memory_of(vm);
        let at_most = if hosts.len() > 1 { "at most " } else { "" };
        format!("{}: {at_most}{most} of free memory, and {needed} are needed", self.names(&hosts)).into()
    }

    fn names(&self, hosts: &[HostId]) -> String {
        let shown = hosts.iter().take(HOSTS_TOLD).map(|host| self.host_name(*host).to_string());
        let shown: Vec<String> = shown.collect();
        match hosts.len().saturating_sub(HOSTS_TOLD) {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    }
}
