//! Storage locations and the guests' disks on them.
//!
//! A location is a volume on a device: local to one host, or reached by several (SAN, SMB share,
//! cluster shared volume). Its device is a shared resource: copies and the guests' own input and
//! output compete for its throughput and its operations, by their weights. What lies between a host
//! and shared storage (a storage network, an SMB server's network card) is part of the device's figures.
//!
//! Not modelled: caches, the growth of dynamic disks while a guest writes, and copies that an array
//! makes by itself (ODX).

use algorithms::ids::{HostId, Name, StorageId};
use serde::{Deserialize, Serialize};
use sim_core::{ByteRate, Bytes};

/// A place where disks can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageLocation {
    /// Its name, unique in the cluster.
    pub name: Name,
    /// The path under which hosts see it, such as `D:\VMs`; for people.
    pub path: Option<String>,
    /// What it is.
    pub kind: StorageKind,
    /// The hosts that reach it.
    pub hosts: Vec<HostId>,
    /// How much it holds; no limit where `None`.
    pub capacity: Option<Bytes>,
    /// What its device reads and writes.
    pub throughput: Throughput,
    /// Operations that its device does a second, reads and writes together; no limit where `None`.
    pub iops: Option<u32>,
}

/// Kinds of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum StorageKind {
    /// A disk of one host.
    #[default]
    Local,
    /// A block device that several hosts reach.
    San,
    /// A file share.
    Smb,
    /// A cluster shared volume.
    Csv,
}

/// What a device reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Throughput {
    /// It is never the bottleneck.
    #[default]
    Unlimited,
    /// Reads and writes do not slow each other down.
    Separate {
        /// Bytes read per second.
        read: ByteRate,
        /// Bytes written per second.
        write: ByteRate,
    },
    /// Reads and writes share this.
    Common(ByteRate),
}

/// A virtual disk of a guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// Its name, unique in the guest.
    pub name: Name,
    /// The location where it is at first.
    pub on: StorageId,
    /// What the guest sees.
    pub size: Bytes,
    /// Of it, what was ever written.
    pub used: Bytes,
    /// How large its file is.
    pub format: DiskFormat,
    /// What the guest reads and writes.
    pub io: DiskIo,
}

/// How large a virtual disk's file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum DiskFormat {
    /// As large as what is used (dynamically expanding VHDX).
    #[default]
    Dynamic,
    /// As large as the disk.
    Fixed,
}

/// What a guest reads from a disk and writes to it, as fast as the device lets it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DiskIo {
    /// Bytes per second that it would read.
    pub read: ByteRate,
    /// Bytes per second that it would write.
    pub write: ByteRate,
    /// The size of one operation.
    pub block: Bytes,
    /// Its weight where it competes; a copy has 1. Shares are equal in bytes, not in operations: where
    /// operations are what is short, flows of small operations hold those of large ones down.
    pub weight: f64,
}

impl Default for DiskIo {
    /// Nothing, in blocks of 8 KiB. Assumption for the block: the page size of SQL Server.
    fn default() -> DiskIo {
        DiskIo { read: ByteRate::default(), write: ByteRate::default(), block: Bytes::new(8192), weight: 1.0 }
    }
}

impl Disk {
    /// The size of its file: the space that it takes, and what a copy copies.
    pub fn file(&self) -> Bytes {
        match self.format {
            DiskFormat::Dynamic => self.used,
            DiskFormat::Fixed => self.size,
        }
    }
}

/// What a host has to do with storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStorage {
    /// Storage migrations allowed at a time, coming and going together; any number where `None`.
    pub migration_limit: Option<u32>,
    /// Where disks go that come without a place of their own.
    pub default: Option<StorageId>,
}

impl Default for HostStorage {
    /// Two at a time: `Get-VMHost | Select MaximumStorageMigrations` on a new Windows Server 2022.
    fn default() -> HostStorage {
        HostStorage { migration_limit: Some(2), default: None }
    }
}
