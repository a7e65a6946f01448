//! What a scenario can say of page loops and of how guests write, and what its library shows of both.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use algorithms::policy::{
    AutoConverge, Doubling, Policy, PostCopyStart, Qemu, Slowing, Stun, SwitchOverRate, Tracking, VMotion,
};
use algorithms::records::{Outcome, RoundPhase, RunRecords};
use models::cluster::ClusterModel;
use models::workload::Workload;
use models::world::{RunOptions, simulate};
use scenarios::{load, parse};
use sim_core::{Bandwidth, Bytes, Span};

fn model(rest: &str) -> ClusterModel {
    let text = format!("(hosts: [(name: \"node{{1..2}}\", memory: \"64 GiB\")], plan: [], {rest})");
    match parse(&text, "test.ron") {
        Ok(mut scenario) => scenario.runs.remove(0).model,
        Err(error) => panic!("{:?}", miette::Report::new(error)),
    }
}

fn qemu(fields: &str) -> Qemu {
    let rest = format!(
        "vms: [(name: \"vm1\", host: \"node1\", memory: \"8 GiB\")], \
         hypervisor: (preset: \"qemu-7.2\", policy: Qemu({fields}))"
    );
    match model(&rest).hypervisor.policy {
        Policy::Qemu(qemu) => qemu,
        other => panic!("{other:?}"),
    }
}

#[test]
fn qemus_parameters_and_capabilities_are_read() {
    let rules = qemu(
        r#"slow_down: AutoConverge(initial: 30), post_copy: After("1 min"), doubles_downtime: true,
           switchover_bandwidth: "10 Gbit/s", sync_every: "5 s", dirty_log: AtCount, xbzrle: (encoded: 0.1)"#,
    );
    let expected = AutoConverge { initial_percent: 30, ..AutoConverge::default() };
    assert_eq!(rules.slowing, Slowing::AutoConverge(expected));
    assert_eq!(rules.post_copy, PostCopyStart::After(Span::from_secs(60)));
    assert_eq!((rules.doubling, rules.sync_every), (Some(Doubling), Some(Span::from_secs(5))));
    assert_eq!(rules.switch_over_rate, SwitchOverRate::Given(Bandwidth::from_gbit(10)));
    assert_eq!((rules.tracking, rules.xbzrle.unwrap().cache), (Tracking::AtCount, Bytes::from_mib(64)));
    assert_eq!(qemu("slow_down: AutoConverge").slowing, Slowing::AutoConverge(AutoConverge::default()));
}

#[test]
fn vmotion_and_xens_skipping_can_be_switched_off() {
    let vm = "vms: [(name: \"vm1\", host: \"node1\", memory: \"8 GiB\")]";
    let without = model(&format!(
        "{vm}, hypervisor: (preset: \"vmotion\", policy: VMotion(stun_during_page_send: false))"
    ));
    assert_eq!(without.hypervisor.policy, Policy::VMotion(VMotion { stun: Stun::Off, ..VMotion::default() }));
    let whole = model(&format!("{vm}, hypervisor: (preset: \"xen\", policy: Xen(skip_dirty: false))"));
    let Policy::Xen(xen) = whole.hypervisor.policy else { panic!("not Xen") };
    assert_eq!(xen.tracking, Tracking::AtCount);
}

#[test]
fn memory_in_use_and_zero_pages_are_what_holds_zeros() {
    let model = model(
        r#"vms: [(name: "vm1", host: "node1", memory: "8 GiB", in_use: "6 GiB", zero_pages: "25 %",
                  workload: Zipf(rate: "50 MB/s", working_set: "1 GiB"))]"#,
    );
    assert_eq!(model.guests[0].memory_use.zeros, Bytes::from_gib(4));
    assert!(matches!(model.guests[0].workload, Workload::Zipf { exponent: 1.0, .. }));
}

fn run(name: &str, alternative: &str) -> RunRecords {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("library").join(name);
    let scenario = load(path).unwrap();
    let run = scenario.runs.iter().find(|run| run.model.alternative.as_deref() == Some(alternative)).unwrap();
    simulate(&run.model, &RunOptions { seed: scenario.seed, ..RunOptions::default() }).unwrap()
}

#[test]
fn every_hypervisor_of_the_library_moves_the_guest_and_somebody_pays() {
    let pays = |alternative| {
        let records = run("hypervisors.ron", alternative);
        let migration = &records.migrations[0];
        assert_eq!(migration.outcome, Outcome::Completed, "{alternative}");
        let impact = migration.impact.as_ref().unwrap();
        let followed = records.rounds.iter().any(|round| round.phase == RoundPhase::PostCopy);
        (migration.blackout > Span::from_secs(1), impact.slow_down > 0.05, followed)
    };
    for name in ["Hyper-V", "Xen", "Proxmox VE"] {
        assert_eq!(pays(name), (true, false, false), "{name}: a long pause");
    }
    for name in ["QEMU, auto-converge", "QEMU, dirty-limit", "vMotion"] {
        assert_eq!(pays(name), (false, true, false), "{name}: a slow guest");
    }
    for name in ["QEMU, post-copy", "QEMU, post-copy after 20 s"] {
        assert_eq!(pays(name), (false, false, true), "{name}: faults");
    }
}

#[test]
fn writes_of_the_same_number_dirty_less_where_they_fall_on_few_pages() {
    let sent = |alternative| run("workload-kinds.ron", alternative).migrations[0].memory_bytes_sent;
    assert!(sent("Zipf") < sent("uniform") && sent("uniform") < sent("sweep"));
}
