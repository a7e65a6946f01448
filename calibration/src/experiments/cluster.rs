//! Clusters to try parameters on: hosts on one switch, guests, one phase of moves.

use algorithms::failover::Failover;
use algorithms::ids::{HostId, StorageId, VmId};
use algorithms::plan::{DiskTarget, Move, Phase, Placement, Plan, StorageMove};
use algorithms::policy::{Policy, Qemu};
use algorithms::preflight::facts::{Administration, GuestConfiguration, HostSettings};
use algorithms::records::RunRecords;
use models::cluster::{ClusterModel, Guest, Hypervisor, MemoryUse, Timing};
use models::faults::Faults;
use models::hardware::{Host, TransferSettings};
use models::network::{CardTraits, Duplex, Link, Network};
use models::storage::{Disk, DiskFormat, DiskIo, HostStorage, StorageKind, StorageLocation, Throughput};
use models::transport::{Compressibility, Transport};
use models::workload::Workload;
use models::world::{Metering, RunOptions, simulate};
use sim_core::{Bandwidth, ByteRate, Bytes, Span};

use crate::fit::FitError;

/// From a host to the switch and from there to the other: tens of microseconds within a machine room.
const LATENCY: Span = Span::from_micros(25);

/// Memory of every host: these experiments do not ask whether guests fit.
const PLENTY: Bytes = Bytes::from_gib(1 << 20);

/// A guest and where it goes.
pub(super) struct Moving {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) memory: Bytes,
    pub(super) zeros: Bytes,
    pub(super) workload: Workload,
    /// Places in the list of moves that have ended before this one begins.
    pub(super) after: Vec<usize>,
    /// Not before this long after the beginning.
    pub(super) start: Span,
    /// What is written of its disk, which goes along; nothing where it has none.
    pub(super) disk: Bytes,
}

/// What all hosts of an experiment share.
pub(super) struct Bed {
    /// Each host's card, in bits per second.
    pub(super) speeds: Vec<f64>,
    /// Bytes that stand in line before a full card.
    pub(super) queue: Option<Bytes>,
    pub(super) transport: Transport,
    pub(super) policy: Qemu,
    pub(super) timing: Timing,
    /// Cores that migrations have to themselves, where the transport takes processor time.
    pub(super) cores: u32,
    /// Migrations that a host takes part in at a time.
    pub(super) limit: Option<u32>,
    /// What a host's disk reads and writes.
    pub(super) disk_rate: Option<f64>,
}

impl Bed {
    /// Runs these moves and gives their records, in the order of the moves.
    ///
    /// # Errors
    ///
    /// [`FitError::Model`] where a move was not carried out.
    pub(super) fn run(&self, name: &str, moves: Vec<Moving>) -> Result<RunRecords, FitError> {
        self.run_under(Policy::Qemu(self.policy.clone()), name, moves)
    }

    /// The same under other rules than the bed's.
    ///
    /// # Errors
    ///
    /// As [`Bed::run`].
    pub(super) fn run_under(
        &self,
        policy: Policy,
        name: &str,
        moves: Vec<Moving>,
    ) -> Result<RunRecords, FitError> {
        let mut model = self.model(name, moves);
        model.hypervisor.policy = policy;
        let horizon = Span::from_secs(24 * 3600);
        let options = RunOptions { metering: Metering::Off, horizon, ..RunOptions::default() };
        simulate(&model, &options)
            .map_err(|error| FitError::Model { run: name.to_string(), what: error.to_string() })
    }

    fn model(&self, name: &str, moves: Vec<Moving>) -> ClusterModel {
        let mut phase = Phase::default();
        let mut guests = Vec::new();
        for (index, moving) in (0..).zip(moves) {
            let (with_disk, to) = (moving.disk > Bytes::ZERO, StorageId(moving.to as u32));
            let targets = vec![DiskTarget { disk: 0, to }];
            phase.moves.push(Move {
                vm: VmId(index),
                destination: Some(HostId(moving.to as u32)),
                delay: moving.start,
                after: moving.after,
                storage: if with_disk { StorageMove::To(targets) } else { StorageMove::Stays },
            });
            guests.push(Guest {
                name: format!("vm{index}").into(),
                host: HostId(moving.from as u32),
                memory: moving.memory,
                workload: moving.workload,
                speed_variation: 0.0,
                compressibility: Compressibility::default(),
                configuration: GuestConfiguration::default(),
                disks: if with_disk { vec![disk(moving.disk, moving.from)] } else { Vec::new() },
                memory_use: MemoryUse { zeros: moving.zeros },
            });
        }
        ClusterModel {
            name: name.into(),
            alternative: None,
            hosts: (0..self.speeds.len()).map(|host| self.host(host)).collect(),
            network: self.network(),
            guests,
            background: Vec::new(),
            hypervisor: Hypervisor {
                name: "qemu".into(),
                policy: Policy::Qemu(self.policy.clone()),
                timing: self.timing,
                deadline: None,
            },
            transport: self.transport.clone(),
            plan: Plan { phases: vec![phase] },
            placement: Placement::default(),
            administration: Administration::default(),
            failover: Failover::default(),
            faults: Faults::default(),
            storage: self.disk_rate.map_or_else(Vec::new, |rate| self.storage(rate)),
        }
    }

    /// A disk for each host.
    fn storage(&self, rate: f64) -> Vec<StorageLocation> {
        let rate = ByteRate::from_bytes_per_sec(rate.max(1.0) as u64);
        let location = |host: usize| StorageLocation {
            name: format!("disk{host}").into(),
            path: None,
            kind: StorageKind::Local,
            hosts: vec![HostId(host as u32)],
            capacity: None,
            throughput: Throughput::Separate { read: rate, write: rate },
            iops: None,
        };
        (0..self.speeds.len()).map(location).collect()
    }

    fn host(&self, number: usize) -> Host {
        Host {
            name: format!("node{number}").into(),
            memory: PLENTY,
            cores: self.cores,
            migration_limit: self.limit,
            transfer: TransferSettings::default(),
            settings: HostSettings::default(),
            storage: HostStorage { migration_limit: None, default: None },
        }
    }

    fn network(&self) -> Network {
        let mut network = Network::default();
        let switch = network.add_switch("switch".into());
        for (number, speed) in (0..).zip(&self.speeds) {
            let node = network.add_host(HostId(number));
            let link = Link {
                name: "card".into(),
                capacity: bits(*speed),
                latency: LATENCY,
                duplex: Duplex::Full,
                card: CardTraits { queue: self.queue, ..CardTraits::default() },
            };
            network.add_link(node, switch, link);
        }
        network
    }
}

fn disk(used: Bytes, host: usize) -> Disk {
    let on = StorageId(host as u32);
    let (size, format) = (used, DiskFormat::Dynamic);
    Disk { name: "disk".into(), on, size, used, format, io: DiskIo::default() }
}

/// A stream of QEMU's over TCP: its window as Linux lets it grow (`net.ipv4.tcp_wmem`: 4 MiB), and one
/// thread that sends at most so fast.
pub(super) fn stream(bytes_per_second: Option<f64>) -> Transport {
    let per_stream = bytes_per_second.map(|rate| bits(rate * 8.0));
    Transport { window: Some(TCP_WMEM), per_stream, name: "tcp".into(), ..Transport::ideal() }
}

/// The most that Linux lets a sender have on its way by default.
const TCP_WMEM: Bytes = Bytes::from_mib(4);

/// Bits per second, at least one.
pub(super) fn bits(speed: f64) -> Bandwidth {
    Bandwidth::from_bits_per_sec(speed.max(1.0) as u64)
}

/// Bytes, rounded.
pub(super) fn bytes(count: f64) -> Bytes {
    Bytes::from_f64_floor(count.max(0.0).round())
}

/// Whole pages.
pub(super) fn pages(count: f64) -> Bytes {
    bytes((count.max(0.0) / sim_core::PAGE_SIZE as f64).round() * sim_core::PAGE_SIZE as f64)
}

/// Seconds.
pub(super) fn seconds(count: f64) -> Span {
    Span::from_secs_f64(count.max(0.0))
}
