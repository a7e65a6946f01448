//! Real QEMU machines: a guest moves, all of its memory arrives, and one machine runs it.

#![allow(clippy::unwrap_used)]

mod qemu_support;

use algorithms::controller::Input;
use algorithms::hypervisor_loop::LoopInput;
use algorithms::policy::{AutoConverge, PostCopyStart, Qemu, Slowing, Xbzrle};
use algorithms::records::{Outcome, Record, RoundPhase};
use algorithms::storage_mirror::{DiskOrder, StorageOrder, Switch};
use live::journal::Entry;
use live::qemu::levers::{Compression, Levers};
use live::qemu::pages::verify;
use live::qemu::pair::Ends;
use live::qemu::resolution::WhoRuns;
use live::qemu::rom::RomGuest;
use models::forecast::Situation;
use models::workload::Workload;
use qemu_support::*;
use sim_core::{ByteRate, Bytes, SimTime, Span};

#[test]
fn pre_copy_converges_and_every_page_arrives() {
    if !is_there() {
        return;
    }
    let (directory, guest, levers) = (directory(), guest(96, 4, 24), limits(800, 300));
    let mut pair = pair(directory.path(), &guest);
    let left = run(&mut pair, order(&guest, &levers), &levers, |_| {});
    assert_eq!((left.ended.outcome, left.ended.runs), (Outcome::Completed, WhoRuns::Destination));
    assert!(works(&mut pair.destination), "the guest goes on at the destination");
    assert!(!works(&mut pair.source));
    let verified = verify(&mut pair.destination.qmp, &guest, directory.path()).unwrap();
    assert!(verified.written > 0 && verified.pages == guest.pages(), "{verified:?}");

    let rounds = left.rounds();
    assert!(rounds.len() >= 2, "{rounds:?}");
    let phases: Vec<_> = rounds.iter().map(|round| round.phase).collect();
    let (last, before) = phases.split_last().unwrap();
    assert_eq!(*last, RoundPhase::StopAndCopy);
    assert!(before.iter().all(|phase| *phase == RoundPhase::PreCopy));
    let record = left.migration();
    let sent: Bytes = rounds.iter().map(|round| round.bytes_sent).sum();
    assert_eq!(record.memory_bytes_sent, sent, "the rounds are all that was sent");
    // All pages that the guest filled, each with its header.
    assert!(sent > Bytes::from_mib(94), "{sent}");
    assert!(record.blackout > sim_core::Span::ZERO && record.blackout < record.total);
}

/// Migrates with `levers`, and looks at every page where the guest is in the end.
fn arrives_with(levers: &Levers, guest: &RomGuest) -> Left {
    let directory = directory();
    let mut pair = pair(directory.path(), guest);
    let left = run(&mut pair, order(guest, levers), levers, |_| {});
    let reason = &left.migration().reason;
    let end = (left.ended.outcome, left.ended.runs);
    assert_eq!(end, (Outcome::Completed, WhoRuns::Destination), "{levers:?}: {reason}");
    assert_eq!(running(&mut pair), 1);
    verify(&mut pair.destination.qmp, guest, directory.path()).unwrap();
    left
}

#[test]
fn qemus_own_loop_is_forecast_from_its_first_passes() {
    if !is_there() {
        return;
    }
    // 20 MB/s on the wire, which a machine with little time to spare carries too, and 6 MB/s written: some passes,
    // each a third of the one before.
    let (guest, levers) = (guest(48, 6, 24), limits(160, 100));
    let left = arrives_with(&levers, &guest);
    let is_pass = |entry: &Entry| match entry {
        Entry::Told(time, Input::Loop(LoopInput::Pass { .. })) => Some(*time),
        _ => None,
    };
    let passes: Vec<SimTime> = left.journal.iter().filter_map(is_pass).collect();
    assert!(passes.len() >= 2, "{:?}", left.journal);
    let (entries, at) = (&left.journal[1..], passes[1]);
    let situation = Situation::of(order(&guest, &levers), entries, at).unwrap();
    let forecast = situation.forecast(1, 200).unwrap();
    let odds = &forecast.lines[0];
    assert!(odds.completes > 0.95 && odds.converges > 0.95, "{forecast:?}");
    let (foreseen, was) = (odds.finish_s.unwrap().p50, left.migration().total.as_secs_f64());
    assert!((foreseen / was - 1.0).abs() < 0.15, "{foreseen} s foreseen, {was} s: {forecast:?}");
    let seen = situation.evidence();
    assert!((18e6..22e6).contains(&seen.bytes_per_s), "{seen:?}");
    // What this machine gives the guest of its time, and no more than it was told to write.
    assert!((1.5e6..9e6).contains(&seen.dirtied_bytes_per_s), "{seen:?}");
}

#[test]
fn auto_converge_ends_what_pre_copy_alone_would_not() {
    if !is_there() {
        return;
    }
    // Fresh memory at 20 MB/s against 5 MB/s on the wire: without a throttle it would never end, not even where
    // the machine has only a third of its time for the guest.
    let workload = Workload::Linear { rate: ByteRate::from_mb(20), working_set: Bytes::from_mib(8) };
    let mut guest = RomGuest::of(Bytes::from_mib(16), &workload).unwrap();
    guest.catch_up = Span::from_millis(2);
    let slowing = Slowing::AutoConverge(AutoConverge::default());
    let levers = Levers::of(Qemu { slowing, ..limits(40, 600).policy });
    let left = arrives_with(&levers, &guest);
    let throttled = left.ended.records.iter().any(|record| match record {
        Record::Event(event) => event.message.contains("holds the guest back"),
        _ => false,
    });
    assert!(throttled, "{:?}", left.ended.records);
}

#[test]
fn post_copy_hands_over_before_all_is_sent() {
    if !is_there() {
        return;
    }
    // 60 MB/s against 50 MB/s, and a pause that is never short enough: it ends by post-copy or not at all.
    let levers = post_copy(limits(400, 1), 1);
    let left = arrives_with(&levers, &guest(96, 60, 64));
    let rounds = left.rounds();
    assert_eq!(rounds.len(), 2, "one pass, and the pause");
    let (record, before) = (left.migration(), rounds.iter().map(|round| round.bytes_sent).sum::<Bytes>());
    let ran_there_after = record.brownout + record.blackout;
    assert!(record.memory_bytes_sent > before + Bytes::from_mib(1), "pages followed: {record:?}");
    assert!(record.total > ran_there_after, "it ran there before all had arrived: {record:?}");
}

#[test]
fn post_copy_after_a_time_hands_over_then() {
    if !is_there() {
        return;
    }
    // All memory takes 2 s: the guest is handed over within the first pass.
    let levers = with_post_copy(limits(400, 1), PostCopyStart::After(Span::from_millis(500)));
    let left = arrives_with(&levers, &guest(96, 60, 64));
    let (rounds, record) = (left.rounds(), left.migration());
    let before = rounds.iter().map(|round| round.bytes_sent).sum::<Bytes>();
    assert_eq!(rounds.len(), 1, "the pause alone: {rounds:?}");
    assert!(rounds[0].start >= record.started.unwrap() + Span::from_millis(500), "{rounds:?}");
    assert!(before < Bytes::from_mib(60), "{record:?}");
    assert!(record.memory_bytes_sent > before + Bytes::from_mib(20), "most of it followed: {record:?}");
}

#[test]
fn a_destination_that_starts_the_guest_by_itself_is_not_waited_for() {
    if !is_there() {
        return;
    }
    let (directory, guest, levers) = (directory(), guest(48, 4, 16), limits(800, 300));
    let mut pair = pair(directory.path(), &guest);
    // To a machine that waits for a guest this is leave to run it as soon as it is there.
    pair.destination.qmp.execute("cont", serde_json::json!({})).unwrap();
    let left = run(&mut pair, order(&guest, &levers), &levers, |_| {});
    let end = (left.ended.outcome, left.ended.runs);
    assert_eq!(end, (Outcome::Completed, WhoRuns::Destination), "{:?}", left.journal);
    assert!(left.migration().blackout > Span::ZERO, "{:?}", left.migration());
    verify(&mut pair.destination.qmp, &guest, directory.path()).unwrap();
}

#[test]
fn multifd_xbzrle_and_compression_lose_nothing() {
    if !is_there() {
        return;
    }
    let (base, guest) = (limits(800, 300), guest(48, 4, 16));
    let multifd = |compression| Levers { multifd_channels: Some(2), compression, ..base.clone() };
    arrives_with(&multifd(Compression::None), &guest);
    arrives_with(&multifd(Compression::Zlib), &guest);
    let xbzrle = Some(Xbzrle { cache: Bytes::from_mib(64), ..Xbzrle::default() });
    arrives_with(&Levers::of(Qemu { xbzrle, ..base.policy.clone() }), &guest);
    // The capability was removed in 9.1; what a QEMU lacks is said, not left out.
    let threads = Levers { compression: Compression::Threads, ..base.clone() };
    if tcg().version >= [9, 1, 0] {
        let directory = directory();
        let mut pair = pair(directory.path(), &guest);
        let left = run(&mut pair, order(&guest, &threads), &threads, |_| {});
        assert!(
            left.migration().reason.contains("no migration capability `compress`"),
            "{:?}",
            left.migration()
        );
        return;
    }
    let left = arrives_with(&threads, &guest);
    assert!(left.migration().memory_bytes_sent < Bytes::from_mib(40), "half of each page repeats");
}

#[test]
fn disks_move_with_the_guest_and_writes_meanwhile_go_to_both() {
    if !is_there() || !is_program("qemu-img", "qemu-utils") {
        return;
    }
    let (directory, guest, levers) = (directory(), guest(48, 4, 16), limits(800, 300));
    let [from, to] = ["from.raw", "to.raw"].map(|name| directory.path().join(name));
    let size = 24 << 20;
    let content: Vec<u8> = (0..size).map(|at: usize| (at / 4096 * 7 + at % 251) as u8).collect();
    std::fs::write(&from, &content).unwrap();
    std::fs::write(&to, vec![0; size]).unwrap();
    let disks = Ends { source: vec![from.clone()], destination: vec![to.clone()] };
    let mut pair = pair_with(directory.path(), &guest, disks);
    let mut order = order(&guest, &levers);
    order.storage = Some(StorageOrder {
        disks: vec![DiskOrder {
            disk: 0,
            name: "system".into(),
            bytes: Bytes::new(size as u64),
            from: "a".into(),
            to: "b".into(),
        }],
        switch: Switch::WithMemory,
    });
    // Somebody writes to the guest's disk, as the guest would, while it is mirrored and memory moves.
    let mut monitor = operator(&pair.source);
    let (mut passes, mut wrote) = (0, false);
    let left = run(&mut pair, order, &levers, |entry| {
        if is_pass(entry, 1, &mut passes) {
            let said = monitor
                .monitor("qemu-io -d /machine/peripheral/drive0/virtio-backend \"write -P 0x11 0 64k\"")
                .unwrap();
            assert_eq!(said, "", "the write failed");
            wrote = true;
        }
    });
    assert!(wrote);
    assert_eq!(left.ended.outcome, Outcome::Completed, "{}", left.migration().reason);
    let written = 64 << 10;
    assert_eq!(left.migration().storage_bytes_sent, Bytes::new(size as u64 + written), "each byte once");
    verify(&mut pair.destination.qmp, &guest, directory.path()).unwrap();
    pair.destination.quit();
    let mut compare = std::process::Command::new("qemu-img");
    let status = compare.args(["compare", "-f", "raw", "-F", "raw"]).arg(&from).arg(&to).status().unwrap();
    assert!(status.success(), "the copy differs");
    assert_eq!(std::fs::read(&to).unwrap()[..4096], [0x11; 4096]);
}
