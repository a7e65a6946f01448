//! What each hypervisor's rules do to a guest that is too fast for its link: throttling, growing limits,
//! handing over before memory, differences and zero pages on the stream.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::policy::{
    AutoConverge, DirtyLimit, Doubling, Policy, PostCopyStart, Qemu, Slowing, Stun, SwitchOverRate, Tracking,
    VMotion, Xbzrle, Xen,
};
use algorithms::records::{ImpactRecord, MigrationRecord, Outcome, RoundPhase, RunRecords};
use models::cluster::{ClusterModel, MemoryUse};
use models::workload::{Class, Workload};
use models::world::{RunOptions, simulate};
use sim_core::{Bandwidth, ByteRate, Bytes, Span};

/// 8 GiB over 10 Gbit/s, 2 GiB of which are written at so many MB/s.
fn guest(mb: u64, policy: Policy) -> ClusterModel {
    let mut model = support::star(2);
    let vm = support::guest(&mut model, 0, 8, mb);
    let working_set = Bytes::from_gib(2);
    model.guests[0].workload = Workload::Uniform { rate: ByteRate::from_mb(mb), working_set };
    support::move_to(&mut model, vm, 1);
    model.hypervisor.policy = policy;
    model
}

fn unlimited() -> Qemu {
    Qemu { max_bandwidth: None, ..Qemu::default() }
}

fn run(model: &ClusterModel) -> RunRecords {
    let options = RunOptions { horizon: Span::from_secs(900), ..RunOptions::default() };
    simulate(model, &options).unwrap()
}

fn only(records: &RunRecords) -> (&MigrationRecord, ImpactRecord) {
    let migration = &records.migrations[0];
    (migration, **migration.impact.as_ref().unwrap())
}

#[test]
fn auto_converge_throttles_from_20_percent_by_10_until_it_converges() {
    let stuck = run(&guest(3000, Policy::Qemu(unlimited())));
    assert_eq!(stuck.migrations[0].outcome, Outcome::Cancelled, "without it, never");
    let slowing = Slowing::AutoConverge(AutoConverge::default());
    let records = run(&guest(3000, Policy::Qemu(Qemu { slowing, ..unlimited() })));
    let (migration, impact) = only(&records);
    assert_eq!(migration.outcome, Outcome::Completed);
    let mut throttles: Vec<u32> = records.rounds.iter().map(|round| round.throttle_percent).collect();
    throttles.pop();
    throttles.dedup();
    assert_eq!(throttles[..3], [0, 20, 30]);
    assert!(throttles.windows(2).all(|pair| pair[1] - pair[0] == if pair[0] == 0 { 20 } else { 10 }));
    assert_eq!(Some(&impact.throttle_max_percent), throttles.last());
    // What the guest lost is the throttle of each round over its time.
    let lost: f64 = records.rounds[..records.rounds.len() - 1]
        .iter()
        .map(|round| round.duration.as_secs_f64() * f64::from(round.throttle_percent) / 100.0)
        .sum();
    let share = lost / migration.brownout.as_secs_f64();
    assert!(
        (impact.slow_down - share).abs() < 0.01,
        "{} of the brownout, by rounds {share}",
        impact.slow_down
    );
}

#[test]
fn qemu_10_syncs_every_five_seconds_while_it_may_throttle() {
    let rules = |base: Qemu| Qemu {
        slowing: Slowing::AutoConverge(AutoConverge::default()),
        max_bandwidth: Some(Bandwidth::from_gbit(1)),
        ..base
    };
    let longest = |base| {
        let records = run(&guest(400, Policy::Qemu(rules(base))));
        let passes = records.rounds.iter().filter(|round| round.phase == RoundPhase::PreCopy).skip(1);
        passes.map(|round| round.duration).max().unwrap()
    };
    assert!(longest(Qemu::default()) > Span::from_secs(8));
    assert!(longest(Qemu::v10()) < Span::from_millis(5200));
}

#[test]
fn the_dirty_limit_lets_a_guest_dirty_no_more_than_its_quota() {
    let slowing = Slowing::DirtyLimit(DirtyLimit { rate: ByteRate::from_mb(300) });
    let records = run(&guest(3000, Policy::Qemu(Qemu { slowing, ..unlimited() })));
    let (migration, impact) = only(&records);
    assert_eq!(migration.outcome, Outcome::Completed);
    assert!(impact.throttle_max_percent >= 50, "{impact:?}");
}

#[test]
fn post_copy_hands_over_after_the_first_pass_and_fetches_what_is_touched() {
    let rules = Qemu { post_copy: PostCopyStart::AfterPasses(1), ..unlimited() };
    let records = run(&guest(3000, Policy::Qemu(rules.clone())));
    let (migration, impact) = only(&records);
    assert_eq!(migration.outcome, Outcome::Completed);
    assert_eq!(migration.reason, "switched to post-copy");
    let phases: Vec<RoundPhase> = records.rounds.iter().map(|round| round.phase).collect();
    assert_eq!(phases, [RoundPhase::PreCopy, RoundPhase::PostCopy]);
    assert!(migration.blackout < Span::from_millis(10), "{}", migration.blackout);
    let post_copy = impact.post_copy.unwrap();
    assert!(post_copy.duration > Span::from_millis(500), "{post_copy:?}");
    assert!(post_copy.faults > 1000 && post_copy.waited < post_copy.duration, "{post_copy:?}");
    // Who touches nothing misses nothing.
    let mut calm = guest(3000, Policy::Qemu(rules));
    calm.guests[0].workload = Workload::Classes(vec![
        Class { rate: ByteRate::from_bytes_per_sec(0), size: Bytes::from_gib(1) },
        Class { rate: ByteRate::from_mb(1), size: Bytes::from_gib(1) },
    ]);
    let calm = run(&calm);
    let faults = only(&calm).1.post_copy.map_or(0, |post_copy| post_copy.faults);
    assert!(faults < post_copy.faults / 100, "{faults}");
}

#[test]
fn post_copy_after_a_while_begins_then() {
    let after = Span::from_secs(20);
    let rules = Qemu { post_copy: PostCopyStart::After(after), ..unlimited() };
    let records = run(&guest(3000, Policy::Qemu(rules)));
    let (migration, _) = only(&records);
    assert_eq!(migration.reason, "switched to post-copy");
    assert!(migration.brownout >= after && migration.brownout < after + Span::from_millis(200));
}

#[test]
fn a_migration_given_up_in_post_copy_is_lost() {
    let rules = Qemu {
        post_copy: PostCopyStart::AfterPasses(1),
        max_postcopy_bandwidth: Some(Bandwidth::from_mbit(1)),
        ..unlimited()
    };
    let records = run(&guest(3000, Policy::Qemu(rules)));
    assert_eq!(records.migrations[0].outcome, Outcome::Lost);
    assert!(
        records.migrations[0].reason.starts_with("lost in post-copy"),
        "{}",
        records.migrations[0].reason
    );
}

#[test]
fn proxmox_doubles_the_downtime_limit_until_the_guest_fits() {
    let rules = Qemu { downtime_limit: Span::from_millis(100), doubling: Some(Doubling), ..unlimited() };
    let records = run(&guest(3000, Policy::Qemu(rules)));
    let (migration, _) = only(&records);
    assert_eq!(migration.outcome, Outcome::Completed);
    assert!(migration.blackout > Span::from_millis(400), "{}", migration.blackout);
}

#[test]
fn a_given_switch_over_bandwidth_replaces_the_measured_one() {
    let (max_bandwidth, tracking) = (Some(Bandwidth::from_gbit(1)), Tracking::AtCount);
    let limited = Qemu { max_bandwidth, tracking, ..Qemu::default() };
    let given = Qemu { switch_over_rate: SwitchOverRate::Given(Bandwidth::from_gbit(10)), ..limited.clone() };
    let stuck = run(&guest(135, Policy::Qemu(limited)));
    assert_eq!(stuck.migrations[0].outcome, Outcome::Cancelled);
    assert_eq!(run(&guest(135, Policy::Qemu(given))).migrations[0].outcome, Outcome::Completed);
}

#[test]
fn xbzrle_sends_differences_of_what_was_sent_before() {
    let cache = Bytes::from_gib(2);
    let sent = |xbzrle| {
        let records = run(&guest(300, Policy::Qemu(Qemu { xbzrle, ..unlimited() })));
        records.migrations[0].memory_bytes_sent.as_f64() - Bytes::from_gib(8).as_f64()
    };
    let (whole, differences) = (sent(None), sent(Some(Xbzrle { cache, encoded_share: 0.2 })));
    assert!(differences < 0.25 * whole, "{differences} of {whole}");
}

#[test]
fn zero_pages_take_nine_bytes_and_pages_eight_more_than_their_content() {
    let mut model = guest(0, Policy::Qemu(unlimited()));
    model.guests[0].workload = Workload::Idle;
    model.guests[0].memory_use = MemoryUse { zeros: Bytes::from_gib(6) };
    let records = run(&model);
    let pages = |gib: u64| gib << 18;
    let expected = pages(2) * 4104 + pages(6) * 9;
    let sent = records.migrations[0].memory_bytes_sent.get();
    assert!(sent.abs_diff(expected) < 8, "{sent}, expected {expected}");
}

#[test]
fn a_log_cleared_in_chunks_leaves_less_for_the_second_pass() {
    let second = |tracking| {
        let records = run(&guest(300, Policy::Qemu(Qemu { tracking, ..unlimited() })));
        records.rounds[0].dirty_bytes_left.as_f64()
    };
    let (chunks, whole) = (second(Tracking::Chunks(Bytes::from_gib(1))), second(Tracking::AtCount));
    assert!(chunks < 0.75 * whole, "{chunks}, {whole}");
}

#[test]
fn xen_skips_pages_that_are_dirty_again() {
    let sent = |tracking| {
        let records = run(&guest(1000, Policy::Xen(Xen { tracking, ..Xen::default() })));
        records.migrations[0].memory_bytes_sent
    };
    let (skipping, whole) = (sent(Tracking::Skipping), sent(Tracking::AtCount));
    assert!(skipping < whole, "{skipping} of {whole}");
}

#[test]
fn vmotion_stuns_a_guest_that_is_faster_than_its_link() {
    let with = |stun| run(&guest(3000, Policy::VMotion(VMotion { stun, ..VMotion::default() })));
    assert_eq!(with(Stun::Off).migrations[0].outcome, Outcome::Cancelled);
    let stunned = with(Stun::DuringPageSend);
    let (migration, impact) = only(&stunned);
    assert_eq!(migration.outcome, Outcome::Completed);
    assert!(impact.throttle_max_percent > 50 && migration.blackout < Span::from_millis(600), "{migration:?}");
}

#[test]
fn what_migration_takes_beyond_the_spare_cores_slows_the_guests_down() {
    let slow_down = |cpu_load| {
        let mut model = guest(10, Policy::Qemu(unlimited()));
        model.transport = models::transport::Transport::tcp();
        model.hosts[0].cores = 2;
        model.hosts[0].transfer.cpu_load = cpu_load;
        only(&run(&model)).1.slow_down
    };
    assert_eq!(slow_down(0.2), 0.0);
    assert!(slow_down(0.95) > 0.2);
}
