//! The event queue under the hold model at three sizes, beside the standard library's binary heap:
//! events that only come up, and events of which some are moved while they wait.

use std::hint::black_box;

use benches::binary_heap::{Lazy, Plain};
use benches::hold::{Hold, Keyed, Moving, Pending};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sim_core::EventQueue;

const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];

criterion_group!(event_queue, hold, hold_and_move);
criterion_main!(event_queue);

/// An operation is a pop and a schedule.
fn hold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event_queue/hold");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        group.bench_function(BenchmarkId::new("ours", size), |bencher| {
            let mut hold = held::<EventQueue<u32>>(size);
            bencher.iter(|| black_box(hold.step()));
        });
        group.bench_function(BenchmarkId::new("binary_heap", size), |bencher| {
            let mut hold = held::<Plain>(size);
            bencher.iter(|| black_box(hold.step()));
        });
    }
    group.finish();
}

/// An operation is a pop and a schedule; every tenth, a move of a random pending event.
fn hold_and_move(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event_queue/hold_move_10_percent");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        group.bench_function(BenchmarkId::new("ours", size), |bencher| {
            let mut hold = moved::<Keyed>(size);
            bencher.iter(|| black_box(hold.step_or_move()));
        });
        group.bench_function(BenchmarkId::new("binary_heap_lazy", size), |bencher| {
            let mut hold = moved::<Lazy>(size);
            bencher.iter(|| black_box(hold.step_or_move()));
        });
    }
    group.finish();
}

fn held<Q: Pending>(size: u32) -> Hold<Q> {
    Hold::new(size)
}

/// With as many entries that are no longer valid as there usually are.
fn moved<Q: Moving>(size: u32) -> Hold<Q> {
    let mut hold = Hold::new(size);
    for _ in 0..size {
        hold.step_or_move();
    }
    hold
}
