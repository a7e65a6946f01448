//! What a migration cluster is and does, in virtual time.
//!
//! ```text
//!  cluster: hosts, guests, network, transport, hypervisor, plan ──▶ world ──▶ records
//! ```
//!
//! - [`hardware`], [`network`]: hosts, the graph of links between them.
//! - [`storage`]: where the guests' disks are, and what its devices can do.
//! - [`workload`]: how a guest dirties its memory. [`transport`]: what sending memory costs.
//! - [`faults`]: what breaks in a run.
//! - [`cluster`]: all of these together with what is asked for: the input of a run.
//! - [`world`]: the simulation driver. It asks the algorithms what to do and the models what that
//!   costs, and decides nothing itself. [`preflight`]: what the plan would meet, without running it.
//! - [`forecast`]: a real migration under way, carried on into many futures.
//! - [`planning`]: a drain simulated many times, and the plan that comes of it.
//! - [`closed_form`]: the literature's formulas for the same model; [`convergence`]: whether pre-copy
//!   converges, and at which bandwidth or downtime limit it would.
//!
//! # A first run
//!
//! One idle guest of 10 GiB moves from one host to another over a cable of 10 Gbit/s.
//!
//! ```
//! use algorithms::failover::Failover;
//! use algorithms::ids::{HostId, VmId};
//! use algorithms::plan::{Move, Phase, Placement, Plan, StorageMove};
//! use algorithms::policy::{HyperV, Policy};
//! use algorithms::preflight::facts::{Administration, GuestConfiguration, HostSettings};
//! use models::cluster::{ClusterModel, Guest, Hypervisor, MemoryUse, Timing};
//! use models::faults::Faults;
//! use models::hardware::{Host, TransferSettings};
//! use models::network::{CardTraits, Duplex, Link, Network};
//! use models::transport::{Compressibility, Transport};
//! use models::storage::HostStorage;
//! use models::workload::Workload;
//! use models::world::{RunOptions, simulate};
//! use sim_core::{Bytes, Span};
//!
//! let mut network = Network::default();
//! let ends = [0, 1].map(|host| network.add_host(HostId(host)));
//! let cable = Link {
//!     name: "cable".into(),
//!     capacity: "10 Gbit/s".parse()?,
//!     latency: Span::from_micros(50),
//!     duplex: Duplex::Full,
//!     card: CardTraits::default(),
//! };
//! network.add_link(ends[0], ends[1], cable);
//! let host = |name: &str| Host {
//!     name: name.into(),
//!     memory: Bytes::from_gib(64),
//!     cores: 16,
//!     migration_limit: Some(2),
//!     transfer: TransferSettings::default(),
//!     settings: HostSettings::default(),
//!     storage: HostStorage::default(),
//! };
//! let guest = Guest {
//!     name: "web".into(),
//!     host: HostId(0),
//!     memory: Bytes::from_gib(10),
//!     workload: Workload::Idle,
//!     speed_variation: 0.0,
//!     compressibility: Compressibility::default(),
//!     configuration: GuestConfiguration::default(),
//!     disks: vec![],
//!     memory_use: MemoryUse::default(),
//! };
//! let to_the_other =
//!     Move { vm: VmId(0), destination: Some(HostId(1)), delay: Span::ZERO, after: vec![], storage: StorageMove::Stays };
//! let model = ClusterModel {
//!     name: "first run".into(),
//!     alternative: None,
//!     hosts: vec![host("a"), host("b")],
//!     network,
//!     guests: vec![guest],
//!     background: vec![],
//!     hypervisor: Hypervisor {
//!         name: "hyper-v".into(),
//!         policy: Policy::HyperV(HyperV::default()),
//!         timing: Timing::default(),
//!         deadline: None,
//!     },
//!     transport: Transport::ideal(),
//!     plan: Plan { phases: vec![Phase { moves: vec![to_the_other], ..Phase::default() }] },
//!     placement: Placement::default(),
//!     administration: Administration::default(),
//!     storage: vec![],
//!     faults: Faults::default(),
//!     failover: Failover::default(),
//! };
//! let records = simulate(&model, &RunOptions::default())?;
//! let total = records.migrations[0].total.as_secs_f64();
//! assert!((total - 10.0 * 1.073_741_824 * 8.0 / 10.0).abs() < 1e-3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod closed_form;
pub mod cluster;
pub mod convergence;
pub mod faults;
pub mod forecast;
pub mod hardware;
pub mod network;
pub mod one_move;
pub mod planning;
pub mod preflight;
pub mod storage;
pub mod transport;
pub mod workload;
pub mod world;
