//! One future: the controller goes on, and is answered as fast as was drawn.

use std::convert::Infallible;

use algorithms::controller::{Command, Input, MigrationController};
use algorithms::machine::{self, Host, Refused, Settled, WaitingHost, settle};
use algorithms::page_loop::{PageCommand, PageInput};
use algorithms::records::{MigrationRecord, Record, Whereabouts};
use sim_core::{Bandwidth, Bytes, SimTime, Span};

use super::evidence::Draw;
use super::{Lever, Situation};

/// A future with more steps than this does not end.
const MOST_STEPS: u32 = 200_000;

/// Nor does one that takes so many times as long as it has so far, and this on top.
const TIMES_SO_FAR: u64 = 10;
const ON_TOP: Span = Span::from_secs(600);

/// Whether a command is answered at all.
pub(super) fn is_answered(command: &Command) -> bool {
    !matches!(command, Command::Page(PageCommand::Throttle { .. }))
}

/// The migration's record at its end; `None` where it does not end.
///
/// # Errors
///
/// What the controller refused of its host's answers, which no future may hide.
pub(super) fn run(
    situation: &Situation,
    lever: &Lever,
    draw: &Draw,
) -> Result<Option<MigrationRecord>, Refused> {
    let policy = match lever {
        Lever::Rules { policy, .. } => policy,
        _ => &situation.controller.order().policy,
    };
    let mut controller = situation.stand_in(policy)?;
    let so_far = situation.now.since(SimTime::ZERO);
    let mut future = Future {
        memory: controller.order().memory,
        now: situation.now,
        horizon: situation.now + so_far * TIMES_SO_FAR + ON_TOP,
        steps: 0,
        // What stands in for a hypervisor's loop says by itself what it wants.
        asked: situation.asked.filter(|_| situation.watched.is_none()),
        draw: *draw,
        unlimited: false,
        record: None,
        refused: None,
    };
    // A lever that is not there any more has no effect: what it stands for is refused, and that is no answer's fault.
    let pull = future.pull(lever);
    let Ok(settled) = settle(&mut controller, situation.now, pull, &mut Pulled(&mut future));
    let Settled::Wait(until) = settled else { return Ok(future.record) };
    let ended = future.wait(until).and_then(|next| machine::run(&mut controller, next, &mut future));
    match (future.refused, ended) {
        (Some(refused), _) => Err(refused),
        (None, Ok(_)) => Ok(future.record),
        (None, Err(NoEnd)) => Ok(None),
    }
}

/// It goes on for too long.
struct NoEnd;

/// A host that answers as fast as was drawn.
struct Future {
    memory: Bytes,
    now: SimTime,
    horizon: SimTime,
    steps: u32,
    asked: Option<(Command, SimTime)>,
    draw: Draw,
    /// Whether limits on the rate no longer count for the network that was seen.
    unlimited: bool,
    record: Option<MigrationRecord>,
    refused: Option<Refused>,
}

/// The same while a lever is pulled.
struct Pulled<'a>(&'a mut Future);

impl Host<MigrationController> for Pulled<'_> {
    type Error = Infallible;

    fn carry_out(&mut self, now: SimTime, command: Command) -> Result<Option<Input>, Infallible> {
        self.0.begin(now, command);
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        self.0.keep(record);
    }

    fn refused(&mut self, _: SimTime, _: Refused) {}
}

impl Host<MigrationController> for Future {
    type Error = NoEnd;

    fn carry_out(&mut self, now: SimTime, command: Command) -> Result<Option<Input>, NoEnd> {
        self.begin(now, command);
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        self.keep(record);
    }

    fn refused(&mut self, _: SimTime, refused: Refused) {
        self.refused.get_or_insert(refused);
    }
}

impl WaitingHost<MigrationController> for Future {
    fn wait(&mut self, until: SimTime) -> Result<(SimTime, Input), NoEnd> {
        let answer = self.asked.map(|(command, since)| self.answer_time(&command, since));
        let next = answer.unwrap_or(SimTime::MAX).min(until);
        self.steps += 1;
        if next > self.horizon || self.steps > MOST_STEPS || self.refused.is_some() {
            return Err(NoEnd);
        }
        self.now = next.max(self.now);
        let answered = answer.is_some_and(|answer| answer <= self.now);
        let input = if answered { self.answer() } else { Input::Tick };
        Ok((self.now, input))
    }
}

impl Future {
    /// Changes what the lever changes of the hosts; what the controller is told of it.
    fn pull(&mut self, lever: &Lever) -> Input {
        match lever {
            Lever::Nothing => Input::Tick,
            Lever::TwiceTheRate => {
                self.draw.rate *= 2.0;
                self.unlimited = true;
                Input::Tick
            }
            Lever::HalfTheSpeed => {
                self.draw.speed *= 0.5;
                Input::Tick
            }
            Lever::PauseNow => Input::Page(PageInput::ForcePause),
            Lever::Rules { policy, .. } => Input::Adjust { policy: policy.clone() },
        }
    }

    fn begin(&mut self, now: SimTime, command: Command) {
        match command {
            Command::Page(PageCommand::Throttle { percent }) => {
                self.draw.speed = 1.0 - f64::from(percent) / 100.0;
            }
            command => self.asked = Some((command, now)),
        }
    }

    fn keep(&mut self, record: Record) {
        if let Record::Migration(migration) = record {
            self.record = Some(migration);
        }
    }

    /// When what was asked for `since` then will be done.
    fn answer_time(&self, command: &Command, since: SimTime) -> SimTime {
        match command {
            Command::Page(PageCommand::Send { bytes, limit, .. }) => since + self.sending(*bytes, *limit),
            _ => since,
        }
    }

    fn sending(&self, bytes: Bytes, limit: Option<Bandwidth>) -> Span {
        let limit = limit.filter(|_| !self.unlimited);
        let stream_rate = self.draw.rate * self.draw.stream_share;
        let rate = limit.map_or(stream_rate, |limit| stream_rate.min(limit.bytes_per_sec_f64()));
        Span::from_secs_f64(bytes.as_f64() * self.draw.stream_share / rate)
    }

    fn answer(&mut self) -> Input {
        let Some((command, _)) = self.asked.take() else {
            return Input::Tick;
        };
        match command {
            Command::Prepare => {
                self.draw.counted = self.now;
                Input::Prepared
            }
            Command::Page(command) => Input::Page(self.page_answer(command)),
            Command::Commit => Input::Page(PageInput::Resumed),
            Command::Finish => Input::Finished,
            Command::Abort => Input::Aborted { sent: Bytes::ZERO, whereabouts: Whereabouts::AtSource },
            Command::EndMirror => Input::MirrorEnded { written: Bytes::ZERO },
            // There is no forecast while disks are copied, or of a hypervisor's own loop.
            Command::Storage(_) | Command::Loop(_) => Input::Tick,
        }
    }

    fn page_answer(&mut self, command: PageCommand) -> PageInput {
        match command {
            PageCommand::Send { bytes, .. } => {
                let transferred = Bytes::from_f64_floor(bytes.as_f64() * self.draw.stream_share);
                PageInput::Sent { memory: bytes, transferred }
            }
            PageCommand::Count { unsent } => {
                let span = self.now.since(self.draw.counted.min(self.now));
                self.draw.counted = self.now;
                let most = self.memory;
                PageInput::Counted { dirty: self.draw.dirty_after(unsent, span, most) }
            }
            PageCommand::Pause => PageInput::Paused,
            PageCommand::Resume | PageCommand::Throttle { .. } => PageInput::Resumed,
        }
    }
}
