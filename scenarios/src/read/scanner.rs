//! The lexical part of RON: spaces and comments, names, texts in quotes, numbers.

use super::parser::{SyntaxError, SyntaxProblem};
use super::tree::Stretch;

/// A position in a text.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Scanner<'a> {
        // A byte order mark, as Windows editors leave it, is no part of the scenario.
        let at = if text.starts_with('\u{feff}') { 3 } else { 0 };
        Scanner { text, at }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The stretch of the next character, or of the last one at the end of the text.
    pub(crate) fn here(&self) -> Stretch {
        match self.peek() {
            Some(c) => Stretch::new(self.at, self.at + c.len_utf8()),
            None => {
                let last = self.text.trim_end().chars().next_back().map_or(0, char::len_utf8);
                let end = self.text.trim_end().len();
                Stretch::new(end - last, end)
            }
        }
    }

    /// The character that ends at `end`.
    pub(crate) fn char_before(&self, end: usize) -> Stretch {
        let length = self.text[..end].chars().next_back().map_or(0, char::len_utf8);
        Stretch::new(end - length, end)
    }

    /// Steps over `token` if it comes next.
    pub(crate) fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Steps over spaces and comments.
    pub(crate) fn skip_space(&mut self) -> Result<(), SyntaxError> {
        loop {
            let trimmed = self.rest().trim_start();
            self.at = self.text.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.skip_block_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    /// Block comments nest.
    fn skip_block_comment(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            if self.take("/*") {
                depth += 1;
            } else if self.take("*/") {
                depth -= 1;
            } else if let Some(c) = self.peek() {
                self.at += c.len_utf8();
            } else {
                let stretch = Stretch::new(start, start + 2);
                return Err(SyntaxError::new(SyntaxProblem::OpenComment, stretch));
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Skips `#![enable(…)]`: what an extension changes, this reader allows anyway.
    pub(crate) fn skip_attributes(&mut self) -> Result<(), SyntaxError> {
        self.skip_space()?;
        while self.rest().starts_with("#![") {
            let start = self.here();
            let Some(length) = self.rest().find(']') else {
                return Err(SyntaxError::new(SyntaxProblem::Unexpected('#'), start));
            };
            self.at += length + 1;
            self.skip_space()?;
        }
        Ok(())
    }

    /// A name, if one comes next.
    pub(crate) fn take_name(&mut self) -> Option<Stretch> {
        let length =
            self.rest().find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest().len());
        let first = self.peek()?;
        if length == 0 || first.is_numeric() {
            return None;
        }
        let stretch = Stretch::new(self.at, self.at + length);
        self.at += length;
        Some(stretch)
    }

    /// A number: everything that could belong to one; `ron` judges it later.
    pub(crate) fn take_number(&mut self) -> Option<Stretch> {
        let first = self.peek()?;
        if !(first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
            return None;
        }
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        let length = self.rest().find(|c| !is_part(c)).unwrap_or(self.rest().len());
        let stretch = Stretch::new(self.at, self.at + length);
        self.at += length;
        Some(stretch)
    }

    /// A text in quotes, plain or raw, if one comes next.
    pub(crate) fn take_text(&mut self) -> Result<Option<Stretch>, SyntaxError> {
        let start = self.at;
        let hashes = self.rest().strip_prefix('r').map(|rest| {
            let without = rest.trim_start_matches('#');
            (rest.len() - without.len(), without.starts_with('"'))
        });
        let length = match hashes {
            Some((hashes, true)) => {
                let open = 1 + hashes + 1;
                let close = format!("\"{}", "#".repeat(hashes));
                self.rest()[open..].find(&close).map(|found| open + found + close.len())
            }
            _ if self.peek() == Some('"') => self.closing_quote('"'),
            _ => return Ok(None),
        };
        let Some(length) = length else {
            return Err(SyntaxError::new(SyntaxProblem::OpenText, self.first_line(start)));
        };
        self.at += length;
        Ok(Some(Stretch::new(start, self.at)))
    }

    /// A character in quotes, if one comes next.
    pub(crate) fn take_character(&mut self) -> Option<Stretch> {
        if self.peek() != Some('\'') {
            return None;
        }
        let length = self.closing_quote('\'')?;
        let stretch = Stretch::new(self.at, self.at + length);
        self.at += length;
        Some(stretch)
    }

    /// The length of the quoted text that starts here, both quotes included.
    fn closing_quote(&self, quote: char) -> Option<usize> {
        let mut escaped = false;
        for (index, c) in self.rest().char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == quote => return Some(index + c.len_utf8()),
                _ => {}
            }
        }
        None
    }

    /// What stands from `start` to the end of its line.
    fn first_line(&self, start: usize) -> Stretch {
        let line = self.text[start..].lines().next().unwrap_or("");
        Stretch::new(start, start + line.trim_end().len())
    }
}
