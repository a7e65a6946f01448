//! How a guest dirties its memory, which cannot be more than it has.

use models::workload::{Class, CurvePoint, Workload};
use sim_core::{Bytes, Span};

use super::hosts::unknown_preset;
use crate::error::Problem;
use crate::file::{ClassFile, CurvePointFile, GuestFile, Named, OrPreset, RateFile, Size, WorkloadFile};
use crate::nearest;
use crate::presets::{self, PresetKind};
use crate::read::at::{At, Place};

/// Points of one curve or classes of one workload.
const MAX_PARTS: usize = 10_000;

/// The workload of a guest: described, one of the scenario's `own` by name, or a preset.
pub(super) fn workload(file: &GuestFile, own: &Named<WorkloadFile>) -> Result<Workload, Problem> {
    let memory = file.memory.value;
    let Some(given) = &file.workload else {
        return Ok(Workload::Idle);
    };
    let workload = match &given.value {
        OrPreset::Preset(name) => match own.get(name) {
            Some(described) => from_file(described, memory)?,
            None => presets::workload(name, memory).ok_or_else(|| unknown(name, given.place, own))?,
        },
        OrPreset::Given(described) => from_file(described, memory)?,
    };
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
        Workload::Classes(classes) => classes.len(),
        Workload::Curve(points) => points.len(),
    }
}

fn from_file(file: &WorkloadFile, memory: Bytes) -> Result<Workload, Problem> {
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
        WorkloadFile::Curve(points) => curve(points)?,
    })
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
