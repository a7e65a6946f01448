//! RON's skeleton: brackets, commas, names. What goes wrong is said where it went wrong.

use std::fmt;

use super::scanner::Scanner;
use super::tree::{Node, Stretch, Value};

/// Brackets within brackets; more is refused, so that no text can exhaust the stack.
const MAX_DEPTH: usize = 64;
/// Values in one text; more is refused, so that no text can exhaust memory.
const MAX_NODES: usize = 4_000_000;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SyntaxError {
    pub(crate) problem: SyntaxProblem,
    pub(crate) stretch: Stretch,
    /// The bracket that the problem is about.
    pub(crate) opened: Option<Stretch>,
}

/// Ways in which a text is not RON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyntaxProblem {
    OpenComment,
    OpenText,
    /// A character where a value should be.
    Unexpected(char),
    /// The text ended where a value should be.
    EndOfText,
    /// Neither a comma nor this closing bracket.
    NoComma(char),
    /// A name and a colon between the items of a list.
    FieldInList,
    /// No colon after the key of a map or the name of a field.
    NoColon,
    /// Something after the scenario.
    Trailing,
    TooDeep,
    TooMany,
}

impl SyntaxError {
    pub(crate) fn new(problem: SyntaxProblem, stretch: Stretch) -> SyntaxError {
        SyntaxError { problem, stretch, opened: None }
    }
}

impl fmt::Display for SyntaxProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyntaxProblem::OpenComment => f.write_str("this comment is never closed"),
            SyntaxProblem::OpenText => f.write_str("this text has no closing quote"),
            SyntaxProblem::Unexpected(c) => write!(f, "`{c}` where a value should be"),
            SyntaxProblem::EndOfText => f.write_str("the text ends where a value should be"),
            SyntaxProblem::NoComma(close) => write!(f, "a comma or `{close}` is missing"),
            SyntaxProblem::FieldInList => f.write_str("a list has no fields"),
            SyntaxProblem::NoColon => f.write_str("a colon is missing"),
            SyntaxProblem::Trailing => f.write_str("something stands after the end of the scenario"),
            SyntaxProblem::TooDeep => write!(f, "more than {MAX_DEPTH} brackets within one another"),
            SyntaxProblem::TooMany => write!(f, "more than {MAX_NODES} values"),
        }
    }
}

/// Reads one value that fills the whole text.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut parser = Parser { scanner: Scanner::new(text), depth: 0, nodes: 0 };
    parser.scanner.skip_attributes()?;
    let node = parser.value()?;
    parser.scanner.skip_space()?;
    match parser.scanner.peek() {
        None => Ok(node),
        Some(_) => Err(SyntaxError::new(SyntaxProblem::Trailing, parser.scanner.here())),
    }
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    depth: usize,
    nodes: usize,
}

impl Parser<'_> {
    /// A value; spaces before it are skipped already.
    fn value(&mut self) -> Result<Node, SyntaxError> {
        let start = self.scanner.position();
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.error(SyntaxProblem::TooMany));
        }
        let value = self.value_here()?;
        let stretch = Stretch::new(start, self.scanner.position());
        Ok(Node { stretch, value })
    }

    fn value_here(&mut self) -> Result<Value, SyntaxError> {
        if self.scanner.take_text()?.is_some() {
            return Ok(Value::Text);
        }
        if let Some(name) = self.scanner.take_name() {
            let after_name = self.scanner.clone();
            self.scanner.skip_space()?;
            if self.scanner.peek() == Some('(') {
                return self.nested(|parser| parser.parenthesised(Some(name)));
            }
            self.scanner = after_name;
            return Ok(Value::Word);
        }
        if self.scanner.take_number().or(self.scanner.take_character()).is_some() {
            return Ok(Value::Scalar);
        }
        match self.scanner.peek() {
            Some('(') => self.nested(|parser| parser.parenthesised(None)),
            Some('[') => self.nested(|parser| parser.separated('[', ']', Parser::value).map(Value::List)),
            Some('{') => self.nested(|parser| parser.separated('{', '}', Parser::entry).map(Value::Map)),
            Some(c) => Err(self.error(SyntaxProblem::Unexpected(c))),
            None => Err(self.error(SyntaxProblem::EndOfText)),
        }
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Value, SyntaxError>,
    ) -> Result<Value, SyntaxError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(SyntaxProblem::TooDeep));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Round brackets hold fields or items; the first of them tells which.
    fn parenthesised(&mut self, name: Option<Stretch>) -> Result<Value, SyntaxError> {
        let mut ahead = self.scanner.clone();
        ahead.take("(");
        ahead.skip_space()?;
        let named = ahead.take_name().is_some() && {
            ahead.skip_space()?;
            ahead.peek() == Some(':')
        };
        if named {
            let fields = self.separated('(', ')', Parser::field)?;
            return Ok(Value::Struct { name, fields });
        }
        let items = self.separated('(', ')', Parser::value)?;
        Ok(Value::Tuple { name, items })
    }

    fn field(&mut self) -> Result<(Stretch, Node), SyntaxError> {
        let Some(name) = self.scanner.take_name() else {
            return Err(match self.scanner.peek() {
                Some(c) => self.error(SyntaxProblem::Unexpected(c)),
                None => self.error(SyntaxProblem::EndOfText),
            });
        };
        self.colon(name)?;
        Ok((name, self.value()?))
    }

    fn entry(&mut self) -> Result<(Node, Node), SyntaxError> {
        let key = self.value()?;
        self.colon(key.stretch)?;
        Ok((key, self.value()?))
    }

    fn colon(&mut self, after: Stretch) -> Result<(), SyntaxError> {
        self.scanner.skip_space()?;
        if !self.scanner.take(":") {
            return Err(SyntaxError::new(SyntaxProblem::NoColon, after));
        }
        self.scanner.skip_space()
    }

    /// Items between brackets, separated by commas; one may stand after the last.
    fn separated<T>(
        &mut self,
        open: char,
        close: char,
        read: fn(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<Vec<T>, SyntaxError> {
        let opened = self.scanner.here();
        self.scanner.take(&open.to_string());
        let mut items = Vec::new();
        loop {
            self.scanner.skip_space()?;
            if self.scanner.take(&close.to_string()) {
                return Ok(items);
            }
            items.push(read(self).map_err(|error| unclosed(error, opened))?);
            let item_end = self.scanner.position();
            self.scanner.skip_space()?;
            if !self.scanner.take(",") && self.scanner.peek() != Some(close) {
                let stretch = self.scanner.char_before(item_end);
                return Err(self.no_comma(close, opened, stretch));
            }
        }
    }

    /// Neither a comma nor the closing bracket comes after the item that ends with `end`.
    fn no_comma(&self, close: char, opened: Stretch, end: Stretch) -> SyntaxError {
        let problem = match self.scanner.peek() {
            Some(':') if close == ']' => SyntaxProblem::FieldInList,
            Some('=') => SyntaxProblem::NoColon,
            _ => SyntaxProblem::NoComma(close),
        };
        SyntaxError { problem, stretch: end, opened: (problem != SyntaxProblem::NoColon).then_some(opened) }
    }

    fn error(&self, problem: SyntaxProblem) -> SyntaxError {
        SyntaxError::new(problem, self.scanner.here())
    }
}

/// Where a text ends too early, the bracket that was left open is what needs a look.
fn unclosed(mut error: SyntaxError, opened: Stretch) -> SyntaxError {
    if error.problem == SyntaxProblem::EndOfText && error.opened.is_none() {
        error.opened = Some(opened);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::{SyntaxProblem, parse};
    use crate::read::tree::Value;
    use proptest::prelude::*;

    /// Whether the `ron` crate takes the text for RON.
    fn ron_accepts(text: &str) -> bool {
        ron::from_str::<ron::Value>(text).is_ok()
    }

    #[test]
    fn reads_what_ron_reads() {
        for text in [
            "()",
            "(a: 1)",
            "[1, 2,]",
            "{\"a\": (b: [c])}",
            "A(b: C)",
            "A(1, 2)",
            "\"a\\n\"",
            "r#\"a\"b\"#",
            "// x\n1 /* y /* z */ */",
            "-1.5e3",
            "0xff",
            "'x'",
            "#![enable(implicit_some)]\n(a: 1)",
            "true",
            "NaN",
            " ( a : 1 , ) ",
            "( )",
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
            assert!(ron_accepts(text), "{text}: {:?}", ron::from_str::<ron::Value>(text));
        }
    }

    #[test]
    fn refuses_what_ron_refuses() {
        for text in [
            "",
            "(",
            "(a: 1",
            "[1 2]",
            "(a 1)",
            "(a: )",
            "\"a",
            "{1}",
            "{1: 2, 3}",
            "(a: 1)(b: 2)",
            "[,]",
            ")",
            "/*",
            "(a: 1,, b: 2)",
            "'",
            "r#\"a\"",
        ] {
            assert!(parse(text).is_err(), "{text}");
            assert!(!ron_accepts(text), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let text = "[".repeat(65) + &"]".repeat(65);
        assert_eq!(parse(&text).unwrap_err().problem, SyntaxProblem::TooDeep);
        assert!(parse(&text[1..text.len() - 1]).is_ok());
    }

    #[test]
    fn stretches_are_in_bytes() {
        let text = "(ä: \"ü\", b: [ö])";
        let node = parse(text).unwrap();
        let Value::Struct { fields, .. } = &node.value else { panic!("{node:?}") };
        assert_eq!(fields[0].1.stretch.of(text), "\"ü\"");
        assert_eq!(fields[1].1.stretch.of(text), "[ö]");
    }

    proptest! {
        /// What both readers take for RON must be the same; scalars and enums are left to others.
        #[test]
        fn agrees_with_ron_on_brackets_and_commas(text in "[\\[\\](),:{} a1]{0,12}") {
            if ron_accepts(&text) {
                prop_assert!(parse(&text).is_ok(), "{text:?}: {:?}", parse(&text));
            }
        }
    }
}
