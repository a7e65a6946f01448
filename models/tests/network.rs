//! Routes through the graph of links.

use algorithms::ids::HostId;
use algorithms::orchestrator::Reach;
use models::network::{CardTraits, Duplex, Link, Network};
use sim_core::{Bandwidth, Span};

fn link(micros: u64) -> Link {
    Link {
        name: "link".into(),
        capacity: Bandwidth::from_gbit(10),
        latency: Span::from_micros(micros),
        duplex: Duplex::Full,
        card: CardTraits::default(),
    }
}

#[test]
fn the_way_with_the_lowest_latency_is_taken_then_the_one_with_fewest_hops() {
    let mut network = Network::default();
    let [a, b] = [0, 1].map(|host| network.add_host(HostId(host)));
    let [near, far] = ["near", "far"].map(|name| network.add_switch(name.into()));
    network.add_link(a, far, link(100));
    network.add_link(far, b, link(100));
    network.add_link(b, near, link(20));
    network.add_link(near, a, link(20));
    let path = network.path(HostId(0), HostId(1)).expect("they are joined");
    assert_eq!(path.latency, Span::from_micros(40));
    let hops: Vec<(usize, bool)> = path.hops.iter().map(|hop| (hop.link, hop.forward)).collect();
    assert_eq!(hops, [(3, false), (2, false)], "against the direction in which both were added");
    network.add_link(a, b, link(40));
    assert_eq!(network.path(HostId(0), HostId(1)).map(|path| path.hops.len()), Some(1));
}

#[test]
fn islands_do_not_reach_each_other() {
    let mut network = Network::default();
    let [a, b, c] = [0, 1, 2].map(|host| network.add_host(HostId(host)));
    network.add_link(a, b, link(1));
    let _ = c;
    assert_eq!(network.path(HostId(0), HostId(2)), None);
    let Reach::Islands(islands) = network.reach(4) else { panic!("host 2 is alone, and host 3 nowhere") };
    assert!(islands[0] == islands[1] && islands[0] != islands[2] && islands[2] != islands[3], "{islands:?}");
    let path = network.path(HostId(0), HostId(0)).expect("a host reaches itself");
    assert_eq!((path.hops.len(), path.latency), (0, Span::ZERO));
}
