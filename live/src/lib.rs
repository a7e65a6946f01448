//! Migrations on real hosts, by the machines that the simulation runs.
//!
//! ```text
//!   migtwin live migrate ── control ──▶ agent (source) ═══ pages ═══▶ agent (destination)
//!                                         │                              │
//!                        drive: MigrationController               ledger: prepared,
//!                        journal, ledger: decided                 running
//! ```
//!
//! - [`agent`]: the daemon on a host; [`guest`]: the synthetic guests that it holds, [`memory`] and
//!   [`stamp`] what they write; [`tracking`]: which pages they wrote; [`disk`]: their disks, and
//!   [`storage`] where those are.
//! - [`drive`]: the live driver. It tells the controller what hosts say, by the wall clock, and decides
//!   nothing. [`journal`]: what it was told, and its replay.
//! - `source`: an agent's host side of the driver: rounds over real sockets.
//! - [`ledger`]: whose a guest is, on disk; the rules are [`algorithms::handover`]'s.
//! - [`apply`]: a whole drain over many agents, by the operation that its plan says.
//! - [`probe`]: what migration between two agents would get, and the preset that says so.
//! - [`client`]: commands to agents; [`recover`]: hand-overs that were cut short, brought to their end.
//! - [`lab`]: hosts on one machine, in namespaces of their own.
//! - [`qemu`]: QEMU's virtual machines, over QMP.
//! - [`identity`], [`tls`], [`connection`], [`protocol`]: who may talk, and how.
//!
//! Threads and blocking calls, no async: there is a handful of connections, and pages go as fast as the
//! kernel takes them. Linux only, so far.

pub mod agent;
pub mod apply;
mod bitmap;
pub mod client;
pub mod clock;
pub mod connection;
pub mod disk;
pub mod drive;
pub mod error;
mod files;
pub mod guest;
pub mod identity;
pub mod journal;
pub mod lab;
pub mod ledger;
pub mod machine;
pub mod memory;
pub mod probe;
pub mod process;
pub mod protocol;
pub mod qemu;
pub mod recover;
mod scatter;
mod source;
pub mod stamp;
pub mod steps;
pub mod storage;
mod sync;
pub mod tls;
pub mod token;
pub mod tracking;

pub use agent::{Agent, AgentOptions};
pub use error::LiveError;
