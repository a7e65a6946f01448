//! The live driver: the controller that the simulation runs, told by real hosts, by the wall clock.
//!
//! ```text
//!   host side ── Answer ──▶ drive ── handle ──▶ MigrationController
//!       ▲                     │  ◀── poll ────────────┘
//!       └──── carry_out ──────┤
//!                             └──▶ journal, records
//! ```
//!
//! It decides nothing. A host side is whatever carries out commands: it is handed each, must not keep the
//! driver waiting, and sends its [`Answer`] when it has one; so do those who cancel. Our agents' is
//! `source`; a hypervisor's goes through the same door.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use algorithms::controller::{Command, Input, MigrationController, MigrationOrder};
use algorithms::machine::Output;
use algorithms::records::{Outcome, Record};

use crate::clock::WallClock;
use crate::error::LiveError;
use crate::journal::{Journal, Line};

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

/// Drives a migration to its end.
///
/// # Errors
///
/// [`LiveError::InDoubt`] where the host side says so; any other where a journal cannot be written or
/// the host side fails to take a command.
pub fn drive(
    order: MigrationOrder,
    clock: WallClock,
    journal: &mut Journal,
    answers: &Receiver<Answer>,
    mut carry_out: impl FnMut(Command) -> Result<(), LiveError>,
    mut keep: impl FnMut(Record),
) -> Result<Outcome, LiveError> {
    let guest = order.vm.to_string();
    let mut controller = MigrationController::new(order);
    let mut notes = Notes { journal, decided: false };
    let mut input = Input::Begin;
    loop {
        let now = clock.now();
        match controller.handle(now, input.clone()) {
            Ok(()) => notes.write(&Line::Told(now, input))?,
            // The machine is as it was: it waits for what it waited for.
            Err(refused) => tracing::warn!(%guest, %refused, "a host said what it should not have"),
        }
        let until = loop {
            match controller.poll() {
                Output::Command(command) => {
                    notes.write(&Line::Wanted(command))?;
                    notes.decided |= command == Command::Commit;
                    carry_out(command)?;
                }
                Output::Record(record) => keep(record),
                Output::Wait(until) => break until,
                Output::Done(outcome) => {
                    notes.write(&Line::Ended(outcome))?;
                    return Ok(outcome);
                }
            }
        };
        let patience = clock.until(until).unwrap_or(LONGEST_WAIT);
        input = match answers.recv_timeout(patience) {
            Ok(Answer::Input(input)) => input,
            Ok(Answer::InDoubt(reason)) => return Err(LiveError::InDoubt { guest, reason }),
            Err(RecvTimeoutError::Timeout) => Input::Tick,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(LiveError::InDoubt { guest, reason: "its host side has ended".into() });
            }
        };
    }
}

/// The journal, without which nothing is decided; and which nothing waits for afterwards.
struct Notes<'a> {
    journal: &'a mut Journal,
    decided: bool,
}

impl Notes<'_> {
    fn write(&mut self, line: &Line) -> Result<(), LiveError> {
        match self.journal.write(line) {
            Err(error) if self.decided => {
                tracing::error!(%error, "the journal is not complete; the guest arrives all the same");
                Ok(())
            }
            written => written,
        }
    }
}
