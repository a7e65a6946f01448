//! The agents of a drain: who they are, where they listen, and what they hold.

use std::collections::BTreeMap;

use algorithms::drain_plan::{Inventory, InventoryDisk, InventoryGuest, InventoryHost};
use algorithms::ids::Name;
use algorithms::operation::Attempt;

use crate::client::Client;
use crate::disk::DiskSpec;
use crate::error::LiveError;
use crate::recover::{Recovered, recover_guest};
use crate::tls::Credentials;

/// Agents by name.
#[derive(Clone)]
pub struct Fleet {
    credentials: Credentials,
    addresses: BTreeMap<Name, String>,
}

impl Fleet {
    /// Agents at these addresses, commanded with these credentials.
    pub fn new(credentials: Credentials, addresses: BTreeMap<Name, String>) -> Fleet {
        Fleet { credentials, addresses }
    }

    /// Where the agent of this name listens.
    ///
    /// # Errors
    ///
    /// [`LiveError::Absent`] where there is none.
    pub fn address(&self, host: &Name) -> Result<&str, LiveError> {
        let known = || self.addresses.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
        self.addresses.get(host).map(String::as_str).ok_or_else(|| LiveError::Absent {
            what: format!("a migration from or to `{host}`"),
            needed: format!("the address of its agent; known are {}", known()),
        })
    }

    /// Connects to the agent of this name.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where there is none, it does not answer, or another agent does.
    pub fn connect(&self, host: &Name) -> Result<Client, LiveError> {
        let address = self.address(host)?;
        let client = Client::connect(address, &self.credentials)?;
        if client.name() == &**host {
            return Ok(client);
        }
        Err(LiveError::Declined {
            agent: address.to_string(),
            reason: format!("it is `{}`, not `{host}`", client.name()),
        })
    }

    /// Brings to its end what earlier attempts to move a guest between these agents have left open, such as a copy that
    /// was prepared when its source was killed.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where one of them does not answer.
    pub(super) fn settle(&self, attempt: &Attempt) -> Result<Vec<Recovered>, LiveError> {
        let addresses = [&attempt.order.source, &attempt.order.destination]
            .map(|host| self.address(host).map(str::to_string));
        let addresses = addresses.into_iter().collect::<Result<Vec<String>, LiveError>>()?;
        recover_guest(&attempt.order.vm, &addresses, &self.credentials)
    }

    /// What all agents hold now.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where an agent does not answer.
    pub fn inventory(&self) -> Result<Inventory, LiveError> {
        let mut inventory = Inventory::default();
        for host in self.addresses.keys() {
            let description = self.connect(host)?.describe()?;
            inventory.hosts.push(InventoryHost { name: host.clone(), memory: description.memory });
            let disk = |disk: &DiskSpec| InventoryDisk {
                name: disk.name.as_str().into(),
                on: disk.on.as_str().into(),
                bytes: disk.bytes,
            };
            inventory.guests.extend(description.guests.into_iter().map(|guest| InventoryGuest {
                name: guest.spec.name.as_str().into(),
                host: host.clone(),
                memory: guest.spec.memory,
                disks: guest.spec.disks.iter().map(disk).collect(),
            }));
        }
        Ok(inventory)
    }
}
