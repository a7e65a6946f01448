//! What is set on real QEMU machines, where the scenario's hypervisor is one.

use algorithms::hypervisor_loop::PostCopy;
use algorithms::levers::{AutoConverge, Compression, QemuLevers};
use algorithms::policy::{Policy, Qemu};
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
    let of_policy = QemuLevers::of(policy.clone());
    Ok(QemuLevers {
        auto_converge: match file.auto_converge {
            Some(true) => AutoConverge::On,
            Some(false) => AutoConverge::Off,
            None => of_policy.auto_converge,
        },
        post_copy: file.post_copy_after.as_ref().map_or(Ok(of_policy.post_copy), post_copy)?,
        multifd_channels: file.multifd.as_ref().map(channels).transpose()?,
        xbzrle_cache: file.xbzrle.as_ref().map(cache).transpose()?.or(of_policy.xbzrle_cache),
        policy: of_policy.policy,
        compression: file.compression.as_ref().map_or(Ok(Compression::None), |how| compression(how, file))?,
    })
}

fn post_copy(passes: &At<u32>) -> Result<PostCopy, Problem> {
    if passes.value == 0 {
        let problem = Problem::at(passes.place, "post-copy follows a pass at least", "must be 1 or more");
        return Err(problem.help("QEMU begins to look at it when a first pass has ended"));
    }
    Ok(PostCopy::AfterPasses(passes.value))
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
