//! Links cut, moves cancelled, time run out, no room: the guest goes on at exactly one place.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use algorithms::controller::{Deadline, DeadlineAction};
use algorithms::policy::{Policy, PostCopyStart, Qemu};
use algorithms::records::{Outcome, Record};
use live::AgentOptions;
use live::protocol::Sending;
use live::recover::recover;
use live::steps::Step;
use sim_core::{Bandwidth, Bytes, Span};
use support::{Bench, Host, busy, holders, migrate, request, start};

/// A cable: what comes in at its address goes on to another, unless it is cut.
struct Cable {
    address: String,
    cut: Arc<AtomicBool>,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cable {
    fn to(address: &str) -> Cable {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cable = Cable {
            address: listener.local_addr().unwrap().to_string(),
            cut: Arc::default(),
            ends: Arc::default(),
        };
        let (cut, ends, address) = (Arc::clone(&cable.cut), Arc::clone(&cable.ends), address.to_string());
        std::thread::spawn(move || {
            for incoming in listener.incoming().map_while(Result::ok) {
                if !cut.load(Ordering::SeqCst) {
                    let onward = TcpStream::connect(&address).unwrap();
                    ends.lock().unwrap().extend([incoming.try_clone().unwrap(), onward.try_clone().unwrap()]);
                    carry(&incoming, &onward);
                    carry(&onward, &incoming);
                }
            }
        });
        cable
    }

    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for end in self.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn carry(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// Agents `a` and `b` joined by a cable that is cut when `a` or `b` comes to `step`.
fn cut_at(step: Step) -> (Bench, Host, Host, Arc<Cable>) {
    let bench = Bench::new();
    let cable: Arc<Mutex<Option<Arc<Cable>>>> = Arc::default();
    let watch = |cable: Arc<Mutex<Option<Arc<Cable>>>>| {
        let done = AtomicBool::new(false);
        move |reached| {
            // Once: what is tried again comes to the same step again.
            if reached == step && !done.swap(true, Ordering::SeqCst) {
                cable.lock().unwrap().as_ref().unwrap().cut();
            }
        }
    };
    let a = bench.watched("a", Arc::new(watch(Arc::clone(&cable))));
    let b = bench.watched("b", Arc::new(watch(Arc::clone(&cable))));
    let made = Arc::new(Cable::to(&b.address));
    *cable.lock().unwrap() = Some(Arc::clone(&made));
    bench.client(&a.address).create(busy("web")).unwrap();
    (bench, a, b, made)
}

#[test]
fn a_link_cut_before_the_decision_leaves_the_guest_at_the_source() {
    for step in [Step::Connected, Step::RoundSent, Step::PagesCame, Step::Paused, Step::Prepared] {
        let (bench, a, b, cable) = cut_at(step);
        let mut order = request("web", &b, Sending { streams: 2, ..Sending::default() });
        order.address.clone_from(&cable.address);
        let (migrated, _) = migrate(&mut bench.client(&a.address), order).unwrap();
        assert_eq!(migrated.outcome, Outcome::Failed, "{step:?}");
        assert_eq!(holders(&[&a, &b], "web"), ["a"], "{step:?}");
        assert_eq!(bench.client(&a.address).verify("web").unwrap().wrong, [""; 0]);
        // What the destination may still keep for it goes when it hears of it.
        recover(&[a.address.clone(), b.address.clone()], &bench.operator).unwrap();
        assert_eq!(b.agent.describe().guests, [], "{step:?}");
    }
}

#[test]
fn a_link_cut_after_the_decision_lets_the_guest_arrive_when_it_is_mended() {
    for step in [Step::Committed, Step::Running, Step::Resumed] {
        let (bench, a, b, cable) = cut_at(step);
        let mut order = request("web", &b, Sending::default());
        order.address.clone_from(&cable.address);
        let mut client = bench.client(&a.address);
        let migrating = std::thread::spawn(move || migrate(&mut client, order).unwrap().0);
        while !cable.cut.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(300));
        assert_ne!(holders(&[&a, &b], "web"), ["a"], "given away at {step:?}");
        assert!(!migrating.is_finished(), "the source cannot know yet");
        cable.cut.store(false, Ordering::SeqCst);
        assert_eq!(migrating.join().unwrap().outcome, Outcome::Completed, "{step:?}");
        assert_eq!(holders(&[&a, &b], "web"), ["b"], "{step:?}");
        assert_eq!(bench.client(&b.address).verify("web").unwrap().wrong, [""; 0]);
    }
}

/// In post-copy the source has what the guest misses: it stands still while the link is cut, and loses nothing.
#[test]
fn a_link_cut_in_post_copy_lets_the_memory_follow_when_it_is_mended() {
    for step in [Step::Following, Step::PagesFollowed] {
        let (bench, a, b, cable) = cut_at(step);
        let slow = Sending { limit: Some(Bandwidth::from_mbit(160)), ..Sending::default() };
        let mut order = request("web", &b, slow);
        order.address.clone_from(&cable.address);
        order.policy = Policy::Qemu(Qemu {
            downtime_limit: Span::from_millis(1),
            post_copy: PostCopyStart::After(Span::ZERO),
            ..Qemu::default()
        });
        let mut client = bench.client(&a.address);
        let migrating = std::thread::spawn(move || migrate(&mut client, order).unwrap());
        while !cable.cut.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(holders(&[&a, &b], "web"), [""; 0], "{step:?}: it waits at the destination");
        assert!(!migrating.is_finished(), "the source has what it misses");
        cable.cut.store(false, Ordering::SeqCst);
        let (migrated, records) = migrating.join().unwrap();
        assert_eq!(migrated.outcome, Outcome::Completed, "{step:?}: {records:?}");
        assert_eq!(holders(&[&a, &b], "web"), ["b"], "{step:?}");
        assert_eq!(bench.client(&b.address).verify("web").unwrap().wrong, [""; 0], "{step:?}");
    }
}

#[test]
fn a_cancel_is_heeded_until_the_decision_and_not_after_it() {
    for step in [Step::Connected, Step::RoundSent, Step::Paused, Step::Ready, Step::Committed] {
        let bench = Bench::new();
        let canceller = bench.canceller();
        let (a, b) = (bench.watched("a", canceller.at(step, "web")), bench.host("b"));
        canceller.of(&a);
        let mut client = bench.client(&a.address);
        client.create(busy("web")).unwrap();
        let (migrated, _) = migrate(&mut client, request("web", &b, Sending::default())).unwrap();
        let (outcome, place) =
            if step == Step::Committed { (Outcome::Completed, "b") } else { (Outcome::Cancelled, "a") };
        assert_eq!(migrated.outcome, outcome, "{step:?}");
        assert_eq!(holders(&[&a, &b], "web"), [place], "{step:?}");
        let there = if place == "a" { &a } else { &b };
        assert_eq!(bench.client(&there.address).verify("web").unwrap().wrong, [""; 0], "{step:?}");
        if place == "a" {
            assert_eq!(b.agent.describe().guests, [], "{step:?}: it has let go of the memory");
        }
    }
}

#[test]
fn a_deadline_ends_what_would_go_on() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let mut client = bench.client(&a.address);
    client.create(busy("web")).unwrap();
    let slow = Sending { limit: Some(Bandwidth::from_mbit(40)), ..Sending::default() };
    let mut order = request("web", &b, slow);
    order.deadline = Some(Deadline { after: Span::from_millis(400), action: DeadlineAction::Cancel });
    let (migrated, records) = migrate(&mut client, order).unwrap();
    assert_eq!(migrated.outcome, Outcome::Cancelled);
    let [Record::Migration(record)] =
        records.iter().filter(|record| matches!(record, Record::Migration(_))).collect::<Vec<_>>()[..]
    else {
        panic!("{records:?}");
    };
    assert!(record.memory_bytes_sent < Bytes::from_mib(24), "what was sent of the round is told");
    assert!(record.memory_bytes_sent > Bytes::ZERO);
    assert_eq!(holders(&[&a, &b], "web"), ["a"]);
    assert_eq!(b.agent.describe().guests, []);
}

#[test]
fn a_destination_without_room_refuses_before_anything_is_sent() {
    let bench = Bench::new();
    let a = bench.host("a");
    let b = start(AgentOptions { memory: Some(Bytes::from_mib(16)), ..bench.options("b") });
    let mut client = bench.client(&a.address);
    client.create(busy("web")).unwrap();
    let (migrated, records) = migrate(&mut client, request("web", &b, Sending::default())).unwrap();
    assert_eq!(migrated.outcome, Outcome::Failed);
    let Some(Record::Migration(record)) = records.last() else { panic!("{records:?}") };
    assert_eq!(record.reason, "b refuses: web has 24 MiB of memory, and 16 MiB are left here");
    assert_eq!(record.memory_bytes_sent, Bytes::ZERO);
    assert_eq!(holders(&[&a, &b], "web"), ["a"]);
}

/// A disk that cannot be written: what cannot be noted is not done.
#[test]
fn what_cannot_be_written_down_is_not_done() {
    for (host, step) in [("a", Step::Ready), ("b", Step::PagesCame)] {
        let bench = Bench::new();
        let guests = bench.directory.path().join(host).join("guests");
        let broken = guests.clone();
        let break_disk = Arc::new(move |reached| {
            if reached == step {
                let _ = std::fs::rename(&broken, broken.with_extension("away"));
            }
        });
        let mut watched = bench.options(host);
        watched.watch = break_disk;
        let other = bench.host(if host == "a" { "b" } else { "a" });
        let watched = start(watched);
        let (a, b) = if host == "a" { (watched, other) } else { (other, watched) };
        let mut client = bench.client(&a.address);
        client.create(busy("web")).unwrap();
        let (migrated, _) = migrate(&mut client, request("web", &b, Sending::default())).unwrap();
        assert_eq!(migrated.outcome, Outcome::Failed, "{step:?}");
        assert_eq!(holders(&[&a, &b], "web"), ["a"], "{step:?}");
        std::fs::rename(guests.with_extension("away"), &guests).unwrap();
        recover(&[a.address.clone(), b.address.clone()], &bench.operator).unwrap();
        assert_eq!(holders(&[&a, &b], "web"), ["a"], "{step:?}");
        assert_eq!(bench.client(&a.address).verify("web").unwrap().wrong, [""; 0]);
    }
}

#[test]
fn one_without_a_certificate_of_the_same_authority_gets_nothing() {
    let (bench, stranger) = (Bench::new(), Bench::new());
    let a = bench.host("a");
    let error = live::client::Client::connect(&a.address, &stranger.operator).err().expect("it is refused");
    assert!(error.to_string().contains("lost"), "{error}");
    // One that is known, by another's name.
    let mut impostor = bench.authority.issue("operator").unwrap();
    impostor.name = "b".into();
    let impostor = live::tls::Credentials::new(&impostor).unwrap();
    assert!(live::client::Client::connect(&a.address, &impostor).is_err());
    assert!(live::client::Client::connect(&a.address, &bench.operator).is_ok());
}
