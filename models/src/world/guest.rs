//! The guest of a migration under way: how fast it runs, what it writes meanwhile, and what all this does
//! to it.

use algorithms::orchestrator::Assignment;
use algorithms::page_loop::{Opening, PageInput};
use algorithms::policy::{PageCosts, PreCopyPolicy};
use algorithms::records::{ImpactRecord, MigrationRecord, PostCopyRecord};
use sim_core::{Bytes, SimTime, Span, Streams, draw};

use super::World;
use super::migrating::Migrating;
use crate::cluster::Guest;
use crate::workload::memory::{Batch, GuestMemory};
use crate::workload::post_copy::{self, Missing};
use crate::workload::tempo::Tempo;

/// A guest while it migrates.
pub(super) struct GuestUnderWay {
    memory: GuestMemory,
    tempo: Tempo,
    /// Its speed in this replication, 1 on average.
    speed: f64,
    /// The share of time that its processors run, from 0 to 1.
    running: f64,
    /// The workload's own time since the last count, up to `at`.
    work: f64,
    /// `None` while it stands still.
    at: Option<SimTime>,
    costs: PageCosts,
    resent_share: f64,
    batch: Batch,
    batch_taken: f64,
    toll: Toll,
}

/// What the migration has cost the guest so far.
#[derive(Debug, Clone, Copy, Default)]
struct Toll {
    throttle_max: u32,
    /// Seconds lost to the throttle.
    throttled: f64,
    post_copy: Option<PostCopy>,
}

#[derive(Debug, Clone, Copy)]
struct PostCopy {
    began: SimTime,
    duration: Span,
    missing: Missing,
}

impl GuestUnderWay {
    /// The page loop begins: what is written from now on counts.
    pub(super) fn begin(&mut self, now: SimTime) {
        (self.work, self.at) = (0.0, Some(now));
    }

    /// Its processors are kept from running for so much of the time.
    pub(super) fn throttle(&mut self, now: SimTime, percent: u32) {
        self.work_until(now);
        self.running = f64::from(100 - percent.min(99)) / 100.0;
        self.toll.throttle_max = self.toll.throttle_max.max(percent);
    }

    /// It stands still.
    pub(super) fn pause(&mut self, now: SimTime) {
        self.work_until(now);
        self.at = None;
    }

    /// The dirty log is read.
    pub(super) fn count(&mut self, now: SimTime) -> Bytes {
        self.work_until(now);
        let dirty = self.memory.count(self.work);
        self.work = 0.0;
        Bytes::from_f64_floor(dirty)
    }

    /// Takes the next `bytes` of what waits; gives what they are on the stream.
    fn take(&mut self, now: SimTime, bytes: Bytes) -> Bytes {
        self.work_until(now);
        self.batch_taken = self.work;
        self.batch = self.memory.next(bytes, self.work);
        let share = if self.memory.is_resent() { self.resent_share } else { 1.0 };
        self.batch.transferred(self.costs, share)
    }

    fn work_until(&mut self, now: SimTime) {
        let Some(at) = self.at.filter(|at| *at < now) else { return };
        let span = now - at;
        let seconds = if self.tempo.is_steady() {
            span.as_secs_f64()
        } else {
            self.tempo.between(at.as_secs_f64(), now.as_secs_f64())
        };
        self.toll.throttled += span.as_secs_f64() * (1.0 - self.running);
        self.work += seconds * self.speed * self.running;
        self.at = Some(now);
    }
}

impl World<'_> {
    pub(super) fn guest_under_way(&self, assignment: &Assignment) -> GuestUnderWay {
        let guest = &self.model.guests[assignment.vm.index()];
        let policy = &self.model.hypervisor.policy;
        let random = || self.streams.stream("workload phases", &guest.name);
        let zeros = guest.memory_use.zeros;
        GuestUnderWay {
            memory: GuestMemory::new(&guest.workload, guest.memory, zeros, policy.tracking()),
            tempo: Tempo::new(&guest.workload, random),
            speed: speed(guest, &self.streams),
            running: 1.0,
            work: 0.0,
            at: None,
            costs: policy.page_costs(),
            resent_share: policy.resent_share(guest.workload.working_set()),
            batch: Batch::default(),
            batch_taken: 0.0,
            toll: Toll::default(),
        }
    }

    /// The pages of a round or of a slice, as bytes on the stream.
    pub(super) fn take_pages(&mut self, migrating: &mut Migrating, bytes: Bytes, opening: Opening) -> Bytes {
        if opening == Opening::PostCopy {
            let missing = Missing::default();
            migrating.guest.toll.post_copy =
                Some(PostCopy { began: self.now, duration: Span::ZERO, missing });
            return self.rest(migrating, bytes);
        }
        migrating.guest.take(self.now, bytes)
    }

    /// What follows a guest that was handed over: on the stream all the same, and still missed there.
    fn rest(&self, migrating: &mut Migrating, bytes: Bytes) -> Bytes {
        let guest = &mut migrating.guest;
        guest.batch = guest.memory.clone().next(bytes, 0.0);
        guest.batch.transferred(guest.costs, guest.resent_share)
    }

    /// What was taken is across.
    pub(super) fn memory_sent(&mut self, migrating: &mut Migrating) -> PageInput {
        let transferred = migrating.on_its_way();
        let trip = migrating.way.latency + migrating.way.latency;
        let guest = &mut migrating.guest;
        if let Some(post_copy) = &mut guest.toll.post_copy {
            post_copy.duration = self.now - post_copy.began;
            let waiting = guest.memory.waiting_by_group();
            post_copy.missing = post_copy::follow(&waiting, post_copy.duration, trip, guest.speed);
        } else {
            guest.work_until(self.now);
            guest.memory.sent(guest.batch_taken, guest.work);
        }
        PageInput::Sent { memory: guest.batch.memory(), transferred }
    }

    /// What the migration did to its guest.
    pub(super) fn impact(&self, migrating: &Migrating, record: &MigrationRecord) -> Option<ImpactRecord> {
        record.started?;
        let toll = &migrating.guest.toll;
        let brownout = record.brownout.as_secs_f64();
        let taken = self.taken_from_guests(migrating, brownout);
        let throttled = if brownout > 0.0 { (toll.throttled / brownout).min(1.0) } else { 0.0 };
        let slow_down = 1.0 - (1.0 - throttled) * (1.0 - taken);
        let post_copy = toll.post_copy.map(|post_copy| PostCopyRecord {
            duration: post_copy.duration,
            faults: post_copy.missing.faults.round() as u64,
            waited: Span::from_secs_f64(post_copy.missing.waited),
        });
        let waited = post_copy.map_or(0.0, |post_copy| post_copy.waited.as_secs_f64());
        let lost = slow_down * brownout + record.blackout.as_secs_f64() + waited;
        let throttle_max_percent = toll.throttle_max;
        Some(ImpactRecord { slow_down, throttle_max_percent, lost: Span::from_secs_f64(lost), post_copy })
    }

    /// The share of its processors that the guests of the source lose to this migration: what it takes
    /// beyond the cores that they leave free.
    fn taken_from_guests(&self, migrating: &Migrating, brownout: f64) -> f64 {
        let host = &self.model.hosts[migrating.assignment.source.index()];
        let busy = f64::from(host.cores) * host.transfer.cpu_load;
        if busy <= 0.0 || brownout <= 0.0 {
            return 0.0;
        }
        let used = migrating.account.source_core_seconds() / brownout;
        ((used - host.spare_cores()).max(0.0) / busy).min(1.0)
    }
}

/// How fast the guest works in this replication: log-normal with mean 1.
fn speed(guest: &Guest, streams: &Streams) -> f64 {
    if guest.speed_variation == 0.0 {
        return 1.0;
    }
    draw::log_normal(guest.speed_variation, &mut streams.stream("workload speed", &guest.name))
}
