//! One record as one line of text, from which every value could be read again: no two records share a line.
//!
//! Fields follow each other as `name=value` with `|` between them. In values, `\`, `|` and line breaks are
//! escaped. A value that is absent is `-`; a text that is just that is written `\-`.

use std::fmt::Display;

/// The fields of a record so far.
#[derive(Default)]
pub struct Row(String);

impl Row {
    /// Adds a field.
    pub fn with(mut self, name: &str, value: impl Display) -> Row {
        let value = value.to_string();
        self.begin(name);
        self.0.push_str(&escaped(&value));
        self
    }

    /// Adds a field that may be absent.
    pub fn with_some(self, name: &str, value: Option<impl Display>) -> Row {
        match value {
            Some(value) => self.with(name, value),
            None => self.without(name),
        }
    }

    /// Adds a field, or a group of fields, that is absent.
    pub fn without(mut self, name: &str) -> Row {
        self.begin(name);
        self.0.push('-');
        self
    }

    /// Adds numbers by their bits; absent where there are none.
    pub fn with_bits(self, name: &str, values: impl IntoIterator<Item = f64>) -> Row {
        let bits: Vec<String> = values.into_iter().map(|value| format!("{:016x}", value.to_bits())).collect();
        self.with_some(name, (!bits.is_empty()).then(|| bits.join(",")))
    }

    /// Returns the line, with its end.
    pub fn end(mut self) -> String {
        self.0.push('\n');
        self.0
    }

    fn begin(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push('|');
        }
        self.0.push_str(name);
        self.0.push('=');
    }
}

/// Returns a text without line breaks and `|`, and other than `-`; no two texts give the same one.
pub fn escaped(text: &str) -> String {
    if text == "-" {
        return r"\-".to_owned();
    }
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => safe.push_str(r"\n"),
            '\r' => safe.push_str(r"\r"),
            '\\' | '|' => {
                safe.push('\\');
                safe.push(character);
            }
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(first: &str, second: Option<&str>) -> String {
        Row::default().with("a", first).with_some("b", second).end()
    }

    #[test]
    fn separators_in_values_are_escaped() {
        assert_eq!(two("x|b=-", None), "a=x\\|b=-|b=-\n");
        assert_ne!(two("x|b=y", None), two("x", Some("y|b=-")));
        assert_eq!(two("x\ny\\", Some("\r")), "a=x\\ny\\\\|b=\\r\n");
        assert_ne!(two("x\ny", None), two("x\\ny", None));
    }

    #[test]
    fn an_absent_value_is_neither_a_dash_nor_empty() {
        let absent = two("x", None);
        assert_ne!(absent, two("x", Some("-")));
        assert_ne!(absent, two("x", Some("")));
        assert_ne!(two("x", Some("-")), two("x", Some("\\-")));
    }

    #[test]
    fn numbers_are_told_apart_to_the_last_bit() {
        let of = |numbers: &[f64]| Row::default().with_bits("n", numbers.iter().copied()).end();
        assert_eq!(of(&[1.0, 0.0]), "n=3ff0000000000000,0000000000000000\n");
        assert_ne!(of(&[0.0]), of(&[-0.0]));
        assert_ne!(of(&[]), of(&[0.0]));
    }
}
