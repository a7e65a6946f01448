//! When each hypervisor's page loop goes on and when it stops.

mod support;

use algorithms::closed_form::LiuSeries;
use algorithms::policy::{
    HyperV, LastRound, Next, Policy, PreCopyPolicy, Qemu, RoundsSoFar, SimGrid, StopReason, Xen,
};
use algorithms::records::RoundPhase;
use sim_core::{Bandwidth, ByteRate, Bytes, Pages, Span};
use support::driving::{Drive, Rates};

fn host(link: Bandwidth, dirty_rate: ByteRate) -> Rates {
    Rates { memory: Bytes::from_gib(4), link, dirty_rate, working_set: Bytes::from_gib(2) }
}

fn run(host: Rates, policy: Policy) -> (Drive, StopReason) {
    let mut drive = Drive::new(host, policy);
    let reason = drive.finish().reason;
    (drive, reason)
}

#[test]
fn hyper_v_converges_below_its_threshold() {
    let policy = HyperV { stop_below: Bytes::from_mib(16), ..HyperV::default() };
    let (drive, reason) = run(host(Bandwidth::from_gbit(10), ByteRate::from_mb(100)), Policy::HyperV(policy));
    assert_eq!(reason, StopReason::Converged);
    let last = &drive.rounds[drive.pre_copy_rounds() - 1];
    assert!(last.dirty_bytes_left <= Bytes::from_mib(16));
    assert!(drive.rounds[drive.pre_copy_rounds() - 2].dirty_bytes_left > Bytes::from_mib(16));
}

#[test]
fn hyper_v_pauses_after_ten_passes_whatever_is_left() {
    let (drive, reason) =
        run(host(Bandwidth::from_gbit(1), ByteRate::from_mb(400)), Policy::HyperV(HyperV::default()));
    assert_eq!(reason, StopReason::RoundLimit);
    assert_eq!(drive.pre_copy_rounds(), 10);
    let last = drive.rounds.last().unwrap();
    assert_eq!(
        (last.phase, last.bytes_sent),
        (RoundPhase::StopAndCopy, Bytes::from_gib(2)),
        "the whole working set"
    );
}

#[test]
fn qemu_ends_passes_by_its_threshold_and_keeps_to_its_downtime_limit() {
    let link = Bandwidth::from_gbit(10);
    let policy = Qemu { max_bandwidth: None, ..Qemu::default() };
    let (drive, reason) = run(host(link, ByteRate::from_mb(600)), Policy::Qemu(policy));
    assert_eq!(reason, StopReason::Converged);
    let threshold = link.bytes_per_sec_f64() * 0.3;
    // The first pass leaves what is under the threshold, by up to a step of 50 ms.
    let left = drive.host.memory.as_f64() - drive.rounds[0].bytes_sent.as_f64();
    let step = link.bytes_per_sec_f64() * 0.05;
    assert!(left < threshold && left > threshold - 1.001 * step, "{left}");
    let last = drive.rounds.last().unwrap();
    assert!(last.duration <= Span::from_millis(300), "{}", last.duration);
}

#[test]
fn qemu_sends_passes_at_its_bandwidth_limit_and_the_rest_without() {
    let (drive, _) =
        run(host(Bandwidth::from_gbit(10), ByteRate::from_mb(10)), Policy::Qemu(Qemu::default()));
    let rate = |phase| drive.rounds.iter().find(|round| round.phase == phase).unwrap().rate.bits_per_sec();
    assert_eq!(rate(RoundPhase::PreCopy).div_ceil(1 << 20), 128 * 8);
    assert!(rate(RoundPhase::StopAndCopy) > 9_999_000_000);
}

#[test]
fn xen_stops_at_29_rounds_or_three_times_the_memory() {
    let slow =
        Rates { working_set: Bytes::from_mib(1), ..host(Bandwidth::from_gbit(10), ByteRate::from_mb(2000)) };
    let (drive, reason) = run(slow, Policy::Xen(Xen::default()));
    assert_eq!((reason, drive.pre_copy_rounds()), (StopReason::RoundLimit, 29));
    let (drive, reason) =
        run(host(Bandwidth::from_gbit(1), ByteRate::from_mb(400)), Policy::Xen(Xen::default()));
    assert_eq!(reason, StopReason::SentLimit);
    let sent = |rounds: usize| drive.rounds[..rounds].iter().map(|round| round.bytes_sent).sum::<Bytes>();
    let (rounds, limit) = (drive.pre_copy_rounds(), Bytes::from_gib(12));
    assert!(sent(rounds) >= limit && sent(rounds - 1) < limit);
    let (drive, reason) =
        run(host(Bandwidth::from_gbit(10), ByteRate::from_mb(100)), Policy::Xen(Xen::default()));
    assert_eq!(reason, StopReason::Converged);
    assert!(drive.rounds.last().unwrap().bytes_sent < Pages::new(50).bytes());
}

/// A guest of 512 MB whose last round sent so many MB of it, in so many seconds, at so many Mbit/s; it wrote
/// `dirtied` MB meanwhile, and the round before sent `before`.
fn after_a_round(sent: u64, seconds: u64, mbit: u64, dirtied: u64, before: u64) -> RoundsSoFar {
    let mb = |count: u64| Bytes::new(count * 1_000_000);
    let last = LastRound {
        sent: mb(sent),
        duration: Span::from_secs(seconds),
        dirtied: mb(dirtied),
        limit: Some(Bandwidth::from_mbit(mbit)),
        sent_before: Some(mb(before)),
    };
    RoundsSoFar { rounds: 2, sent: mb(sent + before), last: Some(last), ..RoundsSoFar::beginning(mb(512)) }
}

/// `xc_linux_save.c`, `print_stats`: the rate is raised where more was dirtied than it lets through, what
/// was skipped included, and never lowered.
#[test]
fn xens_rate_is_raised_to_the_last_dirty_rate_and_50_mbit_and_never_falls() {
    let xen = Xen::clark();
    let mbit = |so_far: &RoundsSoFar| xen.rate_limit(so_far).unwrap().bits_per_sec() / 1_000_000;
    assert_eq!(mbit(&RoundsSoFar::beginning(Bytes::from_gib(1))), 100);
    assert_eq!(mbit(&after_a_round(40, 4, 100, 40, 200)), 100, "80 Mbit/s are dirtied: 100 are enough");
    assert_eq!(mbit(&after_a_round(40, 4, 100, 80, 200)), 210, "160 Mbit/s are dirtied, and 50 more");
    assert_eq!(mbit(&after_a_round(80, 2, 320, 20, 200)), 320, "80 Mbit/s are dirtied: it stays");
    assert_eq!(mbit(&after_a_round(40, 1, 320, 250, 200)), 500, "no more than the highest");
}

/// `sent_this_iter > sent_last_iter && RATE_IS_MAX()`: the muncher of Clark et al., section 6.5.
#[test]
fn xen_pauses_when_a_round_at_the_highest_rate_sends_more_than_the_last() {
    let (xen, dirty) = (Xen::clark(), Bytes::new(222_500_000));
    let next = |so_far: &RoundsSoFar| xen.after_count(so_far, dirty);
    assert_eq!(next(&after_a_round(116, 2, 500, 222, 44)), Next::Pause(StopReason::RateLimit));
    assert_eq!(next(&after_a_round(116, 2, 450, 222, 44)), Next::Round, "not yet at the highest rate");
    assert_eq!(next(&after_a_round(44, 2, 500, 222, 255)), Next::Round, "less than the round before");
}

/// The limiter's bucket fills while the guest is told to stand still: 90 ms of 500 Mbit/s go at once.
#[test]
fn what_xens_bucket_holds_goes_at_the_speed_of_the_link() {
    let so_far = after_a_round(15, 1, 500, 18, 14);
    let seconds = |rest: Bytes| {
        let limit = Xen::clark().final_rate_limit(&so_far, rest);
        limit.map(|limit| limit.time_for(rest).as_secs_f64())
    };
    let (whole, rest) = (18.2e6 * 8.0 / 500e6, Bytes::new(18_200_000));
    assert!((whole - seconds(rest).unwrap() - 0.09).abs() < 1e-6, "{:?}", seconds(rest));
    assert_eq!(seconds(Bytes::new(5_000_000)), None, "no more than the bucket holds: as fast as the link");
}

/// Liu et al., HPDC 2011: for a constant dirty rate every round is λ times the one before.
#[test]
fn a_constant_dirty_rate_gives_the_geometric_series() {
    let (link, dirty_rate) = (Bandwidth::from_gbit(8), ByteRate::from_mb(250));
    let guest = Rates { working_set: Bytes::from_gib(4), ..host(link, dirty_rate) };
    let (drive, _) = run(guest, Policy::SimGrid(SimGrid { max_downtime: Span::from_millis(10) }));
    let threshold = Bytes::from_f64_floor(link.bytes_per_sec_f64() * 0.01);
    let Rates { memory, working_set, .. } = guest;
    let series =
        LiuSeries { memory, dirty_rate, working_set, rate: link, threshold, most_rounds: 100 }.rounds();
    assert_eq!(series.len(), drive.rounds.len());
    for (round, closed_form) in drive.rounds.iter().zip(series) {
        let difference = (round.bytes_sent.as_f64() - closed_form.bytes_sent).abs();
        // Each round rounds down to a byte, and its duration to a nanosecond.
        assert!(difference <= 4.0, "{round:?}, expected {closed_form:?}");
    }
}
