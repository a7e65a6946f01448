//! Failures in scenarios: every alternative of the library's `failures` ends as its name says, and chance
//! is as the rates say.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use algorithms::failures::FailurePoint;
use algorithms::preflight::Category;
use algorithms::records::{Level, MigrationRecord, Outcome, Power, RunRecords, Whereabouts};
use models::faults::{Fault, When};
use models::world::{RunOptions, simulate};
use scenarios::{Scenario, load, parse};
use sim_core::{SimTime, Span};

fn library(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("library").join(name).with_extension("ron");
    load(path).unwrap()
}

fn run(scenario: &Scenario, alternative: &str) -> RunRecords {
    let run = scenario.runs.iter().find(|run| run.alternative.as_deref() == Some(alternative)).unwrap();
    simulate(&run.model, &RunOptions { seed: scenario.seed, ..RunOptions::default() }).unwrap()
}

fn of<'a>(records: &'a RunRecords, vm: &str) -> &'a MigrationRecord {
    records.migrations.iter().find(|record| &*record.vm == vm).unwrap()
}

/// Where a guest runs in the end; `None` where it is off.
fn runs_on<'a>(records: &'a RunRecords, vm: &str) -> Option<&'a str> {
    let guest = records.guests.iter().find(|guest| &*guest.vm == vm).unwrap();
    (guest.power == Power::Running).then_some(&*guest.host)
}

type Expected = (
    &'static str,
    &'static str,
    Outcome,
    Option<u32>,
    Option<(FailurePoint, Whereabouts, Category)>,
    Option<&'static str>,
);

/// What each alternative of the library's `failures` comes to: the guest, its outcome and event, how far it had come
/// and where it is, and where it runs.
fn failures_of_the_library() -> [Expected; 14] {
    use Category::{Authentication, Network, Resources, Storage};
    use FailurePoint::{CleanUp, Disks, Pause, Preparation, Round};
    use Outcome::{Completed, Failed, Lost, NotStarted};
    use Whereabouts::{AtSource, Off};
    [
        ("space gone before", "sql1", NotStarted, Some(21502), None, Some("node1")),
        ("destination dead before", "web1", NotStarted, Some(1135), None, Some("node1")),
        (
            "not authenticated",
            "web1",
            Failed,
            Some(21111),
            Some((Preparation, AtSource, Authentication)),
            Some("node1"),
        ),
        (
            "memory taken",
            "web1",
            Failed,
            Some(21502),
            Some((Preparation, AtSource, Resources)),
            Some("node1"),
        ),
        ("disk fills up", "sql1", Failed, Some(21502), Some((Disks, AtSource, Storage)), Some("node1")),
        ("short flap", "web1", Completed, None, None, Some("node2")),
        ("long flap", "web1", Failed, Some(21502), Some((Round(1), AtSource, Network)), Some("node1")),
        ("source dies", "web1", Lost, Some(1135), Some((Round(1), Off, Resources)), None),
        (
            "destination dies",
            "web1",
            Failed,
            Some(1135),
            Some((Round(1), AtSource, Resources)),
            Some("node1"),
        ),
        (
            "destination dies in the pause",
            "web1",
            Failed,
            Some(1135),
            Some((Pause, AtSource, Resources)),
            Some("node1"),
        ),
        ("disks not opened", "web1", Failed, Some(21502), Some((Pause, AtSource, Storage)), Some("node1")),
        ("source dies afterwards", "web1", Completed, None, None, Some("node2")),
        ("destination dies afterwards", "web1", Lost, Some(1135), Some((CleanUp, Off, Resources)), None),
        ("clean-up fails", "web1", Completed, None, None, Some("node2")),
    ]
}

#[test]
fn every_failure_of_the_library_ends_as_hyper_v_would_leave_it() {
    let scenario = library("failures");
    let expected = failures_of_the_library();
    assert_eq!(scenario.runs.len(), expected.len() + 1, "and one in which nothing breaks");
    for (alternative, vm, outcome, event_id, failure, host) in expected {
        let records = run(&scenario, alternative);
        let record = of(&records, vm);
        assert_eq!(
            (record.outcome, record.event_id),
            (outcome, event_id),
            "{alternative}: {}",
            record.reason
        );
        let told = record.failure.as_deref();
        let told = told.map(|it| (it.point, record.whereabouts, it.advice.as_ref().unwrap().category));
        assert_eq!(told, failure, "{alternative}");
        assert_eq!(runs_on(&records, vm), host, "{alternative}");
        if outcome != Outcome::Completed {
            let events = records.events.iter().filter(|event| event.vm.as_deref() == Some(vm));
            let error = events.clone().find(|event| event.level == Level::Error).unwrap();
            let advice = error.advice.as_deref().unwrap();
            assert_eq!(error.event_id, event_id, "{alternative}");
            assert!(!advice.cause.is_empty() && !advice.fix.contains('<'), "{alternative}: {}", advice.fix);
        }
    }
    let well = run(&scenario, "nothing breaks");
    assert!(well.migrations.iter().all(|record| record.outcome == Outcome::Completed));
    let paused = run(&scenario, "destination dies in the pause");
    assert!(of(&paused, "web1").blackout >= Span::from_secs(20), "until the connection is given up");
}

#[test]
fn a_flaky_cluster_moves_some_guests_and_not_others_and_waiting_longer_helps() {
    let scenario = library("flaky-cluster");
    let mut completed = [0, 0];
    for replication in 0..40 {
        for (count, each) in completed.iter_mut().zip(&scenario.runs) {
            let options = RunOptions { seed: scenario.seed, replication, ..RunOptions::default() };
            let records = simulate(&each.model, &options).unwrap();
            assert_eq!(records.migrations.len(), 12, "every guest that was to move has its record");
            *count += records.migrations.iter().filter(|it| it.outcome == Outcome::Completed).count();
        }
    }
    let [patient, impatient] = completed;
    assert!(patient > impatient, "{patient} moved against {impatient}");
    assert!((100..480).contains(&patient) && impatient > 100, "{patient} and {impatient} of 480");
}

fn parsed(faults: &str) -> Scenario {
    let text = format!(
        "(hosts: [(name: \"node{{1..3}}\", memory: \"64 GiB\")], \
         storage: [(name: \"csv\", shared: [\"*\"])], \
         vms: [(name: \"vm{{1..2}}\", host: \"node1\", memory: \"8 GiB\")], \
         plan: [Move(vm: \"vm1\", to: \"node2\")], {faults})"
    );
    match parse(&text, "test.ron") {
        Ok(scenario) => scenario,
        Err(error) => panic!("{:?}", miette::Report::new(error)),
    }
}

#[test]
fn faults_are_read_in_all_their_forms() {
    let scenario = parsed(
        "faults: [(at: \"30 s\", fault: HostDies(\"node{2..3}\")), \
         (at: \"1 min\", fault: LinkDown(between: (\"node*\", \"switch\"), lasts: \"5 s\")), \
         (vm: \"vm*\", step: Round(3), after: \"1 s\", fault: NetworkDown(lasts: \"2 s\")), \
         (at: \"0 s\", fault: MemoryTaken(host: \"node2\", amount: \"1 GiB\")), \
         (at: \"0 s\", fault: StorageLost(storage: \"csv\", lasts: \"3 s\")), \
         (at: \"0 s\", fault: AuthenticationFails(host: \"*\", lasts: \"3 s\"))], network_timeout: \"7 s\"",
    );
    let faults = &scenario.runs[0].model.faults;
    assert_eq!(faults.network_timeout, Span::from_secs(7));
    let scheduled = &faults.scheduled;
    assert_eq!(scheduled.len(), 2 + 1 + 2 + 1 + 1 + 3, "patterns stand for several");
    let Fault::LinkDown { links, lasts } = &scheduled[2].fault else { panic!("{:?}", scheduled[2]) };
    assert_eq!((links.as_slice(), *lasts), ([0, 1, 2].as_slice(), Span::from_secs(5)));
    assert_eq!(scheduled[2].when, When::At(SimTime::ZERO + Span::from_secs(60)));
    let aimed = scheduled.iter().filter(|it| matches!(it.when, When::InStep { .. })).count();
    assert_eq!(aimed, 2);
}

#[test]
fn rates_are_read_as_people_say_them() {
    let every = |rate: &str| {
        let scenario = parsed(&format!("random_faults: (host_dies: \"{rate}\")"));
        scenario.runs[0].model.faults.random.host_dies.unwrap().as_secs_f64()
    };
    let day = 86_400.0;
    let cases = [
        ("1 per 30 days", 30.0 * day),
        ("2 per day", day / 2.0),
        ("1 per 90 min", 5400.0),
        ("0.5 per week", 14.0 * day),
        ("3 per year", 365.0 * day / 3.0),
    ];
    for (rate, seconds) in cases {
        assert!((every(rate) - seconds).abs() < 1e-6 * seconds, "{rate}");
    }
}
