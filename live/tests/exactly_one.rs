//! Either agent killed (-9) at every moment of a migration: the guest is somewhere, and nowhere twice, and so are
//! its disks.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use algorithms::storage_mirror::Switch;
use live::guest::GuestSpec;
use live::protocol::{MigrateRequest, Sending};
use live::recover::recover;
use live::steps::Step;
use sim_core::Bytes;
use support::process::{Process, disk_writes, kill_at, one_copy_is_left, replay_all};
use support::{Bench, both_disks, with_disks};

/// Not a test: the agent that the tests here start and kill.
#[test]
#[ignore = "an agent, which the other tests start"]
fn agent_process() {
    support::process::be_an_agent();
}

/// With disks: what is exactly one of a guest is exactly one of its disks.
fn guest() -> GuestSpec {
    GuestSpec { memory: Bytes::from_mib(8), ..with_disks("web") }
}

fn request(to: &Process) -> MigrateRequest {
    use algorithms::policy::{HyperV, Policy};
    MigrateRequest {
        guest: "web".into(),
        destination: "b".into(),
        address: to.address.clone(),
        policy: Policy::HyperV(HyperV { max_passes: 3, stop_below: Bytes::from_mib(1) }),
        deadline: None,
        sending: Sending { streams: 2, ..Sending::default() },
        storage: both_disks("slow", Switch::WithMemory),
    }
}

/// The steps of a move between two hosts, at one of them.
fn steps(at_source: bool) -> impl Iterator<Item = Step> {
    let others = [Step::SwitchedOver, Step::Following, Step::PagesFollowed, Step::AllFollowed];
    let all = Step::ALL.into_iter().filter(move |step| !others.contains(step));
    all.filter(move |step| step.is_at_source() == at_source)
}

#[test]
fn exactly_one_when_the_source_is_killed() {
    steps(true).for_each(|step| drop(kill_at(step, false, guest(), request)));
}

#[test]
fn exactly_one_when_the_destination_is_killed() {
    steps(false).for_each(|step| drop(kill_at(step, false, guest(), request)));
}

/// Disks alone, from one directory to another of the same host, which is killed meanwhile.
#[test]
fn one_copy_of_each_disk_when_the_host_is_killed() {
    for (step, place) in [(Step::DiskCopied, "fast"), (Step::SwitchedOver, "slow")] {
        let bench = Bench::new();
        let mut a = Process::new(&bench, "a", Some(step));
        let mut client = bench.client(&a.address);
        client.create(guest()).unwrap();
        let order = MigrateRequest { storage: both_disks("slow", Switch::WhenCopied), ..request(&a) };
        let migrating = std::thread::spawn(move || client.migrate(order, |_| {}).map(|_| ()));
        a.wait_for("reached");
        let before = disk_writes(&bench, &a.address);
        let a = a.restart();
        assert!(migrating.join().unwrap().is_err(), "the host was killed at {step:?}");
        one_copy_is_left(&bench, step);
        assert_eq!(recover(std::slice::from_ref(&a.address), &bench.operator).unwrap(), []);
        assert!(disk_writes(&bench, &a.address) >= before, "{step:?}");
        let spec = bench.client(&a.address).describe().unwrap().guests.remove(0).spec;
        assert!(spec.disks.iter().all(|disk| disk.on == place), "{step:?}: {spec:?}");
        replay_all(&a.directory);
    }
}

#[test]
fn exactly_one_when_both_are_killed() {
    for step in [Step::Ready, Step::Committed, Step::Prepared, Step::Running] {
        kill_at(step, true, guest(), request);
    }
}

/// The one who asked for it goes away: the migration goes on.
#[test]
fn a_migration_outlives_the_one_who_asked_for_it() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    bench.client(&a.address).create(guest()).unwrap();
    let mut connection = live::connection::Connection::control(&a.address, &bench.operator).unwrap();
    let storage = both_disks("slow", Switch::WithMemory);
    let order = MigrateRequest { storage, ..support::request("web", &b, Sending::default()) };
    connection.send(&live::protocol::Request::Migrate(Box::new(order))).unwrap();
    drop(connection);
    let patience = std::time::Instant::now();
    while support::holders(&[&a, &b], "web") != ["b"] {
        assert!(patience.elapsed().as_secs() < 60, "the guest never arrived");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(bench.client(&b.address).verify("web").unwrap().wrong, [""; 0]);
}
