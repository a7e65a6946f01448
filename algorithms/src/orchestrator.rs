//! Carrying out a plan: phases, order, limits, destinations.
//!
//! A move waits until it is due (its delay is over, the moves that it follows have ended), then
//! gets its destination and joins its source's queue. Queues are first in, first out; the head goes
//! when both ends have a free slot, and those behind it wait for it. Hosts are served in the order of
//! their numbers.
//!
//! ```text
//!   plan ─▶ phase ─▶ waiting ─ due ─▶ queue of the source ─ slots free ─▶ under way ─▶ ended
//!                       └─ no place, or a prerequisite not met ─▶ refused
//! ```
//!
//! Migrations of storage alone have slots, and so a queue, of their own; see `orchestrator/storage.rs`.
//!
//! What is done to nodes of a failover cluster (`orchestrator/lanes.rs`) asks for moves of the clustered roles
//! on them, which are placed by rules of their own (`orchestrator/roles.rs`) and go through the same queues.

mod accounts;
mod cluster;
mod failures;
mod lanes;
mod messages;
mod moves;
mod roles;
mod storage;
mod tasks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use sim_core::SimTime;

use crate::ids::{HostId, MigrationId, VmId};
use crate::machine::{Machine, Outbox, Output, Refused};
use crate::plan::{Plan, StorageMove};
pub use cluster::{ClusterView, Reach};
pub use failures::Incident;
use lanes::{Lane, LateFailback};
pub use messages::{Assignment, Command, Declined, Input, MigrationRules, MoveOrder};
pub use storage::{DiskMove, StorageView};
use tasks::{RoleOrder, RoleTask};

/// The state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Orchestrator {
    plan: Plan,
    run: Run,
    next_phase: usize,
    cluster: ClusterView,
    next_migration: u32,
    /// Moves of this phase that have not joined a queue.
    waiting: BTreeMap<MigrationId, Waiting>,
    /// Moves of this phase that others follow, by the followed.
    followers: BTreeMap<MigrationId, Vec<MigrationId>>,
    #[serde(with = "pairs")]
    queues: BTreeMap<(HostId, Line), VecDeque<Assignment>>,
    under_way: BTreeMap<MigrationId, Assignment>,
    /// Of moves that are queued for a destination that the plan does not name: what becomes of disks.
    #[serde(default)]
    chosen: BTreeMap<MigrationId, StorageMove>,
    /// What is done to nodes in this phase, each beside the others.
    lanes: Vec<Lane>,
    /// Roles that go back when their failback window opens.
    failbacks: Vec<LateFailback>,
    /// By node: roles that were drained from it since it was last resumed.
    drained: BTreeMap<HostId, Vec<VmId>>,
    /// Of roles that the cluster moves: what made it, and how.
    orders: BTreeMap<MigrationId, RoleOrder>,
    outbox: Outbox<Command, ()>,
}

/// How far the run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Run {
    NotBegun,
    UnderWay,
    /// It starts nothing more, and what happens to the cluster is only noted.
    Over,
}

/// What stands in a queue: neither line waits for the other, as they need different slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Line {
    /// Guests that leave the host, with or without their disks.
    Guests,
    /// Disks only.
    Disks,
    /// Roles that go offline or come online: they need no slots.
    Offline,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Waiting {
    vm: VmId,
    destination: Option<HostId>,
    storage: StorageMove,
    due: SimTime,
    follows: BTreeSet<MigrationId>,
    /// Where the cluster moves it as a role.
    role: Option<RoleTask>,
}

impl Machine for Orchestrator {
    type Input = Input;
    type Command = Command;
    type Done = ();

    /// Refuses a second beginning, the end of a migration that is not under way, and what concerns a host or storage
    /// that there is not.
    fn handle(&mut self, now: SimTime, input: Input) -> Result<(), Refused> {
        self.check(&input)?;
        match input {
            Input::Begin => self.run = Run::UnderWay,
            Input::Tick => {}
            Input::Stop => {
                self.run = Run::Over;
                self.plan.phases.truncate(self.next_phase);
                self.lanes.clear();
                self.failbacks.clear();
                self.refuse_all("the run ended before its turn");
            }
            Input::HostChanged { host, settings } => {
                self.cluster.change_host(host, *settings);
                return Ok(());
            }
            Input::Befell(incident) => self.befall(now, incident),
            Input::Ended { migration, outcome } => {
                if let Some(assignment) = self.under_way.remove(&migration) {
                    self.cluster.ended(&assignment, outcome);
                    self.role_ended(now, &assignment, outcome);
                    self.release_followers(migration);
                }
            }
        }
        // What happens before the plan has begun does not begin it, and what happens after its end begins nothing.
        if self.run == Run::UnderWay {
            self.go_on(now);
            if self.has_ended() {
                self.run = Run::Over;
            }
        }
        Ok(())
    }

    fn poll(&mut self) -> Output<Command, ()> {
        match self.outbox.pop() {
            Some(output) => output,
            None if self.run == Run::Over && self.under_way.is_empty() => Output::Done(()),
            None => Output::Wait(self.next_due()),
        }
    }
}

impl Orchestrator {
    /// An orchestrator that waits for [`Input::Begin`].
    pub fn new(plan: Plan, cluster: ClusterView) -> Orchestrator {
        Orchestrator {
            plan,
            run: Run::NotBegun,
            next_phase: 0,
            cluster,
            next_migration: 0,
            waiting: BTreeMap::new(),
            followers: BTreeMap::new(),
            queues: BTreeMap::new(),
            under_way: BTreeMap::new(),
            chosen: BTreeMap::new(),
            lanes: Vec::new(),
            failbacks: Vec::new(),
            drained: BTreeMap::new(),
            orders: BTreeMap::new(),
            outbox: Outbox::new(),
        }
    }

    /// The cluster as it stands.
    pub fn cluster(&self) -> &ClusterView {
        &self.cluster
    }

    fn check(&self, input: &Input) -> Result<(), Refused> {
        let fits = match input {
            Input::Begin => self.run == Run::NotBegun,
            Input::Tick | Input::Stop => true,
            Input::HostChanged { host, .. } => self.cluster.has_host(*host),
            Input::Befell(incident) => self.concerns(*incident),
            Input::Ended { migration, .. } => self.under_way.contains_key(migration),
        };
        let state = || format!("{:?}, {} migrations are under way", self.run, self.under_way.len());
        if fits { Ok(()) } else { Err(Refused { input: format!("{input:?}"), state: state() }) }
    }

    fn has_ended(&self) -> bool {
        self.is_idle() && self.next_phase >= self.plan.phases.len() && self.failbacks.is_empty()
    }

    fn is_idle(&self) -> bool {
        let no_moves = self.waiting.is_empty() && self.queues.is_empty() && self.under_way.is_empty();
        no_moves && self.lanes.is_empty()
    }

    fn next_due(&self) -> SimTime {
        let due = self.waiting.values().map(|move_| self.due(move_));
        let phase = match self.plan.phases.get(self.next_phase) {
            Some(phase) if self.is_idle() => phase.not_before.unwrap_or(SimTime::ZERO),
            _ => SimTime::MAX,
        };
        let serviced = self.lanes.iter().filter_map(Lane::serviced_until);
        let failbacks = self.failbacks.iter().map(|failback| failback.due);
        due.chain(serviced).chain(failbacks).min().unwrap_or(SimTime::MAX).min(phase)
    }

    /// Does everything that can be done at `now`, until nothing more is due.
    fn go_on(&mut self, now: SimTime) {
        // Every pass but the last takes something away that waits, or moves a node on.
        loop {
            let nodes = self.go_along(now);
            let failbacks = self.begin_failbacks(now);
            let failovers = self.begin_failovers(now);
            let enqueued = self.enqueue_due(now);
            let refused = self.dispatch();
            if nodes || failbacks || failovers || enqueued || refused {
                continue;
            }
            if self.is_stuck() {
                self.refuse_all("it follows a move that waits for it in turn");
                continue;
            }
            match self.plan.phases.get(self.next_phase) {
                Some(phase) if self.is_idle() && phase.not_before.is_none_or(|time| time <= now) => {
                    self.begin_phase(now);
                }
                _ => return,
            }
        }
    }

    /// Whether everything that waits follows something else that waits.
    fn is_stuck(&self) -> bool {
        let none_can_go = self.waiting.values().all(|move_| !move_.follows.is_empty());
        let nothing_goes = self.under_way.is_empty() && self.queues.is_empty();
        !self.waiting.is_empty() && nothing_goes && none_can_go
    }
}

/// A map whose keys are no text, as a list of pairs: a key of JSON must be text.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Vec::<(K, V)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}
