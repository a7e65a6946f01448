//! QEMU processes of our own: started in a directory, ended with their owner.
//!
//! A machine that we started is killed by its process id when its [`Machine`] is dropped, unless it was let
//! go; one of somebody else's, that we [attached](Machine::attach) to, is only left. Where we are killed ourselves, the machines stay: a guest must not die with who moves it. Their
//! sockets stand in the directory of the run, where [`recover`](super::recover) finds them.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::QemuError;
use super::accelerator::AcceleratorKind;
use super::qmp::{Notices, Qmp, Side};

/// The program that is run where none is named.
pub const QEMU: &str = "qemu-system-x86_64";

/// A QEMU process to start.
#[derive(Debug, Clone)]
pub struct MachineSpec<'a> {
    /// The program, such as [`QEMU`].
    pub binary: &'a str,
    /// The network namespace to start it in; `None` for ours.
    pub namespace: Option<&'a str>,
    /// Its name, which its files in the directory begin with.
    pub name: &'a str,
    /// Where its socket and log are to be.
    pub directory: &'a Path,
    /// Who runs its instructions.
    pub accelerator: AcceleratorKind,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// The ROM that it boots.
    pub rom: &'a Path,
    /// What else it is told, such as the guest's parameters.
    pub arguments: &'a [String],
    /// Its disks: raw images, which exist.
    pub disks: &'a [PathBuf],
    /// Whether it boots or waits.
    pub role: Role,
}

/// Whether a machine boots or waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It boots and runs.
    Boots,
    /// It waits for a migration, and does not run when that is done before it is told to.
    Receives,
}

/// A QEMU process of ours and the connection to it.
#[derive(Debug)]
pub struct Machine {
    /// The connection.
    pub qmp: Qmp,
    /// `None` for one that is not ours, or not any more.
    child: Option<Child>,
    socket: PathBuf,
    log: PathBuf,
}

impl Machine {
    /// Starts a machine. What happens there goes to `notices`.
    ///
    /// # Errors
    ///
    /// Where the program is missing, or ends before it can be talked to; with what it said.
    pub fn start(spec: &MachineSpec<'_>, notices: Notices) -> Result<Machine, QemuError> {
        let socket = spec.directory.join(format!("{}.qmp", spec.name));
        let (program, arguments) = command_line(spec, &socket);
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        // A group of its own: Ctrl-C is meant for us, and QEMU would end by it.
        command.process_group(0);
        let side = if spec.role == Role::Boots { Side::Source } else { Side::Destination };
        Machine::spawn(command, socket, side, spec.name, notices)
    }

    /// Attaches to a machine of somebody else's, by its QMP socket, which nobody else may be using.
    ///
    /// # Errors
    ///
    /// Where nobody answers there, or one who does not speak QMP.
    pub fn attach(socket: &Path, side: Side, name: &str, notices: Notices) -> Result<Machine, QemuError> {
        // Its own, whatever directory whoever needs it later is in.
        let path = socket.canonicalize();
        let socket = path.map_err(|source| QemuError::File { path: socket.into(), source })?;
        let qmp = Qmp::connect(&socket, side, name, notices)?;
        Ok(Machine { qmp, child: None, socket, log: PathBuf::new() })
    }

    /// Starts a machine by a command that has it listen at `socket`; beside that stands what it logs.
    ///
    /// # Errors
    ///
    /// Where it ends before it can be talked to; with what it said.
    pub(super) fn spawn(
        mut command: Command,
        socket: PathBuf,
        side: Side,
        name: &str,
        notices: Notices,
    ) -> Result<Machine, QemuError> {
        let log = socket.with_extension("log");
        let file = File::create(&log).map_err(|source| QemuError::File { path: log.clone(), source })?;
        let program = command.get_program().to_string_lossy().into_owned();
        let package = if program == "ip" { "iproute2" } else { "qemu-system-x86" };
        let missing = |source| QemuError::Missing { program: program.clone(), package, source };
        let mut child = command.stderr(file).spawn().map_err(missing)?;
        match connect(&mut child, &socket, side, name, notices) {
            Ok(qmp) => Ok(Machine { qmp, child: Some(child), socket, log }),
            Err(error) => {
                end(&mut child);
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                if said.trim().is_empty() {
                    return Err(error);
                }
                Err(QemuError::Program { program, words: said.trim().into() })
            }
        }
    }

    /// Lets it go: it outlives this program.
    pub fn let_go(&mut self) {
        self.child = None;
    }

    /// Connects anew, so that what happens here goes to other `notices`, as from `side`.
    ///
    /// # Errors
    ///
    /// Where it does not take the new connection.
    pub fn reconnect(&mut self, side: Side, name: &str, notices: Notices) -> Result<(), QemuError> {
        // QEMU serves one client at a socket: the old one has to be gone first.
        self.qmp.close();
        self.qmp = Qmp::connect(&self.socket, side, name, notices)?;
        Ok(())
    }

    /// Its process id, where it is ours: QEMU's own, also in a namespace, for `ip netns exec` becomes the program.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether the process has ended; of one that is not ours, nothing is known.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A second socket, for who looks on or mends: QEMU serves one client at each.
    pub fn operator_socket(&self) -> PathBuf {
        operator_socket(&self.socket)
    }

    /// What it said on standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it as a power failure would, where it is ours.
    pub fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            end(child);
        }
    }

    /// Ends it in good order: `quit`, and for who does not listen, a kill.
    pub fn quit(&mut self) {
        // One that does not answer is killed below.
        let _ = self.qmp.execute("quit", json!({}));
        let until = Instant::now() + Duration::from_secs(5);
        while !self.has_ended() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        self.kill();
        // QEMU removes its socket when it ends in order; a killed one does not.
        let _ = std::fs::remove_file(&self.socket);
        let _ = std::fs::remove_file(self.operator_socket());
    }
}

/// The second socket of the machine whose first is `socket`.
pub fn operator_socket(socket: &Path) -> PathBuf {
    socket.with_extension("operator")
}

fn end(child: &mut Child) {
    // A process that has ended and was waited for cannot be killed, which is as well.
    let _ = child.kill();
    let _ = child.wait();
}

fn connect(
    child: &mut Child,
    socket: &Path,
    side: Side,
    name: &str,
    notices: Notices,
) -> Result<Qmp, QemuError> {
    let until = Instant::now() + Duration::from_secs(10);
    while !socket.exists() && Instant::now() < until {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(QemuError::Gone { who: name.into(), words: format!("it ended at once, {status}") });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Qmp::connect(socket, side, name, notices)
}

fn command_line(spec: &MachineSpec<'_>, socket: &Path) -> (OsString, Vec<OsString>) {
    let mut line: Vec<OsString> = Vec::new();
    if let Some(namespace) = spec.namespace {
        line.extend(["ip", "netns", "exec", namespace].map(Into::into));
    }
    line.push(spec.binary.into());
    let fixed = "-no-user-config -nodefaults -display none -machine pc -cpu qemu64 -smp 1";
    line.extend(fixed.split(' ').map(Into::into));
    line.extend(["-name".into(), spec.name.into()]);
    line.extend(["-accel".into(), spec.accelerator.argument().into()]);
    line.extend(["-m".into(), format!("{}M", spec.memory_mib).into()]);
    line.extend(["-bios".into(), spec.rom.into()]);
    let mut listen = OsString::from("unix:");
    listen.push(socket);
    listen.push(",server=on,wait=off");
    line.extend(["-qmp".into(), listen]);
    let mut operator = OsString::from("unix:");
    operator.push(operator_socket(socket));
    operator.push(",server=on,wait=off");
    line.extend(["-qmp".into(), operator]);
    for (number, disk) in spec.disks.iter().enumerate() {
        let mut drive = OsString::from("file,filename=");
        drive.push(disk);
        drive.push(format!(",node-name=file{number}"));
        line.extend(["-blockdev".into(), drive]);
        let node = format!("raw,file=file{number},node-name=disk{number}");
        line.extend(["-blockdev".into(), node.into()]);
        line.extend(["-device".into(), format!("virtio-blk-pci,id=drive{number},drive=disk{number}").into()]);
    }
    line.extend(spec.arguments.iter().map(Into::into));
    if spec.role == Role::Receives {
        line.extend(["-incoming", "defer", "-S"].map(Into::into));
    }
    let program = line.remove(0);
    (program, line)
}
