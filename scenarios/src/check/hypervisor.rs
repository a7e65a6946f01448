//! The hypervisor's rules and costs: its preset's, with what the file says instead.

use algorithms::controller::{Deadline, DeadlineAction};
use algorithms::policy::{AdaptiveRate, HyperV, Policy, Qemu, SimGrid, Stun, Tracking, VMotion, Xen};
use models::cluster::{Hypervisor, Timing};
use sim_core::Span;

use super::hosts::{at_least_one, unknown_preset};
use super::{Checker, qemu};
use crate::error::Problem;
use crate::file::{
    AdaptiveRateFile, DeadlineActionFile, DeadlineFile, HypervisorFile, OrPreset, PolicyFile, TimingFile,
    XenFile,
};
use crate::presets::{self, DEFAULT_HYPERVISOR, PresetKind};
use crate::read::at::{At, Place};

impl Checker {
    pub(crate) fn hypervisor(&mut self, file: Option<&At<OrPreset<HypervisorFile>>>) -> Option<Hypervisor> {
        let hypervisor = match file.map(|file| (&file.value, file.place)) {
            None => preset(DEFAULT_HYPERVISOR, Place::default()),
            Some((OrPreset::Preset(name), place)) => preset(name, place),
            Some((OrPreset::Given(given), _)) => described(given),
        };
        self.problems.take(hypervisor)
    }
}

fn preset(name: &str, place: Place) -> Result<Hypervisor, Problem> {
    presets::hypervisor(name).ok_or_else(|| unknown_preset(name, place, PresetKind::Hypervisor))
}

fn described(file: &HypervisorFile) -> Result<Hypervisor, Problem> {
    let base = match &file.preset {
        Some(name) => preset(name, name.place)?,
        None => preset(DEFAULT_HYPERVISOR, Place::default())?,
    };
    let policy = match &file.policy {
        Some(given) => policy(&given.value, base.policy)?,
        None => base.policy,
    };
    Ok(Hypervisor {
        name: base.name,
        policy,
        timing: file.timing.as_ref().map_or(base.timing, |given| timing(given, base.timing)),
        deadline: file.deadline.as_ref().map(deadline).transpose()?.or(base.deadline),
    })
}

fn timing(file: &TimingFile, base: Timing) -> Timing {
    Timing {
        prepare: file.prepare.unwrap_or(base.prepare),
        prepare_serial: file.prepare_serial.unwrap_or(base.prepare_serial),
        pause: file.pause.unwrap_or(base.pause),
        resume: file.resume.unwrap_or(base.resume),
        finish: file.finish.unwrap_or(base.finish),
    }
}

fn deadline(file: &DeadlineFile) -> Result<Deadline, Problem> {
    if file.after.value == Span::ZERO {
        return Err(Problem::at(
            file.after.place,
            "the deadline has come before it starts",
            "must be more than zero",
        ));
    }
    Ok(Deadline {
        after: file.after.value,
        action: match file.action {
            None | Some(DeadlineActionFile::Cancel) => DeadlineAction::Cancel,
            Some(DeadlineActionFile::ForcePause) => DeadlineAction::ForcePause,
        },
    })
}

/// The rules given, where something is left out those of the preset if it has rules of the same
/// kind, or else that kind's defaults.
fn policy(file: &PolicyFile, base: Policy) -> Result<Policy, Problem> {
    Ok(match file {
        PolicyFile::HyperV(given) => {
            let base = if let Policy::HyperV(base) = base { base } else { HyperV::default() };
            let passes = at_least_one(given.max_passes.as_ref(), "memory must be sent at least once")?;
            Policy::HyperV(HyperV {
                max_passes: passes.unwrap_or(base.max_passes),
                stop_below: given.stop_below.unwrap_or(base.stop_below),
            })
        }
        PolicyFile::Qemu(given) => {
            let base = if let Policy::Qemu(base) = base { base } else { Qemu::default() };
            Policy::Qemu(qemu::qemu(given, base)?)
        }
        PolicyFile::Xen(given) => {
            let base = if let Policy::Xen(base) = base { base } else { Xen::default() };
            Policy::Xen(xen(given, base)?)
        }
        PolicyFile::SimGrid(given) => {
            let base = if let Policy::SimGrid(base) = base { base } else { SimGrid::default() };
            let downtime = given.max_downtime.as_ref().map(some_time).transpose()?;
            Policy::SimGrid(SimGrid { max_downtime: downtime.unwrap_or(base.max_downtime) })
        }
        PolicyFile::VMotion(given) => {
            let base = if let Policy::VMotion(base) = base { base } else { VMotion::default() };
            let switch_over = given.switch_over.as_ref().map(some_time).transpose()?;
            let stun = match given.stun_during_page_send {
                None => base.stun,
                Some(true) => Stun::DuringPageSend,
                Some(false) => Stun::Off,
            };
            Policy::VMotion(VMotion { switch_over: switch_over.unwrap_or(base.switch_over), stun })
        }
    })
}

fn xen(file: &XenFile, base: Xen) -> Result<Xen, Problem> {
    let rounds = at_least_one(file.max_rounds.as_ref(), "memory must be sent at least once")?;
    let factor = at_least_one(file.max_sent_factor.as_ref(), "memory must be sent at least once")?;
    let adaptive = file.adaptive_rate.as_ref().map(adaptive_rate).transpose()?;
    Ok(Xen {
        adaptive_rate: adaptive.or(base.adaptive_rate),
        stop_below: file.stop_below.unwrap_or(base.stop_below),
        max_rounds: rounds.unwrap_or(base.max_rounds),
        max_sent_factor: factor.unwrap_or(base.max_sent_factor),
        tracking: match file.skip_dirty {
            None => base.tracking,
            Some(true) => Tracking::Skipping,
            Some(false) => Tracking::AtCount,
        },
    })
}

fn adaptive_rate(file: &At<AdaptiveRateFile>) -> Result<AdaptiveRate, Problem> {
    let given = &file.value;
    let nothing = given.first.bits_per_sec() == 0 || given.increment.bits_per_sec() == 0;
    if nothing || given.highest < given.first {
        let label = "first and increment must be more than zero, highest no less than first";
        return Err(Problem::at(file.place, "these rates cannot be kept", label));
    }
    let head_start = given.head_start.unwrap_or_default();
    Ok(AdaptiveRate { first: given.first, increment: given.increment, highest: given.highest, head_start })
}

pub(super) fn some_time(span: &At<Span>) -> Result<Span, Problem> {
    if span.value == Span::ZERO {
        return Err(Problem::at(span.place, "no pause is as short as that", "must be more than zero")
            .help("a rest that must be sent in no time at all never fits: pre-copy would not end"));
    }
    Ok(span.value)
}
