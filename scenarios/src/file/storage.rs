//! Storage, the guests' disks on it, and how disks move.

use schemars::JsonSchema;
use serde::Deserialize;
use sim_core::{ByteRate, Bytes, Span};

use super::{Named, Size};
use crate::read::at::At;

/// A place where disks can be, or several that are alike.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "storage in brackets, such as (name: \"nvme1\", on: \"node1\") or (name: \"san\", shared: [\"*\"])"
)]
#[schemars(rename = "Storage")]
pub(crate) struct StorageFile {
    /// Its name; "nvme{1..4}" makes four, dealt out in turn to the hosts of `on`.
    pub(crate) name: At<String>,
    /// The host whose own it is. Either this or `shared`.
    pub(crate) on: Option<At<String>>,
    /// The hosts that reach it; ["*"] for all.
    pub(crate) shared: Option<At<Vec<At<String>>>>,
    /// What it is; `Local` or, where it is shared, `San` by default. For people only.
    pub(crate) kind: Option<StorageKindFile>,
    /// The path under which hosts see it, such as "D:\\VMs". For people only.
    pub(crate) path: Option<String>,
    /// How much it holds; no limit by default.
    pub(crate) capacity: Option<At<Bytes>>,
    /// What its device reads and writes a second, both together; by default it is never the bottleneck.
    pub(crate) throughput: Option<At<ByteRate>>,
    /// What it reads a second, where writing does not slow reading down; as `write` by default.
    pub(crate) read: Option<At<ByteRate>>,
    /// What it writes a second; as `read` by default.
    pub(crate) write: Option<At<ByteRate>>,
    /// Operations a second, reads and writes together; no limit by default.
    pub(crate) iops: Option<At<u32>>,
}

/// Kinds of storage.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "StorageKind")]
pub(crate) enum StorageKindFile {
    /// A disk of one host.
    Local,
    /// A block device that several hosts reach.
    San,
    /// A file share.
    Smb,
    /// A cluster shared volume.
    Csv,
}

/// A virtual disk.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a disk in brackets, such as (size: \"127 GiB\", used: \"40 GiB\")")]
#[schemars(rename = "Disk")]
pub(crate) struct DiskFile {
    /// Its name; "disk1", "disk2" and so on by default.
    pub(crate) name: Option<At<String>>,
    /// The storage where it is; the default storage of the guest's host by default.
    pub(crate) on: Option<At<String>>,
    /// What the guest sees: the most that it can use.
    pub(crate) size: At<Bytes>,
    /// Of it, what is used, as a size or a share ("30 %"); all by default.
    pub(crate) used: Option<At<Size>>,
    /// How large its file is; `Dynamic` by default.
    pub(crate) format: Option<DiskFormatFile>,
    /// What the guest reads and writes; nothing by default.
    pub(crate) io: Option<DiskIoFile>,
}

/// How large a virtual disk's file is.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "DiskFormat")]
pub(crate) enum DiskFormatFile {
    /// As large as what is used.
    Dynamic,
    /// As large as the disk.
    Fixed,
}

/// What a guest reads from a disk and writes to it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "input and output in brackets, such as (read: \"50 MB/s\", write: \"20 MB/s\")"
)]
#[schemars(rename = "DiskIo")]
pub(crate) struct DiskIoFile {
    /// Bytes a second that it would read; none by default.
    pub(crate) read: Option<ByteRate>,
    /// Bytes a second that it would write; none by default.
    pub(crate) write: Option<At<ByteRate>>,
    /// The size of one operation; "8 KiB" by default.
    pub(crate) block: Option<At<Bytes>>,
    /// Its weight where it competes with others; a copy has 1, and so has this by default.
    pub(crate) weight: Option<At<f64>>,
}

/// What becomes of the disks of a guest that moves.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "IncludeStorage")]
pub(crate) enum IncludeFile {
    /// They stay where they are, which the destination must reach.
    Excluded,
    /// Those that the destination does not reach go to its default storage.
    Default,
    /// Each where it is said, all others stay: Disks({"os": "nvme2", "data": "san"}).
    Disks(Named<String>),
}

/// Disks of a guest, or of several, to move while the guest stays on its host.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a move of storage, such as MoveStorage(vm: \"web01\", to: \"nvme2\")"
)]
#[schemars(rename = "MoveStorage")]
pub(crate) struct MoveStorageFile {
    /// Whose: a name, or a pattern such as "web{01..20}" or "web*".
    pub(crate) vm: At<String>,
    /// The storage to move to.
    pub(crate) to: At<String>,
    /// The disks to move; all by default.
    pub(crate) disks: Option<Vec<At<String>>>,
    /// Not before this long after the step began.
    pub(crate) delay: Option<Span>,
    /// Guests whose moves in this step must have ended before.
    pub(crate) after: Option<At<Vec<At<String>>>>,
}
