//! Fluid sharing on a star of 64 hosts under churn, beside a baseline that finds all rates from the
//! definition after each change.

use std::hint::black_box;

use benches::churn::{Churn, Incremental};
use benches::filling::FromDefinition;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const HOSTS: usize = 64;

criterion_group!(sharing, churn);
criterion_main!(sharing);

/// An operation is the end of a flow and the start of another.
fn churn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sharing/star_64_churn");
    group.throughput(Throughput::Elements(1));
    for flows in [100, 1_000] {
        group.bench_function(BenchmarkId::new("ours", flows), |bencher| {
            let mut churn = Churn::<Incremental>::new(HOSTS, flows);
            bencher.iter(|| black_box(churn.step()));
        });
        group.bench_function(BenchmarkId::new("from_definition", flows), |bencher| {
            let mut churn = Churn::<FromDefinition>::new(HOSTS, flows);
            bencher.iter(|| black_box(churn.step()));
        });
    }
    group.finish();
}
