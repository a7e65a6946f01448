//! Wall-clock time since a run began, as the machines know time.

use std::time::{Duration, Instant};

use sim_core::{SimTime, Span};

/// A time of the machine's as one of ours; five centuries fit.
pub(crate) fn span(duration: Duration) -> Span {
    Span::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// A clock that began with the run. It never goes back.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    began: Instant,
}

impl WallClock {
    /// A clock that begins now.
    pub fn start() -> WallClock {
        WallClock { began: Instant::now() }
    }

    /// Time since it began.
    pub fn now(&self) -> SimTime {
        SimTime::ZERO + span(self.began.elapsed())
    }

    /// How long it is until `time`; nothing where that has passed, `None` for never.
    pub fn until(&self, time: SimTime) -> Option<Duration> {
        if time == SimTime::MAX {
            return None;
        }
        let left = Span::from_nanos(time.as_nanos()).saturating_sub(self.now() - SimTime::ZERO);
        Some(Duration::from_nanos(left.as_nanos()))
    }
}
