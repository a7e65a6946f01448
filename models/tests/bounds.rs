//! Total time and downtime lie within the closed-form bounds of the literature.

mod support;

use algorithms::closed_form::akoush_bounds;
use algorithms::ids::HostId;
use algorithms::policy::{Policy, SimGrid, Xen};
use models::cluster::{ClusterModel, Timing};
use models::network::{CardTraits, Duplex, Link, Network};
use models::workload::{Class, CurvePoint, Workload};
use models::world::{RunOptions, simulate};
use proptest::prelude::*;
use sim_core::{Bandwidth, ByteRate, Bytes, Span, math};

/// Any workload in this much memory.
fn workload(memory: Bytes) -> impl Strategy<Value = Workload> {
    let part = move |share: u64| Bytes::new(memory.get() * share / 100);
    let rate = (0u64..5000).prop_map(ByteRate::from_mb);
    prop_oneof![
        Just(Workload::Idle),
        (rate.clone(), 0u64..=100)
            .prop_map(move |(rate, share)| Workload::Linear { rate, working_set: part(share) }),
        (rate.clone(), 0u64..=100)
            .prop_map(move |(rate, share)| Workload::Uniform { rate, working_set: part(share) }),
        (rate.clone(), rate, 0u64..=50, 0u64..=50).prop_map(move |(hot, cold, a, b)| {
            Workload::Classes(vec![Class { rate: hot, size: part(a) }, Class { rate: cold, size: part(b) }])
        }),
        (1u64..5000, 0u64..=50, 0u64..=50).prop_map(move |(millis, a, b)| {
            let point = |after, share| CurvePoint { after: Span::from_millis(after), dirty: part(share) };
            Workload::Curve(vec![point(millis, a), point(millis * 3, a + b)])
        }),
    ]
}

fn case() -> impl Strategy<Value = (Bytes, Bandwidth, Workload)> {
    (1u64..32_768, 100u64..100_000).prop_flat_map(|(mib, mbit)| {
        let memory = Bytes::from_mib(mib);
        (Just(memory), Just(Bandwidth::from_mbit(mbit)), workload(memory))
    })
}

/// Two hosts on a cable of no length.
fn joined(link: Bandwidth) -> ClusterModel {
    let mut model = support::star(2);
    let mut network = Network::default();
    let ends = [0, 1].map(|host| network.add_host(HostId(host)));
    let card = CardTraits::default();
    let cable =
        Link { name: "cable".into(), capacity: link, latency: Span::ZERO, duplex: Duplex::Full, card };
    network.add_link(ends[0], ends[1], cable);
    model.network = network;
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Akoush et al., MASCOTS 2010: V/L + o ≤ total ≤ (5V − 1 page)/L + o, 0 ≤ downtime − o' ≤ V/L.
    #[test]
    fn xens_total_and_downtime_are_within_akoushs_bounds((memory, link, workload) in case(), millis in 0u64..5000) {
        let mut model = joined(link);
        model.hypervisor.policy = Policy::Xen(Xen::default());
        let (prepare, resume) = (Span::from_millis(millis), Span::from_millis(millis / 10));
        model.hypervisor.timing = Timing { prepare, resume, ..Timing::default() };
        let vm = support::guest(&mut model, 0, 1, 0);
        model.guests[0].memory = memory;
        model.guests[0].workload = workload;
        support::move_to(&mut model, vm, 1);

        let records = simulate(&model, &RunOptions::default()).unwrap();
        let migration = &records.migrations[0];
        let bounds = akoush_bounds(memory, link, prepare + resume);
        // Every round ends at the first whole nanosecond at which it is done.
        let rounding = Span::from_nanos(u64::from(migration.rounds));
        prop_assert!(migration.total + rounding >= bounds.at_least, "{} < {}", migration.total, bounds.at_least);
        prop_assert!(migration.total <= bounds.at_most + rounding, "{} > {}", migration.total, bounds.at_most);
        prop_assert!(migration.blackout >= resume);
        prop_assert!(migration.blackout <= link.time_for(memory) + resume + rounding, "{}", migration.blackout);
    }

    /// Liu et al., HPDC 2011, for a constant dirty rate: n = ⌈log_λ(V_thd ÷ V)⌉ rounds after the first, and
    /// V_mig = V·(1 − λ^(n+1)) ÷ (1 − λ).
    #[test]
    fn what_is_sent_is_lius_series(mib in 256u64..65_536, mbit in 1_000u64..100_000, lambda in 0.01f64..0.95, millis in 5u64..1_000) {
        let (memory, link) = (Bytes::from_mib(mib), Bandwidth::from_mbit(mbit));
        let rate = ByteRate::from_bytes_per_sec((lambda * link.bytes_per_sec_f64()) as u64);
        let lambda = rate.as_f64() / link.bytes_per_sec_f64();
        let mut model = joined(link);
        let max_downtime = Span::from_millis(millis);
        model.hypervisor.policy = Policy::SimGrid(SimGrid { max_downtime });
        let vm = support::guest(&mut model, 0, 1, 0);
        model.guests[0].memory = memory;
        model.guests[0].workload = Workload::Linear { rate, working_set: memory };
        support::move_to(&mut model, vm, 1);
        let records = simulate(&model, &RunOptions::default()).unwrap();
        let (memory, threshold) = (memory.as_f64(), link.bytes_per_sec_f64() * max_downtime.as_secs_f64());
        let rounds = (math::ln(threshold / memory) / math::ln(lambda)).max(0.0);
        // Where the logarithm is a whole number but for rounding, either is right; the first count is always made.
        prop_assume!((rounds - rounds.round()).abs() > 1e-3);
        let rounds = rounds.ceil().max(1.0);
        let expected = memory * (1.0 - math::powf(lambda, rounds + 1.0)) / (1.0 - lambda);
        let sent = records.migrations[0].memory_bytes_sent.as_f64();
        prop_assert_eq!(f64::from(records.migrations[0].rounds), rounds + 1.0);
        prop_assert!((sent / expected - 1.0).abs() < 1e-6, "{} of {}", sent, expected);
    }
}
