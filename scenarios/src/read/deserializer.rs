//! serde's view of the [`tree`](super::tree): every error keeps the stretch that it is about.

use serde::de::value::{StrDeserializer, U32Deserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::at::AT;
use super::enums::EnumReader;
use super::error::{ReadError, ReadProblem};
use super::tree::{Node, Stretch, Value};

/// A text and its number among the files read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Document<'de> {
    pub(crate) file: u32,
    pub(crate) text: &'de str,
}

/// Reads one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeReader<'de> {
    pub(crate) document: Document<'de>,
    pub(crate) node: &'de Node,
}

impl<'de> NodeReader<'de> {
    fn sibling(self, node: &'de Node) -> NodeReader<'de> {
        NodeReader { node, ..self }
    }

    fn text(self) -> &'de str {
        self.node.stretch.of(self.document.text)
    }

    /// What `ron` takes the scalar for.
    fn visit_scalar<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let text = self.text();
        if let Ok(number) = ron::from_str::<u64>(text) {
            visitor.visit_u64(number)
        } else if let Ok(number) = ron::from_str::<i64>(text) {
            visitor.visit_i64(number)
        } else if let Ok(number) = ron::from_str::<f64>(text) {
            visitor.visit_f64(number)
        } else if let Ok(character) = ron::from_str::<char>(text) {
            visitor.visit_char(character)
        } else if text.starts_with('\'') {
            Err(de::Error::custom("text in single quotes; write it in double quotes"))
        } else {
            Err(de::Error::custom(format!(
                "`{text}` is not a number; quantities and other texts stand in quotes, like \"8 GiB\""
            )))
        }
    }

    fn visit_text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match ron::from_str::<String>(self.text()) {
            Ok(text) => visitor.visit_string(text),
            Err(error) => Err(de::Error::custom(format!("this text cannot be read: {}", error.code))),
        }
    }

    fn visit_word<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.text() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            "None" => visitor.visit_none(),
            "inf" => visitor.visit_f64(f64::INFINITY),
            "NaN" => visitor.visit_f64(f64::NAN),
            _ => visitor.visit_enum(EnumReader::new(self)),
        }
    }

    fn visit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Scalar => self.visit_scalar(visitor),
            Value::Text => self.visit_text(visitor),
            Value::Word => self.visit_word(visitor),
            Value::List(items) => visitor.visit_seq(Items::new(self, items)),
            Value::Map(entries) => visitor.visit_map(Entries::new(self, entries)),
            Value::Struct { name: Some(_), .. } | Value::Tuple { name: Some(_), .. } => {
                visitor.visit_enum(EnumReader::new(self))
            }
            Value::Struct { fields, .. } => visitor.visit_map(Fields::new(self, fields)),
            Value::Tuple { items, .. } if items.is_empty() => visitor.visit_unit(),
            Value::Tuple { items, .. } => visitor.visit_seq(Items::new(self, items)),
        }
    }

    /// A struct's fields; `()` has none, and a struct's name may stand before its brackets.
    pub(crate) fn visit_struct<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Struct { fields, .. } => visitor.visit_map(Fields::new(self, fields)),
            Value::Tuple { items, .. } if items.is_empty() => visitor.visit_map(Fields::new(self, &[])),
            Value::Map(_) => {
                Err(de::Error::invalid_type(Unexpected::Other("a map in curly brackets"), &visitor))
            }
            _ => self.visit(visitor),
        }
    }
}

impl<'de> Deserializer<'de> for NodeReader<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let stretch = self.node.stretch;
        self.visit(visitor).map_err(|error| error.at(stretch))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Word if self.text() == "None" => visitor.visit_none(),
            Value::Tuple { name: Some(name), items }
                if name.of(self.document.text) == "Some" && items.len() == 1 =>
            {
                visitor.visit_some(self.sibling(&items[0]))
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == AT {
            visitor.visit_seq(WithPlace { reader: self, part: 0 })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let stretch = self.node.stretch;
        let read = match EnumReader::name_of(self) {
            Some(_) => visitor.visit_enum(EnumReader::new(self)),
            None => Err(ReadError::new(ReadProblem::UnknownVariant {
                name: self.text().lines().next().unwrap_or("").chars().take(30).collect(),
                allowed: variants,
            })),
        };
        read.map_err(|error| error.at(stretch))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let stretch = self.node.stretch;
        self.visit_struct(visitor).map_err(|error| error.at(stretch))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// The parts of an [`At`](super::at::At): file, start, end, value.
struct WithPlace<'de> {
    reader: NodeReader<'de>,
    part: u8,
}

impl<'de> SeqAccess<'de> for WithPlace<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let stretch = self.reader.node.stretch;
        let number = |number: u32| -> U32Deserializer<ReadError> { number.into_deserializer() };
        self.part += 1;
        match self.part {
            1 => seed.deserialize(number(self.reader.document.file)),
            2 => seed.deserialize(number(stretch.start)),
            3 => seed.deserialize(number(stretch.end)),
            4 => seed.deserialize(self.reader),
            _ => return Ok(None),
        }
        .map(Some)
    }
}

struct Items<'de> {
    reader: NodeReader<'de>,
    items: std::slice::Iter<'de, Node>,
}

impl<'de> Items<'de> {
    fn new(reader: NodeReader<'de>, items: &'de [Node]) -> Items<'de> {
        Items { reader, items: items.iter() }
    }
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let item = self.items.next();
        item.map(|item| seed.deserialize(self.reader.sibling(item))).transpose()
    }
}

struct Entries<'de> {
    reader: NodeReader<'de>,
    entries: std::slice::Iter<'de, (Node, Node)>,
    value: Option<&'de Node>,
}

impl<'de> Entries<'de> {
    fn new(reader: NodeReader<'de>, entries: &'de [(Node, Node)]) -> Entries<'de> {
        Entries { reader, entries: entries.iter(), value: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(self.reader.sibling(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        next_value(self.reader, self.value.take(), seed)
    }
}

struct Fields<'de> {
    reader: NodeReader<'de>,
    fields: &'de [(Stretch, Node)],
    /// How many have been read.
    read: usize,
}

impl<'de> Fields<'de> {
    fn new(reader: NodeReader<'de>, fields: &'de [(Stretch, Node)]) -> Fields<'de> {
        Fields { reader, fields, read: 0 }
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let text = self.reader.document.text;
        let Some((stretch, _)) = self.fields.get(self.read) else {
            return Ok(None);
        };
        let name = stretch.of(text);
        let key: StrDeserializer<'_, ReadError> = name.into_deserializer();
        let key = seed.deserialize(key).map_err(|error| error.at(*stretch))?;
        // Only names that a type knows come this far, so that there are few of them.
        if self.fields[..self.read].iter().any(|(earlier, _)| earlier.of(text) == name) {
            let problem = ReadProblem::DuplicateField(name.to_string());
            return Err(ReadError::new(problem).at(*stretch));
        }
        self.read += 1;
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let current = self.read.checked_sub(1).and_then(|index| self.fields.get(index));
        next_value(self.reader, current.map(|(_, value)| value), seed)
    }
}

fn next_value<'de, V: DeserializeSeed<'de>>(
    reader: NodeReader<'de>,
    value: Option<&'de Node>,
    seed: V,
) -> Result<V::Value, ReadError> {
    let value = value.ok_or_else(|| de::Error::custom("a value was asked for before its key"))?;
    seed.deserialize(reader.sibling(value))
}
