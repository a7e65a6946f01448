//! Names that stand for many: `node{01..16}`, and `web*` for what there is.

use algorithms::ids::Name;

use crate::error::Problem;
use crate::read::at::At;

/// The longest name.
const MAX_NAME_CHARS: usize = 120;
/// Names that one scenario may stand for in all; more is refused, so that a short text cannot
/// exhaust memory.
const MAX_NAMES: usize = 4_000_000;

/// How many names a scenario may still stand for.
#[derive(Debug)]
pub(crate) struct Budget(usize);

impl Default for Budget {
    fn default() -> Budget {
        Budget(MAX_NAMES)
    }
}

impl Budget {
    /// Uses up `count`.
    pub(crate) fn spend(&mut self, count: usize, of: &At<String>) -> Result<(), Problem> {
        match self.0.checked_sub(count) {
            Some(rest) => {
                self.0 = rest;
                Ok(())
            }
            None => Err(Problem::at(
                of.place,
                format!("the scenario stands for more than {MAX_NAMES} names"),
                "too many, counted with all before",
            )),
        }
    }
}

/// The names that `pattern` stands for, in order.
pub(crate) fn expand(pattern: &At<String>, budget: &mut Budget) -> Result<Vec<Name>, Problem> {
    let parts = split(pattern)?;
    let count = parts
        .iter()
        .map(Part::count)
        .try_fold(1usize, |product, count| product.checked_mul(count))
        .unwrap_or(usize::MAX);
    budget.spend(count, pattern)?;
    let mut names = vec![String::new()];
    for part in &parts {
        names = names.iter().flat_map(|name| part.texts().map(move |text| format!("{name}{text}"))).collect();
    }
    Ok(names.into_iter().map(Name::from).collect())
}

/// Whether `name` is matched by `pattern`, in which `*` stands for any text.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or("");
    for part in parts {
        let Some(found) = left.find(part) else {
            return false;
        };
        left = &left[found + part.len()..];
    }
    left.len() >= last.len() && left.ends_with(last)
}

enum Part<'a> {
    Text(&'a str),
    Range { first: u64, last: u64, width: usize },
}

impl<'a> Part<'a> {
    fn count(&self) -> usize {
        match self {
            Part::Text(_) => 1,
            Part::Range { first, last, .. } => {
                usize::try_from(last - first).unwrap_or(usize::MAX).saturating_add(1)
            }
        }
    }

    fn texts(&self) -> Box<dyn Iterator<Item = String> + 'a> {
        match *self {
            Part::Text(text) => Box::new(std::iter::once(text.to_string())),
            Part::Range { first, last, width } => {
                Box::new((first..=last).map(move |number| format!("{number:0width$}")))
            }
        }
    }
}

fn split(pattern: &At<String>) -> Result<Vec<Part<'_>>, Problem> {
    check_characters(pattern)?;
    let mut parts = Vec::new();
    let mut rest = pattern.value.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let Some((inside, after)) = after.split_once('}') else {
            return Err(bad_range(pattern, "has a `{` that is never closed"));
        };
        parts.push(Part::Text(before));
        parts.push(
            range(inside).ok_or_else(|| bad_range(pattern, "has no range of numbers in its brackets"))?,
        );
        rest = after;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

fn range(inside: &str) -> Option<Part<'static>> {
    let (first, last) = inside.split_once("..")?;
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return None;
    }
    let width = if first.starts_with('0') { first.len() } else { 1 };
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some(Part::Range { first, last, width })
}

fn bad_range(pattern: &At<String>, what: &str) -> Problem {
    Problem::at(pattern.place, format!("`{}` {what}", pattern.value), "this name")
        .help("several names are written \"node{01..16}\", the smaller number first")
}

fn check_characters(pattern: &At<String>) -> Result<(), Problem> {
    let problem = |message: String| Err(Problem::at(pattern.place, message, "this name"));
    let name = pattern.value.as_str();
    if name.trim().is_empty() {
        problem("the name is empty".to_string())
    } else if name.chars().count() > MAX_NAME_CHARS {
        problem(format!("the name has more than {MAX_NAME_CHARS} characters"))
    } else if name.chars().any(char::is_control) {
        problem("the name has characters that do not print".to_string())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::at::Place;

    fn names(pattern: &str) -> Result<Vec<String>, Problem> {
        let pattern = At { value: pattern.to_string(), place: Place::default() };
        let names = expand(&pattern, &mut Budget::default())?;
        Ok(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn numbers_keep_the_width_of_the_first() {
        assert_eq!(names("node{08..11}").unwrap(), ["node08", "node09", "node10", "node11"]);
        assert_eq!(names("node{8..10}").unwrap(), ["node8", "node9", "node10"]);
    }

    #[test]
    fn several_ranges_are_combined_last_one_fastest() {
        assert_eq!(names("r{1..2}n{1..2}").unwrap(), ["r1n1", "r1n2", "r2n1", "r2n2"]);
    }

    #[test]
    fn a_plain_name_stands_for_itself() {
        assert_eq!(names("db-1.example").unwrap(), ["db-1.example"]);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for bad in ["a{", "a{}", "a{1}", "a{2..1}", "a{-1..2}", "a{1..x}", "", " ", "a\n"] {
            assert!(names(bad).is_err(), "{bad:?}");
        }
        assert!(names("a{0..18446744073709551615}").is_err());
        assert!(names("a{0..3000}{0..3000}{0..3000}{0..18446744073709551615}").is_err());
    }

    #[test]
    fn stars_stand_for_any_text() {
        assert!(matches("*", "node1"));
        assert!(matches("web*", "web"));
        assert!(matches("*b*1", "web-b-1"));
        assert!(!matches("web*b", "web"));
        assert!(!matches("a*a", "a"));
        assert!(!matches("node1", "node11"));
    }
}
