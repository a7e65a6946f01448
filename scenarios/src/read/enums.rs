//! Variants: `Idle`, `Drain("node1")`, `Uniform(rate: …)`.
//!
//! Where a variant holds one struct, the struct's fields stand in the variant's own brackets
//! (`ron`'s extension `unwrap_variant_newtypes`, always on here).

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::deserializer::NodeReader;
use super::error::ReadError;
use super::tree::{Stretch, Value};

/// Reads a variant.
pub(crate) struct EnumReader<'de> {
    reader: NodeReader<'de>,
}

impl<'de> EnumReader<'de> {
    pub(crate) fn new(reader: NodeReader<'de>) -> EnumReader<'de> {
        EnumReader { reader }
    }

    /// The name of a node that can be a variant.
    pub(crate) fn name_of(reader: NodeReader<'de>) -> Option<Stretch> {
        match &reader.node.value {
            Value::Word => Some(reader.node.stretch),
            Value::Struct { name, .. } | Value::Tuple { name, .. } => *name,
            _ => None,
        }
    }
}

impl<'de> EnumAccess<'de> for EnumReader<'de> {
    type Error = ReadError;
    type Variant = EnumReader<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadError> {
        let name = EnumReader::name_of(self.reader).unwrap_or(self.reader.node.stretch);
        let text: StrDeserializer<'_, ReadError> = name.of(self.reader.document.text).into_deserializer();
        let variant = seed.deserialize(text).map_err(|error| error.at(name))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for EnumReader<'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match &self.reader.node.value {
            Value::Word => Ok(()),
            _ => Err(de::Error::custom("this name takes nothing in brackets")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        match &self.reader.node.value {
            Value::Tuple { items, .. } if items.len() == 1 => {
                seed.deserialize(NodeReader { node: &items[0], ..self.reader })
            }
            _ => seed.deserialize(Body { reader: self.reader }),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadError> {
        Body { reader: self.reader }.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.reader.visit_struct(visitor)
    }
}

/// What stands in a variant's brackets, as a value of its own. A bare name has no fields.
struct Body<'de> {
    reader: NodeReader<'de>,
}

impl<'de> Deserializer<'de> for Body<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let stretch = self.reader.node.stretch;
        let read = match &self.reader.node.value {
            Value::Struct { .. } => self.reader.visit_struct(visitor),
            _ => Err(de::Error::invalid_type(de::Unexpected::Other("nothing"), &visitor)),
        };
        read.map_err(|error| error.at(stretch))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let stretch = self.reader.node.stretch;
        let read = match &self.reader.node.value {
            Value::Word => {
                visitor.visit_map(serde::de::value::MapDeserializer::new(std::iter::empty::<(&str, &str)>()))
            }
            Value::Tuple { items, .. } if !items.is_empty() => {
                Err(de::Error::invalid_type(de::Unexpected::Other("values without names"), &visitor))
            }
            _ => self.reader.visit_struct(visitor),
        };
        read.map_err(|error| error.at(stretch))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.reader.deserialize_newtype_struct(name, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any option enum
    }
}
