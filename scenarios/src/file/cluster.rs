//! Hosts, their network, and what else goes on there.

use schemars::JsonSchema;
use serde::Deserialize;
use sim_core::{Bandwidth, ByteRate, Bytes, Span};

use super::settings::{MigrationFile, ProcessorFile};
use super::{Limit, OrPreset, TransportFile};
use crate::read::at::At;

/// A host, or several that are alike.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a host in brackets, such as (name: \"node1\", memory: \"256 GiB\")"
)]
#[schemars(rename = "Host")]
pub(crate) struct HostFile {
    /// Its name; "node{01..16}" makes sixteen hosts, node01 to node16.
    pub(crate) name: At<String>,
    /// Memory that guests can have.
    pub(crate) memory: At<Bytes>,
    /// Processor cores that migrations can use; 16 by default.
    pub(crate) cores: Option<At<u32>>,
    /// Migrations at a time, coming and going together; 2 by default, as in Hyper-V.
    pub(crate) migration_limit: Option<At<Limit<u32>>>,
    /// Storage migrations at a time, coming and going together; 2 by default, as in Hyper-V.
    pub(crate) storage_migration_limit: Option<At<Limit<u32>>>,
    /// The storage for disks that come without a place of their own; by default its first own one.
    pub(crate) default_storage: Option<At<String>>,
    /// Its network card for migrations: a preset's name, or its speed; "10GbE" by default.
    pub(crate) nic: Option<At<OrPreset<NicFile>>>,
    /// Several network cards, in place of `nic`: ["25GbE-RoCE", "25GbE-RoCE"]. SMB uses all that are
    /// alike; other transports use the first.
    pub(crate) nics: Option<At<Vec<At<OrPreset<NicFile>>>>>,
    /// The share of its cores that its guests keep busy, from 0 to 1; 0 by default. Compression takes
    /// only what they leave.
    pub(crate) cpu_load: Option<At<f64>>,
    /// The performance option of this host, for what leaves it; by default the scenario's `transport`.
    pub(crate) transport: Option<At<OrPreset<TransportFile>>>,
    /// The most that its migrations send over SMB together, as Set-SmbBandwidthLimit -Category
    /// LiveMigration: "750 MB/s". None by default.
    pub(crate) smb_bandwidth_limit: Option<At<ByteRate>>,
    /// Its settings for migrations; all is allowed by default.
    pub(crate) migration: Option<At<MigrationFile>>,
    /// Its Windows Server: "2012 R2", "2016", "2019", "2022" or "2025"; the same everywhere by default.
    pub(crate) os: Option<At<String>>,
    /// Its domain, or "WORKGROUP"; the same for all by default.
    pub(crate) domain: Option<String>,
    /// Its processor; the same everywhere by default.
    pub(crate) processor: Option<At<ProcessorFile>>,
    /// Its addresses, or the subnets that they are in: ["10.10.50.0/24"]; wherever it needs one by
    /// default.
    pub(crate) addresses: Option<Vec<At<String>>>,
    /// Names of its virtual switches; those that guests need by default.
    pub(crate) switches: Option<Vec<String>>,
}

/// A network card, or rather the link from it to its switch.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a network card, such as \"10GbE\" or (speed: \"10 Gbit/s\", latency: \"20 us\")"
)]
#[schemars(rename = "Nic")]
pub(crate) struct NicFile {
    /// The preset to start from; "10GbE" by default.
    pub(crate) preset: Option<At<String>>,
    /// Bits per second in each direction.
    pub(crate) speed: Option<At<Bandwidth>>,
    /// From the host to its switch, one way.
    pub(crate) latency: Option<Span>,
    /// Whether the directions share the speed; `Full` by default.
    pub(crate) duplex: Option<DuplexFile>,
    /// Its RDMA; `Off` where its preset has one that is not set up.
    pub(crate) rdma: Option<RdmaFile>,
    /// Queues of receive-side scaling; 8 by default, 1 = none.
    pub(crate) rss_queues: Option<At<u32>>,
    /// Cards like this one that are teamed to one; 1 by default. One stream stays on one of them,
    /// and a team has no RDMA.
    pub(crate) team: Option<At<u32>>,
    /// What stands in line while a direction of the card is full, such as "1.5 MB" (1000 packets). A
    /// stream's acknowledgements wait behind it, and with a `window` that slows the stream; by
    /// default they do not wait.
    pub(crate) queue: Option<Bytes>,
}

/// How a network card writes to the other end's memory by itself. Both ends must have the same.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Rdma")]
pub(crate) enum RdmaFile {
    /// Not at all, or not set up.
    Off,
    /// Over TCP.
    #[serde(rename = "iWARP")]
    Iwarp,
    /// Over Ethernet frames.
    RoCEv1,
    /// Over UDP.
    RoCEv2,
    /// Over its own links.
    InfiniBand,
}

/// Whether the two directions of a link share its capacity.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Duplex")]
pub(crate) enum DuplexFile {
    /// Each direction has the whole capacity.
    Full,
    /// Both directions share it.
    Half,
}

/// What joins the hosts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Network")]
pub(crate) enum NetworkFile {
    /// Every host's network card on one switch that is never the bottleneck.
    Star,
    /// Switches and links, one by one.
    Graph(GraphFile),
}

/// A network of switches and links.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a network, such as Graph(switches: […], links: […])")]
#[schemars(rename = "Graph")]
pub(crate) struct GraphFile {
    /// Names of switches, routers and the like.
    pub(crate) switches: Vec<At<String>>,
    /// The links.
    pub(crate) links: Vec<At<LinkFile>>,
}

/// A link, or several that are alike.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a link in brackets, such as (between: (\"node1\", \"tor1\"), capacity: \"10 Gbit/s\")"
)]
#[schemars(rename = "Link")]
pub(crate) struct LinkFile {
    /// Its two ends: names of hosts or switches. `("node{01..16}", "tor1")` makes sixteen links.
    pub(crate) between: (At<String>, At<String>),
    /// Bits per second in each direction; by default those of the host's network card.
    pub(crate) capacity: Option<At<Bandwidth>>,
    /// One way; by default that of the host's network card, or none between switches.
    pub(crate) latency: Option<Span>,
    /// Whether the directions share the capacity; `Full` by default.
    pub(crate) duplex: Option<DuplexFile>,
}

/// Traffic between two hosts that shares the network with migrations.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "traffic in brackets, such as (from: \"node1\", to: \"node2\", rate: \"1 Gbit/s\")"
)]
#[schemars(rename = "Background")]
pub(crate) struct BackgroundFile {
    /// For people; by default made of its ends.
    pub(crate) name: Option<String>,
    /// The host that it comes from.
    pub(crate) from: At<String>,
    /// The host that it goes to.
    pub(crate) to: At<String>,
    /// How much it would send if the network let it.
    pub(crate) rate: At<Bandwidth>,
    /// Its weight when links are shared; a migration's stream has 1, and so has this by default.
    pub(crate) weight: Option<At<f64>>,
    /// When it is on; `Constant` by default.
    pub(crate) pattern: Option<At<PatternFile>>,
}

/// When background traffic is on.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Pattern")]
pub(crate) enum PatternFile {
    /// Always.
    Constant,
    /// On and off for random times.
    OnOff {
        /// Mean time on.
        mean_on: Span,
        /// Mean time off.
        mean_off: Span,
    },
}

/// How destinations are chosen where the plan names none.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Placement")]
pub(crate) enum PlacementFile {
    /// The host with the most free memory.
    MostFreeMemory,
    /// The host with the fewest virtual machines.
    FewestVms,
}
