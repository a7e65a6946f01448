//! Processes that we started, and how they are ended without ever touching another's.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::error::LiveError;
use crate::files;

/// A process that was told to end is waited for so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process: its number, which will be used again, and when it was started, which will not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it was started, in the kernel's ticks since the machine was.
    pub started: u64,
}

impl Process {
    /// The process of this number, if there is one.
    pub fn find(pid: u32) -> Option<Process> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is a name in brackets, which may hold anything. A zombie has ended.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        (state != "Z").then_some(Process { pid, started })
    }

    /// Whether it still runs.
    pub fn is_running(self) -> bool {
        Process::find(self.pid) == Some(self)
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it may not be killed, or does not go.
    pub fn kill(self) -> Result<(), LiveError> {
        let what = || format!("end process {}", self.pid);
        if let Some(pid) = Pid::from_raw(self.pid as i32)
            && self.is_running()
            && let Err(error) = kill_process(pid, Signal::KILL)
            && self.is_running()
        {
            return Err(LiveError::system(what())(error.into()));
        }
        let began = Instant::now();
        while self.is_running() {
            if began.elapsed() > PATIENCE {
                return Err(LiveError::system(what())(std::io::Error::other("it does not go")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Where an agent says who it is, in its directory.
pub fn pid_file(directory: &Path) -> PathBuf {
    directory.join("agent.pid")
}

/// Notes that this process is the agent of `directory`.
///
/// # Errors
///
/// [`LiveError`] where another that runs is, or the file cannot be written.
pub fn claim(directory: &Path) -> Result<(), LiveError> {
    let path = pid_file(directory);
    if let Some(other) = noted(directory)
        && other.is_running()
    {
        return Err(LiveError::Declined {
            agent: "the directory".into(),
            reason: format!("an agent uses {} already: process {}", directory.display(), other.pid),
        });
    }
    let own = Process::find(std::process::id());
    own.map_or(Ok(()), |own| files::replace(&path, &own))
}

/// The process that noted itself as the agent of `directory`.
pub fn noted(directory: &Path) -> Option<Process> {
    files::read(&pid_file(directory)).ok()
}
