//! What a failover cluster knows of its clustered virtual machines, its *roles*: who may own them, how
//! important they are, what becomes of them when they cannot be moved, when they go back.
//!
//! Figures and rules are those of Windows Server 2022; where its documentation is silent, it is said here.
//! The [`orchestrator`](crate::orchestrator) carries them out. A guest without a role is not clustered.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sim_core::{SimTime, Span};

use crate::ids::{HostId, Name, VmId};
use crate::records::MigrationKind;

/// The cluster's settings, and the roles by guest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failover {
    /// Of the cluster.
    pub settings: FailoverSettings,
    /// By guest; those that are not here are not clustered.
    pub roles: BTreeMap<VmId, Role>,
}

/// Settings of the cluster and of its resource type "Virtual Machine".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailoverSettings {
    /// `MoveTypeThreshold`: what the cluster itself moves, it moves live from this priority on, and by quick
    /// migration below. By default low priority goes by quick migration, medium and high go live, and a
    /// threshold of 3001 makes all quick (Microsoft, "Configuring How VMs Are Moved when a Node is Drained",
    /// 2013; troubleshooting article on Cluster-Aware Updating). The default of 2000 follows from that; as a
    /// number it could not be verified.
    pub move_type_threshold: u32,
    /// `ClusterEnforcedAntiAffinity`: off by default.
    pub anti_affinity: AntiAffinity,
    /// The cluster's local time when the run begins, since midnight; failback windows go by it.
    pub begins_at: Span,
    /// After so long without a heartbeat a node counts as dead, and its roles are started elsewhere:
    /// `SameSubnetDelay` × `SameSubnetThreshold`, 1 s × 10 since Windows Server 2016 (windowsitpro.com,
    /// 2017-03-01; for 2022 not verified). That the cluster waits longer for a node which may still run
    /// (`ResiliencyDefaultPeriod`) does not count here, since the node is dead.
    pub failover_after: Span,
    /// How long a guest takes to shut down. Assumption: 30 s.
    pub shut_down: Span,
    /// How long a guest takes from being started until it serves. Assumption: 60 s.
    pub boot: Span,
}

impl Default for FailoverSettings {
    fn default() -> FailoverSettings {
        FailoverSettings {
            move_type_threshold: Priority::Medium.value(),
            anti_affinity: AntiAffinity::Preferred,
            begins_at: Span::ZERO,
            failover_after: Span::from_secs(10),
            shut_down: Span::from_secs(30),
            boot: Span::from_secs(60),
        }
    }
}

/// Whether guests of one anti-affinity class may share a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AntiAffinity {
    /// Only where there is no other host for them (`ClusterEnforcedAntiAffinity` 0).
    #[default]
    Preferred,
    /// Never (1).
    Enforced,
}

/// A clustered virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Role {
    /// Its priority.
    pub priority: Priority,
    /// Hosts that may own it; all where empty. Hard.
    pub possible_owners: Vec<HostId>,
    /// Hosts that it prefers, the best first. Soft.
    pub preferred_owners: Vec<HostId>,
    /// `AntiAffinityClassNames`: it keeps away from roles that have one of these.
    pub anti_affinity: Vec<Name>,
    /// What becomes of it when it has to go offline.
    pub offline_action: OfflineAction,
    /// `AutoFailbackType` and the failback window: when it goes back by policy.
    pub failback: AutoFailback,
}

impl Role {
    /// Whether `host` may own it.
    pub fn may_be_owned_by(&self, host: HostId) -> bool {
        self.possible_owners.is_empty() || self.possible_owners.contains(&host)
    }

    /// Whether the two keep away from each other: they have a class in common.
    pub fn keeps_away_from(&self, other: &Role) -> bool {
        self.anti_affinity.iter().any(|class| other.anti_affinity.contains(class))
    }
}

/// The priority of a role; the first is moved first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Priority {
    /// 0: not started by itself after a failover.
    NoAutoStart,
    /// 1000.
    Low,
    /// 2000, which every role has at first.
    #[default]
    Medium,
    /// 3000.
    High,
}

impl Priority {
    /// As the cluster stores it.
    pub const fn value(self) -> u32 {
        match self {
            Priority::NoAutoStart => 0,
            Priority::Low => 1000,
            Priority::Medium => 2000,
            Priority::High => 3000,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Priority::NoAutoStart => "No Auto Start",
            Priority::Low => "Low",
            Priority::Medium => "Medium",
            Priority::High => "High",
        })
    }
}

/// `OfflineAction` of a virtual machine resource: 1, save, by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OfflineAction {
    /// 0: as if the power failed.
    TurnOff,
    /// 1: its state is written to its storage.
    #[default]
    Save,
    /// 2: its operating system shuts down. (3, forced, is the same here.)
    ShutDown,
}

impl OfflineAction {
    /// Of a guest to which it was done.
    pub const fn done(self) -> &'static str {
        match self {
            OfflineAction::TurnOff => "turned off",
            OfflineAction::Save => "saved",
            OfflineAction::ShutDown => "shut down",
        }
    }
}

/// `AutoFailbackType`, `FailbackWindowStart` and `FailbackWindowEnd` of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AutoFailback {
    /// 0: it stays, which is the default.
    #[default]
    Prevent,
    /// 1 without a window: as soon as a preferred owner is back.
    Allow,
    /// 1 with a window: only when the hour of the cluster's clock is within it.
    Window {
        /// The first hour, 0 to 23.
        start: u32,
        /// The hour at which it ends, 0 to 23; before `start`: on the day after.
        end: u32,
    },
}

const DAY: u64 = 24;

impl Failover {
    /// The role of a guest, if it is clustered.
    pub fn role(&self, vm: VmId) -> Option<&Role> {
        self.roles.get(&vm)
    }

    /// How the cluster moves a role of this priority by itself.
    pub fn move_type(&self, priority: Priority) -> MigrationKind {
        if priority.value() >= self.settings.move_type_threshold {
            MigrationKind::Live
        } else {
            MigrationKind::Quick
        }
    }

    /// The first time from `now` on that lies within a window from hour `start` to hour `end`.
    pub fn next_in_window(&self, now: SimTime, start: u32, end: u32) -> SimTime {
        let hour = Span::from_secs(3600);
        let day = hour.as_nanos() * DAY;
        let clock = (now + self.settings.begins_at).as_nanos() % day;
        let [start, end] = [start, end].map(|at| hour.as_nanos() * u64::from(at));
        let open = if start <= end { (start..end).contains(&clock) } else { clock >= start || clock < end };
        if open { now } else { now + Span::from_nanos((start + day - clock) % day) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64) -> SimTime {
        SimTime::ZERO + Span::from_secs(3600 * hours)
    }

    #[test]
    fn a_failback_window_opens_by_the_clusters_clock_and_may_go_over_midnight() {
        let settings =
            FailoverSettings { begins_at: Span::from_secs(22 * 3600), ..FailoverSettings::default() };
        let failover = Failover { settings, ..Failover::default() };
        assert_eq!(failover.next_in_window(at(0), 1, 5), at(3), "from 22:00 to 1:00 on the next day");
        assert_eq!(failover.next_in_window(at(4), 1, 5), at(4), "2:00 is within it");
        assert_eq!(failover.next_in_window(at(7), 1, 5), at(27), "at its end it is closed for a day");
        assert_eq!(failover.next_in_window(at(1), 22, 2), at(1), "23:00 is within 22 to 2");
        assert_eq!(failover.next_in_window(at(5), 22, 2), at(24));
    }

    #[test]
    fn from_the_threshold_on_roles_move_live_and_below_it_quick() {
        let mut failover = Failover::default();
        let kinds = |failover: &Failover| {
            [Priority::NoAutoStart, Priority::Low, Priority::Medium, Priority::High]
                .map(|priority| failover.move_type(priority) == MigrationKind::Live)
        };
        assert_eq!(kinds(&failover), [false, false, true, true], "by default low priority goes quick");
        failover.settings.move_type_threshold = 3001;
        assert_eq!(kinds(&failover), [false; 4], "Microsoft's way to have all quick");
    }
}
