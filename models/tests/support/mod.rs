//! Small clusters to test with.

use algorithms::failover::Failover;
use algorithms::ids::{HostId, VmId};
use algorithms::plan::{Move, Phase, Placement, Plan, StorageMove};
use algorithms::policy::{Policy, SimGrid};
use algorithms::preflight::facts::{Administration, GuestConfiguration, HostSettings};
use models::cluster::{ClusterModel, Guest, Hypervisor, MemoryUse, Timing};
use models::faults::Faults;
use models::hardware::{Host, TransferSettings};
use models::network::{CardTraits, Duplex, Link, Network};
use models::storage::HostStorage;
use models::transport::{Compressibility, Transport};
use models::workload::Workload;
use sim_core::{Bandwidth, ByteRate, Bytes, Span};

/// A star of hosts without guests and without a plan: 10 Gbit/s, 100 µs a path, an ideal transport.
pub fn star(hosts: u32) -> ClusterModel {
    let mut network = Network::default();
    let hub = network.add_switch("switch".into());
    for index in 0..hosts {
        let node = network.add_host(HostId(index));
        let link = Link {
            name: format!("link{index}").into(),
            capacity: Bandwidth::from_gbit(10),
            latency: Span::from_micros(50),
            duplex: Duplex::Full,
            card: CardTraits::default(),
        };
        network.add_link(node, hub, link);
    }
    let host = |index| Host {
        name: format!("host{index}").into(),
        memory: Bytes::from_gib(1024),
        cores: 16,
        migration_limit: None,
        transfer: TransferSettings::default(),
        settings: HostSettings::default(),
        storage: HostStorage::default(),
    };
    ClusterModel {
        name: "test".into(),
        alternative: None,
        hosts: (0..hosts).map(host).collect(),
        network,
        guests: Vec::new(),
        background: Vec::new(),
        hypervisor: Hypervisor {
            name: "test".into(),
            policy: Policy::SimGrid(SimGrid::default()),
            timing: Timing::default(),
            deadline: None,
        },
        transport: Transport::ideal(),
        plan: Plan { phases: vec![Phase::default()] },
        placement: Placement::FewestVms,
        administration: Administration::default(),
        storage: Vec::new(),
        faults: Faults::default(),
        failover: Failover::default(),
    }
}

/// A guest of whole GiB that dirties fresh memory at `mb` MB/s, up to half of it.
pub fn guest(model: &mut ClusterModel, host: u32, gib: u64, mb: u64) -> VmId {
    let memory = Bytes::from_gib(gib);
    let id = VmId(model.guests.len() as u32);
    model.guests.push(Guest {
        name: format!("vm{}", id.0).into(),
        host: HostId(host),
        memory,
        workload: Workload::Linear { rate: ByteRate::from_mb(mb), working_set: Bytes::new(memory.get() / 2) },
        speed_variation: 0.0,
        compressibility: Compressibility::default(),
        configuration: GuestConfiguration::default(),
        disks: Vec::new(),
        memory_use: MemoryUse::default(),
    });
    id
}

/// Adds a move to the plan's only phase.
pub fn move_to(model: &mut ClusterModel, vm: VmId, destination: u32) {
    let destination = Some(HostId(destination));
    let (after, storage) = (Vec::new(), StorageMove::Stays);
    model.plan.phases[0].moves.push(Move { vm, destination, delay: Span::ZERO, after, storage });
}
