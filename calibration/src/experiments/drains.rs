//! Hosts drained by `OpenStack`, guest after guest or several at a time.
//!
//! What was done (`rally_lvm_plugin` of osic/benchmarking_live-migration): the guests are moved in batches of
//! `parallel`, and a batch begins when all of the one before are done; guests that do not fill a batch
//! stay. Rally waits a second before it looks for the first time, and looks every 2 s.
//!
//! Guests of all sizes run the same load, so what they have in use does not follow their size: medium ones took no
//! longer than small ones. Memory goes through one queue of processor time at the source, for its guests keep
//! the rest of its cores busy: migrations at the same time share it, each is slower, and meanwhile the guests
//! write again what was sent. That is why several at a time take longer in all. (One at a time
//! tells `content`, `dirty_rate` and `memory_cost` only together; the fit says so.)
//!
//! | parameter | meaning |
//! |---|---|
//! | `begin` | from the start of a drain until its first migration is asked for |
//! | `overhead` | of each migration, beside memory and disk: scheduling, and until Rally sees its end |
//! | `content`, `dirty_rate` | memory in use, and how fast it is written |
//! | `memory_cost`, `memory_cost_tunnelled` | core-seconds per 10^9 bytes, without and with libvirt's tunnel |
//! | `disk_rate`, `disk_rate_tunnelled` | bytes a second of a disk that goes along |

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use algorithms::policy::Qemu;
use models::cluster::Timing;
use models::transport::Transport;
use models::workload::Workload;
use sim_core::{ByteRate, Bytes, Span};

use super::cluster::{Bed, Moving, bytes, pages, seconds, stream};
use super::{Experiment, Values};
use crate::datasets::{Drain, Measurements};
use crate::fit::{Effort, FitError, Parameter, Prediction, Problem};

/// The name under which presets keep it.
pub(super) const KIND: &str = "drains";

/// 10 GbE, with what TCP leaves of it.
const CARD: f64 = 9.4e9;

/// The first step of Nova's `live_migration_downtime` of 500 ms in 10 steps, which are 75 s apart and more.
const DOWNTIME_LIMIT: Span = Span::from_millis(50);

/// Half of a disk is written.
const WRITTEN: f64 = 0.5;

/// Guests of a drain where they were not listed.
const GUESTS: usize = 6;

const SCALE: f64 = 0.03;
const SCALE_OF_GUESTS: f64 = 0.15;

/// Where in the list of parameters each stands.
const BEGIN: usize = 0;
const OVERHEAD: usize = 1;
const CONTENT: usize = 2;
const DIRTY_RATE: usize = 3;
const MEMORY_COST: usize = 4;

/// Drains of all kinds.
pub struct Drains {
    drains: Vec<Drain>,
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
        Drains { further: further.collect(), drains }
    }

    fn value(&self, values: &[f64], name: &str) -> Option<f64> {
        let place = self.further.iter().position(|further| *further == name)?;
        Some(values[MEMORY_COST + 1 + place])
    }

    fn bed(&self, values: &[f64], drain: &Drain) -> Bed {
        let plain = values[MEMORY_COST];
        let tunnelled = self.value(values, "memory_cost_tunnelled").unwrap_or(plain);
        let cost = if drain.tunnelled { tunnelled } else { plain };
        let disk_rate = self.value(values, "disk_rate");
        let disk_rate_tunnelled = self.value(values, "disk_rate_tunnelled").or(disk_rate);
        let rate = if drain.tunnelled { disk_rate_tunnelled } else { disk_rate };
        // A disk is copied by another thread than memory is, and what that takes is in its rate.
        let transport = if drain.with_disks {
            stream(Some(1e9 / plain))
        } else {
            Transport { send_core_seconds_per_gb: cost, window: None, ..stream(None) }
        };
        Bed {
            speeds: vec![CARD; 2],
            queues: Vec::new(),
            transport,
            policy: Qemu { max_bandwidth: None, downtime_limit: DOWNTIME_LIMIT, ..Qemu::default() },
            timing: Timing { prepare: seconds(values[OVERHEAD]), ..Timing::default() },
            cores: 1,
            limit: None,
            disk_rate: drain.with_disks.then(|| rate.unwrap_or(CARD / 8.0)),
        }
    }

    fn run(&self, values: &[f64], drain: &Drain) -> Result<Outcome, FitError> {
        let parallel = drain.parallel as usize;
        let guests = guests_of(drain) / parallel * parallel;
        let content = values[CONTENT].min(drain.flavor.memory() as f64);
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
        let guests = records.migrations.iter().map(|record| record.total.as_secs_f64());
        Ok(Outcome { seconds: values[BEGIN] + records.run.makespan.as_secs_f64(), guests: guests.collect() })
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

/// What makes two drains alike.
type Kind = (bool, bool, crate::datasets::Flavor, u32, usize);

fn kind_of(drain: &Drain) -> Kind {
    (drain.tunnelled, drain.with_disks, drain.flavor, drain.parallel, guests_of(drain))
}

impl Problem for Drains {
    fn parameters(&self) -> Vec<Parameter> {
        let parameter = |name: &str, unit, start, low, high| {
            let name = name.to_string();
            Parameter { name, unit, start, low, high, likely_within: None }
        };
        let mut all = vec![
            parameter("begin", "s", 6.0, 0.5, 30.0),
            parameter("overhead", "s", 3.0, 2.0, 10.0),
            parameter("content", "B", 2.5e9, 5e8, 4e9),
            parameter("dirty_rate", "B/s", 4e7, 1e6, 2e8),
            parameter("memory_cost", "s/GB", 3.0, 0.5, 10.0),
        ];
        all.extend(self.further.iter().map(|name| match *name {
            "memory_cost_tunnelled" => parameter(name, "s/GB", 6.0, 0.5, 30.0),
            _ => parameter(name, "B/s", 4.5e8, 5e7, 1.2e9),
        }));
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
            let kind = kind_of(drain);
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
        self.further.iter().map(|name| (format!("has_{name}"), 1.0)).collect()
    }
}
