//! What a migration cluster is and does, in virtual time.

pub mod closed_form;
pub mod cluster;
pub mod hardware;
pub mod network;
pub mod transport;
pub mod workload;
pub mod world;
