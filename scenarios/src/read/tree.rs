//! A RON text as a tree of nodes, each with its place in the text.

use std::fmt::Write;

/// A stretch of a text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Stretch {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Stretch {
    pub(crate) fn new(start: usize, end: usize) -> Stretch {
        // Texts are bounded far below 4 GiB before they are parsed.
        Stretch { start: start as u32, end: end as u32 }
    }

    pub(crate) fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or("")
    }

    fn contains(self, other: Stretch) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) stretch: Stretch,
    pub(crate) value: Value,
}

/// What stands there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A number or character, to be understood by `ron`.
    Scalar,
    /// A text in quotes, to be understood by `ron`.
    Text,
    /// A bare name: `Idle`, `true`, `None`.
    Word,
    /// `[a, b]`
    List(Vec<Node>),
    /// `{a: b}`
    Map(Vec<(Node, Node)>),
    /// `(a: b)` or `Name(a: b)`
    Struct { name: Option<Stretch>, fields: Vec<(Stretch, Node)> },
    /// `(a, b)`, `()` or `Name(a)`
    Tuple { name: Option<Stretch>, items: Vec<Node> },
}

impl Node {
    /// The way from this node to the one that stands at `target`, as people write it:
    /// `hosts[1].memory`. Empty for the node itself.
    pub(crate) fn path_to(&self, text: &str, target: Stretch) -> String {
        let mut path = String::new();
        let mut node = self;
        while let Some(child) = node.child_around(text, target, &mut path) {
            node = child;
        }
        path
    }

    fn child_around<'a>(&'a self, text: &str, target: Stretch, path: &mut String) -> Option<&'a Node> {
        if self.stretch == target {
            return None;
        }
        let around = |node: &&Node| node.stretch.contains(target);
        // Writing to a String cannot fail.
        match &self.value {
            Value::List(items) => {
                let index = items.iter().position(|item| around(&item))?;
                let _ = write!(path, "[{index}]");
                items.get(index)
            }
            Value::Tuple { name, items } => {
                let index = items.iter().position(|item| around(&item))?;
                if name.is_none() || items.len() > 1 {
                    let _ = write!(path, "[{index}]");
                }
                items.get(index)
            }
            Value::Map(entries) => {
                let (key, value) = entries.iter().find(|(key, value)| around(&key) || around(&value))?;
                let _ = write!(path, "[{}]", key.stretch.of(text));
                Some(value)
            }
            Value::Struct { fields, .. } => {
                let (key, value) =
                    fields.iter().find(|(key, value)| key.contains(target) || around(&value))?;
                let dot = if path.is_empty() { "" } else { "." };
                let _ = write!(path, "{dot}{}", key.of(text));
                Some(value)
            }
            Value::Scalar | Value::Text | Value::Word => None,
        }
    }
}
