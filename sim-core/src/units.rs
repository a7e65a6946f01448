//! Amounts and rates as types: bytes, pages, bits per second, bytes per second.
//!
//! Bits and bytes never mix by accident: a link's [`Bandwidth`] is in bits per second, a dirty rate
//! is a [`ByteRate`] in bytes per second, and only named conversions lead from one to the other.
//! In files and on screen each is written with its unit, `"8 GiB"`, `"10 Gbit/s"`, `"50 MB/s"`;
//! kB, MB, GB are powers of 1000, KiB, MiB, GiB powers of 1024.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use crate::quantity::{Kind, QuantityError, Terms, Unit, text_serde};
use crate::time::Span;

/// An amount of memory or data, in bytes. Written `"8 GiB"`, `"512 MB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(u64);

/// A number of guest pages of 4096 bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Pages(u64);

/// A link's or stream's speed in **bits** per second. Written `"10 Gbit/s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bandwidth(u64);

/// A speed in **bytes** per second, such as a dirty rate. Written `"50 MB/s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteRate(u64);

/// Bytes in a guest page.
pub const PAGE_SIZE: u64 = 4096;

impl Bytes {
    /// Nothing.
    pub const ZERO: Bytes = Bytes(0);

    /// `count` bytes.
    pub const fn new(count: u64) -> Bytes {
        Bytes(count)
    }

    /// `count` × 2^20 bytes.
    pub const fn from_mib(count: u64) -> Bytes {
        Bytes(count << 20)
    }

    /// `count` × 2^30 bytes.
    pub const fn from_gib(count: u64) -> Bytes {
        Bytes(count << 30)
    }

    /// The whole bytes in `count`, rounded down. Negative and NaN give zero.
    pub fn from_f64_floor(count: f64) -> Bytes {
        // Float to integer casts truncate, saturate, and send NaN to zero.
        Bytes(count as u64)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number of bytes, for formulas.
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// This less `other`, or zero where `other` is larger.
    pub fn saturating_sub(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_sub(other.0))
    }

    /// The pages that these bytes fill, the last perhaps in part.
    pub const fn pages(self) -> Pages {
        Pages(self.0.div_ceil(PAGE_SIZE))
    }

    /// The mean speed of sending this in `span`; zero where `span` is zero.
    pub fn per(self, span: Span) -> Bandwidth {
        if span == Span::ZERO {
            return Bandwidth(0);
        }
        Bandwidth((self.0 as f64 * 8.0 / span.as_secs_f64()).round() as u64)
    }
}

impl Pages {
    /// `count` pages.
    pub const fn new(count: u64) -> Pages {
        Pages(count)
    }

    /// The number of pages.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The bytes in these pages.
    pub const fn bytes(self) -> Bytes {
        Bytes(self.0.saturating_mul(PAGE_SIZE))
    }
}

impl Bandwidth {
    /// `bits` bits per second.
    pub const fn from_bits_per_sec(bits: u64) -> Bandwidth {
        Bandwidth(bits)
    }

    /// `mbit` × 10^6 bits per second.
    pub const fn from_mbit(mbit: u64) -> Bandwidth {
        Bandwidth(mbit * 1_000_000)
    }

    /// `gbit` × 10^9 bits per second.
    pub const fn from_gbit(gbit: u64) -> Bandwidth {
        Bandwidth(gbit * 1_000_000_000)
    }

    /// Bits per second.
    pub const fn bits_per_sec(self) -> u64 {
        self.0
    }

    /// **Bytes** per second, for formulas.
    pub fn bytes_per_sec_f64(self) -> f64 {
        self.0 as f64 / 8.0
    }

    /// How long `bytes` take at this speed; [`Span::MAX`] where the speed is zero.
    pub fn time_for(self, bytes: Bytes) -> Span {
        if self.0 == 0 {
            return Span::MAX;
        }
        Span::from_secs_f64(bytes.as_f64() / self.bytes_per_sec_f64())
    }
}

impl ByteRate {
    /// `bytes` bytes per second.
    pub const fn from_bytes_per_sec(bytes: u64) -> ByteRate {
        ByteRate(bytes)
    }

    /// `mb` × 10^6 bytes per second.
    pub const fn from_mb(mb: u64) -> ByteRate {
        ByteRate(mb * 1_000_000)
    }

    /// Bytes per second.
    pub const fn bytes_per_sec(self) -> u64 {
        self.0
    }

    /// Bytes per second, for formulas.
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// The same speed in bits per second.
    pub const fn to_bandwidth(self) -> Bandwidth {
        Bandwidth(self.0.saturating_mul(8))
    }
}

/// Adding saturates: no real amount comes near 2^64 bytes.
impl Add for Bytes {
    type Output = Bytes;
    fn add(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Bytes) {
        *self = *self + other;
    }
}

/// Panics where the result would be negative; see [`Bytes::saturating_sub`] for the other choice.
impl Sub for Bytes {
    type Output = Bytes;
    fn sub(self, other: Bytes) -> Bytes {
        assert!(self >= other, "{self} less {other} is negative");
        Bytes(self.0 - other.0)
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Bytes>>(amounts: I) -> Bytes {
        amounts.fold(Bytes::ZERO, Bytes::add)
    }
}

static BYTES: Kind = Kind {
    name: "a size",
    example: "8 GiB",
    units: &[
        Unit { symbol: "TiB", factor: 1 << 40 },
        Unit { symbol: "GiB", factor: 1 << 30 },
        Unit { symbol: "TB", factor: 1_000_000_000_000 },
        Unit { symbol: "GB", factor: 1_000_000_000 },
        Unit { symbol: "MiB", factor: 1 << 20 },
        Unit { symbol: "MB", factor: 1_000_000 },
        Unit { symbol: "KiB", factor: 1 << 10 },
        Unit { symbol: "kB", factor: 1_000 },
        Unit { symbol: "B", factor: 1 },
        Unit { symbol: "KB", factor: 1_000 },
    ],
    printed: 9,
};

static BANDWIDTH: Kind = Kind {
    name: "a bandwidth",
    example: "10 Gbit/s",
    units: &[
        Unit { symbol: "Tbit/s", factor: 1_000_000_000_000 },
        Unit { symbol: "Gbit/s", factor: 1_000_000_000 },
        Unit { symbol: "Mbit/s", factor: 1_000_000 },
        Unit { symbol: "kbit/s", factor: 1_000 },
        Unit { symbol: "bit/s", factor: 1 },
        Unit { symbol: "Tb/s", factor: 1_000_000_000_000 },
        Unit { symbol: "Gb/s", factor: 1_000_000_000 },
        Unit { symbol: "Mb/s", factor: 1_000_000 },
        Unit { symbol: "kb/s", factor: 1_000 },
        Unit { symbol: "Gbps", factor: 1_000_000_000 },
        Unit { symbol: "Mbps", factor: 1_000_000 },
        Unit { symbol: "kbps", factor: 1_000 },
        Unit { symbol: "bps", factor: 1 },
    ],
    printed: 5,
};

static BYTE_RATE: Kind = Kind {
    name: "a rate in bytes",
    example: "50 MB/s",
    units: &[
        Unit { symbol: "GiB/s", factor: 1 << 30 },
        Unit { symbol: "GB/s", factor: 1_000_000_000 },
        Unit { symbol: "MiB/s", factor: 1 << 20 },
        Unit { symbol: "MB/s", factor: 1_000_000 },
        Unit { symbol: "KiB/s", factor: 1 << 10 },
        Unit { symbol: "kB/s", factor: 1_000 },
        Unit { symbol: "B/s", factor: 1 },
        Unit { symbol: "pages/s", factor: PAGE_SIZE },
    ],
    printed: 7,
};

macro_rules! written_with_unit {
    ($type:ident, $kind:ident) => {
        impl FromStr for $type {
            type Err = QuantityError;
            fn from_str(text: &str) -> Result<$type, QuantityError> {
                $kind.parse(text, Terms::One).map($type)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $kind.format(self.0, f)
            }
        }
    };
}

written_with_unit!(Bytes, BYTES);
written_with_unit!(Bandwidth, BANDWIDTH);
written_with_unit!(ByteRate, BYTE_RATE);
text_serde!(Bytes, "a size in bytes, such as \"8 GiB\"", "8 GiB");
text_serde!(Bandwidth, "a speed in bits per second, such as \"10 Gbit/s\"", "10 Gbit/s");
text_serde!(ByteRate, "a speed in bytes per second, such as \"50 MB/s\"", "50 MB/s");
