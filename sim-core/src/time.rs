//! Points in virtual time and the spans between them, both in whole nanoseconds.
//!
//! Integers keep runs bit-for-bit repeatable: adding spans in another order gives the same time.
//! Seconds as `f64` appear only inside formulas, by [`Span::as_secs_f64`] and
//! [`Span::from_secs_f64`].

use std::fmt;
use std::ops::{Add, AddAssign, Mul, Sub};
use std::str::FromStr;

use crate::quantity::{Kind, QuantityError, Terms, Unit, text_serde};

/// A point in virtual time: nanoseconds since the run began.
///
/// [`SimTime::MAX`] stands for *never*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SimTime(u64);

/// A length of time in nanoseconds, never negative. Written `"300 ms"`, `"1 h 30 min"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

const NANOS_PER_SEC: f64 = 1e9;

impl SimTime {
    /// The beginning of the run.
    pub const ZERO: SimTime = SimTime(0);
    /// Later than every event: never.
    pub const MAX: SimTime = SimTime(u64::MAX);

    /// The point `nanos` nanoseconds after the beginning.
    pub const fn from_nanos(nanos: u64) -> SimTime {
        SimTime(nanos)
    }

    /// Nanoseconds since the beginning.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the beginning.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SEC
    }

    /// The span from `earlier` to this point.
    ///
    /// # Panics
    ///
    /// If `earlier` is later: time runs backwards only by a mistake in the caller.
    pub fn since(self, earlier: SimTime) -> Span {
        assert!(self >= earlier, "time ran backwards: {self:?} is before {earlier:?}");
        Span(self.0 - earlier.0)
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);
    /// Longer than any run.
    pub const MAX: Span = Span(u64::MAX);

    /// A span of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Span {
        Span(nanos)
    }

    /// A span of `micros` microseconds.
    pub const fn from_micros(micros: u64) -> Span {
        Span(micros * 1_000)
    }

    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Span {
        Span(millis * 1_000_000)
    }

    /// A span of `secs` seconds.
    pub const fn from_secs(secs: u64) -> Span {
        Span(secs * 1_000_000_000)
    }

    /// The span nearest to `secs` seconds. Negative and NaN give zero; what is too long, [`Span::MAX`].
    pub fn from_secs_f64(secs: f64) -> Span {
        // Float to integer casts saturate, and send NaN to zero.
        Span((secs * NANOS_PER_SEC).round() as u64)
    }

    /// The shortest whole-nanosecond span that is not shorter than `secs` seconds.
    pub fn from_secs_f64_ceil(secs: f64) -> Span {
        // By casts, since `f64::ceil` is a function call on processors without SSE 4.1.
        let nanos = secs * NANOS_PER_SEC;
        let whole = nanos as u64;
        Span(whole.saturating_add(u64::from((whole as f64) < nanos)))
    }

    /// Whole nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SEC
    }

    /// This span less `other`, or zero where `other` is longer.
    pub fn saturating_sub(self, other: Span) -> Span {
        Span(self.0.saturating_sub(other.0))
    }
}

/// Adding saturates at [`SimTime::MAX`], so that *never* stays never.
impl Add<Span> for SimTime {
    type Output = SimTime;
    fn add(self, span: Span) -> SimTime {
        SimTime(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Span> for SimTime {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

/// See [`SimTime::since`], which this calls.
impl Sub for SimTime {
    type Output = Span;
    fn sub(self, earlier: SimTime) -> Span {
        self.since(earlier)
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Span) {
        *self = *self + other;
    }
}

impl Mul<u64> for Span {
    type Output = Span;
    fn mul(self, times: u64) -> Span {
        Span(self.0.saturating_mul(times))
    }
}

static SPAN: Kind = Kind {
    name: "a span of time",
    example: "300 ms",
    units: &[
        Unit { symbol: "h", factor: 3_600_000_000_000 },
        Unit { symbol: "min", factor: 60_000_000_000 },
        Unit { symbol: "s", factor: 1_000_000_000 },
        Unit { symbol: "ms", factor: 1_000_000 },
        Unit { symbol: "us", factor: 1_000 },
        Unit { symbol: "ns", factor: 1 },
        Unit { symbol: "µs", factor: 1_000 },
        Unit { symbol: "d", factor: 86_400_000_000_000 },
        Unit { symbol: "sec", factor: 1_000_000_000 },
        Unit { symbol: "m", factor: 60_000_000_000 },
    ],
    printed: 6,
};

impl FromStr for Span {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Span, QuantityError> {
        SPAN.parse(text, Terms::Several).map(Span)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SPAN.format(self.0, f)
    }
}

/// A point is printed, read and stored as the span since the beginning.
impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SPAN.format(self.0, f)
    }
}

impl FromStr for SimTime {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<SimTime, QuantityError> {
        SPAN.parse(text, Terms::Several).map(SimTime)
    }
}

text_serde!(Span, "a span of time, such as \"300 ms\" or \"1 h 30 min\"", "300 ms");
text_serde!(SimTime, "a time since the beginning, such as \"90 s\"", "90 s");
