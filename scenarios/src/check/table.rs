//! Things with names that others refer to: hosts, guests.

use std::collections::HashMap;

use algorithms::ids::Name;

use crate::error::Problem;
use crate::names::{self, Budget};
use crate::nearest;
use crate::read::at::{At, Place};

/// Names in order, each with the place that gave it.
#[derive(Debug)]
pub(crate) struct Table {
    /// What one is called in messages: "host", "virtual machine".
    kind: &'static str,
    /// What several are called.
    kinds: &'static str,
    names: Vec<Name>,
    places: Vec<Place>,
    by_name: HashMap<Name, u32>,
}

impl Table {
    pub(crate) fn new(kind: &'static str, kinds: &'static str) -> Table {
        Table { kind, kinds, names: Vec::new(), places: Vec::new(), by_name: HashMap::new() }
    }

    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    pub(crate) fn name(&self, index: u32) -> &str {
        self.names.get(index as usize).map_or("?", |name| name)
    }

    pub(crate) fn place(&self, index: u32) -> Place {
        self.places.get(index as usize).copied().unwrap_or_default()
    }

    /// Adds a name; names are unique.
    pub(crate) fn add(&mut self, name: Name, place: Place) -> Result<(), Problem> {
        if let Some(&first) = self.by_name.get(&name) {
            let message = format!("there are two {} with the name `{name}`", self.kinds);
            let problem = Problem::at(place, message, "the second one");
            let first = self.place(first);
            return Err(if first == place {
                problem.help("the ranges in this name give the same name twice")
            } else {
                problem.also(first, "the first one")
            });
        }
        self.by_name.insert(name.clone(), self.names.len() as u32);
        self.names.push(name);
        self.places.push(place);
        Ok(())
    }

    /// The one thing of this name.
    pub(crate) fn one(&self, name: &At<String>) -> Result<u32, Problem> {
        self.by_name.get(name.value.as_str()).copied().ok_or_else(|| self.unknown(name, &name.value))
    }

    /// All that `pattern` stands for, in order; at least one.
    pub(crate) fn all(&self, pattern: &At<String>, budget: &mut Budget) -> Result<Vec<u32>, Problem> {
        if pattern.contains('*') {
            budget.spend(self.names.len(), pattern)?;
            return self.matching(pattern);
        }
        let names = names::expand(pattern, budget)?;
        let find = |name: &Name| self.by_name.get(name).copied();
        let indices = names.iter().map(|name| find(name).ok_or_else(|| self.unknown(pattern, name)));
        indices.collect()
    }

    fn matching(&self, pattern: &At<String>) -> Result<Vec<u32>, Problem> {
        let indices = (0u32..).zip(&self.names);
        let found: Vec<u32> =
            indices.filter(|(_, name)| names::matches(pattern, name)).map(|(index, _)| index).collect();
        if found.is_empty() {
            let message = format!("no {} has a name like `{}`", self.kind, pattern.value);
            return Err(Problem::at(pattern.place, message, "matches nothing").help(self.known()));
        }
        Ok(found)
    }

    fn unknown(&self, at: &At<String>, name: &str) -> Problem {
        let message = format!("there is no {} `{name}`", self.kind);
        let near = nearest::word(name, self.names.iter().map(|name| &**name));
        let label = near.map_or("unknown name".to_string(), |near| format!("did you mean `{near}`?"));
        Problem::at(at.place, message, label).help(self.known())
    }

    /// The names that there are, as far as they fit on a line.
    fn known(&self) -> String {
        const SHOWN: usize = 8;
        if self.names.is_empty() {
            return format!("the scenario has no {}", self.kinds);
        }
        let shown: Vec<&str> = self.names.iter().take(SHOWN).map(|name| &**name).collect();
        let more = match self.names.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{} here: {}{more}", self.kinds, shown.join(", "))
    }
}
