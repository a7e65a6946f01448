//! The workload on which four engines agree: a star of hosts, guests of many sizes, pre-copy as
//! SimGrid does it. `shared/peers/simgrid_drain.cpp` is the same work for SimGrid.

use std::collections::HashMap;

use algorithms::failover::Failover;
use algorithms::ids::{HostId, VmId};
use algorithms::plan::{Move, Phase, Placement, Plan, StorageMove};
use algorithms::policy::{Policy, SimGrid};
use algorithms::preflight::facts::{Administration, GuestConfiguration, HostSettings};
use algorithms::records::{MigrationRecord, RunRecords};
use models::cluster::{ClusterModel, Guest, Hypervisor, MemoryUse, Timing};
use models::hardware::{Host, TransferSettings};
use models::network::{CardTraits, Duplex, Link, Network};
use models::storage::HostStorage;
use models::transport::{Compressibility, Transport};
use models::workload::Workload;
use serde::Serialize;
use sim_core::{Bandwidth, ByteRate, Bytes, Span};

/// Which of the two plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The hosts are drained in turn.
    Rolling,
    /// Every guest moves once, all asked for at the beginning.
    Burst,
}

/// The size of the workload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Hosts.
    pub hosts: u32,
    /// Guests; number i is on host i mod `hosts`.
    pub vms: u32,
    /// Migrations at a time on each host, source and destination; 0 for any number.
    pub limit: u32,
    /// What the dirty rates are multiplied with.
    pub dirty_scale: f64,
}

/// Of each link, in each direction: 1.25e9 bytes per second.
const LINK: Bandwidth = Bandwidth::from_gbit(10);
/// Of each link; a path has two.
const LINK_LATENCY: Span = Span::from_micros(50);
/// Bytes per second, by guest number mod 4.
const DIRTY_RATES: [f64; 4] = [20e6, 50e6, 100e6, 200e6];

/// The model of this workload.
///
/// # Panics
///
/// If there are fewer than two hosts.
pub fn model(shape: Shape, size: Size) -> ClusterModel {
    assert!(size.hosts >= 2, "guests need another host to move to");
    ClusterModel {
        name: format!("{shape:?}").to_lowercase().into(),
        alternative: None,
        hosts: (0..size.hosts).map(|index| host(index, size.limit)).collect(),
        network: star(size.hosts),
        guests: (0..size.vms).map(|index| guest(index, size)).collect(),
        background: Vec::new(),
        hypervisor: Hypervisor {
            name: "simgrid".into(),
            policy: Policy::SimGrid(SimGrid::default()),
            timing: Timing::default(),
            deadline: None,
        },
        transport: Transport::ideal(),
        plan: plan(shape, size),
        placement: Placement::FewestVms,
        administration: Administration::default(),
        storage: Vec::new(),
        faults: models::faults::Faults::default(),
        failover: Failover::default(),
    }
}

fn host(index: u32, limit: u32) -> Host {
    Host {
        name: format!("h{index}").into(),
        // More than all guests together: memory is no limit here.
        memory: Bytes::new(1 << 60),
        cores: 1024,
        migration_limit: (limit > 0).then_some(limit),
        transfer: TransferSettings::default(),
        settings: HostSettings::default(),
        storage: HostStorage::default(),
    }
}

fn star(hosts: u32) -> Network {
    let mut network = Network::default();
    let hub = network.add_switch("switch".into());
    for index in 0..hosts {
        let node = network.add_host(HostId(index));
        let name = format!("h{index} – switch").into();
        network.add_link(
            node,
            hub,
            Link {
                name,
                capacity: LINK,
                latency: LINK_LATENCY,
                duplex: Duplex::Full,
                card: CardTraits::default(),
            },
        );
    }
    network
}

fn guest(index: u32, size: Size) -> Guest {
    let scrambled = index.wrapping_mul(2_654_435_761);
    let memory = Bytes::from_mib(u64::from(4096 + scrambled % 8192));
    let rate = DIRTY_RATES[index as usize % 4] * size.dirty_scale;
    Guest {
        name: format!("vm{index}").into(),
        host: HostId(index % size.hosts),
        memory,
        workload: Workload::Linear {
            rate: ByteRate::from_bytes_per_sec(rate.round() as u64),
            working_set: Bytes::from_f64_floor(memory.as_f64() * 0.9),
        },
        speed_variation: 0.0,
        compressibility: Compressibility::default(),
        configuration: GuestConfiguration::default(),
        disks: Vec::new(),
        memory_use: MemoryUse::default(),
    }
}

fn plan(shape: Shape, size: Size) -> Plan {
    let phases = match shape {
        Shape::Rolling => {
            let drain = |host| Phase { drains: vec![HostId(host)], ..Phase::default() };
            (0..size.hosts).map(drain).collect()
        }
        Shape::Burst => {
            vec![Phase { moves: (0..size.vms).map(|vm| burst_move(vm, size)).collect(), ..Phase::default() }]
        }
    };
    Plan { phases }
}

fn burst_move(vm: u32, size: Size) -> Move {
    let source = vm % size.hosts;
    let destination = (source + 1 + (vm / size.hosts) % (size.hosts - 1)) % size.hosts;
    let (after, storage) = (Vec::new(), StorageMove::Stays);
    Move { vm: VmId(vm), destination: Some(HostId(destination)), delay: Span::ZERO, after, storage }
}

/// What the engines are compared by. Means are over the guests, each by its last migration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// The plan's time, in seconds.
    pub makespan_s: f64,
    /// Mean total migration time, in seconds.
    pub mean_migration_s: f64,
    /// Mean pause, in milliseconds.
    pub mean_downtime_ms: f64,
    /// Rounds of all migrations, those that were not a guest's last included.
    pub rounds: u64,
}

/// The figures of a run.
pub fn figures(records: &RunRecords) -> Figures {
    let last: HashMap<&str, &MigrationRecord> =
        records.migrations.iter().map(|migration| (&*migration.vm, migration)).collect();
    let mean = |value: fn(&MigrationRecord) -> Span| {
        last.values().map(|migration| value(migration).as_nanos()).sum::<u64>() as f64
            / last.len() as f64
            / 1e9
    };
    Figures {
        makespan_s: records.run.makespan.as_secs_f64(),
        mean_migration_s: mean(|migration| migration.total),
        mean_downtime_ms: mean(|migration| migration.blackout) * 1e3,
        rounds: records.migrations.iter().map(|migration| u64::from(migration.rounds)).sum(),
    }
}
