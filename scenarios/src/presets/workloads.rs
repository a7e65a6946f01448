//! Workloads by name. Where a preset's working set is a share, it is one of the guest's memory.

use models::workload::{Class, CurvePoint, Workload};
use sim_core::{ByteRate, Bytes, Span};

use super::Entry;

/// What makes a workload for a guest with so much memory.
type Make = fn(Bytes) -> Workload;

pub(super) static WORKLOADS: &[Entry<Make>] = &[
    Entry {
        name: "idle",
        summary: "an operating system with nothing to do: 1 MB/s over 2 % of memory",
        source: "assumption",
        make: |memory| uniform(1, share(memory, 2)),
    },
    Entry {
        name: "web",
        summary: "a web server: 20 MB/s over a hot 1 % of memory, 4 MB/s over a further 10 %",
        source: "assumption; that there are a hot and a cold set: Clark et al., NSDI 2005",
        make: |memory| Workload::Classes(vec![class(20, share(memory, 1)), class(4, share(memory, 10))]),
    },
    Entry {
        name: "database",
        summary: "a busy database: 80 MB/s over a hot 3 % of memory, 20 MB/s over a further 40 %",
        source: "assumption",
        make: |memory| Workload::Classes(vec![class(80, share(memory, 3)), class(20, share(memory, 40))]),
    },
    Entry {
        name: "memory-muncher",
        summary: "writes half of memory over and over, 1 GB/s: few links keep up",
        source: "256 of 512 MB: Clark et al., NSDI 2005; rate: assumption",
        make: |memory| Workload::Linear { rate: ByteRate::from_mb(1000), working_set: share(memory, 50) },
    },
    Entry {
        name: "specweb99",
        summary: "SPECweb99 in an 800 MB guest: a hot set of 15 MB, 127 MB within 54 s",
        source: "derived from the rounds of Clark et al., NSDI 2005 (sizes quoted from memory)",
        make: specweb99,
    },
];

fn share(memory: Bytes, percent: u64) -> Bytes {
    Bytes::new(memory.get() / 100 * percent)
}

fn uniform(mb_per_sec: u64, working_set: Bytes) -> Workload {
    Workload::Uniform { rate: ByteRate::from_mb(mb_per_sec), working_set }
}

fn class(mb_per_sec: u64, size: Bytes) -> Class {
    Class { rate: ByteRate::from_mb(mb_per_sec), size }
}

/// A round of size V at the rate that Clark's rule gives takes a time t, and leaves D(t) for the
/// next: the sizes of the rounds alone give the curve. The three shortest (18.2, 15.3 and 14.2 MB
/// within 0.5 to 0.9 s) are not monotonic; they are taken as 15 and 15.9 MB.
fn specweb99(memory: Bytes) -> Workload {
    const MILLIS_AND_KB: [(u64, u64); 7] = [
        (520, 15_000),
        (920, 15_900),
        (1_410, 16_700),
        (2_230, 24_200),
        (4_380, 28_400),
        (14_700, 39_000),
        (54_100, 126_700),
    ];
    let points = MILLIS_AND_KB.iter().map(|&(millis, kilobytes)| CurvePoint {
        after: Span::from_millis(millis),
        dirty: Bytes::new(kilobytes * 1000).min(memory),
    });
    Workload::Curve(points.collect())
}
