//! Two QEMU machines: one that runs a guest, one that waits for it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::QemuError;
use super::accelerator::{Accelerator, wait_until_running};
use super::process::{Machine, MachineSpec, Role};
use super::qmp::{Notice, Side};
use super::rom::{self, RomGuest};

/// How long a guest may take to fill its memory.
const FILLED_WITHIN: Duration = Duration::from_secs(120);

/// What to start.
#[derive(Debug, Clone)]
pub struct PairSpec<'a> {
    /// The program.
    pub binary: &'a str,
    /// Where sockets and logs are to be; its path must be short, for a socket's has 107 bytes at most.
    pub directory: &'a Path,
    /// Who runs the guest's instructions.
    pub accelerator: &'a Accelerator,
    /// The guest's name.
    pub name: &'a str,
    /// What it does.
    pub guest: &'a RomGuest,
    /// Its disks, at the source and at the destination: raw images of the same sizes.
    pub disks: Ends<Vec<PathBuf>>,
    /// The network namespaces of the two; `None` for ours.
    pub namespaces: Ends<Option<String>>,
}

/// Something of the source and something of the destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends<T> {
    /// The source's.
    pub source: T,
    /// The destination's.
    pub destination: T,
}

/// The two machines. Both are killed when this is dropped.
#[derive(Debug)]
pub struct Pair {
    /// Runs the guest.
    pub source: Machine,
    /// Waits for it.
    pub destination: Machine,
    /// What both say by themselves.
    pub notices: Receiver<(Side, Notice)>,
}

impl Pair {
    /// Starts both, and waits until the guest has filled its memory.
    ///
    /// # Errors
    ///
    /// Where one does not start, or the guest does not come up.
    pub fn start(spec: &PairSpec<'_>) -> Result<Pair, QemuError> {
        let rom = rom::build(spec.directory)?;
        let (tell, notices) = channel();
        let loader = spec.guest.loader_arguments(spec.accelerator.ticks_per_sec);
        let machine = |name: &str, namespace: &'_ Option<String>, disks: &[PathBuf], role| {
            // The destination's memory comes from the source.
            let arguments: &[String] = if role == Role::Boots { &loader } else { &[] };
            let spec = MachineSpec {
                binary: spec.binary,
                namespace: namespace.as_deref(),
                name,
                directory: spec.directory,
                accelerator: spec.accelerator.kind,
                memory_mib: spec.guest.memory.get() >> 20,
                rom: &rom,
                arguments,
                disks,
                role,
            };
            Machine::start(&spec, tell.clone())
        };
        let PairSpec { name, disks, namespaces, .. } = spec;
        let from = format!("{name}-source");
        let mut source = machine(&from, &namespaces.source, &disks.source, Role::Boots)?;
        let to = format!("{name}-destination");
        let destination = machine(&to, &namespaces.destination, &disks.destination, Role::Receives)?;
        wait_until_running(&mut source, spec.guest.sets.len(), FILLED_WITHIN)?;
        Ok(Pair { source, destination, notices })
    }
}
