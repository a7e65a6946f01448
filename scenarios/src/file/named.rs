//! Things by name, in the order of the file.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::error::Problem;
use crate::read::at::At;

/// So many things of a kind may have names; more is refused, so that looking them up stays quick.
const MAX_NAMED: usize = 1_000;

/// `{"name": thing}`, in order, with the place of each name.
#[derive(Debug, Clone)]
pub(crate) struct Named<T>(pub(crate) Vec<(At<String>, At<T>)>);

impl<T> Default for Named<T> {
    fn default() -> Named<T> {
        Named(Vec::new())
    }
}

impl<T> Named<T> {
    /// The thing of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        let entry = self.0.iter().find(|(known, _)| known.value == name);
        entry.map(|(_, thing)| &thing.value)
    }

    /// Names that are empty, or there already. `kinds` says what the things are.
    pub(crate) fn bad_names(&self, kinds: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut seen = HashMap::new();
        for (name, _) in &self.0 {
            if name.trim().is_empty() {
                problems.push(Problem::at(name.place, format!("{kinds} need names"), "is empty"));
            }
            if let Some(first) = seen.insert(name.value.as_str(), name.place) {
                let message = format!("there are two {kinds} with the name `{}`", name.value);
                problems
                    .push(Problem::at(name.place, message, "the second one").also(first, "the first one"));
            }
        }
        problems
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Named<T>, D::Error> {
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

struct InOrder<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names in curly brackets, such as {\"a name\": …}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
            if entries.len() > MAX_NAMED {
                return Err(A::Error::custom(format!("more than {MAX_NAMED} names in one place")));
            }
        }
        Ok(Named(entries))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let thing = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": thing })
    }
}
