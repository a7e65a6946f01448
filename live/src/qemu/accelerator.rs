//! Who runs a guest's instructions: KVM where it really boots a guest, else QEMU's own translator.
//!
//! That `/dev/kvm` exists says little: nested or para-virtual KVM may open and then hang at the far jump
//! out of real mode. So a guest of ours is booted under it, and only one that comes up counts. The same
//! boot tells how fast the guest's time-stamp counter runs.

use std::fmt;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use models::workload::Workload;
use sim_core::Bytes;

use super::QemuError;
use super::process::{Machine, MachineSpec, Role};
use super::rom::{self, GuestState, RomGuest};

/// How long the guest may take to come up under KVM, where it takes a tenth of a second. The same guest
/// has four times as long under the translator, on a busy machine too.
const UP_WITHIN: Duration = Duration::from_secs(5);

/// Over how long the time-stamp counter is measured.
const MEASURED_OVER: Duration = Duration::from_millis(600);

/// Who runs a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceleratorKind {
    /// The processor, through Linux.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl AcceleratorKind {
    /// As QEMU's `-accel` has it.
    pub fn argument(self) -> &'static str {
        match self {
            AcceleratorKind::Kvm => "kvm",
            AcceleratorKind::Tcg => "tcg",
        }
    }
}

impl fmt::Display for AcceleratorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AcceleratorKind::Kvm => "KVM",
            AcceleratorKind::Tcg => "TCG",
        })
    }
}

/// What runs guests here.
#[derive(Debug, Clone, PartialEq)]
pub struct Accelerator {
    /// Who.
    pub kind: AcceleratorKind,
    /// Why, in words for people.
    pub why: String,
    /// Speed of the guest's time-stamp counter, in ticks a second.
    pub ticks_per_sec: f64,
    /// QEMU's version, such as 7, 2, 22.
    pub version: [u64; 3],
}

/// Finds out what runs guests here. `wanted` leaves nothing to find out but whether it does.
///
/// # Errors
///
/// Where a guest does not even come up under the translator, or not under the one wanted.
pub fn probe(
    binary: &str,
    directory: &Path,
    wanted: Option<AcceleratorKind>,
) -> Result<Accelerator, QemuError> {
    let rom = rom::build(directory)?;
    let mut without_kvm = String::from("asked for");
    if wanted != Some(AcceleratorKind::Tcg) {
        match boot(binary, directory, &rom, AcceleratorKind::Kvm) {
            Ok((ticks_per_sec, version)) => {
                let why = "it boots the test guest".into();
                return Ok(Accelerator { kind: AcceleratorKind::Kvm, why, ticks_per_sec, version });
            }
            Err(error) if wanted == Some(AcceleratorKind::Kvm) => return Err(error),
            Err(error) => without_kvm = format!("KVM does not boot a guest here: {error}"),
        }
    }
    let (ticks_per_sec, version) = boot(binary, directory, &rom, AcceleratorKind::Tcg)?;
    Ok(Accelerator { kind: AcceleratorKind::Tcg, why: without_kvm, ticks_per_sec, version })
}

/// Boots a small guest; the speed of its time-stamp counter, and QEMU's version.
fn boot(
    binary: &str,
    directory: &Path,
    rom: &Path,
    kind: AcceleratorKind,
) -> Result<(f64, [u64; 3]), QemuError> {
    if kind == AcceleratorKind::Kvm && !Path::new("/dev/kvm").exists() {
        return Err(QemuError::Guest("has no /dev/kvm to run on".into()));
    }
    let guest = RomGuest::of(Bytes::from_mib(8), &Workload::Idle)?;
    let spec = MachineSpec {
        binary,
        namespace: None,
        name: &format!("probe-{}", kind.argument()),
        directory,
        accelerator: kind,
        memory_mib: 8,
        rom,
        arguments: &guest.loader_arguments(1e9),
        disks: &[],
        role: Role::Boots,
    };
    let mut machine = Machine::start(&spec, channel().0)?;
    let patience = if kind == AcceleratorKind::Kvm { UP_WITHIN } else { 4 * UP_WITHIN };
    wait_until_running(&mut machine, 0, patience)?;
    let before = (Instant::now(), rom::counters(&mut machine.qmp, 0)?.ticks);
    std::thread::sleep(MEASURED_OVER);
    let after = (Instant::now(), rom::counters(&mut machine.qmp, 0)?.ticks);
    let ticks_per_sec = after.1.saturating_sub(before.1) as f64 / (after.0 - before.0).as_secs_f64();
    let version = machine.qmp.version();
    machine.quit();
    if ticks_per_sec < 1e6 {
        return Err(QemuError::Guest(format!("has a time-stamp counter that stands still under {kind}")));
    }
    Ok((ticks_per_sec, version))
}

/// Waits until the guest has filled its memory and writes.
///
/// # Errors
///
/// Where it does not come up within `patience`, or died.
pub fn wait_until_running(machine: &mut Machine, sets: usize, patience: Duration) -> Result<(), QemuError> {
    let until = Instant::now() + patience;
    loop {
        match rom::counters(&mut machine.qmp, sets)?.state {
            GuestState::Running => return Ok(()),
            GuestState::Dead(vector) => {
                return Err(QemuError::Guest(format!("ended with exception {vector}")));
            }
            state if Instant::now() > until => {
                let seconds = patience.as_secs();
                return Err(QemuError::Guest(format!("was still {state:?} after {seconds} s")));
            }
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
