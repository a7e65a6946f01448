//! Times and sizes of records as plain numbers: how records are written as JSON, for programs, agents and journals alike.
//!
//! A time is a count of seconds, a size one of bytes, a rate one of bits per second; the key names the unit
//! (`total_s`, `memory_bytes_sent`, `rate_bits_per_s`). Elsewhere (scenarios, plans, orders) the same types are text
//! with a unit, for people.
//!
//! A time below 2^23 s (97 days) comes back to the nanosecond: there an `f64` is closer to it than half a nanosecond.
//! Beyond that it comes back to within the spacing of `f64`; "never" comes back as never.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sim_core::{Bandwidth, Bytes, SimTime, Span};

use crate::ids::Name;
use crate::storage_mirror::DiskOrder;

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// A point or a length of time.
pub(super) trait Time: Copy {
    fn seconds(self) -> f64;
    fn from_nanos(nanos: u64) -> Self;
}

impl Time for SimTime {
    fn seconds(self) -> f64 {
        self.as_secs_f64()
    }
    fn from_nanos(nanos: u64) -> SimTime {
        SimTime::from_nanos(nanos)
    }
}

impl Time for Span {
    fn seconds(self) -> f64 {
        self.as_secs_f64()
    }
    fn from_nanos(nanos: u64) -> Span {
        Span::from_nanos(nanos)
    }
}

/// The nanoseconds nearest to so many seconds. The whole seconds are split off before anything is multiplied, since
/// rounding a product of all of them would lose nanoseconds after 26 days.
fn nanos<E: Error>(seconds: f64) -> Result<u64, E> {
    if !(0.0..f64::INFINITY).contains(&seconds) {
        return Err(E::invalid_value(Unexpected::Float(seconds), &"a time in seconds that is not negative"));
    }
    // Casts of floats saturate.
    let whole = (seconds.trunc() as u64).saturating_mul(NANOS_PER_SEC);
    Ok(whole.saturating_add((seconds.fract() * NANOS_PER_SEC as f64).round() as u64))
}

/// A time as a number of seconds.
pub(super) mod seconds {
    use super::*;

    pub fn serialize<T: Time, S: Serializer>(time: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.seconds())
    }

    pub fn deserialize<'de, T: Time, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        nanos(f64::deserialize(deserializer)?).map(T::from_nanos)
    }
}

/// A time that there may not be, as a number of seconds or null.
pub(super) mod optional_seconds {
    use super::*;

    pub fn serialize<T: Time, S: Serializer>(time: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(T::seconds).serialize(serializer)
    }

    pub fn deserialize<'de, T: Time, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        Ok(seconds.map(nanos).transpose()?.map(T::from_nanos))
    }
}

/// A size as an integer of bytes.
pub(super) mod bytes {
    use super::*;

    pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(bytes.get())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        u64::deserialize(deserializer).map(Bytes::new)
    }
}

/// A rate as an integer of bits per second.
pub(super) mod bits_per_second {
    use super::*;

    pub fn serialize<S: Serializer>(rate: &Bandwidth, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(rate.bits_per_sec())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bandwidth, D::Error> {
        u64::deserialize(deserializer).map(Bandwidth::from_bits_per_sec)
    }
}

/// Disks whose sizes are integers of bytes; in plans and orders they are text with a unit.
pub(super) mod disks {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(remote = "DiskOrder")]
    struct DiskRecord {
        disk: u32,
        name: Name,
        #[serde(with = "super::bytes")]
        bytes: Bytes,
        from: Name,
        to: Name,
    }

    #[derive(Serialize)]
    struct Written<'a>(#[serde(with = "DiskRecord")] &'a DiskOrder);

    #[derive(Deserialize)]
    struct Read(#[serde(with = "DiskRecord")] DiskOrder);

    pub fn serialize<S: Serializer>(disks: &[DiskOrder], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(disks.iter().map(Written))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DiskOrder>, D::Error> {
        let disks = Vec::<Read>::deserialize(deserializer)?;
        Ok(disks.into_iter().map(|Read(disk)| disk).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Times {
        #[serde(with = "seconds")]
        time: SimTime,
        #[serde(with = "optional_seconds")]
        perhaps: Option<Span>,
    }

    fn again(times: &Times) -> Times {
        serde_json::from_str(&serde_json::to_string(times).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn times_of_97_days_come_back_to_the_nanosecond(nanos in 0..(1u64 << 23) * NANOS_PER_SEC) {
            let times = Times { time: SimTime::from_nanos(nanos), perhaps: Some(Span::from_nanos(nanos)) };
            prop_assert_eq!(again(&times), times);
        }
    }

    #[test]
    fn the_longest_and_the_last_nanosecond_of_97_days_come_back() {
        let last = (1u64 << 23) * NANOS_PER_SEC - 1;
        for nanos in (0..1_000).chain(last - 1_000..=last).chain([u64::MAX]) {
            let times = Times { time: SimTime::from_nanos(nanos), perhaps: None };
            assert_eq!(again(&times), times);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["-1.0", "\"9 s\"", "null"] {
            let text = format!("{{\"time\":{text},\"perhaps\":null}}");
            assert!(serde_json::from_str::<Times>(&text).is_err(), "{text}");
        }
    }
}
