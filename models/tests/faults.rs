//! Failures: each kind at each point leaves the guest where Hyper-V would, with its event, cause and fix.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::failures::{Breakage, FailurePoint, NETWORK_TIMEOUT, Side};
use algorithms::ids::{HostId, StorageId, VmId};
use algorithms::plan::StorageMove;
use algorithms::policy::{HyperV, Policy};
use algorithms::preflight::{Category, Rule};
use algorithms::records::{Level, MigrationRecord, Outcome, Power, RunRecords, Whereabouts};
use models::cluster::{ClusterModel, Timing};
use models::faults::{Fault, MigrationStep, ScheduledFault, When};
use models::storage::{Disk, DiskFormat, DiskIo, StorageKind, StorageLocation, Throughput};
use models::world::{RunOptions, simulate};
use sim_core::{ByteRate, Bytes, SimTime, Span};

const SECOND: Span = Span::from_secs(1);

/// A guest of 10 GiB that moves from `host0` to `host1` in some 9 s, every fixed step taking a second.
fn moving() -> ClusterModel {
    let mut model = support::star(3);
    model.hypervisor.policy = Policy::HyperV(HyperV::default());
    let [prepare, pause, resume, finish] = [SECOND; 4];
    model.hypervisor.timing = Timing { prepare, prepare_serial: Span::ZERO, pause, resume, finish };
    let vm = support::guest(&mut model, 0, 10, 200);
    support::move_to(&mut model, vm, 1);
    model
}

/// The same with a disk of 20 GiB on a disk of its host, which goes along.
fn shared_nothing() -> ClusterModel {
    let mut model = moving();
    for (name, hosts) in [("d0", vec![0]), ("d1", vec![1])] {
        model.storage.push(StorageLocation {
            name: name.into(),
            path: None,
            kind: StorageKind::Local,
            hosts: hosts.into_iter().map(HostId).collect(),
            capacity: Some(Bytes::from_gib(100)),
            throughput: Throughput::Common(ByteRate::from_mb(1000)),
            iops: None,
        });
    }
    model.hosts[1].storage.default = Some(StorageId(1));
    model.guests[0].disks.push(Disk {
        name: "os".into(),
        on: StorageId(0),
        size: Bytes::from_gib(20),
        used: Bytes::from_gib(20),
        format: DiskFormat::Dynamic,
        io: DiskIo { write: ByteRate::from_mb(10), ..DiskIo::default() },
    });
    model.plan.phases[0].moves[0].storage = StorageMove::Default;
    model
}

fn in_step(step: MigrationStep, fault: Fault) -> ScheduledFault {
    let after = Span::from_millis(500);
    ScheduledFault { when: When::InStep { vm: VmId(0), step, after }, fault }
}

fn at(seconds: u64, fault: Fault) -> ScheduledFault {
    ScheduledFault { when: When::At(SimTime::ZERO + Span::from_secs(seconds)), fault }
}

fn with(mut model: ClusterModel, fault: ScheduledFault) -> ClusterModel {
    model.faults.scheduled.push(fault);
    model
}

fn run(model: &ClusterModel) -> RunRecords {
    simulate(model, &RunOptions::default()).unwrap()
}

fn only(records: &RunRecords) -> &MigrationRecord {
    assert_eq!(records.migrations.len(), 1, "one record for one migration");
    &records.migrations[0]
}

/// The host of the only guest, where it runs.
fn runs_on(records: &RunRecords) -> Option<&str> {
    let guest = &records.guests[0];
    (guest.power == Power::Running).then_some(&*guest.host)
}

/// The steps before the guest is the destination's, with the point that the record names.
const BEFORE: [(MigrationStep, FailurePoint); 5] = [
    (MigrationStep::Preparation, FailurePoint::Preparation),
    (MigrationStep::Round(1), FailurePoint::Round(1)),
    (MigrationStep::Round(2), FailurePoint::Round(2)),
    (MigrationStep::Pause, FailurePoint::Pause),
    (MigrationStep::HandOver, FailurePoint::Pause),
];

#[test]
fn what_breaks_in_any_category_before_the_hand_over_leaves_the_guest_at_the_source() {
    let kinds = [
        (Breakage::Connection, Category::Network, 21502),
        (Breakage::Memory, Category::Resources, 21502),
        (Breakage::Storage { storage: None }, Category::Storage, 21502),
    ];
    for (breakage, category, event_id) in kinds {
        for (step, point) in BEFORE {
            let records = run(&with(moving(), in_step(step, Fault::Fails(breakage.clone()))));
            let record = only(&records);
            assert_eq!((record.outcome, record.event_id), (Outcome::Failed, Some(event_id)), "{step:?}");
            let failure = record.failure.as_deref().unwrap();
            assert_eq!((failure.point, record.whereabouts), (point, Whereabouts::AtSource));
            let advice = failure.advice.as_ref().unwrap();
            assert_eq!(advice.category, category);
            assert!(!advice.cause.is_empty() && advice.fix.contains('-'), "a command: {}", advice.fix);
            assert_eq!(runs_on(&records), Some("host0"));
            assert_eq!(record.blackout > Span::ZERO, point == FailurePoint::Pause, "{step:?}");
            assert_eq!(record.brownout + record.blackout, record.total);
        }
    }
}

#[test]
fn authentication_is_asked_for_when_the_connection_is_made_and_not_again() {
    for (step, point) in BEFORE {
        let records = run(&with(moving(), in_step(step, Fault::Fails(Breakage::Authentication))));
        let record = only(&records);
        let expected = match point {
            FailurePoint::Preparation => (Outcome::Failed, Some(21111)),
            _ => (Outcome::Completed, None),
        };
        assert_eq!((record.outcome, record.event_id), expected, "{step:?}");
    }
    let lasts = Span::from_secs(3600);
    for (seconds, outcome) in [(0, Outcome::Failed), (5, Outcome::Completed)] {
        let records =
            run(&with(moving(), at(seconds, Fault::AuthenticationFails { host: HostId(1), lasts })));
        assert_eq!(only(&records).outcome, outcome);
    }
}

#[test]
fn what_breaks_after_the_hand_over_is_a_warning() {
    let all = [
        Breakage::Authentication,
        Breakage::Connection,
        Breakage::Memory,
        Breakage::Space { storage: "d1".into() },
        Breakage::Storage { storage: None },
    ];
    for breakage in all {
        let records = run(&with(moving(), in_step(MigrationStep::CleanUp, Fault::Fails(breakage))));
        assert_eq!((only(&records).outcome, only(&records).event_id), (Outcome::Completed, None));
        assert_eq!(runs_on(&records), Some("host1"));
        let warning = records.events.iter().find(|event| event.level == Level::Warning).unwrap();
        assert_eq!(warning.event_id, Some(21104));
        assert!(records.events.iter().all(|event| event.level < Level::Error));
    }
}

#[test]
fn a_source_that_dies_before_the_hand_over_takes_its_guest_with_it() {
    for (step, point) in BEFORE {
        let records = run(&with(moving(), in_step(step, Fault::SideDies(Side::Source))));
        let record = only(&records);
        assert_eq!((record.outcome, record.event_id), (Outcome::Lost, Some(1135)), "{step:?}");
        let failure = record.failure.as_deref().unwrap();
        assert_eq!((failure.point, record.whereabouts), (point, Whereabouts::Off));
        assert_eq!((runs_on(&records), &*records.guests[0].host), (None, "host0"), "off, its host died");
        let died = records.events.iter().find(|event| event.message.contains("has died")).unwrap();
        assert!(died.message.contains("vm0"), "{}", died.message);
    }
}

#[test]
fn a_destination_that_dies_before_the_hand_over_is_noticed_after_a_time_out() {
    for (step, point) in BEFORE {
        let records = run(&with(moving(), in_step(step, Fault::SideDies(Side::Destination))));
        let record = only(&records);
        assert_eq!((record.outcome, record.event_id), (Outcome::Failed, Some(1135)), "{step:?}");
        assert_eq!(record.failure.as_deref().unwrap().point, point);
        assert_eq!(runs_on(&records), Some("host0"), "it runs on at the source");
        let died = records.events.iter().find(|event| event.message.contains("has died")).unwrap().time;
        let ended = record.started.unwrap() + record.total;
        assert_eq!(ended - died, NETWORK_TIMEOUT, "{step:?}");
        if point == FailurePoint::Pause {
            assert!(record.blackout >= NETWORK_TIMEOUT, "it stood still all the while: {}", record.blackout);
        }
    }
}

#[test]
fn after_the_hand_over_the_guest_shares_the_fate_of_the_destination() {
    let source = run(&with(moving(), in_step(MigrationStep::CleanUp, Fault::SideDies(Side::Source))));
    assert_eq!((only(&source).outcome, runs_on(&source)), (Outcome::Completed, Some("host1")));
    let warning = source.events.iter().find(|event| event.level == Level::Warning).unwrap();
    assert_eq!(warning.event_id, Some(21104), "{}", warning.message);
    let destination =
        run(&with(moving(), in_step(MigrationStep::CleanUp, Fault::SideDies(Side::Destination))));
    assert_eq!((only(&destination).outcome, runs_on(&destination)), (Outcome::Lost, None));
    assert_eq!(&*destination.guests[0].host, "host1");
    assert_eq!(only(&destination).failure.as_deref().unwrap().point, FailurePoint::CleanUp);
}

#[test]
fn a_link_that_flaps_for_a_short_time_only_delays() {
    let undisturbed = run(&moving());
    let lasts = Span::from_secs(15);
    for (step, _) in BEFORE {
        let records = run(&with(moving(), in_step(step, Fault::NetworkDown { lasts })));
        let record = only(&records);
        assert_eq!(record.outcome, Outcome::Completed, "{step:?}");
        assert!(record.total >= only(&undisturbed).total + Span::from_secs(14), "{step:?}: {}", record.total);
        let stood_still =
            records.events.iter().any(|event| event.message.contains("the network was down for 15 s"));
        assert!(stood_still, "{step:?}");
    }
}

#[test]
fn a_link_that_is_down_for_longer_than_the_time_out_fails_the_migration() {
    let lasts = Span::from_secs(25);
    for (step, point) in BEFORE {
        let records = run(&with(moving(), in_step(step, Fault::NetworkDown { lasts })));
        let record = only(&records);
        assert_eq!((record.outcome, record.event_id), (Outcome::Failed, Some(21502)), "{step:?}");
        assert_eq!(record.failure.as_deref().unwrap().point, point, "{step:?}");
        assert_eq!(record.failure.as_deref().unwrap().advice.as_ref().unwrap().category, Category::Network);
        assert_eq!(runs_on(&records), Some("host0"));
    }
    let after = run(&with(moving(), in_step(MigrationStep::CleanUp, Fault::NetworkDown { lasts })));
    assert_eq!(only(&after).outcome, Outcome::Completed, "cleaning up is the source's own business");
}

#[test]
fn a_migration_that_begins_while_the_link_is_down_waits_as_long_as_any() {
    let down = |seconds| Fault::LinkDown { links: vec![1], lasts: Span::from_secs(seconds) };
    assert_eq!(only(&run(&with(moving(), at(0, down(10))))).outcome, Outcome::Completed);
    let failed = run(&with(moving(), at(0, down(60))));
    assert_eq!((only(&failed).outcome, only(&failed).total), (Outcome::Failed, NETWORK_TIMEOUT));
}

#[test]
fn memory_that_others_take_fails_what_is_not_there_yet_and_nothing_that_is() {
    let amount = Bytes::from_gib(1020);
    let taken = Fault::MemoryTaken { host: HostId(1), amount };
    let prepared = run(&with(moving(), in_step(MigrationStep::Preparation, taken.clone())));
    assert_eq!((only(&prepared).outcome, only(&prepared).event_id), (Outcome::Failed, Some(21502)));
    assert!(only(&prepared).reason.contains("no memory left"), "{}", only(&prepared).reason);
    let later = run(&with(moving(), in_step(MigrationStep::Round(1), taken.clone())));
    assert_eq!(only(&later).outcome, Outcome::Completed, "its memory was there since it was prepared");
    // A second guest, asked for later, is refused beforehand.
    let mut model = with(moving(), at(4, taken));
    let second = support::guest(&mut model, 2, 10, 0);
    support::move_to(&mut model, second, 1);
    model.plan.phases[0].moves[1].delay = Span::from_secs(5);
    let records = run(&model);
    let refused = &records.migrations[1];
    assert_eq!((refused.outcome, refused.event_id), (Outcome::NotStarted, Some(21502)));
    assert!(refused.reason.contains("free memory"), "{}", refused.reason);
}

#[test]
fn a_destination_disk_that_fills_up_fails_the_copy_and_leaves_the_old_disk() {
    let full = Fault::StorageFull(StorageId(1));
    let records = run(&with(shared_nothing(), in_step(MigrationStep::Disks, full.clone())));
    let record = only(&records);
    let failure = record.failure.as_deref().unwrap();
    assert_eq!((record.outcome, failure.point), (Outcome::Failed, FailurePoint::Disks));
    assert_eq!(failure.advice.as_ref().unwrap().category, Category::Storage);
    assert!(record.reason.contains("`d1` is full"), "{}", record.reason);
    assert!(
        record.storage_bytes_sent > Bytes::from_mib(100) && record.storage_bytes_sent < Bytes::from_gib(2)
    );
    assert_eq!(runs_on(&records), Some("host0"));
    let begun = run(&with(shared_nothing(), in_step(MigrationStep::Preparation, full.clone())));
    assert_eq!(only(&begun).outcome, Outcome::Failed, "the copy cannot even begin");
    let copied = run(&with(shared_nothing(), in_step(MigrationStep::Round(1), full.clone())));
    assert_eq!(only(&copied).outcome, Outcome::Completed, "its space is taken already");
    let before = run(&with(shared_nothing(), at(0, full)));
    assert_eq!((only(&before).outcome, only(&before).event_id), (Outcome::NotStarted, Some(21502)));
    assert!(only(&before).reason.contains("free space"), "{}", only(&before).reason);
}

#[test]
fn storage_that_goes_away_fails_copies_and_the_opening_of_disks() {
    let lost = Fault::StorageLost { storage: StorageId(0), lasts: Span::from_secs(3600) };
    let expected = [
        (MigrationStep::Preparation, Some(FailurePoint::Preparation)),
        (MigrationStep::Disks, Some(FailurePoint::Disks)),
        (MigrationStep::HandOver, Some(FailurePoint::Pause)),
        (MigrationStep::CleanUp, None),
    ];
    for (step, point) in expected {
        let records = run(&with(shared_nothing(), in_step(step, lost.clone())));
        let failed = only(&records).failure.as_deref();
        assert_eq!(failed.map(|failure| failure.point), point, "{step:?}");
        assert_eq!(runs_on(&records), Some(if point.is_some() { "host0" } else { "host1" }));
    }
    let before = run(&with(shared_nothing(), at(0, lost)));
    let advice =
        before.events.iter().find_map(|event| event.advice.as_deref().filter(|_| event.migration.is_some()));
    assert_eq!(only(&before).outcome, Outcome::NotStarted);
    assert_eq!(advice.unwrap().category, Category::Storage);
}

#[test]
fn moves_from_and_to_a_dead_host_are_refused_and_drains_look_for_another() {
    let mut model = support::star(4);
    model.hypervisor.policy = Policy::HyperV(HyperV::default());
    model.hosts.iter_mut().for_each(|host| host.migration_limit = Some(1));
    for host in [0, 0, 0, 1] {
        support::guest(&mut model, host, 10, 0);
    }
    for (vm, destination) in [(0, Some(2)), (1, Some(1)), (2, None), (3, Some(2))] {
        support::move_to(&mut model, VmId(vm), destination.unwrap_or(0));
        model.plan.phases[0].moves[vm as usize].destination = destination.map(HostId);
    }
    // The third would go to host 1, 2 or 3; the planner takes the emptiest.
    model.faults.scheduled = vec![at(2, Fault::HostDies(HostId(1))), at(3, Fault::HostDies(HostId(3)))];
    let records = run(&model);
    let outcomes: Vec<_> = records.migrations.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Completed, Outcome::NotStarted, Outcome::Completed, Outcome::NotStarted]);
    assert_eq!(records.migrations[2].destination.as_deref(), Some("host2"), "host 3 died while it waited");
    for index in [1, 3] {
        let refused = &records.migrations[index];
        assert_eq!(refused.event_id, Some(Rule::HostAlive.event().id));
        assert!(refused.reason.contains("host1") && refused.reason.contains("died"), "{}", refused.reason);
    }
    let off: Vec<&str> = records.guests.iter().filter(|g| g.power == Power::Off).map(|g| &*g.vm).collect();
    assert_eq!(off, ["vm3"]);
}

#[test]
fn a_host_that_dies_takes_the_disks_under_way_on_it_along() {
    let mut model = shared_nothing();
    model.storage[1].hosts = vec![HostId(0)];
    model.plan.phases[0].moves[0].destination = None;
    let targets = vec![algorithms::plan::DiskTarget { disk: 0, to: StorageId(1) }];
    model.plan.phases[0].moves[0].storage = StorageMove::Only(targets);
    let records = run(&with(model, in_step(MigrationStep::Disks, Fault::SideDies(Side::Source))));
    assert_eq!((only(&records).outcome, runs_on(&records)), (Outcome::Lost, None));
}

#[test]
fn hypervisors_that_log_no_such_events_have_none() {
    let mut model = with(moving(), in_step(MigrationStep::Round(1), Fault::Fails(Breakage::Connection)));
    model.hypervisor.policy = Policy::Qemu(algorithms::policy::Qemu::default());
    let records = run(&model);
    assert_eq!((only(&records).outcome, only(&records).event_id), (Outcome::Failed, None));
    assert!(records.events.iter().all(|event| event.event_id.is_none()));
}
