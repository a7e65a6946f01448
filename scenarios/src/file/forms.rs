//! Values with more than one form: a limit or none, a size or a share, a preset or the thing itself.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{EnumAccessDeserializer, MapAccessDeserializer};
use serde::de::{Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, VariantAccess, Visitor};
use sim_core::Bytes;

/// A limit, or the word `Unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit<T> {
    Unlimited,
    At(T),
}

impl<T> Limit<T> {
    /// The limit, if there is one.
    pub(crate) fn limit(self) -> Option<T> {
        match self {
            Limit::Unlimited => None,
            Limit::At(limit) => Some(limit),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Limit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Limit<T>, D::Error> {
        deserializer.deserialize_any(LimitVisitor(PhantomData))
    }
}

struct LimitVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for LimitVisitor<T> {
    type Value = Limit<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a limit, or Unlimited")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Limit<T>, E> {
        T::deserialize(number.into_deserializer()).map(Limit::At)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Limit<T>, E> {
        T::deserialize(text.into_deserializer()).map(Limit::At)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Limit<T>, A::Error> {
        let (word, rest) = access.variant::<String>()?;
        if word != "Unlimited" {
            return Err(A::Error::unknown_variant(&word, &["Unlimited"]));
        }
        rest.unit_variant().map(|()| Limit::Unlimited)
    }
}

impl<T: JsonSchema> JsonSchema for Limit<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Limit_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let limit = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [limit, { "const": "Unlimited" }] })
    }
}

/// A size in bytes, or as a share of the guest's memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Size {
    Bytes(Bytes),
    /// From 0 to 1.
    Share(f64),
}

impl Size {
    /// The size within `memory`.
    pub(crate) fn of(self, memory: Bytes) -> Bytes {
        match self {
            Size::Bytes(bytes) => bytes,
            Size::Share(share) => Bytes::from_f64_floor(memory.as_f64() * share),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let Some(percent) = text.trim().strip_suffix('%') else {
            return text.parse().map(Size::Bytes).map_err(|error| format!("{error}"));
        };
        match percent.trim().parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Size::Share(percent / 100.0)),
            _ => Err(format!("`{text}` is no share of a guest's memory; write 0 % to 100 %, like \"25 %\"")),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        struct FromText;
        impl Visitor<'_> for FromText {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"2 GiB\", or a share of the guest's memory such as \"25 %\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(FromText)
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "a size such as \"2 GiB\", or a share of the guest's memory such as \"25 %\"",
            "examples": ["2 GiB", "25 %"],
        })
    }
}

/// A preset's name in quotes, or the thing described.
#[derive(Debug, Clone)]
pub(crate) enum OrPreset<T> {
    /// The name of a preset; `migtwin presets` lists them.
    Preset(String),
    /// Described here.
    Given(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OrPreset<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OrPreset<T>, D::Error> {
        deserializer.deserialize_any(OrPresetVisitor(PhantomData))
    }
}

struct OrPresetVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OrPresetVisitor<T> {
    type Value = OrPreset<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a preset in quotes, or a description in brackets")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<OrPreset<T>, E> {
        Ok(OrPreset::Preset(name.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<OrPreset<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(OrPreset::Given)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<OrPreset<T>, A::Error> {
        T::deserialize(EnumAccessDeserializer::new(variant)).map(OrPreset::Given)
    }
}

impl<T: JsonSchema> JsonSchema for OrPreset<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Preset_or_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let given = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "string", "description": "The name of a preset." }, given] })
    }
}
