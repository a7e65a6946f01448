//! The test guest: it boots, fills its memory, writes, and its memory is what its counts say.

#![allow(clippy::unwrap_used)]

mod qemu_support;

use live::qemu::QemuError;
use live::qemu::accelerator::{AcceleratorKind, probe};
use live::qemu::pages::verify;
use live::qemu::process::QEMU;
use live::qemu::rom::{GuestState, RomGuest, counters};
use models::workload::{Class, Workload};
use qemu_support::*;
use sim_core::{ByteRate, Bytes};

#[test]
fn the_probe_finds_what_boots_a_guest_and_says_why() {
    if !is_there() {
        return;
    }
    let directory = directory();
    let found = probe(QEMU, directory.path(), None).unwrap();
    assert!(found.version >= [7, 2, 0], "QEMU {:?} is older than what we support", found.version);
    match found.kind {
        AcceleratorKind::Kvm => assert!(found.why.contains("boots")),
        AcceleratorKind::Tcg => {
            assert!(found.why.contains("KVM does not boot a guest here"), "{}", found.why)
        }
    }
    assert!(found.ticks_per_sec > 1e8, "{found:?}");
}

#[test]
fn every_workload_leaves_the_pages_that_its_counts_say() {
    if !is_there() {
        return;
    }
    let class = |rate, mib| Class { rate: ByteRate::from_mb(rate), size: Bytes::from_mib(mib) };
    let set = |rate, mib| (ByteRate::from_mb(rate), Bytes::from_mib(mib));
    let (rate, working_set) = set(8, 12);
    for workload in [
        Workload::Idle,
        Workload::Linear { rate, working_set },
        Workload::Uniform { rate, working_set },
        Workload::Classes(vec![class(8, 2), class(2, 16)]),
    ] {
        let (directory, guest) = (directory(), RomGuest::of(Bytes::from_mib(24), &workload).unwrap());
        let mut pair = pair(directory.path(), &guest);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let verified = verify(&mut pair.source.qmp, &guest, directory.path()).unwrap();
        assert_eq!(verified.pages, 22 * 256);
        let writes = &verified.counters.writes;
        assert_eq!(writes.len(), guest.sets.len());
        assert!(writes.iter().all(|&count| count > 0), "{workload:?}: {writes:?}");
        assert_eq!(verified.written == 0, workload == Workload::Idle);
        let now = counters(&mut pair.source.qmp, guest.sets.len()).unwrap();
        assert_eq!(now.state, GuestState::Running);
    }
}

#[test]
fn memory_that_is_not_the_guests_is_found() {
    if !is_there() {
        return;
    }
    // The proof is told of another guest than runs: one whose set begins elsewhere.
    let (directory, guest) = (directory(), guest(24, 8, 12));
    let mut pair = pair(directory.path(), &guest);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut other = guest.clone();
    other.sets[0].first += 1;
    let error = verify(&mut pair.source.qmp, &other, directory.path()).unwrap_err();
    assert!(matches!(&error, QemuError::Guest(words) if words.contains("lost a write")), "{error}");
}
