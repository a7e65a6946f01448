//! A run on QEMU machines that was cut short, brought to an end in which exactly one machine runs each
//! guest: `migtwin live recover --qemu DIR`.
//!
//! The machines outlive who drove them, and QEMU goes on by itself with what it was told. Both ends are looked at and
//! brought to one end by [`Machines::settle`], as by a driver that gives up. Whether the guest was told to start at the
//! destination, and whether somebody had paused it, is in the journal, which is written first.
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

use algorithms::controller::{Command, Input};
use algorithms::hypervisor_loop::{LoopCommand, LoopInput};
use algorithms::journal::Entry;
use serde::{Deserialize, Serialize};

use super::process::operator_socket;
use super::qmp::{Notices, Qmp, Side};
use super::resolution::{HandOver, Machines, WhoRuns, Wish};
use crate::error::LiveError;
use crate::files;
use crate::journal;
use crate::process;

/// What the files end with that say which machines a migration is between.
const SUFFIX: &str = ".move";

/// More of them than this are no run of ours.
const MOST_MOVES: usize = 100_000;

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
    pub runs: WhoRuns,
    /// The QMP socket of the machine that has it, where one does.
    pub socket: Option<PathBuf>,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.vm, self.runs)?;
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
        let runs = settle(&note)?;
        let socket = match runs {
            WhoRuns::Source | WhoRuns::SourcePaused => Some(note.source),
            WhoRuns::Destination | WhoRuns::DestinationPaused => note.destination,
            WhoRuns::InDoubt | WhoRuns::Lost | WhoRuns::Both => None,
        };
        recovered.push(Recovered { vm: note.vm, runs, socket });
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

/// Brings one migration to its end.
fn settle(note: &MoveNote) -> Result<WhoRuns, LiveError> {
    let (hand_over, wish) = told(&note.journal)?;
    let (tell, notices) = channel();
    let mut source = open(&note.source, Side::Source, tell.clone());
    let mut destination = note.destination.as_deref().and_then(|path| open(path, Side::Destination, tell));
    let machines = Machines {
        source: source.as_mut(),
        destination: destination.as_mut(),
        notices: &notices,
        hand_over,
        wish,
        ran: false,
    };
    Ok(machines.settle())
}

/// Returns whether the guest was told to start at the destination or to stay paused there, and whether somebody had
/// paused it. A journal that does not exist never told anything.
fn told(journal: &Path) -> Result<(HandOver, Wish), LiveError> {
    let (mut hand_over, mut wish) = (HandOver::NotOrdered, Wish::Running);
    if !journal.exists() {
        return Ok((hand_over, wish));
    }
    for entry in journal::read(journal)? {
        match entry {
            Entry::Wanted(Command::Loop(LoopCommand::Resume | LoopCommand::LeavePaused)) => {
                hand_over = HandOver::Ordered;
            }
            Entry::Told(_, Input::Loop(LoopInput::PausedByOther)) => wish = Wish::Paused,
            Entry::Told(_, Input::Loop(LoopInput::ResumedByOther | LoopInput::Resumed)) => {
                wish = Wish::Running
            }
            _ => {}
        }
    }
    Ok((hand_over, wish))
}

/// Connects to the machine at `socket`, or to its second one; `None` where it is gone.
fn open(socket: &Path, side: Side, notices: Notices) -> Option<Qmp> {
    let second = operator_socket(socket);
    let socket = if second.exists() { second } else { socket.to_path_buf() };
    socket.exists().then(|| Qmp::connect(&socket, side, "recovery", notices).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;

    fn settle(source: &mut Qmp, destination: &mut Qmp) -> WhoRuns {
        let (hand_over, notices) = (HandOver::Ordered, &channel().1);
        let (source, destination) = (Some(source), Some(destination));
        Machines { source, destination, notices, hand_over, wish: Wish::Running, ran: false }.settle()
    }

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
        let found = settle(&mut source(), &mut destination);
        assert_eq!(found, WhoRuns::Destination);
    }

    #[test]
    fn one_that_never_gets_them_leaves_it_in_doubt() {
        let mut destination = machine(vec![("query-status", states(&["inmigrate"]))]);
        let found = settle(&mut source(), &mut destination);
        assert_eq!(found, WhoRuns::InDoubt);
    }
}
