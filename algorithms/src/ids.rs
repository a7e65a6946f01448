//! Names and numbers for hosts, guests and migrations.
//!
//! Inside a run everything is addressed by a small number, which is an index into the checked
//! model; names are for people and stand in the records.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A name as written in a scenario, shared rather than copied.
pub type Name = Arc<str>;

macro_rules! index_type {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub u32);

        impl $type {
            /// The number as an index into a slice.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index_type!(
    /// A host, by its place in the model's list of hosts.
    HostId
);
index_type!(
    /// A virtual machine, by its place in the model's list of guests.
    VmId
);
index_type!(
    /// One migration of one guest, numbered in the order in which they were asked for.
    MigrationId
);
index_type!(
    /// A storage location, by its place in the model's list of them.
    StorageId
);
