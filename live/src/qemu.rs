//! Real QEMU virtual machines, migrated by the controller that the simulation runs.
//!
//! ```text
//!  MigrationController ── Command ──▶ driver ── QMP ──▶ source QEMU ═══ memory, disks ═══▶ destination QEMU
//!          ▲                            │ ◀── events, query-migrate ──┘                          │
//!          └────────── Input ───────────┘ ◀── events ────────────────────────────────────────────┘
//! ```
//!
//! - [`qmp`]: our client of QEMU's machine protocol; [`message`]: its lines, which nobody need trust.
//! - [`rom`]: a guest of our own that needs no operating system; [`pages`]: proof that its memory arrived.
//! - [`process`]: QEMU processes, two of them a [`pair`]; [`accelerator`]: whether KVM really boots a guest here.
//! - [`attach`]: machines that others have started, and `command_line`: those that are started like them.
//! - [`driver`]: one migration; [`levers`]: what of QEMU's is set for it; [`disks`]: their mirrors.
//! - [`resolution`]: which machine has the guest after something broke, and what makes exactly that one run it.
//! - [`recover`]: runs that were cut short, brought to their end.
//! - [`run`]: a scenario's moves, each between two QEMU processes of this machine.
//!
//! QEMU owns the page loop. Its passes come from `MIGRATION_PASS` events and `query-migrate`, and become the
//! same records that a simulated migration leaves. The destination is started with `-S`: that the guest runs
//! there is the controller's own command, given once the source has said that all is sent. So there is no
//! moment at which two copies run.
//!
//! Facts about QEMU in here were read from its source, 7.2 and 10.0 (`migration/migration.c`,
//! `migration/ram.c`, `qapi/migration.json`), and tried with 7.2.

pub mod accelerator;
pub mod attach;
mod command_line;
pub mod disks;
pub mod driver;
mod error;
pub mod levers;
pub mod message;
pub mod pages;
pub mod pair;
pub mod process;
pub mod qmp;
pub mod recover;
pub mod resolution;
pub mod rom;
pub mod run;
mod status;

pub use error::QemuError;
