//! Drives migrations on real hosts with the machines that the simulation runs.
//!
//! - [`qemu`]: QEMU's virtual machines, over QMP.

pub mod qemu;
