//! Wall-clock time since a run began, as the machines know time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sim_core::{SimTime, Span};

/// A time of the machine's as one of ours; five centuries fit.
pub(crate) fn span(duration: Duration) -> Span {
    Span::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// A clock that began with the run. It never goes back.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    began: Instant,
    began_unix_nanos: u64,
}

impl WallClock {
    /// A clock that begins now.
    pub fn start() -> WallClock {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_unix_nanos = u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX);
        WallClock { began: Instant::now(), began_unix_nanos }
    }

    /// Time since it began.
    pub fn now(&self) -> SimTime {
        SimTime::ZERO + span(self.began.elapsed())
    }

    /// The time at which an event says that it happened, no later than now. Whoever stamps it must have this computer's
    /// clock, as whoever is reached over unix sockets does.
    pub(crate) fn of_event(&self, unix_nanos: Option<u64>) -> SimTime {
        let stamped = unix_nanos.and_then(|nanos| nanos.checked_sub(self.began_unix_nanos));
        stamped.map_or(self.now(), |nanos| SimTime::from_nanos(nanos).min(self.now()))
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
