//! An agent as the host of the controller that the simulation runs, told by the wall clock.
//!
//! ```text
//!   host side ── Answer ──▶ AgentHost ── settle ──▶ Journalled(MigrationController)
//!       ▲                     │  ◀── Command, Record ──────────┘
//!       └──── carry_out ──────┘
//! ```
//!
//! It decides nothing. The host side is handed each command, must not keep the driver waiting, and sends its
//! [`Answer`] when it has one; so do those who cancel.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use algorithms::controller::{Command, Input, MigrationController};
use algorithms::journal::{Journal, Journalled};
use algorithms::machine::{Host, WaitingHost, run};
use algorithms::records::{Outcome, Record};
use sim_core::SimTime;

use crate::clock::WallClock;
use crate::error::LiveError;
use crate::journal::Entry;

/// The controller looks at the clock at least this often.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What a host side says.
#[derive(Debug)]
pub enum Answer {
    /// For the controller.
    Input(Input),
    /// The guest was handed over, and it cannot be known by now whether it arrived: the driver ends,
    /// and leaves it to recovery. Why it is so.
    InDoubt(String),
}

/// The controller with its journal. It is begun before anything else is, so that whatever was begun has a journal.
pub type Controller<J> = Journalled<MigrationController, J>;

/// Drives a migration, of which nothing was told yet, to its end.
///
/// # Errors
///
/// [`LiveError::InDoubt`] where the host side says so; any other where the host side fails to take a command.
pub fn drive<J: Journal<Entry, Error = LiveError>>(
    mut controller: Controller<J>,
    clock: WallClock,
    answers: &Receiver<Answer>,
    carry_out: impl FnMut(Command) -> Result<(), LiveError>,
    keep: impl FnMut(Record),
) -> Result<Outcome, LiveError> {
    let guest = controller.machine().order().vm.to_string();
    let mut host = AgentHost { guest, clock, answers, carry_out, keep };
    run(&mut controller, (clock.now(), Input::Begin), &mut host)
}

struct AgentHost<'a, C, K> {
    guest: String,
    clock: WallClock,
    answers: &'a Receiver<Answer>,
    carry_out: C,
    keep: K,
}

impl<J, C, K> Host<Controller<J>> for AgentHost<'_, C, K>
where
    J: Journal<Entry, Error = LiveError>,
    C: FnMut(Command) -> Result<(), LiveError>,
    K: FnMut(Record),
{
    type Error = LiveError;

    fn carry_out(&mut self, _: SimTime, command: Command) -> Result<Option<Input>, LiveError> {
        (self.carry_out)(command)?;
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        (self.keep)(record);
    }
}

impl<J, C, K> WaitingHost<Controller<J>> for AgentHost<'_, C, K>
where
    J: Journal<Entry, Error = LiveError>,
    C: FnMut(Command) -> Result<(), LiveError>,
    K: FnMut(Record),
{
    fn wait(&mut self, until: SimTime) -> Result<(SimTime, Input), LiveError> {
        let patience = self.clock.until(until).unwrap_or(LONGEST_WAIT);
        let in_doubt = |reason: String| LiveError::InDoubt { guest: self.guest.clone(), reason };
        let input = match self.answers.recv_timeout(patience) {
            Ok(Answer::Input(input)) => input,
            Ok(Answer::InDoubt(reason)) => return Err(in_doubt(reason)),
            Err(RecvTimeoutError::Timeout) => Input::Tick,
            Err(RecvTimeoutError::Disconnected) => return Err(in_doubt("its host side has ended".into())),
        };
        Ok((self.clock.now(), input))
    }
}
