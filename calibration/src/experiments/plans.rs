//! Reconfiguration plans on Grid'5000 (Kherbache): several migrations at once over shared links.
//!
//! What was done: an action starts when all those have ended that the plan lets end before it. (In all
//! but one of the 400 migrations measured, the start is that end to within a second.) Where no plan is given,
//! the order is that of the measured starts and ends.
//!
//! Totals are those from the measured starts: one migration that hung then shifts nothing for those after it. The
//! makespan is predicted twice: so, and from the plan alone, replayed in its order.
//!
//! What is fitted, and what it means:
//!
//! | parameter | meaning |
//! |---|---|
//! | `speed_500`, … | what a node of so many Mbit/s carries of guests' memory, in bytes per second; likely what TCP is left of it |
//! | `overhead` | from the start of an action until memory flows: libvirt, QEMU, connecting |
//! | `dirty_rate` | fresh memory dirtied a second by `stress --vm 1000 --bytes 70K`, whose workers take turns; likely the plan's `dirtyRate` |
//! | `queue` | what stands in line before a full card: see `models::world`, acknowledgements that wait |
//! | `session_1`, … | the line in this repetition beside that: see below |
//!
//! The memory that is dirtied again and again is the plan's own `maxDirtySize`; its time for that, 2 s, is
//! not used: the planner, which uses it, is 20 % off, and on the slow nodes no pre-copy would end at that rate.
//! The downtime limit is QEMU's default of 300 ms, bandwidth unlimited.
//!
//! **Sessions.** A repetition of all plans is taken for one session (assumption; the data do not say when each was
//! run). In the fourth, memory that comes into a node that sends took 5 % longer than in the others, and the halves of
//! the plans say so each for itself (lines 1.04 and 1.04 as long, where others are 0.97 to 1.00). A
//! session that was not fitted has the line of all.
//!
//! **Medians.** Differences count by their size and not its square, for the mean size is what is asked for. A
//! log in whole seconds is predicted as it would have been written: rounded.
//!
//! Tried, and not in, for other plans were not predicted better: a line for each node, for each speed, and for each node
//! within 2 % of the others.

use std::collections::{BTreeMap, BTreeSet};

use algorithms::policy::Qemu;
use algorithms::records::MigrationRecord;
use models::cluster::Timing;
use models::workload::Workload;
use rayon::prelude::*;
use sim_core::{ByteRate, Bytes, Span};

use super::cluster::{Bed, Moving, bytes, pages, seconds, stream};
use super::{Experiment, Values};
use crate::datasets::{Measurements, PlanFile, PlanMigration};
use crate::fit::{Effort, FitError, Landscape, Loss, Parameter, Prediction, Problem};

/// The name under which presets keep it.
pub(super) const KIND: &str = "plans";

/// `memUsed` and `memMB` are libvirt's megabytes.
const MIB: f64 = 1_048_576.0;

/// Hot memory where the plan does not say any, in MiB: that of all plans published.
const HOT_MB: f64 = 96.0;

/// Memory dirtied beyond that, in bytes per second: that of all plans published.
const COLD_RATE: f64 = 2e6;

/// Nobody says how exactly `COLD_RATE` was measured.
const COLD_RATE_WITHIN: f64 = 0.3;

/// Of 1538 bytes that a packet takes on Ethernet 1448 are data, of the 1514 that htb counts as many: 0.942 and
/// 0.956. What carries much less has another bottleneck, which the data may show.
const LEFT_BY_TCP: f64 = 0.95;
const LEFT_BY_TCP_WITHIN: f64 = 0.01;

/// Lines in different sessions are likely alike to this share (assumption: that of the repetitions).
const SESSIONS_WITHIN: f64 = 0.02;

/// The facts that say which sessions were fitted begin so.
const SESSION: &str = "has_session_";

/// Relative differences of this size count as 1. Runs repeat to 1.9 %, those into a node that sends to 5 to 8 %.
const SCALE: f64 = 0.03;

/// Overheads after the memory has gone over.
const FINISH: f64 = 0.1;

/// Plans, and how they were carried out.
pub struct Plans {
    runs: Vec<Run>,
    /// By node: its speed in Mbit/s.
    speeds: BTreeMap<u32, f64>,
    /// The different speeds.
    classes: Vec<f64>,
    /// Repetitions that had a line of their own length.
    sessions: Vec<u32>,
    clock: Clock,
}

/// What the log's times are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// Whole seconds: a time between two of them was most likely written down as the nearer one.
    WholeSeconds,
    /// Less than that.
    Fine,
}

/// A repetition of a plan.
struct Run {
    name: String,
    repetition: u32,
    migrations: Vec<PlanMigration>,
    /// For each migration the places of those before it.
    after: Vec<Vec<usize>>,
    hot_mb: Vec<f64>,
    /// Repetitions of one plan are one group: they are predicted alike.
    group: usize,
}

impl Plans {
    /// All repetitions of all plans. `facts` may know the speeds of nodes that these data do not show.
    pub fn new(measurements: &Measurements, facts: &Values) -> Plans {
        let rows = &measurements.plan_migrations;
        let mut speeds: BTreeMap<u32, f64> = BTreeMap::new();
        for (name, speed) in facts {
            if let Some(Ok(node)) = name.strip_prefix("node_").map(str::parse) {
                speeds.insert(node, *speed);
            }
        }
        // A migration has the speed of its slower end: a node is as fast as its fastest.
        for row in rows {
            for node in [row.from, row.to] {
                let speed = speeds.entry(node).or_insert(row.mbit);
                *speed = speed.max(row.mbit);
            }
        }
        let mut by_run: BTreeMap<(u32, u32), Vec<PlanMigration>> = BTreeMap::new();
        for row in rows {
            by_run.entry((row.plan, row.repetition)).or_default().push(row.clone());
        }
        let numbers: BTreeSet<u32> = by_run.keys().map(|(plan, _)| *plan).collect();
        let group = |plan: u32| numbers.range(..plan).count();
        let runs = by_run.into_iter().map(|((plan, repetition), migrations)| {
            let file = measurements.plans.iter().find(|file| file.plan == Some(plan));
            let name = format!("plan {plan}, repetition {repetition}");
            Run { repetition, ..Run::new(name, migrations, file, group(plan)) }
        });
        let runs: Vec<Run> = runs.collect();
        let classes: BTreeSet<u64> = speeds.values().map(|speed| speed.round() as u64).collect();
        let classes = classes.into_iter().map(|class| class as f64).collect();
        let sessions = sessions(rows, facts);
        let is_whole = |row: &PlanMigration| row.start.fract() == 0.0 && row.seconds.fract() == 0.0;
        let clock = if rows.iter().all(is_whole) { Clock::WholeSeconds } else { Clock::Fine };
        Plans { runs, speeds, classes, sessions, clock }
    }

    fn bed(&self, values: &[f64], run: &Run) -> Bed {
        let class = |speed: f64| self.classes.iter().position(|class| *class == speed.round()).unwrap_or(0);
        let most = self.speeds.keys().last().map_or(0, |node| *node as usize + 1);
        let rate = |node: u32| self.speeds.get(&node).map_or(1e9 / 8.0, |speed| values[class(*speed)]);
        let after = &values[self.classes.len()..];
        let place = self.sessions.iter().position(|session| *session == run.repetition);
        let session = place.map_or(1.0, |place| after[3 + place]);
        Bed {
            speeds: (0..most as u32).map(|node| rate(node) * 8.0).collect(),
            queue: Some(bytes(after[2] * session)),
            transport: stream(None),
            policy: Qemu { max_bandwidth: None, ..Qemu::default() },
            timing: Timing { prepare: seconds(after[0]), finish: seconds(FINISH), ..Timing::default() },
            limit: None,
            cores: 16,
            disk_rate: None,
        }
    }
}

/// Repetitions that are told apart: where there is more than one, and a preset, where one is at work, fitted it.
fn sessions(rows: &[PlanMigration], facts: &Values) -> Vec<u32> {
    if facts.is_empty() {
        let seen: BTreeSet<u32> = rows.iter().map(|row| row.repetition).collect();
        return if seen.len() > 1 { seen.into_iter().collect() } else { Vec::new() };
    }
    let known: BTreeSet<u32> =
        facts.keys().filter_map(|name| name.strip_prefix(SESSION)?.parse().ok()).collect();
    known.into_iter().collect()
}

impl Run {
    fn new(name: String, mut migrations: Vec<PlanMigration>, file: Option<&PlanFile>, group: usize) -> Run {
        migrations.sort_by(|a, b| a.start.total_cmp(&b.start).then(a.vm.cmp(&b.vm)));
        // When an action starts and ends: by the plan where it is there, else as it was seen.
        let planned = |row: &PlanMigration| {
            let actions = file.map_or(&[][..], |file| &file.actions);
            let same = |action: &&crate::datasets::PlanAction| action.vm == row.vm && action.from == row.from;
            actions.iter().find(same).map(|action| (action.start, action.end))
        };
        let seen = |row: &PlanMigration| (row.start, row.start + row.seconds);
        let all_planned: Option<Vec<_>> = migrations.iter().map(planned).collect();
        let times = all_planned.unwrap_or_else(|| migrations.iter().map(seen).collect());
        let after = times.iter().map(|(start, _)| {
            let before = times.iter().enumerate().filter(|(_, (_, end))| end <= start);
            before.map(|(place, _)| place).collect()
        });
        let hot = |row: &PlanMigration| {
            let guest = file.and_then(|file| file.guests.get(&row.vm));
            guest.map(|guest| guest.hot_mb).filter(|hot| *hot > 0.0).unwrap_or(HOT_MB)
        };
        let (after, hot_mb) = (after.collect(), migrations.iter().map(hot).collect());
        Run { after, hot_mb, name, repetition: 1, migrations, group }
    }

    fn moves(&self, dirty_rate: f64, order: Order) -> Vec<Moving> {
        let first = self.start();
        let rows = self.migrations.iter().zip(&self.after).zip(&self.hot_mb);
        let moving = |((row, after), hot): ((&PlanMigration, &Vec<usize>), &f64)| Moving {
            from: row.from as usize,
            to: row.to as usize,
            memory: pages(row.memory_mb * MIB),
            zeros: bytes(0.0),
            workload: Workload::Sweep {
                rate: ByteRate::from_bytes_per_sec(dirty_rate as u64),
                working_set: pages(hot.min(row.memory_mb) * MIB),
            },
            after: if order == Order::Planned { after.clone() } else { Vec::new() },
            start: if order == Order::Measured { seconds(row.start - first) } else { Span::ZERO },
            disk: Bytes::ZERO,
        };
        rows.map(moving).collect()
    }
}

impl Problem for Plans {
    fn parameters(&self) -> Vec<Parameter> {
        let speed = |class: &f64| {
            let bytes = class * 1e6 / 8.0;
            let speed =
                Parameter::new(format!("speed_{class}"), "B/s", LEFT_BY_TCP * bytes, 0.5 * bytes, bytes);
            speed.likely_within(LEFT_BY_TCP_WITHIN)
        };
        let mut all: Vec<Parameter> = self.classes.iter().map(speed).collect();
        all.push(Parameter::new("overhead", "s", 0.7, 0.01, 10.0));
        let dirty_rate = Parameter::new("dirty_rate", "B/s", COLD_RATE, 1e5, 50e6);
        all.push(dirty_rate.likely_within(COLD_RATE_WITHIN));
        all.push(Parameter::new("queue", "B", 5e6, 1e6, 50e6));
        let session = |number: &u32| {
            Parameter::new(format!("session_{number}"), "", 1.0, 0.5, 2.0).likely_within(SESSIONS_WITHIN)
        };
        all.extend(self.sessions.iter().map(session));
        all
    }

    /// What is asked of them is the mean size of an error, and that is least for the median.
    fn loss(&self) -> Loss {
        Loss::Absolute
    }

    /// The loss has an edge at every median.
    fn landscape(&self) -> Landscape {
        Landscape::Edged
    }

    fn groups(&self) -> usize {
        self.runs.iter().map(|run| run.group + 1).max().unwrap_or(0)
    }

    fn predict(&self, values: &[f64], groups: &[usize], effort: Effort) -> Result<Vec<Prediction>, FitError> {
        let runs: Vec<&Run> = self.runs.iter().filter(|run| groups.contains(&run.group)).collect();
        // Side by side; each is what it would be alone, and they stay in their order.
        let all: Result<Vec<_>, FitError> =
            runs.into_par_iter().map(|run| self.predict_run(run, values, effort)).collect();
        Ok(all?.concat())
    }
}

impl Plans {
    fn predict_run(&self, run: &Run, values: &[f64], effort: Effort) -> Result<Vec<Prediction>, FitError> {
        let dirty_rate = values[self.classes.len() + 1];
        // Steps would leave the search without slopes.
        let clock = if effort == Effort::Fit { Clock::Fine } else { self.clock };
        let bed = self.bed(values, run);
        let as_measured = bed.run(&run.name, run.moves(dirty_rate, Order::Measured))?;
        let rows = run.migrations.iter().zip(&as_measured.migrations);
        let total = |(row, record): (&PlanMigration, &MigrationRecord)| {
            let subject = format!("vm {} {} → {}", row.vm, row.from, row.to);
            run.prediction(subject, "total", row.seconds, clock.shows(record.total.as_secs_f64()), SCALE)
        };
        let mut all: Vec<Prediction> = rows.map(total).collect();
        if effort == Effort::Everything {
            let replayed = bed.run(&run.name, run.moves(dirty_rate, Order::Planned))?;
            for (quantity, records) in [("makespan", &as_measured), ("makespan, plan replayed", &replayed)] {
                let makespan = clock.shows(records.run.makespan.as_secs_f64());
                all.push(run.prediction(String::new(), quantity, run.makespan(), makespan, 0.0));
            }
        }
        Ok(all)
    }
}

impl Run {
    fn start(&self) -> f64 {
        self.migrations.iter().map(|row| row.start).fold(f64::INFINITY, f64::min)
    }

    fn makespan(&self) -> f64 {
        let ends = self.migrations.iter().map(|row| row.start + row.seconds);
        ends.fold(0.0, f64::max) - self.start()
    }

    fn prediction(&self, subject: String, of: &str, measured: f64, predicted: f64, scale: f64) -> Prediction {
        let (run, quantity, unit) = (self.name.clone(), of.into(), "s".into());
        Prediction { run, subject, quantity, unit, measured, predicted, scale }
    }
}

impl Clock {
    fn shows(self, seconds: f64) -> f64 {
        match self {
            // What took any time at all is not written down as none.
            Clock::WholeSeconds => seconds.round().max(1.0),
            Clock::Fine => seconds,
        }
    }
}

/// When migrations begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// When they did.
    Measured,
    /// When those before them in the plan have ended.
    Planned,
}

impl Experiment for Plans {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn facts(&self) -> Values {
        let speeds = self.speeds.iter().map(|(node, speed)| (format!("node_{node}"), *speed));
        speeds.chain(self.sessions.iter().map(|number| (format!("{SESSION}{number}"), 1.0))).collect()
    }
}
