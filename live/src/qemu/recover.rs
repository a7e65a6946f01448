//! A run on QEMU machines that was cut short, brought to an end in which exactly one machine runs each
//! guest: `migtwin live recover --qemu DIR`.
//!
//! The machines outlive who drove them, and QEMU goes on by itself with what it was told. So what is under
//! way is first stopped, then both ends are looked at, and [`remedy`] says the rest; whether
//! the guest was told to start at the destination stands in the journal, which is written before it is told.
//!
//! | the source says | done |
//! |---|---|
//! | disks are copied to another place of its own | given up: the guest stays on its old disks |
//! | pre-copy goes on, or waits for leave to hand over | cancelled: the source goes on |
//! | all is sent, and the destination was not told to start | the source goes on, the destination ends |
//! | all is sent, and it was told to | the destination goes on, the source ends |
//! | post-copy | the destination goes on, which pulls what it lacks; the source ends when it has all |

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use algorithms::controller::Command;
use algorithms::hypervisor_loop::LoopCommand;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::QemuError;
use super::process::operator_socket;
use super::qmp::{Qmp, Side};
use super::standing::{Condition, HandOver, Remedy, condition, go_on, remedy};
use super::status::MigrationStatus;
use crate::error::LiveError;
use crate::files;
use crate::journal::{self, Line};
use crate::process;

/// What the files end with that say which machines a migration is between.
const SUFFIX: &str = ".move";

/// More of them than this are no run of ours.
const MOST_MOVES: usize = 100_000;

/// How long a destination may take to pull what it lacks.
const PULLED_WITHIN: Duration = Duration::from_secs(60);

/// How long the rest of a guest may take that was handed over, but for the memory that follows.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);

/// How long block jobs may take to end that are ended by force.
const JOBS_END_WITHIN: Duration = Duration::from_secs(10);

/// A migration of a run, kept beside its journal before it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveNote {
    /// The guest.
    pub vm: String,
    /// The QMP socket of the machine that runs it.
    pub source: PathBuf,
    /// That of the machine that waits for it; `None` where only disks move.
    pub destination: Option<PathBuf>,
    /// The journal.
    pub journal: PathBuf,
}

impl MoveNote {
    /// Keeps it in the run's directory.
    ///
    /// # Errors
    ///
    /// Where the disk cannot be written.
    pub fn keep(&self, directory: &Path, migration: u32) -> Result<(), LiveError> {
        files::replace(&directory.join(format!("{migration:06}{SUFFIX}")), self)
    }
}

/// What became of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Which.
    pub vm: String,
    /// Who runs it.
    pub standing: Remedy,
    /// The QMP socket of the machine that runs it, where one does.
    pub socket: Option<PathBuf>,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.vm, self.standing)?;
        match &self.socket {
            Some(socket) => write!(f, " ({})", socket.display()),
            None => Ok(()),
        }
    }
}

/// Ends every migration of the run in `directory` that was cut short; what became of each guest that moved,
/// by its last migration.
///
/// # Errors
///
/// Where the run still goes on, or what it left cannot be read.
pub fn recover(directory: &Path) -> Result<Vec<Recovered>, LiveError> {
    if let Some(driver) = process::noted(directory)
        && driver.is_running()
    {
        let reason = format!("process {} still drives it; end that first", driver.pid);
        return Err(LiveError::Declined { agent: directory.display().to_string(), reason });
    }
    let mut recovered: Vec<Recovered> = Vec::new();
    for note in last_of_each(notes(directory)?) {
        let hand_over = hand_over(&note.journal)?;
        let mut source = open(&note.source);
        let mut destination = note.destination.as_deref().and_then(open);
        let standing = settle(source.as_mut(), destination.as_mut(), hand_over);
        let socket = match standing {
            Remedy::SourceRuns => Some(note.source),
            Remedy::DestinationRuns => note.destination,
            _ => None,
        };
        recovered.push(Recovered { vm: note.vm, standing, socket });
    }
    Ok(recovered)
}

/// A migration that another of the same guest followed had ended well: its machines are the next one's, and
/// must not be told anything for its sake.
fn last_of_each(notes: Vec<MoveNote>) -> Vec<MoveNote> {
    let mut last: BTreeMap<String, MoveNote> = BTreeMap::new();
    for note in notes {
        last.insert(note.vm.clone(), note);
    }
    last.into_values().collect()
}

fn notes(directory: &Path) -> Result<Vec<MoveNote>, LiveError> {
    let entries = std::fs::read_dir(directory).map_err(LiveError::file("read", directory))?;
    let mut paths = Vec::new();
    for entry in entries.take(MOST_MOVES) {
        let path = entry.map_err(LiveError::file("read", directory))?.path();
        if path.to_string_lossy().ends_with(SUFFIX) {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| files::read(path)).collect()
}

/// Whether the guest was told to start at the destination. A journal that does not exist never told anything.
fn hand_over(journal: &Path) -> Result<HandOver, LiveError> {
    if !journal.exists() {
        return Ok(HandOver::NotOrdered);
    }
    let ordered = |line: &Line| matches!(line, Line::Wanted(Command::Loop(LoopCommand::Resume)));
    let lines = journal::read(journal)?;
    Ok(if lines.iter().any(ordered) { HandOver::Ordered } else { HandOver::NotOrdered })
}

/// A connection to the machine at `socket`, or to its second one; `None` where it is gone.
fn open(socket: &Path) -> Option<Qmp> {
    let second = operator_socket(socket);
    let socket = if second.exists() { second } else { socket.to_path_buf() };
    // Nobody listens to what it says by itself.
    socket.exists().then(|| Qmp::connect(&socket, Side::Source, "recovery", channel().0).ok()).flatten()
}

/// Has exactly one of the two run the guest, where that can be known; `None` is a machine that is gone.
pub fn settle(
    mut source: Option<&mut Qmp>,
    mut destination: Option<&mut Qmp>,
    hand_over: HandOver,
) -> Remedy {
    let post_copy = source.as_deref_mut().is_some_and(is_in_post_copy);
    // What was handed over in QEMU's own way, or may be, cannot be taken back.
    let hand_over = if post_copy { HandOver::Ordered } else { hand_over };
    if let (Some(source), HandOver::NotOrdered) = (source.as_deref_mut(), hand_over) {
        // Where it refuses, its condition says what is to be done.
        let _ = stop_sending(source);
    }
    let there = destination.as_deref_mut().map_or(Condition::Gone, |machine| match hand_over {
        HandOver::Ordered => arrived(machine),
        HandOver::NotOrdered => condition(machine),
    });
    let here = source.as_deref_mut().map_or(Condition::Gone, condition);
    match remedy(here, there, hand_over) {
        found @ (Remedy::SourceRuns | Remedy::ResumeSource) => {
            // Ended before the source goes on, so that nobody can start it any more.
            let _ = quit(destination);
            runs_then(found == Remedy::ResumeSource, source, Remedy::SourceRuns)
        }
        found @ (Remedy::DestinationRuns | Remedy::ResumeDestination) => {
            if let Some(destination) = destination.as_deref_mut() {
                // There is one only where disks were mirrored.
                let _ = destination.execute("nbd-server-stop", json!({}));
            }
            let standing =
                runs_then(found == Remedy::ResumeDestination, destination, Remedy::DestinationRuns);
            if standing == Remedy::DestinationRuns && source.as_deref_mut().is_none_or(has_given_all) {
                let _ = quit(source);
            }
            standing
        }
        other => other,
    }
}

/// What a destination is at to which the guest was handed over: in post-copy it is still taking in the guest's devices for
/// a moment after the source has said that it stands still.
fn arrived(destination: &mut Qmp) -> Condition {
    let until = Instant::now() + ARRIVES_WITHIN;
    loop {
        let found = condition(destination);
        if found != Condition::Receiving || Instant::now() > until {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Lets a machine go on, where it has to; `runs` if it runs then.
fn runs_then(has_to: bool, machine: Option<&mut Qmp>, runs: Remedy) -> Remedy {
    let Some(machine) = machine else { return Remedy::Lost };
    let found = if has_to { go_on(machine) } else { condition(machine) };
    match found {
        Condition::Running => runs,
        Condition::Gone => Remedy::Lost,
        Condition::Standing | Condition::Receiving => Remedy::InDoubt,
    }
}

fn quit(machine: Option<&mut Qmp>) -> Result<(), QemuError> {
    machine.map_or(Ok(()), |machine| machine.execute("quit", json!({})).map(drop))
}

fn is_in_post_copy(source: &mut Qmp) -> bool {
    MigrationStatus::of(source).is_ok_and(|status| status.status.starts_with("postcopy"))
}

/// Waits until the destination has pulled what it lacks; whether the source is needed no more.
fn has_given_all(source: &mut Qmp) -> bool {
    let until = Instant::now() + PULLED_WITHIN;
    while Instant::now() < until {
        match MigrationStatus::of(source) {
            Ok(status) if status.is_over() => return true,
            Ok(_) => std::thread::sleep(Duration::from_millis(20)),
            Err(_) => return true,
        }
    }
    false
}

/// Gives up what the source sends, memory and disks.
fn stop_sending(source: &mut Qmp) -> Result<(), QemuError> {
    super::status::cancel(source)?;
    let mut jobs = mirrors(source)?;
    for job in &jobs {
        source.execute("block-job-cancel", json!({"device": job, "force": true}))?;
    }
    let until = Instant::now() + JOBS_END_WITHIN;
    while !jobs.is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
        let left = mirrors(source)?;
        for ended in jobs.iter().filter(|job| !left.contains(job)) {
            let disk = ended.replacen("mirror", "", 1);
            for copy in [format!("copy{disk}"), format!("disk{disk}m")] {
                // One that is left does no harm but to the next migration, which would say so.
                let _ = source.execute("blockdev-del", json!({"node-name": copy}));
            }
        }
        jobs = left;
    }
    Ok(())
}

/// The mirrors of ours that run at a machine.
fn mirrors(source: &mut Qmp) -> Result<Vec<String>, QemuError> {
    let answer = source.execute("query-block-jobs", json!({}))?;
    let device = |job: &Value| job.get("device")?.as_str().map(String::from);
    let jobs = answer.as_array().into_iter().flatten().filter_map(device);
    Ok(jobs.filter(|job| job.starts_with("mirror")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;

    /// A machine that gives these answers to a command, the last of them for good, and `{}` to all others.
    fn machine(answers: Vec<(&'static str, Vec<Value>)>) -> Qmp {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut answers: BTreeMap<_, _> = answers.into_iter().collect();
            theirs
                .write_all(b"{\"QMP\":{\"version\":{\"qemu\":{\"major\":7,\"minor\":2,\"micro\":0}}}}\n")
                .unwrap();
            for line in BufReader::new(theirs.try_clone().unwrap()).lines().map_while(Result::ok) {
                let command: Value = serde_json::from_str(&line).unwrap();
                let answer = match answers.get_mut(command["execute"].as_str().unwrap()) {
                    Some(left) if left.len() > 1 => left.remove(0),
                    Some(last) => last[0].clone(),
                    None => json!({}),
                };
                let answer = json!({"return": answer, "id": command["id"]});
                if writeln!(theirs, "{answer}").is_err() {
                    return;
                }
            }
        });
        Qmp::over(ours, Side::Source, "a machine", channel().0).unwrap()
    }

    fn states(states: &[&str]) -> Vec<Value> {
        states.iter().map(|state| json!({"status": state})).collect()
    }

    fn source() -> Qmp {
        let migration = states(&["postcopy-active", "postcopy-active", "completed"]);
        machine(vec![("query-status", states(&["finish-migrate"])), ("query-migrate", migration)])
    }

    #[test]
    fn a_destination_that_still_takes_in_devices_in_post_copy_is_waited_for() {
        let there = states(&["inmigrate", "inmigrate", "paused", "running"]);
        let mut destination = machine(vec![("query-status", there)]);
        let found = settle(Some(&mut source()), Some(&mut destination), HandOver::Ordered);
        assert_eq!(found, Remedy::DestinationRuns);
    }

    #[test]
    fn one_that_never_gets_them_leaves_it_in_doubt() {
        let mut destination = machine(vec![("query-status", states(&["inmigrate"]))]);
        let found = settle(Some(&mut source()), Some(&mut destination), HandOver::Ordered);
        assert_eq!(found, Remedy::InDoubt);
    }
}
