//! What the format can say, and what comes of it: patterns, includes, alternatives, presets, plans.

use std::path::Path;

use algorithms::ids::{HostId, VmId};
use algorithms::measured::{Quantity, Subject};
use algorithms::policy::{HyperV, Policy, PostCopyStart, Slowing, Xbzrle};
use models::cluster::ClusterModel;
use models::transport::Transport;
use models::workload::Workload;
use scenarios::{Scenario, load, parse};
use sim_core::{Bandwidth, Bytes, SimTime, Span};

fn scenario(text: &str) -> Scenario {
    match parse(text, "test.ron") {
        Ok(scenario) => scenario,
        Err(error) => panic!("{:?}", miette::Report::new(error)),
    }
}

/// The one model of a scenario with two hosts of 64 GiB, and `rest`.
fn model(rest: &str) -> ClusterModel {
    let text = format!("(hosts: [(name: \"node{{1..2}}\", memory: \"64 GiB\")], {rest})");
    scenario(&text).runs.remove(0).model
}

const VM: &str = r#"vms: [(name: "vm1", host: "node1", memory: "8 GiB")],"#;

#[test]
fn the_shortest_scenario_takes_its_defaults() {
    let model = model(&format!("{VM} plan: []"));
    assert_eq!(&*model.name, "test.ron");
    assert_eq!(model.hosts.len(), 2);
    assert_eq!(model.hosts[0].migration_limit, Some(2));
    assert_eq!(model.guests[0].workload, Workload::Idle);
    assert_eq!(model.transport, Transport::tcp());
    assert_eq!(model.hypervisor.policy, Policy::HyperV(HyperV::default()));
    let path = model.network.path(HostId(0), HostId(1)).unwrap();
    assert_eq!((path.hops.len(), path.latency), (2, Span::from_micros(40)));
    let (_, _, link) = model.network.links().next().unwrap();
    assert_eq!(link.capacity, Bandwidth::from_gbit(10));
}

#[test]
fn a_card_of_the_scenario_is_that_of_hosts_that_give_none() {
    let text = r#"(
        nic: (speed: "400 Mbit/s", latency: "50 us"),
        hosts: [(name: "a", memory: "8 GiB"), (name: "b", memory: "8 GiB", nic: "1GbE")],
        vms: [(name: "vm1", host: "a", memory: "1 GiB")],
        plan: [],
        alternatives: {"given": (), "faster": (nic: "25GbE")},
    )"#;
    let speeds = |run: usize| {
        let model = &scenario(text).runs[run].model;
        model.network.links().map(|(_, _, link)| link.capacity).collect::<Vec<_>>()
    };
    assert_eq!(speeds(0), [Bandwidth::from_mbit(400), Bandwidth::from_gbit(1)]);
    assert_eq!(speeds(1), [Bandwidth::from_gbit(25), Bandwidth::from_gbit(1)]);
    let wrong = parse(&text.replace("\"25GbE\"", "\"26GbE\""), "test.ron").unwrap_err();
    assert!(format!("{:?}", miette::Report::new(wrong)).contains("25GbE"), "the nearest is named");
}

#[test]
fn levers_of_real_qemu_are_the_policys_where_live_says_nothing_else() {
    let levers = |hypervisor: &str| {
        let text = format!(
            "(hosts: [(name: \"node{{1..2}}\", memory: \"64 GiB\")], {VM} plan: [], hypervisor: (preset: \"qemu-7.2\", {hypervisor}))"
        );
        scenario(&text).runs.remove(0).qemu.unwrap()
    };
    let policy = "policy: Qemu(slow_down: AutoConverge(initial: 40), post_copy: AfterPasses(3))";
    let of_policy = levers(policy);
    let Slowing::AutoConverge(rules) = &of_policy.policy.slowing else { panic!("{of_policy:?}") };
    assert_eq!(rules.initial_percent, 40);
    assert_eq!(of_policy.policy.post_copy, PostCopyStart::AfterPasses(3));
    let given = levers(&format!("{policy}, live: (auto_converge: false, post_copy_after: 1)")).policy;
    assert_eq!((given.slowing, given.post_copy), (Slowing::Off, PostCopyStart::AfterPasses(1)));
    assert_eq!(levers("live: (multifd: 2)").policy.slowing, Slowing::Off);
}

/// What is set on the real hypervisor is what a forecast and the journal's order go by.
#[test]
fn every_lever_that_live_sets_is_in_the_rules() {
    let text = format!(
        "(hosts: [(name: \"node{{1..2}}\", memory: \"64 GiB\")], {VM} plan: [], hypervisor: (preset: \"qemu-7.2\", \
         live: (xbzrle: \"128 MiB\", auto_converge: true, post_copy_after: 2)))"
    );
    let rules = scenario(&text).runs.remove(0).qemu.unwrap().policy;
    assert_eq!(rules.xbzrle, Some(Xbzrle { cache: Bytes::from_mib(128), ..Xbzrle::default() }));
    assert!(matches!(rules.slowing, Slowing::AutoConverge(_)), "{rules:?}");
    assert_eq!(rules.post_copy, PostCopyStart::AfterPasses(2));
}

#[test]
fn guests_are_dealt_out_in_turn() {
    let model = model(r#"vms: [(name: "vm{1..3}", host: "*", memory: "1 GiB")], plan: []"#);
    let hosts: Vec<u32> = model.guests.iter().map(|guest| guest.host.0).collect();
    assert_eq!(hosts, [0, 1, 0]);
}

#[test]
fn a_preset_is_used_by_name_or_with_changes() {
    let model = model(&format!(
        r#"{VM} plan: [],
        hypervisor: (preset: "qemu-7.2", policy: Qemu(max_bandwidth: Unlimited), timing: (resume: "1 s")),
        transport: (per_stream: "3 Gbit/s", streams: 4)"#
    ));
    let Policy::Qemu(qemu) = &model.hypervisor.policy else { panic!("{:?}", model.hypervisor) };
    assert_eq!((qemu.max_bandwidth, qemu.downtime_limit), (None, Span::from_millis(300)));
    assert_eq!(model.hypervisor.timing.resume, Span::from_secs(1));
    assert_eq!(model.hypervisor.timing.prepare, Span::from_millis(100));
    assert_eq!(model.transport.per_stream, Some(Bandwidth::from_gbit(3)));
    assert_eq!(model.transport.streams, 4);
}

#[test]
fn rules_of_another_kind_than_the_presets_start_from_their_own_defaults() {
    let model = model(&format!("{VM} plan: [], hypervisor: (policy: HyperV)"));
    assert_eq!(model.hypervisor.policy, Policy::HyperV(HyperV::default()));
    let model = self::model(&format!(
        r#"{VM} plan: [], hypervisor: (preset: "xen-clark", policy: Xen(max_rounds: 3))"#
    ));
    let Policy::Xen(xen) = &model.hypervisor.policy else { panic!("{:?}", model.hypervisor) };
    assert!(xen.adaptive_rate.is_some());
    assert_eq!(xen.max_rounds, 3);
}

#[test]
fn working_sets_may_be_shares_of_memory() {
    let model = model(
        r#"vms: [
            (name: "a", host: "node1", memory: "8 GiB", workload: Uniform(rate: "1 MB/s", working_set: "25 %")),
            (name: "b", host: "node1", memory: "8 GiB", workload: "web"),
        ], plan: []"#,
    );
    assert_eq!(model.guests[0].workload.working_set(), Bytes::from_gib(2));
    assert!(matches!(model.guests[1].workload, Workload::Classes(_)));
}

#[test]
fn a_scenarios_own_workloads_are_used_like_presets() {
    let model = model(
        r#"workloads: {"web": Linear(rate: "2 MB/s", working_set: "50 %"), "batch": Idle},
        vms: [
            (name: "a", host: "node1", memory: "8 GiB", workload: "web"),
            (name: "b", host: "node1", memory: "8 GiB", workload: "batch"),
            (name: "c", host: "node1", memory: "8 GiB", workload: "database"),
        ], plan: []"#,
    );
    assert_eq!(model.guests[0].workload.working_set(), Bytes::from_gib(4));
    assert_eq!(model.guests[1].workload, Workload::Idle);
    assert!(matches!(model.guests[2].workload, Workload::Classes(_)));
}

#[test]
fn steps_become_phases_and_patterns_moves() {
    let model = model(
        r#"vms: [(name: "vm{1..3}", host: "node1", memory: "1 GiB")],
        plan: [
            Move(vm: "vm{1..2}", to: "node2"),
            Together([Move(vm: "vm3", delay: "3 s", after: ["vm1"]), Move(vm: "vm1", to: "node1")]),
            Phase(not_before: "1 h", tasks: [Drain("node1")]),
        ]"#,
    );
    let phases = &model.plan.phases;
    let guests: Vec<VmId> = phases[0].moves.iter().map(|step| step.vm).collect();
    assert_eq!(guests, [VmId(0), VmId(1)]);
    assert_eq!(phases[0].moves[0].destination, Some(HostId(1)));
    assert_eq!(phases[1].moves[0].after, [1]);
    assert_eq!(phases[1].moves[0].delay, Span::from_secs(3));
    assert_eq!(phases[1].moves[0].destination, None);
    assert_eq!(phases[2].not_before, Some(SimTime::from_nanos(3_600_000_000_000)));
    assert_eq!(phases[2].drains, [HostId(0)]);
}

#[test]
fn a_graph_takes_what_it_does_not_say_from_the_hosts_cards() {
    let model = model(&format!(
        r#"{VM} plan: [Move(vm: "vm1", to: "node2")],
        network: Graph(
            switches: ["tor{{1..2}}", "core"],
            links: [
                (between: ("node1", "tor1")),
                (between: ("node2", "tor2"), capacity: "1 Gbit/s", duplex: Half),
                (between: ("tor*", "core"), capacity: "40 Gbit/s", latency: "5 us"),
            ],
        )"#
    ));
    let links: Vec<_> = model.network.links().map(|(_, _, link)| link.clone()).collect();
    assert_eq!(links.len(), 4);
    assert_eq!(links[0].capacity, Bandwidth::from_gbit(10));
    assert_eq!(&*links[0].name, "node1 – tor1");
    let path = model.network.path(HostId(0), HostId(1)).unwrap();
    assert_eq!((path.hops.len(), path.latency), (4, Span::from_micros(50)));
}

#[test]
fn alternatives_replace_whole_fields_and_keep_their_order() {
    let text = format!(
        r#"(hosts: [(name: "node{{1..2}}", memory: "64 GiB")], {VM} plan: [Move(vm: "vm1", to: "node2")],
        seed: 7,
        measured: [(source: "here", values: [(vm: "vm1", total: "9 s", rounds: 3, calibrated: true)])],
        alternatives: {{
            "zebra": (transport: "ideal"),
            "ape": (hosts: [(name: "node{{1..2}}", memory: "64 GiB", nic: "100GbE")], measured: []),
        }})"#
    );
    let scenario = scenario(&text);
    assert_eq!(scenario.seed, 7);
    let names: Vec<&str> = scenario.runs.iter().filter_map(|run| run.alternative.as_deref()).collect();
    assert_eq!(names, ["zebra", "ape"]);
    let [zebra, ape] = &scenario.runs[..] else { panic!("two runs") };
    assert_eq!(zebra.model.transport, Transport::ideal());
    assert_eq!(ape.model.transport, Transport::tcp());
    assert_eq!(ape.model.alternative.as_deref(), Some("ape"));
    assert!(ape.measured.is_empty());
    let values = &zebra.measured[0].values;
    assert_eq!(values[0].subject, Subject::Vm("vm1".into()));
    assert_eq!((values[0].quantity, values[0].value), (Quantity::Total, 9.0));
    assert_eq!((values[1].quantity, values[1].value), (Quantity::Rounds, 3.0));
    assert!(values[1].calibrated);
}

#[test]
fn a_file_replaces_whole_fields_of_those_that_it_includes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("common")).unwrap();
    write("common/hosts.ron", r#"(hosts: [(name: "node{1..2}", memory: "64 GiB")], seed: 3, plan: [])"#);
    // Paths are relative to the file that has them; of two included files the later one counts.
    write("common/all.ron", r#"(include: ["hosts.ron"], transport: "ideal")"#);
    write("common/late.ron", r#"(seed: 5)"#);
    write(
        "top.ron",
        &format!(r#"(include: ["common/all.ron", "common/late.ron"], {VM} plan: [Drain("node1")])"#),
    );
    let scenario = load(folder.path().join("top.ron")).unwrap();
    assert_eq!(&*scenario.name, "top");
    assert_eq!(scenario.seed, 5);
    let model = &scenario.runs[0].model;
    assert_eq!(model.transport, Transport::ideal());
    assert_eq!(model.plan.phases[0].drains, [HostId(0)]);
}

#[test]
fn files_that_include_one_another_many_times_over_are_refused_soon() {
    let folder = tempfile::tempdir().unwrap();
    for level in 0..15 {
        let next = level + 1;
        let text = format!(r#"(include: ["{next}.ron", "{next}.ron"])"#);
        std::fs::write(folder.path().join(format!("{level}.ron")), text).unwrap();
    }
    std::fs::write(folder.path().join("15.ron"), "()").unwrap();
    let error = load(folder.path().join("0.ron")).unwrap_err();
    assert!(error.message().contains("more than 64 files"), "{error}");
    std::fs::write(folder.path().join("15.ron"), r#"(include: ["16.ron"])"#).unwrap();
    std::fs::write(folder.path().join("16.ron"), "()").unwrap();
    let error = load(folder.path().join("0.ron")).unwrap_err();
    assert!(error.message().contains("16 files include one another"), "{error}");
}

#[test]
fn a_text_that_is_no_file_includes_none() {
    let error = parse(r#"(include: ["a.ron"])"#, "text").unwrap_err();
    assert_eq!(error.path(), Some("include[0]"));
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).is_dir());
}

#[test]
fn the_schema_describes_every_field() {
    let schema = scenarios::schema();
    let fields = schema["properties"].as_object().unwrap();
    for field in ["hosts", "vms", "plan", "alternatives", "include", "measured"] {
        assert!(fields[field]["description"].is_string(), "{field}: {}", fields[field]);
    }
    assert_eq!(schema["title"], "migtwin scenario");
    assert_eq!(schema["additionalProperties"], false);
    let host = &schema["$defs"]["Host"];
    assert_eq!(host["required"], serde_json::json!(["name", "memory"]));
}
