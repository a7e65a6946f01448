//! What is set on real QEMU machines, where the scenario's hypervisor is one.

use algorithms::levers::{Compression, QemuLevers};
use algorithms::policy::{AutoConverge, Policy, PostCopyStart, Qemu, Slowing, Xbzrle};
use models::cluster::Hypervisor;
use sim_core::Bytes;

use super::Checker;
use crate::error::Problem;
use crate::file::{CompressionFile, HypervisorFile, LiveFile, OrPreset};
use crate::read::at::At;

/// QEMU's `multifd-channels` is a byte.
const MOST_CHANNELS: u32 = 255;

impl Checker {
    /// QEMU's levers, where the hypervisor's rules are QEMU's.
    pub(crate) fn qemu(
        &mut self,
        file: Option<&At<OrPreset<HypervisorFile>>>,
        hypervisor: &Hypervisor,
    ) -> Option<QemuLevers> {
        let live = match file.map(|file| &file.value) {
            Some(OrPreset::Given(given)) => given.live.as_ref(),
            _ => None,
        };
        match (&hypervisor.policy, live) {
            (Policy::Qemu(policy), None) => Some(QemuLevers::of(policy.clone())),
            (Policy::Qemu(policy), Some(live)) => self.problems.take(levers(&live.value, policy)),
            (_, None) => None,
            (_, Some(live)) => {
                let message = format!("the rules of `{}` are not QEMU's", hypervisor.name);
                let problem = Problem::at(live.place, message, "this sets levers of QEMU");
                self.problems.push(problem.help("start from a preset of QEMU: preset: \"qemu-7.2\""));
                None
            }
        }
    }
}

/// What `live` says, and where it says nothing, what the policy does.
fn levers(file: &LiveFile, policy: &Qemu) -> Result<QemuLevers, Problem> {
    let slowing = match (file.auto_converge, &policy.slowing) {
        (Some(true), given @ Slowing::AutoConverge(_)) | (None, given) => given.clone(),
        (Some(true), _) => Slowing::AutoConverge(AutoConverge::default()),
        (Some(false), _) => Slowing::Off,
    };
    let xbzrle = match &file.xbzrle {
        None => policy.xbzrle,
        Some(size) => Some(Xbzrle { cache: cache(size)?, ..policy.xbzrle.unwrap_or_default() }),
    };
    let post_copy = file.post_copy_after.as_ref().map_or(Ok(policy.post_copy), post_copy)?;
    Ok(QemuLevers {
        policy: Qemu { slowing, xbzrle, post_copy, ..policy.clone() },
        multifd_channels: file.multifd.as_ref().map(channels).transpose()?,
        compression: file.compression.as_ref().map_or(Ok(Compression::None), |how| compression(how, file))?,
    })
}

fn post_copy(passes: &At<u32>) -> Result<PostCopyStart, Problem> {
    if passes.value == 0 {
        let problem = Problem::at(passes.place, "post-copy follows a pass at least", "must be 1 or more");
        return Err(problem.help("QEMU begins to look at it when a first pass has ended"));
    }
    Ok(PostCopyStart::AfterPasses(passes.value))
}

fn channels(streams: &At<u32>) -> Result<u8, Problem> {
    match u8::try_from(streams.value) {
        Ok(channels) if channels > 0 => Ok(channels),
        _ => {
            let message = format!("multifd has 1 to {MOST_CHANNELS} streams");
            Err(Problem::at(streams.place, message, "out of range"))
        }
    }
}

fn cache(size: &At<Bytes>) -> Result<Bytes, Problem> {
    let bytes = size.value.get();
    if !bytes.is_power_of_two() || bytes < 4096 {
        let message = format!("{} is no size for QEMU's XBZRLE cache", size.value);
        let problem = Problem::at(size.place, message, "must be a power of two, a page at least");
        return Err(problem.help("such as \"64 MiB\""));
    }
    Ok(size.value)
}

fn compression(how: &At<CompressionFile>, file: &LiveFile) -> Result<Compression, Problem> {
    let of_streams = |compression| match file.multifd {
        Some(_) => Ok(compression),
        None => {
            let problem =
                Problem::at(how.place, "QEMU compresses so the streams of multifd", "needs `multifd`");
            Err(problem.help("add multifd: 2, or use `Threads`, which QEMU has up to 9.0"))
        }
    };
    match how.value {
        CompressionFile::Zlib => of_streams(Compression::Zlib),
        CompressionFile::Zstd => of_streams(Compression::Zstd),
        CompressionFile::Threads => Ok(Compression::Threads),
    }
}
