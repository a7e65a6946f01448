//! What this machine has, and what others take of it.

use std::fs;

use rustix::time::{ClockId, clock_gettime};
use sim_core::Bytes;

/// Where `/proc/meminfo` cannot be read, guests may have this.
const LITTLE: Bytes = Bytes::from_mib(256);

/// Memory that the system could give out now, as it estimates itself.
pub(crate) fn available_memory() -> Bytes {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or(LITTLE, |kib| Bytes::new(kib * 1024))
}

/// Processor time of this machine since it started, from `/proc/stat`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessorTime {
    total: u64,
    stolen: u64,
}

impl ProcessorTime {
    /// As it is now.
    pub fn now() -> ProcessorTime {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let first = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = first.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; guest time is within user.
        ProcessorTime { total: ticks.iter().take(8).sum(), stolen: ticks.get(7).copied().unwrap_or(0) }
    }

    /// The share of processor time since then that went to other machines on the same hardware, 0 to 1.
    pub fn steal_since(&self) -> f64 {
        let now = ProcessorTime::now();
        let total = now.total.saturating_sub(self.total);
        if total == 0 { 0.0 } else { now.stolen.saturating_sub(self.stolen) as f64 / total as f64 }
    }
}

/// Processor time of the calling thread since it began, in seconds: its own and what the kernel did for it.
pub(crate) fn thread_core_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Above this share of stolen processor time a timing says nothing about the network (see docs/live.md).
pub const MOST_STEAL: f64 = 0.06;
