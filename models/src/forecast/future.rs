//! One future: the controller goes on, and is answered as fast as was drawn.

use algorithms::controller::{Command, Input, MigrationController};
use algorithms::machine::{Output, Refused};
use algorithms::page_loop::{PageCommand, PageInput};
use algorithms::records::MigrationRecord;
use sim_core::{Bandwidth, Bytes, SimTime, Span};

use super::evidence::Draw;
use super::{Lever, Situation, record_of};

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
pub(super) fn run(situation: &Situation, lever: &Lever, draw: &Draw) -> Option<MigrationRecord> {
    let policy = match lever {
        Lever::Rules { policy, .. } => policy,
        _ => &situation.controller.order().policy,
    };
    let is_watched = situation.watched.is_some();
    let mut future = Future {
        controller: situation.stand_in(policy).ok()?,
        now: situation.now,
        // What stands in for a hypervisor's loop says by itself what it wants.
        asked: situation.asked.filter(|_| !is_watched),
        draw: *draw,
        unlimited: false,
        record: None,
    };
    // What a controller refuses now has no effect: the lever is not there any more.
    future.pull(lever).ok()?;
    let so_far = situation.now.since(SimTime::ZERO);
    let horizon = situation.now + so_far * TIMES_SO_FAR + ON_TOP;
    for _ in 0..MOST_STEPS {
        let until = match future.drain() {
            Polled::Wait(until) => until,
            Polled::Done => return future.record,
        };
        let answer = future.asked.map(|(command, since)| future.answer_time(&command, since));
        let next = answer.unwrap_or(SimTime::MAX).min(until);
        if next > horizon {
            return None;
        }
        future.now = next.max(future.now);
        let answered = answer.is_some_and(|answer| answer <= future.now);
        let input = if answered { future.answer() } else { Input::Tick };
        future.controller.handle(future.now, input).ok()?;
    }
    None
}

enum Polled {
    Wait(SimTime),
    Done,
}

struct Future {
    controller: MigrationController,
    now: SimTime,
    asked: Option<(Command, SimTime)>,
    draw: Draw,
    /// Whether limits on the rate no longer count for the network that was seen.
    unlimited: bool,
    record: Option<MigrationRecord>,
}

impl Future {
    fn pull(&mut self, lever: &Lever) -> Result<(), Refused> {
        match lever {
            Lever::Nothing => Ok(()),
            Lever::TwiceTheRate => {
                self.draw.rate *= 2.0;
                self.unlimited = true;
                Ok(())
            }
            Lever::HalfTheSpeed => {
                self.draw.speed *= 0.5;
                Ok(())
            }
            Lever::PauseNow => self.controller.handle(self.now, Input::Page(PageInput::ForcePause)),
            Lever::Rules { policy, .. } => {
                self.controller.handle(self.now, Input::Adjust { policy: policy.clone() })
            }
        }
    }

    fn drain(&mut self) -> Polled {
        loop {
            match self.controller.poll() {
                Output::Command(Command::Page(PageCommand::Throttle { percent })) => {
                    self.draw.speed = 1.0 - f64::from(percent) / 100.0;
                }
                Output::Command(command) => self.asked = Some((command, self.now)),
                Output::Record(record) => self.record = record_of(record).or(self.record.take()),
                Output::Wait(until) => return Polled::Wait(until),
                Output::Done(_) => return Polled::Done,
            }
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
            Command::Abort => Input::Aborted { sent: Bytes::ZERO },
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
                let most = self.controller.order().memory;
                PageInput::Counted { dirty: self.draw.dirty_after(unsent, span, most) }
            }
            PageCommand::Pause => PageInput::Paused,
            PageCommand::Resume | PageCommand::Throttle { .. } => PageInput::Resumed,
        }
    }
}
