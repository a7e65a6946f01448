//! The workloads of the oracle from model to records, few samples: what a change to the core does
//! to whole runs. An element is a round of pre-copy.

use std::hint::black_box;

use benches::workload::{self, Shape, Size};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use models::world::{Metering, RunOptions, simulate};

criterion_group!(oracle, rolling, burst);
criterion_main!(oracle);

fn rolling(criterion: &mut Criterion) {
    let size = Size { hosts: 64, vms: 8000, limit: 2, dirty_scale: 1.0 };
    whole_run(criterion, "rolling_8000", Shape::Rolling, size, 37_949);
}

fn burst(criterion: &mut Criterion) {
    let size = Size { hosts: 64, vms: 1000, limit: 0, dirty_scale: 0.01 };
    whole_run(criterion, "burst_1000", Shape::Burst, size, 3_067);
}

fn whole_run(criterion: &mut Criterion, name: &str, shape: Shape, size: Size, rounds: u64) {
    let model = workload::model(shape, size);
    let options = RunOptions { metering: Metering::Off, ..RunOptions::default() };
    let mut group = criterion.benchmark_group("oracle");
    group.sample_size(10).throughput(Throughput::Elements(rounds));
    group.bench_function(name, |bencher| {
        bencher.iter(|| black_box(simulate(&model, &options).expect("the model is sound")));
    });
    group.finish();
}
