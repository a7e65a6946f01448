//! Virtual machines that others have started: attached to by their QMP sockets, and migrated like ours.
//!
//! The source runs its guest; the destination waits for it. Either somebody has started that too, with
//! `-incoming defer -S`, or it is started here, with the source's own command line. What cannot be is refused before
//! anything is touched: versions, a guest that does not run, a destination that does not wait, memory that is
//! not the scenario's.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sim_core::Bytes;

use super::QemuError;
use super::command_line::{destination_arguments, waits_for_leave};
use super::process::Machine;
use super::qmp::{Notices, Qmp, Side};
use super::status::MigrationStatus;

/// Older ones lack capabilities that are always set.
const OLDEST: [u64; 2] = [7, 2];

/// A longer command line is none of QEMU's.
const LONGEST_COMMAND_LINE: u64 = 2 << 20;

/// A virtual machine of somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The guest's name in the scenario.
    pub vm: String,
    /// The QMP socket of the QEMU that runs it.
    pub source: PathBuf,
    /// That of the QEMU that waits for it; `None` to have one started with the source's command line.
    pub incoming: Option<PathBuf>,
}

/// Attaches to the machine that runs a guest of `memory`.
///
/// # Errors
///
/// Where it is not there, or is no machine that can be migrated from here.
pub(super) fn source(attached: &Attached, memory: Bytes) -> Result<Machine, QemuError> {
    let mut machine =
        Machine::attach(&attached.source, Side::Source, &attached.vm, std::sync::mpsc::channel().0)?;
    check_version(&attached.vm, &machine.qmp)?;
    let state = machine.qmp.run_state()?;
    if state != "running" {
        let words = format!("its guest is {state}; only one that runs is migrated live");
        return Err(refused(&attached.vm, &words));
    }
    let status = MigrationStatus::of(&mut machine.qmp)?;
    if !status.is_over() {
        return Err(refused(&attached.vm, &format!("a migration of it is {} already", status.status)));
    }
    let found = memory_of(&mut machine.qmp)?;
    if found != memory {
        let words = format!("it has {found} of memory, and the scenario says {memory}");
        return Err(refused(&attached.vm, &words));
    }
    Ok(machine)
}

/// The machine that the guest of `home` is to go to: `incoming`, or one that is started beside it for its
/// `generation`-th move.
///
/// # Errors
///
/// Where it does not wait for a guest, or is older than `home`, or cannot be started.
pub(super) fn destination(
    vm: &str,
    home: &Machine,
    incoming: Option<&Path>,
    generation: u32,
    notices: Notices,
) -> Result<Machine, QemuError> {
    let mut machine = match incoming {
        Some(socket) => Machine::attach(socket, Side::Destination, vm, notices)?,
        None => start_like(vm, home, generation, notices)?,
    };
    let result = check_destination(vm, home, &mut machine);
    if result.is_err() && incoming.is_none() {
        machine.quit();
    }
    result.map(|()| machine)
}

fn check_destination(vm: &str, home: &Machine, machine: &mut Machine) -> Result<(), QemuError> {
    check_version(vm, &machine.qmp)?;
    let (from, to) = (home.qmp.version(), machine.qmp.version());
    if to[..2] < from[..2] {
        let words = format!(
            "QEMU {}.{} waits for a guest of {}.{}: guests go to the same version or a later one",
            to[0], to[1], from[0], from[1]
        );
        return Err(refused(vm, &words));
    }
    let state = machine.qmp.run_state()?;
    let status = MigrationStatus::of(&mut machine.qmp)?.status;
    if state != "inmigrate" || !(status.is_empty() || status == "none") {
        let words = format!(
            "the machine at {} does not wait for a guest that it is told of later (it is {state}); start it with \
             -incoming defer -S",
            machine.socket().display()
        );
        return Err(refused(vm, &words));
    }
    // Where its process is not to be seen, it shows when the guest runs before it was told to.
    if let Some(found) = process_of(machine.socket())
        && !waits_for_leave(&found.arguments)
    {
        let words = "the waiting machine was started without -S: it would run the guest before it is told to; \
                     start it with -incoming defer -S";
        return Err(refused(vm, words));
    }
    Ok(())
}

fn check_version(vm: &str, qmp: &Qmp) -> Result<(), QemuError> {
    let [major, minor, _] = qmp.version();
    if [major, minor] < OLDEST {
        let words = format!("it is QEMU {major}.{minor}; 7.2 is the oldest that can be driven");
        return Err(refused(vm, &words));
    }
    Ok(())
}

fn memory_of(qmp: &mut Qmp) -> Result<Bytes, QemuError> {
    let answer = qmp.execute("query-memory-size-summary", json!({}))?;
    let base = answer.get("base-memory").and_then(Value::as_u64);
    base.map(Bytes::new).ok_or_else(|| qmp.unexpected("query-memory-size-summary", &answer))
}

fn refused(vm: &str, words: &str) -> QemuError {
    QemuError::Scenario(format!("virtual machine `{vm}`: {words}"))
}

/// A QEMU process, as the system shows it.
struct Found {
    pid: u32,
    arguments: Vec<String>,
}

/// The process whose command line names this socket.
fn process_of(socket: &Path) -> Option<Found> {
    let name = socket.to_str()?;
    let entries = std::fs::read_dir("/proc").ok()?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some(Found { pid, arguments: command_line(pid)? })).find(|found| {
        let program = found.arguments.first().map(Path::new).and_then(Path::file_name);
        let of_qemu = program.is_some_and(|program| program.to_string_lossy().contains("qemu"));
        let names = |argument: &String| {
            let parts = argument.split([',', '=']).map(|part| part.strip_prefix("unix:").unwrap_or(part));
            parts.into_iter().any(|part| part == name)
        };
        of_qemu && found.arguments.iter().any(names)
    })
}

fn command_line(pid: u32) -> Option<Vec<String>> {
    use std::io::Read;
    let file = std::fs::File::open(format!("/proc/{pid}/cmdline")).ok()?;
    let mut text = Vec::new();
    file.take(LONGEST_COMMAND_LINE).read_to_end(&mut text).ok()?;
    let arguments =
        text.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned());
    let mut arguments: Vec<String> = arguments.collect();
    // The last argument ends with a zero too.
    arguments.pop();
    Some(arguments)
}

/// Starts a machine like that of `home`, which waits for its guest at sockets beside `home`'s.
fn start_like(vm: &str, home: &Machine, generation: u32, notices: Notices) -> Result<Machine, QemuError> {
    let yourself =
        "start the destination yourself, with -incoming defer -S, and name its socket by --incoming";
    let unseen = || {
        let socket = home.socket().display();
        refused(vm, &format!("no process is seen whose command line names {socket}; {yourself}"))
    };
    let found = process_of(home.socket()).ok_or_else(unseen)?;
    let (_, arguments) = found.arguments.split_first().ok_or_else(unseen)?;
    let arguments =
        destination_arguments(arguments).map_err(|words| refused(vm, &format!("{words}; {yourself}")))?;
    let link = |name: &str| std::fs::read_link(format!("/proc/{}/{name}", found.pid)).map_err(|_| unseen());
    let socket = home.socket().with_extension(format!("{generation}.qmp"));
    let mut command = Command::new(link("exe")?);
    command.args(arguments).arg("-qmp").arg(format!("unix:{},server=on,wait=off", socket.display()));
    command.args(["-incoming", "defer", "-S"]).current_dir(link("cwd")?).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Machine::spawn(command, socket, Side::Destination, vm, notices)
}
