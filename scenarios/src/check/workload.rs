//! How a guest dirties its memory, which cannot be more than it has.

use models::cluster::MemoryUse;
use models::workload::{Class, CurvePoint, Phase, Workload};
use sim_core::{Bytes, Span};

use super::hosts::unknown_preset;
use crate::error::Problem;
use crate::file::{
    BurstsFile, ClassFile, CurvePointFile, GuestFile, Named, OrPreset, PhaseFile, PhasesFile, RateFile, Size,
    TraceFile, WorkloadFile, ZipfFile,
};
use crate::nearest;
use crate::presets::{self, PresetKind};
use crate::read::at::{At, Place};

/// Points of one curve or classes of one workload.
const MAX_PARTS: usize = 10_000;

/// The steepest law of Zipf that makes sense.
const MOST_EXPONENT: f64 = 10.0;
/// The most that a phase is faster than its workload.
const MOST_SPEED: f64 = 1000.0;
/// What changes more often than this changes all the time.
const SHORTEST: Span = Span::from_millis(1);

/// The workload of a guest: described, one of the scenario's `own` by name, or a preset.
pub(super) fn workload(file: &GuestFile, own: &Named<WorkloadFile>) -> Result<Workload, Problem> {
    let memory = file.memory.value;
    let Some(given) = &file.workload else {
        return Ok(Workload::Idle);
    };
    let workload = named_or_given(given, own, memory)?;
    if parts(&workload) > MAX_PARTS {
        let message = format!("the workload has more than {MAX_PARTS} parts");
        return Err(Problem::at(given.place, message, "this one"));
    }
    if workload.working_set() > memory {
        let message = format!(
            "the working set, {}, is larger than the guest's memory, {memory}",
            workload.working_set()
        );
        return Err(Problem::at(given.place, message, "dirties more than there is")
            .also(file.memory.place, "the guest's memory"));
    }
    Ok(workload)
}

fn named_or_given(
    given: &At<OrPreset<WorkloadFile>>,
    own: &Named<WorkloadFile>,
    memory: Bytes,
) -> Result<Workload, Problem> {
    match &given.value {
        OrPreset::Preset(name) => match own.get(name) {
            Some(described) => from_file(described, own, memory),
            None => presets::workload(name, memory).ok_or_else(|| unknown(name, given.place, own)),
        },
        OrPreset::Given(described) => from_file(described, own, memory),
    }
}

/// What is done in phases or bursts; it has none itself.
fn inner(
    given: &At<OrPreset<WorkloadFile>>,
    own: &Named<WorkloadFile>,
    memory: Bytes,
) -> Result<Workload, Problem> {
    let described = match &given.value {
        OrPreset::Preset(name) => own.get(name),
        OrPreset::Given(described) => Some(described),
    };
    if let Some(WorkloadFile::Phases(_) | WorkloadFile::Bursts(_) | WorkloadFile::Trace(_)) = described {
        let message = "this workload changes its speed itself";
        return Err(Problem::at(given.place, message, "must be a workload without phases, bursts or trace"));
    }
    named_or_given(given, own, memory)
}

fn unknown(name: &str, place: Place, own: &Named<WorkloadFile>) -> Problem {
    let names = own.0.iter().map(|(name, _)| name.value.as_str());
    let near = nearest::word(name, names.clone());
    let problem = unknown_preset(name, place, PresetKind::Workload);
    match near {
        Some(near) => {
            Problem::at(place, format!("there is no workload `{name}`"), format!("did you mean \"{near}\"?"))
                .help(format!("workloads of this scenario: {}", names.collect::<Vec<_>>().join(", ")))
        }
        None => problem,
    }
}

/// How many parts a workload has, each of which takes memory.
pub(super) fn parts(workload: &Workload) -> usize {
    match workload {
        Workload::Idle | Workload::Linear { .. } | Workload::Uniform { .. } => 1,
        // Each is made of so many groups of pages.
        Workload::Sweep { .. } => 32,
        Workload::Zipf { .. } => 100,
        Workload::Phases { of, phases } => parts(of) + phases.len(),
        Workload::Bursts { of, .. } => parts(of) + 1,
        Workload::Trace { dirtied, .. } => dirtied.len(),
        Workload::Classes(classes) => classes.len(),
        Workload::Curve(points) => points.len(),
    }
}

fn from_file(file: &WorkloadFile, own: &Named<WorkloadFile>, memory: Bytes) -> Result<Workload, Problem> {
    Ok(match file {
        WorkloadFile::Idle => Workload::Idle,
        WorkloadFile::Linear(RateFile { rate, working_set }) => {
            Workload::Linear { rate: *rate, working_set: within(working_set, memory)? }
        }
        WorkloadFile::Uniform(RateFile { rate, working_set }) => {
            Workload::Uniform { rate: *rate, working_set: within(working_set, memory)? }
        }
        WorkloadFile::Classes(classes) => {
            let classes = classes.iter().map(|file| class(file, memory));
            Workload::Classes(classes.collect::<Result<_, _>>()?)
        }
        WorkloadFile::Zipf(ZipfFile { rate, working_set, exponent }) => Workload::Zipf {
            rate: *rate,
            working_set: within(working_set, memory)?,
            exponent: between(exponent.as_ref(), 0.0, MOST_EXPONENT)?.unwrap_or(1.0),
        },
        WorkloadFile::Sweep(RateFile { rate, working_set }) => {
            Workload::Sweep { rate: *rate, working_set: within(working_set, memory)? }
        }
        WorkloadFile::Phases(PhasesFile { of, phases }) => {
            Workload::Phases { of: Box::new(inner(of, own, memory)?), phases: turns(phases)? }
        }
        WorkloadFile::Bursts(file) => bursts(file, own, memory)?,
        WorkloadFile::Trace(file) => trace(file, memory)?,
        WorkloadFile::Curve(points) => curve(points)?,
    })
}

fn between(number: Option<&At<f64>>, least: f64, most: f64) -> Result<Option<f64>, Problem> {
    match number {
        Some(given) if !(least..=most).contains(&given.value) => {
            let message = format!("{} is out of range", given.value);
            Err(Problem::at(given.place, message, format!("must be from {least} to {most}")))
        }
        given => Ok(given.map(|given| given.value)),
    }
}

fn turns(phases: &At<Vec<At<PhaseFile>>>) -> Result<Vec<Phase>, Problem> {
    let mut turns = Vec::with_capacity(phases.value.len());
    for phase in &phases.value {
        let PhaseFile(lasts, speed) = phase.value;
        if lasts == Span::ZERO || !(0.0..=MOST_SPEED).contains(&speed) {
            let label = format!("must last more than nothing, at a speed from 0 to {MOST_SPEED}");
            return Err(Problem::at(phase.place, "this is no turn", label));
        }
        turns.push(Phase { lasts, speed });
    }
    if turns.is_empty() {
        return Err(Problem::at(phases.place, "there are no turns", "needs one at least"));
    }
    Ok(turns)
}

fn bursts(file: &BurstsFile, own: &Named<WorkloadFile>, memory: Bytes) -> Result<Workload, Problem> {
    let of = inner(&file.of, own, memory)?;
    if !matches!(of, Workload::Uniform { .. } | Workload::Classes(_) | Workload::Zipf { .. }) {
        let message = "this workload is not known in bursts";
        return Err(Problem::at(file.of.place, message, "must be Uniform, Classes or Zipf")
            .help("others can be put in `Phases`"));
    }
    for mean in [&file.mean_busy, &file.mean_calm] {
        if mean.value < SHORTEST {
            let label = format!("must be {SHORTEST} or more");
            return Err(Problem::at(mean.place, "that is too short to be told from no change at all", label));
        }
    }
    Ok(Workload::Bursts {
        of: Box::new(of),
        mean_busy: file.mean_busy.value,
        mean_calm: file.mean_calm.value,
        calm_speed: between(file.calm_speed.as_ref(), 0.0, 1.0)?.unwrap_or(0.0),
    })
}

/// No interval dirties more than there is.
fn trace(file: &TraceFile, memory: Bytes) -> Result<Workload, Problem> {
    let working_set = within(&file.working_set, memory)?;
    if file.every.value < SHORTEST {
        let label = format!("must be {SHORTEST} or more");
        return Err(Problem::at(file.every.place, "nothing is recorded in so short a time", label));
    }
    if file.dirtied.value.is_empty() {
        return Err(Problem::at(file.dirtied.place, "nothing was recorded", "needs one interval at least"));
    }
    for dirtied in &file.dirtied.value {
        if dirtied.value > working_set {
            let message = format!("{} were dirtied in a working set of {working_set}", dirtied.value);
            return Err(Problem::at(dirtied.place, message, "dirties more than there is")
                .also(file.working_set.place, "the working set"));
        }
    }
    let dirtied = file.dirtied.value.iter().map(|dirtied| dirtied.value).collect();
    Ok(Workload::Trace { working_set, every: file.every.value, dirtied })
}

/// Memory that holds only zeros: what was never used, and what is said to. It is never written.
pub(super) fn memory_use(file: &GuestFile, workload: &Workload) -> Result<MemoryUse, Problem> {
    let memory = file.memory.value;
    let in_use = file.in_use.as_ref().map(|size| within(size, memory)).transpose()?.unwrap_or(memory);
    let zeros = file.zero_pages.as_ref().map(|size| within(size, memory)).transpose()?.unwrap_or_default();
    let zeros = (memory - in_use) + zeros;
    let place = [&file.zero_pages, &file.in_use].into_iter().flatten().map(|size| size.place).next();
    match place {
        Some(place) if zeros + workload.working_set() > memory => {
            let message = format!(
                "zeros, {zeros}, and the working set, {}, are more than the guest's memory, {memory}",
                workload.working_set()
            );
            Err(Problem::at(place, message, "leaves too little that is written")
                .also(file.memory.place, "the guest's memory"))
        }
        _ => Ok(MemoryUse { zeros }),
    }
}

fn within(size: &At<Size>, memory: Bytes) -> Result<Bytes, Problem> {
    let bytes = size.of(memory);
    if bytes > memory {
        let message = format!("{bytes} is larger than the guest's memory, {memory}");
        return Err(Problem::at(size.place, message, format!("at most \"{memory}\""))
            .help("a share of the memory is written \"25 %\""));
    }
    Ok(bytes)
}

fn class(file: &ClassFile, memory: Bytes) -> Result<Class, Problem> {
    Ok(Class { rate: file.rate, size: within(&file.size, memory)? })
}

/// Time goes on from point to point, and what is dirty does not become clean again.
fn curve(points: &[At<CurvePointFile>]) -> Result<Workload, Problem> {
    let mut before = (Span::ZERO, Bytes::ZERO);
    let mut curve = Vec::with_capacity(points.len());
    for point in points {
        let CurvePointFile(after, dirty) = point.value;
        if after <= before.0 {
            let message = format!("the curve's times do not increase: {after} comes after {}", before.0);
            return Err(Problem::at(point.place, message, "must be later than the point before")
                .help("a curve starts at (\"0 s\", \"0 B\") without saying so"));
        }
        if dirty < before.1 {
            let message = format!("the curve falls: {dirty} comes after {}", before.1);
            return Err(Problem::at(point.place, message, "must not be less than the point before")
                .help("a curve counts all distinct memory dirtied since its start"));
        }
        before = (after, dirty);
        curve.push(CurvePoint { after, dirty });
    }
    Ok(Workload::Curve(curve))
}
