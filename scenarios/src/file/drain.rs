//! A host to empty: its name alone, or with what becomes of disks.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, EnumAccess, Error, MapAccess, Unexpected, VariantAccess, Visitor};

use crate::read::at::At;

/// A host, or several at once, to empty.
#[derive(Debug, Clone)]
pub(crate) enum DrainFile {
    /// By name: disks stay where they are.
    Host(String),
    /// With what becomes of disks.
    Given(DrainHostFile),
}

/// A host, or several at once, to empty, and what becomes of disks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a drain of a host, such as Drain(host: \"node01\", storage: Default)"
)]
#[schemars(rename = "Drain")]
pub(crate) struct DrainHostFile {
    /// Which: a name, or a pattern.
    pub(crate) host: At<String>,
    /// What becomes of the guests' disks; `Excluded` by default.
    pub(crate) storage: Option<DrainStorageFile>,
}

/// What becomes of disks of guests that are drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "DrainStorage")]
pub(crate) enum DrainStorageFile {
    /// They stay where they are; guests whose disks no other host reaches stay too.
    Excluded,
    /// Those that the destination does not reach go to its default storage.
    Default,
}

impl At<DrainFile> {
    /// The host, and where that was written.
    pub(crate) fn host(&self) -> At<String> {
        match &self.value {
            DrainFile::Host(host) => At { value: host.clone(), place: self.place },
            DrainFile::Given(given) => given.host.clone(),
        }
    }

    /// What becomes of disks.
    pub(crate) fn storage(&self) -> DrainStorageFile {
        match &self.value {
            DrainFile::Given(DrainHostFile { storage: Some(storage), .. }) => *storage,
            DrainFile::Host(_) | DrainFile::Given(_) => DrainStorageFile::Excluded,
        }
    }
}

impl<'de> Deserialize<'de> for DrainFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DrainFile, D::Error> {
        deserializer.deserialize_any(DrainVisitor)
    }
}

/// The step's name.
const STEP: &str = "Drain";

struct DrainVisitor;

impl<'de> Visitor<'de> for DrainVisitor {
    type Value = DrainFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a host's name in quotes, or `host: \"node01\", storage: Default`")
    }

    fn visit_str<E: Error>(self, host: &str) -> Result<DrainFile, E> {
        Ok(DrainFile::Host(host.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<DrainFile, A::Error> {
        DrainHostFile::deserialize(MapAccessDeserializer::new(fields)).map(DrainFile::Given)
    }

    /// The fields in the step's own brackets, whose name stands before them.
    fn visit_enum<A: EnumAccess<'de>>(self, step: A) -> Result<DrainFile, A::Error> {
        let (name, rest) = step.variant::<String>()?;
        if name != STEP {
            return Err(A::Error::invalid_type(Unexpected::Other("a word without quotes"), &self));
        }
        rest.newtype_variant().map(DrainFile::Given)
    }
}

impl JsonSchema for DrainFile {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Host_or_Drain".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let given = generator.subschema_for::<DrainHostFile>();
        json_schema!({ "anyOf": [{ "type": "string", "description": "The host's name, or a pattern." }, given] })
    }
}
