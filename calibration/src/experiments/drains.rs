//! Hosts drained by `OpenStack`, guest after guest or several at a time.
//!
//! What was done (`rally_lvm_plugin` of osic/benchmarking_live-migration): the guests are moved in batches of
//! `parallel`, and a batch begins when all of the one before are done; guests that do not fill a batch
//! stay. Rally waits a second before it looks for the first time, and looks every 2 s.
//!
//! **Several at a time are not several at a time.** Nova's `max_concurrent_live_migrations` is 1 unless it is set
//! (nova `conf/compute.py`, Mitaka to today), `openstack-ansible`, which built these clouds, does not set it
//! (`os_nova` `nova.conf.j2`), and a source works off the rest of a batch one after the other
//! (`_live_migration_semaphore` in `compute/manager.py`, held from `pre_live_migration` until the source has
//! cleaned up). So each guest's time, from its request on, grows with `parallel` by what it waits for the others; a
//! drain is spared only what happens outside that lock. That the clouds ran with the default is an assumption.
//!
//! **Guests fill their memory.** Over 40 drains of medium guests each guest came to take 4 s longer, in a straight
//! line; small ones did not change over 60. Here small ones have all their memory in use, and larger ones more of it
//! with every drain of a log until they have, too. Series with more in parallel are taken to follow on
//! those with fewer, on the same guests (assumption): so a drain that is no quicker for `parallel` is slower, for it
//! comes later. Of a log that was not fitted nothing is known, and its guests are taken to have in use what small ones have.
//!
//! | parameter | meaning |
//! |---|---|
//! | `begin` | from the start of a drain until its first migration is asked for |
//! | `overhead` | of each migration under the lock, beside memory and disk |
//! | `dirty_rate` | how fast memory in use is written |
//! | `content_`, `growth_` a log | of its guests beyond small ones: in use at the first drain; more with each |
//! | `memory_cost`, `memory_cost_tunnelled` | seconds per 10^9 bytes, without and with libvirt's tunnel |
//! | `disk_rate`, `disk_rate_tunnelled` | bytes a second of a disk that goes along |
//!
//! Serial drains tell `overhead` and `memory_cost` only by the growth, and hardly `dirty_rate`: what is likely of
//! these counts as one more measurement each.

mod series;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use algorithms::policy::Qemu;
use models::cluster::Timing;
use models::workload::Workload;
use sim_core::{ByteRate, Bytes, PAGE_SIZE, Span};

use super::cluster::{Bed, Moving, bytes, pages, seconds, stream};
use super::{Experiment, Values};
use crate::datasets::{Drain, Flavor, Measurements};
use crate::fit::{Effort, FitError, Parameter, Prediction, Problem};
use series::Logs;

/// The name under which presets keep it.
pub(super) const KIND: &str = "drains";

/// 10 GbE, with what TCP leaves of it.
const CARD: f64 = 9.4e9;

/// The first step of Nova's `live_migration_downtime` of 500 ms in 10 steps, which are 75 s apart and more.
const DOWNTIME_LIMIT: Span = Span::from_millis(50);

/// Outside Nova's lock: checks by the conductor before it, and after it on average half of the 2 s between two looks
/// of Rally's (assumption: a second each).
const OUTSIDE: f64 = 2.0;

/// Nova's `max_concurrent_live_migrations`, where it is not set.
const NOVA_LIMIT: u32 = 1;

/// Half of a disk is written.
const WRITTEN: f64 = 0.5;

/// Guests of a drain where they were not listed.
const GUESTS: usize = 6;

const SCALE: f64 = 0.03;
const SCALE_OF_GUESTS: f64 = 0.15;

/// Where in the list of parameters each stands.
const BEGIN: usize = 0;
const OVERHEAD: usize = 1;
const DIRTY_RATE: usize = 2;
const MEMORY_COST: usize = 3;

/// Drains of all kinds.
pub struct Drains {
    drains: Vec<Drain>,
    logs: Logs,
    /// Parameters beyond those that all drains have.
    further: Vec<&'static str>,
}

const FURTHER: [&str; 3] = ["memory_cost_tunnelled", "disk_rate", "disk_rate_tunnelled"];

impl Drains {
    /// All drains. `facts` may know what these data do not show.
    pub fn new(measurements: &Measurements, facts: &Values) -> Drains {
        let drains = measurements.drains.clone();
        let seen = |name: &str| {
            drains.iter().any(|drain| match name {
                "memory_cost_tunnelled" => drain.tunnelled && !drain.with_disks,
                "disk_rate" => drain.with_disks && !drain.tunnelled,
                _ => drain.with_disks && drain.tunnelled,
            })
        };
        let known = !facts.is_empty();
        let further = FURTHER
            .into_iter()
            .filter(|name| facts.contains_key(&format!("has_{name}")) || (!known && seen(name)));
        Drains { further: further.collect(), logs: Logs::new(&drains, facts), drains }
    }

    fn value(&self, values: &[f64], name: &str) -> Option<f64> {
        let place = self.further.iter().position(|further| *further == name)?;
        Some(values[MEMORY_COST + 1 + place])
    }

    /// What a guest of this drain has in use, in bytes.
    fn content(&self, values: &[f64], drain: &Drain) -> f64 {
        let of_small = Flavor::Small.memory() as f64;
        let content = self.logs.place(drain).map_or(of_small, |(log, before)| {
            let first = MEMORY_COST + 1 + self.further.len() + 2 * log;
            values[first] + values[first + 1] * before
        });
        content.min(drain.flavor.memory() as f64)
    }

    fn bed(&self, values: &[f64], drain: &Drain) -> Bed {
        let plain = values[MEMORY_COST];
        let tunnelled = self.value(values, "memory_cost_tunnelled").unwrap_or(plain);
        let disk_rate = self.value(values, "disk_rate");
        let disk_rate_tunnelled = self.value(values, "disk_rate_tunnelled").or(disk_rate);
        let rate = if drain.tunnelled { disk_rate_tunnelled } else { disk_rate };
        // A disk is copied by another thread than memory is, which does not hold it back: where disks go along,
        // what memory takes beyond the card's time is added at the end.
        let beyond_card = plain / 1e9 - 8.0 / CARD;
        let (stream_rate, finish) = if drain.with_disks {
            (None, self.content(values, drain) * beyond_card)
        } else {
            (Some(1e9 / if drain.tunnelled { tunnelled } else { plain }), 0.0)
        };
        let prepare = seconds(values[OVERHEAD]);
        Bed {
            speeds: vec![CARD; 2],
            queue: None,
            transport: stream(stream_rate),
            policy: Qemu { max_bandwidth: None, downtime_limit: DOWNTIME_LIMIT, ..Qemu::default() },
            timing: Timing { prepare, finish: seconds(finish), ..Timing::default() },
            cores: 1,
            limit: Some(NOVA_LIMIT),
            disk_rate: drain.with_disks.then(|| rate.unwrap_or(CARD / 8.0)),
        }
    }

    fn run(&self, values: &[f64], drain: &Drain) -> Result<Outcome, FitError> {
        let parallel = drain.parallel as usize;
        let guests = guests_of(drain) / parallel * parallel;
        let content = self.content(values, drain);
        let moving = |index: usize| {
            let batch = index / parallel * parallel;
            Moving {
                from: 0,
                to: 1,
                memory: Bytes::new(drain.flavor.memory()),
                zeros: bytes(drain.flavor.memory() as f64 - pages(content).as_f64()),
                workload: Workload::Uniform {
                    rate: ByteRate::from_bytes_per_sec(values[DIRTY_RATE] as u64),
                    working_set: pages(content),
                },
                after: (batch.saturating_sub(parallel)..batch).collect(),
                start: Span::ZERO,
                disk: if drain.with_disks {
                    bytes(drain.flavor.disk() as f64 * WRITTEN)
                } else {
                    Bytes::ZERO
                },
            }
        };
        let name = format!("{} drain {}", drain.file, drain.number);
        let records = self.bed(values, drain).run(&name, (0..guests).map(moving).collect())?;
        let end = |index: usize| {
            let record = &records.migrations[index];
            record.started.unwrap_or_default().as_secs_f64() + record.total.as_secs_f64()
        };
        // A batch is asked for when the one before has ended, as Rally sees it.
        let batches = guests / parallel;
        let asked = |index: usize| {
            (index / parallel * parallel)
                .checked_sub(parallel)
                .map_or(0.0, |first| (first..first + parallel).map(end).fold(0.0, f64::max))
        };
        Ok(Outcome {
            seconds: values[BEGIN] + records.run.makespan.as_secs_f64() + OUTSIDE * batches as f64,
            guests: (0..guests).map(|index| end(index) - asked(index) + OUTSIDE).collect(),
        })
    }
}

/// A drain as predicted.
#[derive(Clone)]
struct Outcome {
    seconds: f64,
    guests: Vec<f64>,
}

fn guests_of(drain: &Drain) -> usize {
    match drain.guests.len() {
        0 if drain.file.contains("parallel") => 2 * GUESTS,
        0 => GUESTS,
        listed => listed,
    }
}

/// What makes two drains alike; the last is what guests have in use, in pages.
type Kind = (bool, bool, Flavor, u32, usize, u64);

impl Problem for Drains {
    fn parameters(&self) -> Vec<Parameter> {
        let mut all = vec![
            Parameter::new("begin", "s", 6.0, 0.5, 30.0),
            Parameter::new("overhead", "s", 5.0, 1.0, 12.0).likely_within(0.3),
            Parameter::new("dirty_rate", "B/s", 2e7, 1e6, 2e8).likely_within(0.5),
            Parameter::new("memory_cost", "s/GB", 2.0, 0.5, 10.0),
        ];
        all.extend(self.further.iter().map(|name| match *name {
            "memory_cost_tunnelled" => Parameter::new(*name, "s/GB", 5.0, 0.5, 30.0),
            _ => Parameter::new(*name, "B/s", 4.5e8, 5e7, 1.1e9),
        }));
        for log in &self.logs.changing {
            all.push(Parameter::new(format!("content_{log}"), "B", 3e9, 5e8, 8e9));
            all.push(Parameter::new(format!("growth_{log}"), "B", 4e7, 1e5, 1e9));
        }
        all
    }

    fn groups(&self) -> usize {
        self.drains.len()
    }

    fn predict(
        &self,
        values: &[f64],
        groups: &[usize],
        _effort: Effort,
    ) -> Result<Vec<Prediction>, FitError> {
        let mut outcomes: BTreeMap<Kind, Outcome> = BTreeMap::new();
        let mut all = Vec::new();
        for drain in groups.iter().map(|group| &self.drains[*group]) {
            let content = (self.content(values, drain) / PAGE_SIZE as f64) as u64;
            let kind =
                (drain.tunnelled, drain.with_disks, drain.flavor, drain.parallel, guests_of(drain), content);
            let outcome = match outcomes.entry(kind) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(self.run(values, drain)?),
            };
            let run = format!("{} × {}, drain {}", drain.file, drain.parallel, drain.number);
            let row = |subject: String, quantity: &str, measured, predicted, scale| Prediction {
                run: run.clone(),
                subject,
                quantity: quantity.into(),
                unit: "s".into(),
                measured,
                predicted,
                scale,
            };
            all.extend(
                drain.seconds.map(|measured| row(String::new(), "drain", measured, outcome.seconds, SCALE)),
            );
            // Guests are listed in no known order: each is held against the mean of those predicted.
            let mean = outcome.guests.iter().sum::<f64>() / outcome.guests.len().max(1) as f64;
            let guests = drain.guests.iter().enumerate();
            all.extend(guests.map(|(number, measured)| {
                row(format!("guest {}", number + 1), "guest", *measured, mean, SCALE_OF_GUESTS)
            }));
        }
        Ok(all)
    }
}

impl Experiment for Drains {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn facts(&self) -> Values {
        let mut facts = self.logs.facts();
        facts.extend(self.further.iter().map(|name| (format!("has_{name}"), 1.0)));
        facts
    }
}
