//! QEMU's rules: its parameters and capabilities.

use algorithms::policy::{
    AutoConverge, DirtyLimit, Doubling, PostCopyStart, Qemu, Slowing, SwitchOverRate, Tracking, Xbzrle,
};
use sim_core::{Bandwidth, ByteRate, Bytes};

use super::hosts::at_least_one;
use super::hypervisor::some_time;
use crate::error::Problem;
use crate::file::Limit;
use crate::file::qemu::{AutoConvergeFile, DirtyLogFile, PostCopyFile, QemuFile, SlowDownFile, XbzrleFile};
use crate::read::at::At;

/// What QEMU throttles to at most.
const MOST_PERCENT: u32 = 99;

/// The rules given, where something is left out those of `base`.
pub(super) fn qemu(file: &QemuFile, base: Qemu) -> Result<Qemu, Problem> {
    let downtime = file.downtime_limit.as_ref().map(some_time).transpose()?;
    let switch_over_rate = match &file.switchover_bandwidth {
        None => base.switch_over_rate,
        Some(given) => SwitchOverRate::Given(some_rate(given)?),
    };
    let every = file.sync_every.as_ref().map(|given| given.value.limit());
    Ok(Qemu {
        downtime_limit: downtime.unwrap_or(base.downtime_limit),
        max_bandwidth: bandwidth(file.max_bandwidth.as_ref(), base.max_bandwidth)?,
        switch_over_rate,
        slowing: file.slow_down.as_ref().map(slowing).transpose()?.unwrap_or(base.slowing),
        sync_every: every.unwrap_or(base.sync_every),
        post_copy: file.post_copy.as_ref().map(post_copy).transpose()?.unwrap_or(base.post_copy),
        max_postcopy_bandwidth: bandwidth(file.max_postcopy_bandwidth.as_ref(), base.max_postcopy_bandwidth)?,
        xbzrle: file.xbzrle.as_ref().map(xbzrle).transpose()?.or(base.xbzrle),
        doubling: match file.doubles_downtime {
            None => base.doubling,
            Some(doubles) => doubles.then_some(Doubling),
        },
        tracking: file.dirty_log.as_ref().map(dirty_log).transpose()?.unwrap_or(base.tracking),
        page_costs: base.page_costs,
    })
}

fn bandwidth(
    file: Option<&At<Limit<Bandwidth>>>,
    base: Option<Bandwidth>,
) -> Result<Option<Bandwidth>, Problem> {
    match file {
        None => Ok(base),
        Some(zero) if zero.value == Limit::At(Bandwidth::default()) => {
            Err(Problem::at(zero.place, "nothing could be sent", "must be more than zero")
                .help("QEMU's 0, no limit, is written `Unlimited` here"))
        }
        Some(given) => Ok(given.value.limit()),
    }
}

fn some_rate(given: &At<Bandwidth>) -> Result<Bandwidth, Problem> {
    if given.value == Bandwidth::default() {
        return Err(Problem::at(given.place, "nothing could be sent", "must be more than zero"));
    }
    Ok(given.value)
}

fn slowing(file: &At<SlowDownFile>) -> Result<Slowing, Problem> {
    Ok(match &file.value {
        SlowDownFile::Never => Slowing::Off,
        SlowDownFile::AutoConverge(given) => Slowing::AutoConverge(auto_converge(given)?),
        SlowDownFile::DirtyLimit(rate) if *rate == ByteRate::default() => {
            return Err(Problem::at(
                file.place,
                "a guest cannot run and dirty nothing",
                "must be more than zero",
            ));
        }
        SlowDownFile::DirtyLimit(rate) => Slowing::DirtyLimit(DirtyLimit { rate: *rate }),
    })
}

fn auto_converge(file: &AutoConvergeFile) -> Result<AutoConverge, Problem> {
    let base = AutoConverge::default();
    let [trigger, initial, increment, max] =
        [&file.trigger, &file.initial, &file.increment, &file.max].map(|given| percent(given.as_ref()));
    Ok(AutoConverge {
        trigger_percent: trigger?.unwrap_or(base.trigger_percent),
        initial_percent: initial?.unwrap_or(base.initial_percent),
        increment_percent: increment?.unwrap_or(base.increment_percent),
        max_percent: max?.unwrap_or(base.max_percent),
    })
}

fn percent(given: Option<&At<u32>>) -> Result<Option<u32>, Problem> {
    match given {
        None => Ok(None),
        Some(given) if (1..=MOST_PERCENT).contains(&given.value) => Ok(Some(given.value)),
        Some(given) => {
            let message = format!("a guest cannot be throttled by {} %", given.value);
            Err(Problem::at(given.place, message, format!("must be from 1 to {MOST_PERCENT}")))
        }
    }
}

fn post_copy(file: &At<PostCopyFile>) -> Result<PostCopyStart, Problem> {
    Ok(match &file.value {
        PostCopyFile::Never => PostCopyStart::Never,
        PostCopyFile::After(span) => PostCopyStart::After(*span),
        PostCopyFile::AfterPasses(passes) => {
            let passes = at_least_one(Some(passes), "QEMU begins with a pass of pre-copy")?;
            PostCopyStart::AfterPasses(passes.unwrap_or(1))
        }
    })
}

fn xbzrle(file: &At<XbzrleFile>) -> Result<Xbzrle, Problem> {
    let encoded_share = match &file.value.encoded {
        None => Xbzrle::default().encoded_share,
        Some(given) if (0.0..=1.0).contains(&given.value) => given.value,
        Some(given) => {
            let message = format!("differences cannot take {} of a page", given.value);
            return Err(Problem::at(given.place, message, "must be from 0 to 1"));
        }
    };
    Ok(Xbzrle { cache: file.value.cache.unwrap_or(Xbzrle::default().cache), encoded_share })
}

fn dirty_log(file: &At<DirtyLogFile>) -> Result<Tracking, Problem> {
    match &file.value {
        DirtyLogFile::AtCount => Ok(Tracking::AtCount),
        DirtyLogFile::Chunks(chunk) if chunk.value == Bytes::ZERO => Err(Problem::at(
            chunk.place,
            "the log cannot be cleared in pieces of nothing",
            "must be more than zero",
        )
        .help("QEMU's own pieces are \"1 GiB\"")),
        DirtyLogFile::Chunks(chunk) => Ok(Tracking::Chunks(chunk.value)),
    }
}
