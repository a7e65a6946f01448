//! Memory that comes into a host is slowed where the host sends as much as its card carries, for the
//! acknowledgements wait in line; what leaves it is not.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use algorithms::ids::HostId;
use models::cluster::ClusterModel;
use models::network::{CardTraits, Duplex, Link, Network};
use models::world::{RunOptions, simulate};
use sim_core::{Bandwidth, Bytes, Span};

/// Four hosts on one switch, and an idle guest of 10 GiB for each pair of source and destination.
fn moves(queue: Option<Bytes>, window: Option<Bytes>, moves: &[(u32, u32)]) -> Vec<f64> {
    let mut model: ClusterModel = support::star(4);
    model.network = Network::default();
    let switch = model.network.add_switch("switch".into());
    for host in 0..4 {
        let node = model.network.add_host(HostId(host));
        let card = CardTraits { queue, ..CardTraits::default() };
        let (capacity, latency) = (Bandwidth::from_gbit(10), Span::ZERO);
        let link = Link { name: "card".into(), capacity, latency, duplex: Duplex::Full, card };
        model.network.add_link(node, switch, link);
    }
    model.transport.window = window;
    for (source, destination) in moves {
        let vm = support::guest(&mut model, *source, 10, 0);
        support::move_to(&mut model, vm, *destination);
    }
    let records = simulate(&model, &RunOptions::default()).unwrap();
    records.migrations.iter().map(|each| each.total.as_secs_f64()).collect()
}

/// 10 GiB at 10 Gbit/s.
const ALONE: f64 = 8.589_934_592;

fn assert_close(got: f64, expected: f64) {
    assert!((got / expected - 1.0).abs() < 0.001, "{got} where {expected} was expected");
}

const QUEUE: Option<Bytes> = Some(Bytes::from_mib(10));
const WINDOW: Option<Bytes> = Some(Bytes::from_mib(8));

#[test]
fn what_comes_into_a_host_that_sends_at_full_speed_waits_for_its_acknowledgements() {
    let totals = moves(QUEUE, WINDOW, &[(0, 1), (1, 2)]);
    assert_close(totals[1], ALONE);
    // Eight tenths of the speed while the other runs, then all of it.
    assert_close(totals[0], ALONE + 0.2 * ALONE);
}

/// What is carried where hosts stand in a ring: a line stands for (carried − 0.90) ÷ 0.07 of the time, and takes 0.2.
const IN_A_RING: f64 = (1.0 + 0.2 * 0.90 / 0.07) / (1.0 + 0.2 / 0.07);

/// Each would fill its sender's card and make the other wait, if it did not wait itself: they share.
#[test]
fn two_that_fill_each_others_cards_fare_alike() {
    for total in moves(QUEUE, WINDOW, &[(0, 1), (1, 0)]) {
        assert_close(total, ALONE / IN_A_RING);
    }
}

#[test]
fn hosts_in_a_ring_fare_alike_in_whatever_order_they_are_named() {
    for ring in [[(0, 1), (1, 2), (2, 0)], [(2, 1), (0, 2), (1, 0)]] {
        for total in moves(QUEUE, WINDOW, &ring) {
            assert_close(total, ALONE / IN_A_RING);
        }
    }
}

#[test]
fn what_waits_itself_makes_no_others_wait() {
    // Into host 1 waits for what it sends to host 2, and so no longer fills the card of host 0.
    for chain in [[(0, 1), (1, 2), (3, 0)], [(1, 0), (0, 2), (3, 1)]] {
        let totals = moves(QUEUE, WINDOW, &chain);
        assert_close(totals[0], ALONE + 0.2 * ALONE);
        assert_close(totals[1], ALONE);
        assert_close(totals[2], ALONE);
    }
}

#[test]
fn without_a_queue_or_a_window_nothing_waits() {
    for (queue, window) in [(None, WINDOW), (QUEUE, None), (QUEUE, Some(Bytes::from_mib(64)))] {
        for total in moves(queue, window, &[(0, 1), (1, 2)]) {
            assert_close(total, ALONE);
        }
    }
}

#[test]
fn several_streams_into_such_a_host_share_what_gets_through() {
    let totals = moves(QUEUE, WINDOW, &[(0, 1), (2, 1), (1, 2)]);
    // Two into host 1 get 8 Gbit/s together while it sends for as long as one takes alone, then 10.
    assert_close(totals[0], ALONE + (2.0 * ALONE - 0.8 * ALONE));
    assert_close(totals[2], ALONE);
}

#[test]
fn a_single_stream_never_waits() {
    assert_close(moves(QUEUE, WINDOW, &[(0, 1)])[0], ALONE);
}
