//! Reading and writing quantities as people write them: a number, a space, a unit.
//!
//! One exact, table-driven reader serves every unit type, so that all of them refuse the same
//! mistakes in the same words. The `bytesize` and `humantime` crates were not used here: the first
//! folds case, so that `8 Gb` (bits) would be read as gigabytes, and neither reads rates.
//! Arithmetic is on integers: `"8.5 GiB"` is exact, and printing then reading gives the same value.

use std::fmt;

use thiserror::Error;

/// A unit: how it is written, and how many base units it stands for.
pub(crate) struct Unit {
    pub(crate) symbol: &'static str,
    pub(crate) factor: u64,
}

/// What a kind of quantity is called, and which units it may be written in.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) example: &'static str,
    /// Preferred units for printing, largest first, then the accepted synonyms.
    pub(crate) units: &'static [Unit],
    /// How many of `units`, from the front, are used for printing.
    pub(crate) printed: usize,
}

/// Why a text is not a quantity of the kind asked for. The message says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// The text does not start with a decimal number.
    #[error("`{text}` does not start with a number; write {name} like \"{example}\"")]
    NoNumber {
        /// The text as it was given.
        text: String,
        /// The kind of quantity, such as "a size".
        name: &'static str,
        /// A right one.
        example: &'static str,
    },
    /// The number has a minus sign.
    #[error("`{text}` is negative; {name} is zero or more, like \"{example}\"")]
    Negative {
        /// The text as it was given.
        text: String,
        /// The kind of quantity.
        name: &'static str,
        /// A right one.
        example: &'static str,
    },
    /// The unit is missing, or not one of this kind.
    #[error("`{text}` has {problem}; {name} is written in {allowed}, like \"{example}\"{hint}")]
    BadUnit {
        /// The text as it was given.
        text: String,
        /// "no unit" or "the unknown unit `x`".
        problem: String,
        /// The kind of quantity.
        name: &'static str,
        /// Every unit that would do.
        allowed: String,
        /// A right one.
        example: &'static str,
        /// A further word of help, empty where there is none.
        hint: &'static str,
    },
    /// The value does not fit in 64 bits of the base unit.
    #[error("`{text}` is too large to be {name}")]
    TooLarge {
        /// The text as it was given.
        text: String,
        /// The kind of quantity.
        name: &'static str,
    },
}

impl Kind {
    /// Reads `text` (one or more `number unit` terms where `terms` allows several, as in
    /// `"1 h 30 min"`) and gives the value in base units, rounded to the nearest.
    pub(crate) fn parse(&self, text: &str, terms: Terms) -> Result<u64, QuantityError> {
        let mut rest = text.trim();
        let mut total: u64 = 0;
        loop {
            let (value, after) = self.parse_term(text, rest)?;
            total = total.checked_add(value).ok_or_else(|| self.too_large(text))?;
            rest = after.trim_start();
            if rest.is_empty() {
                return Ok(total);
            }
            if terms == Terms::One {
                return Err(self.bad_unit(text, format!("`{rest}` after its unit")));
            }
        }
    }

    fn parse_term<'a>(&self, text: &str, term: &'a str) -> Result<(u64, &'a str), QuantityError> {
        if term.starts_with('-') || term.starts_with('−') {
            return Err(QuantityError::Negative {
                text: text.into(),
                name: self.name,
                example: self.example,
            });
        }
        let number_end =
            term.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(term.len());
        let (number, after) = term.split_at(number_end);
        let decimal = Decimal::parse(number).ok_or_else(|| QuantityError::NoNumber {
            text: text.into(),
            name: self.name,
            example: self.example,
        })?;
        let after = after.trim_start();
        let unit_end = after.find(|c: char| c.is_whitespace()).unwrap_or(after.len());
        let (symbol, rest) = after.split_at(unit_end);
        let unit = self.units.iter().find(|unit| unit.symbol == symbol).ok_or_else(|| {
            self.bad_unit(
                text,
                match symbol {
                    "" => "no unit".to_string(),
                    _ => format!("the unknown unit `{symbol}`"),
                },
            )
        })?;
        let value = decimal.times(unit.factor).ok_or_else(|| self.too_large(text))?;
        Ok((value, rest))
    }

    fn bad_unit(&self, text: &str, problem: String) -> QuantityError {
        let allowed: Vec<&str> = self.units[..self.printed].iter().map(|u| u.symbol).collect();
        QuantityError::BadUnit {
            text: text.into(),
            hint: bits_and_bytes_hint(&problem, self),
            problem,
            name: self.name,
            allowed: allowed.join(", "),
            example: self.example,
        }
    }

    fn too_large(&self, text: &str) -> QuantityError {
        QuantityError::TooLarge { text: text.into(), name: self.name }
    }

    /// Prints `value` in the largest unit that shows it exactly with at most three decimals.
    pub(crate) fn format(&self, value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = &self.units[..self.printed];
        let fits = |unit: &&Unit| {
            value >= unit.factor && (u128::from(value) * 1000).is_multiple_of(u128::from(unit.factor))
        };
        let Some(unit) = units.iter().find(fits).or(units.last()) else {
            return Err(fmt::Error);
        };
        let thousandths = u128::from(value) * 1000 / u128::from(unit.factor);
        let (whole, fraction) = (thousandths / 1000, thousandths % 1000);
        if fraction == 0 {
            return f.pad(&format!("{whole} {}", unit.symbol));
        }
        let digits = format!("{fraction:03}");
        f.pad(&format!("{whole}.{} {}", digits.trim_end_matches('0'), unit.symbol))
    }
}

/// Whether a text may hold several terms (`"1 h 30 min"`) or one only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terms {
    One,
    Several,
}

/// Bits and bytes are easily taken for one another; say so where it looks as if they were.
fn bits_and_bytes_hint(problem: &str, kind: &Kind) -> &'static str {
    let wants_bits = kind.units.iter().any(|u| u.symbol == "bit/s");
    let wants_bytes = kind.units.iter().any(|u| u.symbol == "B" || u.symbol == "B/s");
    if wants_bits && problem.contains("B/s") {
        " (bandwidth is in bits: 1 GB/s is 8 Gbit/s)"
    } else if wants_bytes && problem.contains('b') && !problem.contains('B') {
        " (this is in bytes, with a capital B)"
    } else {
        ""
    }
}

/// A decimal number: `digits` ÷ 10^`scale`.
struct Decimal {
    digits: u128,
    scale: u32,
}

impl Decimal {
    fn parse(text: &str) -> Option<Decimal> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !whole.starts_with(|c: char| c.is_ascii_digit()) || (text.contains('.') && fraction.is_empty()) {
            return None;
        }
        let mut digits: u128 = 0;
        let mut scale = 0;
        for (place, c) in whole.chars().chain(fraction.chars()).filter(|c| *c != '_').enumerate() {
            // 30 digits are more than any 64-bit quantity can use; more would overflow.
            if place >= 30 {
                return None;
            }
            digits = digits * 10 + u128::from(c.to_digit(10)?);
        }
        scale += fraction.chars().filter(|c| *c != '_').count() as u32;
        Some(Decimal { digits, scale })
    }

    /// The product with `factor`, rounded to the nearest integer.
    fn times(&self, factor: u64) -> Option<u64> {
        let divisor = 10u128.checked_pow(self.scale)?;
        let product = self.digits.checked_mul(u128::from(factor))?;
        u64::try_from(product.checked_add(divisor / 2)? / divisor).ok()
    }
}

/// Serde as text, and a JSON schema that says so.
macro_rules! text_serde {
    ($type:ident, $description:literal, $example:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($description)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }

        #[cfg(feature = "schemars")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": $description,
                    "examples": [$example],
                })
            }
        }
    };
}
pub(crate) use text_serde;
