//! The grid of what went wrong: each kind once, with its likely cause and the command that helps.

use algorithms::records::{Advice, EventRecord, Level, RunRecords};

use super::{Grid, Tone, left, right};

/// So many guests, or hosts, are named of those that one kind of failure concerns.
const NAMES_TOLD: usize = 3;

/// One row for each kind of failure, in the order in which they first happened; failures of one
/// category with the same cause and the same remedy are of one kind.
pub(crate) fn failures(run: &RunRecords) -> Grid {
    let mut groups: Vec<Group> = Vec::new();
    for event in &run.events {
        let Some(advice) = event.advice.as_deref() else { continue };
        let same = groups.iter_mut().find(|group| group.advice == advice && group.is_alike(event));
        match same {
            Some(group) => group.events.push(event),
            None => groups.push(Group { advice, events: vec![event] }),
        }
    }
    let mut grid = Grid::new([
        left("kind"),
        right("event id"),
        right("times"),
        left("whom"),
        left("what"),
        left("likely cause"),
        left("what helps"),
    ]);
    for group in &groups {
        grid.push(group.tone(), group.cells());
    }
    grid.without_if_empty("event id")
}

/// Failures of one kind.
struct Group<'a> {
    advice: &'a Advice,
    events: Vec<&'a EventRecord>,
}

impl Group<'_> {
    fn is_alike(&self, event: &EventRecord) -> bool {
        self.events
            .first()
            .is_some_and(|first| first.level == event.level && first.event_id == event.event_id)
    }

    fn tone(&self) -> Tone {
        match self.events.first().map(|event| event.level) {
            Some(Level::Error) => Tone::Bad,
            Some(Level::Warning) => Tone::Warning,
            Some(Level::Information) | None => Tone::Plain,
        }
    }

    fn cells(&self) -> Vec<String> {
        let first = self.events.first();
        let named = |event: &&EventRecord| event.vm.clone().or_else(|| event.host.clone());
        let mut names: Vec<String> =
            self.events.iter().filter_map(named).map(|name| name.to_string()).collect();
        names.dedup();
        let more = names.len().saturating_sub(NAMES_TOLD);
        names.truncate(NAMES_TOLD);
        if more > 0 {
            names.push(format!("{more} more"));
        }
        vec![
            self.advice.category.name().to_string(),
            first.and_then(|event| event.event_id).map(|id| id.to_string()).unwrap_or_default(),
            self.events.len().to_string(),
            names.join(", "),
            first.map(|event| event.message.clone()).unwrap_or_default(),
            self.advice.cause.clone(),
            self.advice.fix.clone(),
        ]
    }
}
