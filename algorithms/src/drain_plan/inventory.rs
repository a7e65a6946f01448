//! Which hosts and guests there are, and whether these are still the ones that a plan was made for.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sim_core::Bytes;

use crate::ids::Name;

/// Hosts and guests by name: what a plan depends on and what real hosts can tell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// The hosts, in any order.
    pub hosts: Vec<InventoryHost>,
    /// The guests, in any order.
    pub guests: Vec<InventoryGuest>,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryHost {
    /// Its name.
    pub name: Name,
    /// Memory that guests can have.
    pub memory: Bytes,
}

/// A guest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryGuest {
    /// Its name.
    pub name: Name,
    /// The host on which it runs.
    pub host: Name,
    /// Its memory.
    pub memory: Bytes,
    /// Its disks, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<InventoryDisk>,
}

/// A disk of a guest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryDisk {
    /// Its name.
    pub name: Name,
    /// The storage location where it is.
    pub on: Name,
    /// The size of its file.
    pub bytes: Bytes,
}

impl Inventory {
    /// A name for exactly these hosts, guests and disks, whatever the order of hosts and of guests: the SHA-256 of a
    /// line for each, in hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        // Names are quoted, so that no name can look like the end of its line.
        let hosts = self.hosts.iter().map(|host| format!("host {:?} {}\n", host.name, host.memory.get()));
        let guests = self.guests.iter();
        let guests =
            guests.map(|guest| format!("guest {:?} {:?} {}\n", guest.name, guest.host, guest.memory.get()));
        let disks = self.guests.iter().flat_map(|guest| {
            // A guest's disks have an order: moves name them by their places.
            let line = |(place, disk): (usize, &InventoryDisk)| {
                let InventoryDisk { name, on, bytes } = disk;
                format!("disk {:?} {place} {name:?} {on:?} {}\n", guest.name, bytes.get())
            };
            guest.disks.iter().enumerate().map(line)
        });
        let mut lines: Vec<String> = hosts.chain(guests).chain(disks).collect();
        lines.sort();
        let digest = Sha256::digest(lines.concat());
        digest.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The first disk, and whose it is.
    pub(super) fn first_disk(&self) -> Option<(Name, Name)> {
        self.guests.iter().find_map(|guest| Some((guest.name.clone(), guest.disks.first()?.name.clone())))
    }

    /// The first thing in which `now` is another inventory, in words; `None` where it is not.
    pub fn difference(&self, now: &Inventory) -> Option<String> {
        self.host_difference(now).or_else(|| self.guest_difference(now))
    }

    fn host_difference(&self, now: &Inventory) -> Option<String> {
        let by_name = |inventory: &Inventory| -> BTreeMap<Name, Bytes> {
            inventory.hosts.iter().map(|host| (host.name.clone(), host.memory)).collect()
        };
        let (before, after) = (by_name(self), by_name(now));
        let changed = before.iter().find_map(|(name, memory)| match after.get(name) {
            None => Some(format!("host `{name}` is gone")),
            Some(other) if other != memory => Some(format!("host `{name}` had {memory} and has {other}")),
            Some(_) => None,
        });
        let new = || after.keys().find(|name| !before.contains_key(*name));
        changed.or_else(|| new().map(|name| format!("host `{name}` is new")))
    }

    fn guest_difference(&self, now: &Inventory) -> Option<String> {
        let by_name = |inventory: &Inventory| -> BTreeMap<Name, InventoryGuest> {
            inventory.guests.iter().map(|guest| (guest.name.clone(), guest.clone())).collect()
        };
        let (before, after) = (by_name(self), by_name(now));
        let changed = before.iter().find_map(|(name, guest)| match after.get(name) {
            None => Some(format!("guest `{name}` is gone")),
            Some(other) if other.host != guest.host => {
                Some(format!("guest `{name}` ran on `{}` and runs on `{}`", guest.host, other.host))
            }
            Some(other) if other.memory != guest.memory => {
                Some(format!("guest `{name}` had {} and has {}", guest.memory, other.memory))
            }
            Some(other) => disk_difference(guest, other),
        });
        let new = || after.keys().find(|name| !before.contains_key(*name));
        changed.or_else(|| new().map(|name| format!("guest `{name}` is new")))
    }
}

/// The first thing in which the disks of a guest are others.
fn disk_difference(before: &InventoryGuest, after: &InventoryGuest) -> Option<String> {
    let guest = &before.name;
    let of = |disks: &[InventoryDisk], name: &Name| disks.iter().find(|disk| disk.name == *name).cloned();
    let changed = before.disks.iter().find_map(|disk| {
        let name = &disk.name;
        match of(&after.disks, name) {
            None => Some(format!("disk `{name}` of guest `{guest}` is gone")),
            Some(other) if other.on != disk.on => Some(format!(
                "disk `{name}` of guest `{guest}` was on `{}` and is on `{}`",
                disk.on, other.on
            )),
            Some(other) if other.bytes != disk.bytes => {
                Some(format!("disk `{name}` of guest `{guest}` had {} and has {}", disk.bytes, other.bytes))
            }
            Some(_) => None,
        }
    });
    let new = || {
        let new = after.disks.iter().find(|disk| of(&before.disks, &disk.name).is_none())?;
        Some(format!("disk `{}` of guest `{guest}` is new", new.name))
    };
    let order = || {
        (before.disks != after.disks).then(|| format!("the disks of guest `{guest}` are in another order"))
    };
    changed.or_else(new).or_else(order)
}
