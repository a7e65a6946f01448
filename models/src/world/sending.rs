//! A migration's bytes on their way: begun, ended, and accounted for.
//!
//! Compression is planned here again whenever a migration begins a round, and whenever another
//! begins or ends at the same source, for then the line and the spare cores are shared anew.

use algorithms::ids::{HostId, MigrationId, Name};
use algorithms::records::TransferRecord;
use sim_core::{ActivityId, Bandwidth, Bytes, Demand, HeldBy, ResourceId, Span};

use super::World;
use super::migrating::{Migrating, Sending};
use super::way::Load;
use crate::transport::StreamLimit;

/// Shares are planned one migration after the other, each beside what the others have just then; the
/// second pass finds them all as they will be.
const PASSES: usize = 2;

/// Bytes under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flow {
    pub(super) activity: ActivityId,
    /// Of the round or slice.
    pub(super) bytes: Bytes,
    /// What was left of them when this activity began.
    work: f64,
    limit: Option<Bandwidth>,
}

/// What sending has taken so far, and what held it back.
#[derive(Debug, Default)]
pub(super) struct Account {
    held: Vec<(Cause, Span)>,
    processor: [f64; 2],
    payload: f64,
    wire: f64,
    compressed: f64,
}

/// What held a migration back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Resource(ResourceId),
    Stream(StreamLimit),
    /// The page loop's own limit on its rate.
    Policy,
}

impl Account {
    /// Processor time at the source so far.
    pub(super) fn source_core_seconds(&self) -> f64 {
        self.processor[0]
    }

    /// Adds `work` bytes that were sent under `load`, held back by `held`.
    fn add(&mut self, work: f64, load: &Load, held: impl Iterator<Item = (Cause, Span)>) {
        if let Some(share) = load.compressed {
            self.payload += work;
            self.compressed += work * share;
        }
        self.wire += work * load.wire;
        for (sum, each) in self.processor.iter_mut().zip(load.processor) {
            *sum += work * each;
        }
        for (cause, span) in held {
            match self.held.iter_mut().find(|(other, _)| *other == cause) {
                Some((_, sum)) => *sum += span,
                None => self.held.push((cause, span)),
            }
        }
    }
}

impl World<'_> {
    /// The first byte of a round is across: the others follow.
    pub(super) fn begin_flow(&mut self, migrating: &mut Migrating) {
        let Sending::Opening { bytes, limit } = migrating.sending else {
            return;
        };
        self.plan_share(migrating, limit);
        self.flow(migrating, bytes, bytes.as_f64(), limit);
        if migrating.way.compressing.is_some() {
            self.begin_to_compress(migrating);
        }
    }

    fn flow(&mut self, migrating: &mut Migrating, bytes: Bytes, work: f64, limit: Option<Bandwidth>) {
        let activity = self.start_activity(&migrating.way.load, work, limit);
        self.own(activity, migrating.assignment.migration);
        migrating.sending = Sending::Flowing(Flow { activity, bytes, work, limit });
    }

    /// Starts the copying of a disk.
    pub(super) fn begin_disk(&mut self, migrating: &mut Migrating, bytes: Bytes, demand: &Demand<'_>) {
        let work = bytes.as_f64();
        let activity = self.fluid.start(self.now, work, demand);
        self.own(activity, migrating.assignment.migration);
        migrating.sending = Sending::Disk(Flow { activity, bytes, work, limit: None });
    }

    /// The end of an activity is told to its migration.
    pub(super) fn own(&mut self, activity: ActivityId, migration: MigrationId) {
        if self.owners.len() <= activity.slot() {
            self.owners.resize(activity.slot() + 1, None);
        }
        self.owners[activity.slot()] = Some(migration);
    }

    fn start_activity(&mut self, load: &Load, work: f64, limit: Option<Bandwidth>) -> ActivityId {
        let limit = limit.map_or(f64::INFINITY, |limit| limit.bytes_per_sec_f64());
        let demand = Demand { uses: &load.uses, weight: load.weight, cap: load.cap.min(limit) };
        self.fluid.start(self.now, work, &demand)
    }

    /// Every byte of a flow is across: accounts for it.
    pub(super) fn end_flow(&mut self, migrating: &mut Migrating) {
        if let Sending::Flowing(flow) | Sending::Disk(flow) = migrating.sending {
            self.account(migrating, flow, flow.work);
        }
        migrating.sending = Sending::Nothing;
    }

    /// Stops a flow; gives what is left of it.
    pub(super) fn stop_flow(&mut self, migrating: &mut Migrating, flow: Flow) -> f64 {
        self.owners[flow.activity.slot()] = None;
        let left = self.fluid.remaining(self.now, flow.activity).unwrap_or(0.0);
        self.account(migrating, flow, flow.work - left);
        self.fluid.cancel(self.now, flow.activity);
        left
    }

    fn account(&mut self, migrating: &mut Migrating, flow: Flow, work: f64) {
        let Migrating { way, account, sending, .. } = migrating;
        let disk = matches!(sending, Sending::Disk(_)).then(|| way.disk_load(self.fabric.has_processors()));
        let load = disk.as_ref().unwrap_or(&way.load);
        let limit = flow.limit.map_or(f64::INFINITY, |limit| limit.bytes_per_sec_f64());
        // With less than all compressed, it is the spare processor time that was short, whatever is full.
        let short_of = way.compressing.filter(|_| load.compressed.is_some_and(|share| share < 1.0));
        let cause = |by: HeldBy| match (by, short_of) {
            (HeldBy::Resource(_), Some(compressing)) => Cause::Resource(compressing.spare),
            (HeldBy::Resource(resource), None) => Cause::Resource(resource),
            (HeldBy::Cap, _) if limit < load.cap => Cause::Policy,
            (HeldBy::Cap, _) => Cause::Stream(load.cap_by),
        };
        let held = self.fluid.held_back(self.now, flow.activity).iter();
        account.add(work, load, held.map(|(by, span)| (cause(*by), *span)));
    }

    /// Counts a migration among those that compress at its source; the first time, all of them are
    /// planned anew.
    fn begin_to_compress(&mut self, migrating: &mut Migrating) {
        let (source, id) = (migrating.assignment.source, migrating.assignment.migration);
        if self.compressing[source.index()].contains(&id) {
            return;
        }
        self.compressing[source.index()].push(id);
        for _ in 0..PASSES {
            self.plan_others(source, id);
            self.plan_again(migrating);
        }
    }

    /// A migration has ended: the others at its source share what it had.
    pub(super) fn end_compressing(&mut self, source: HostId, id: MigrationId) {
        if self.compressing[source.index()].contains(&id) {
            self.compressing[source.index()].retain(|other| *other != id);
            for _ in 0..PASSES {
                self.plan_others(source, id);
            }
        }
    }

    fn plan_others(&mut self, source: HostId, id: MigrationId) {
        for other in self.compressing[source.index()].clone() {
            let Some(mut migrating) = self.migrations[other.index()].take_if(|_| other != id) else {
                continue;
            };
            self.plan_again(&mut migrating);
            self.migrations[other.index()] = Some(migrating);
        }
    }

    fn plan_again(&mut self, migrating: &mut Migrating) {
        if let Sending::Flowing(flow) = migrating.sending {
            let left = self.stop_flow(migrating, flow);
            self.plan_share(migrating, flow.limit);
            self.flow(migrating, flow.bytes, left, flow.limit);
        }
    }

    /// Finds the share of memory to compress: what the line would carry of it plain is asked of the
    /// fluid model, so that all who share the line count; spare cores are dealt out evenly.
    fn plan_share(&mut self, migrating: &mut Migrating, limit: Option<Bandwidth>) {
        let Some(compressing) = migrating.way.compressing else {
            return;
        };
        let sharing = self.compressing[migrating.assignment.source.index()].len().max(1);
        migrating.way.compress(0.0);
        let probe = self.start_activity(&migrating.way.load, f64::INFINITY, limit);
        let plain = self.fluid.rate(probe).unwrap_or(0.0);
        self.fluid.cancel(self.now, probe);
        let spare = compressing.spare_cores / sharing as f64;
        migrating.way.compress(compressing.costs.share(plain, spare, compressing.ratio));
    }

    /// What a migration's sending took.
    pub(super) fn transfer_record(&self, migrating: &Migrating) -> TransferRecord {
        let account = &migrating.account;
        let whole: f64 = account.held.iter().map(|(_, span)| span.as_secs_f64()).sum();
        // Reversed, since `max_by_key` gives the last of equals.
        let longest = account.held.iter().rev().max_by_key(|(_, span)| *span);
        TransferRecord {
            bottleneck: longest.map(|(cause, _)| self.name_of(*cause)),
            bottleneck_share: longest.map_or(0.0, |(_, span)| span.as_secs_f64() / whole),
            source_core_seconds: account.processor[0],
            destination_core_seconds: account.processor[1],
            wire_bytes: Bytes::from_f64_floor(account.wire.round()),
            compressed_share: migrating
                .way
                .compressing
                .map(|_| if account.payload > 0.0 { account.compressed / account.payload } else { 0.0 }),
        }
    }

    fn name_of(&self, cause: Cause) -> Name {
        match cause {
            Cause::Resource(resource) => self.fabric.name_of(resource),
            Cause::Stream(StreamLimit::Given) => "stream limit".into(),
            Cause::Stream(StreamLimit::Core) => "one core a stream".into(),
            Cause::Stream(StreamLimit::Window) => "window / round trip".into(),
            Cause::Stream(StreamLimit::LocalCopy) => "copy within the host".into(),
            Cause::Policy => "migration bandwidth limit".into(),
        }
    }
}
