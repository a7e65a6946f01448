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
        summary: "SPECweb99 in an 800 MB guest: 18, 31 and 408 MB at 113, 23 and 3 MB/s",
        source: "fitted to the rounds of Clark et al., NSDI 2005 (sizes quoted from memory)",
        make: specweb99,
    },
    Entry {
        name: "memcached",
        summary: "memcached under YCSB in 32 GiB: 4.1 GB within a minute, a hot set within half a second",
        source: "D(t) sampled for the predictor on the QEMU list, April 2023 (cover letter 1682598010)",
        make: memcached,
    },
    Entry {
        name: "stress",
        summary: "stress --vm 1000 --bytes 70K: 96 MB within 2 s, then 2 MB/s for five minutes",
        source: "Kherbache's model (btrplace/kherbache-thesis); for how long it goes on: assumption",
        make: |memory| curve(&[(2_000, 96_000), (302_000, 696_000)], memory),
    },
    Entry {
        name: "key-value-store",
        summary: "a key-value store: 60 MB/s by Zipf's law over 30 % of memory",
        source: "assumption; that keys are asked for by Zipf's law: YCSB (Cooper et al., SoCC 2010)",
        make: |memory| Workload::Zipf {
            rate: ByteRate::from_mb(60),
            working_set: share(memory, 30),
            exponent: 0.99,
        },
    },
    Entry {
        name: "batch",
        summary: "a batch job: 200 MB/s uniformly over 20 % of memory for some 10 s in every minute",
        source: "assumption",
        make: |memory| Workload::Bursts {
            of: Box::new(uniform(200, share(memory, 20))),
            mean_busy: Span::from_secs(10),
            mean_calm: Span::from_secs(50),
            calm_speed: 0.0,
        },
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

/// Three sets, fitted so that Xen's rules of 2005 send rounds of the published sizes from a guest of 800 MB;
/// smaller guests have as much smaller ones.
fn specweb99(memory: Bytes) -> Workload {
    const PER_SECOND_AND_SIZE_KB: [(u64, u64); 3] = [(112_600, 17_900), (22_600, 31_100), (2_740, 407_700)];
    let part = (memory.as_f64() / 800e6).min(1.0);
    let class = |(per_second, size): (u64, u64)| Class {
        rate: ByteRate::from_bytes_per_sec((per_second as f64 * 1e3 * part) as u64),
        size: Bytes::from_f64_floor(size as f64 * 1e3 * part),
    };
    Workload::Classes(PER_SECOND_AND_SIZE_KB.map(class).to_vec())
}

/// Dirty pages among 16,392 that were sampled of 8,392,704, each of 4 KiB: 2.097 MB for each.
fn memcached(memory: Bytes) -> Workload {
    const MILLIS_AND_SAMPLES: [(u64, u64); 22] = [
        (125, 33),
        (250, 78),
        (375, 119),
        (500, 151),
        (750, 217),
        (1_000, 236),
        (1_500, 293),
        (2_000, 336),
        (3_000, 425),
        (4_001, 505),
        (6_000, 620),
        (8_000, 756),
        (10_000, 898),
        (15_000, 1_204),
        (20_000, 1_457),
        (25_000, 1_723),
        (30_000, 1_934),
        (35_000, 2_141),
        (40_000, 2_328),
        (45_000, 2_522),
        (50_000, 2_675),
        (60_000, 2_958),
    ];
    let kilobytes = |samples: u64| samples * 8_392_704 * 4_096 / 16_392 / 1_000;
    curve(&MILLIS_AND_SAMPLES.map(|(millis, samples)| (millis, kilobytes(samples))), memory)
}

fn curve(millis_and_kilobytes: &[(u64, u64)], memory: Bytes) -> Workload {
    let points = millis_and_kilobytes.iter().map(|&(millis, kilobytes)| CurvePoint {
        after: Span::from_millis(millis),
        dirty: Bytes::new(kilobytes * 1000).min(memory),
    });
    Workload::Curve(points.collect())
}
