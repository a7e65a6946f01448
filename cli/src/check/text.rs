//! What a check found, for people.

use algorithms::ids::Name;
use algorithms::preflight::Evidence;

use super::findings::{Checked, Group};

/// So many names are listed; of more, how many there are.
const NAMES_SHOWN: usize = 6;

/// A plan that was checked: a line for the whole, then what is wrong, one after the other.
pub fn of(checked: &Checked) -> String {
    let alternative = checked.alternative.as_ref().map(|name| format!(" · {name}")).unwrap_or_default();
    let can = checked.moves.len() - checked.blocked;
    let plan = match checked.blocked {
        0 => format!("{}, all can run", moves(can)),
        blocked => format!("{}: {can} can run, {blocked} cannot", moves(checked.moves.len())),
    };
    let mut text = format!("{}{alternative}\n  plan      {plan}\n", checked.scenario);
    for (number, group) in checked.findings.iter().enumerate() {
        text.push_str(&finding(number + 1, group));
    }
    text
}

/// So many moves.
pub fn moves(count: usize) -> String {
    if count == 1 { "1 move".to_string() } else { format!("{count} moves") }
}

fn finding(number: usize, group: &Group) -> String {
    let category = group.category.map_or("placement", |category| category.name());
    let event = match (group.event_id, group.event_evidence) {
        (Some(id), Some(Evidence::Unverified)) => format!(" · event {id} (not verified)"),
        (Some(id), _) => format!(" · event {id}"),
        (None, _) => String::new(),
    };
    let mut text = format!("\n{number}. {category}{event} · {}\n", effect(group));
    let mut line = |label: &str, value: &str| text.push_str(&format!("  {label:<9} {value}\n"));
    line("what", &group.message);
    if let [_, others @ ..] = group.destinations.as_slice()
        && !others.is_empty()
    {
        line("likewise", &names(others));
    }
    line("guests", &names(&group.vms));
    if let Some(cause) = &group.cause {
        line("cause", cause);
    }
    if let Some(fix) = &group.fix {
        line("fix", fix);
    }
    text
}

fn effect(group: &Group) -> String {
    if group.stops > 0 {
        return format!(
            "stops {}",
            if group.stops == 1 { "1 guest".into() } else { format!("{} guests", group.stops) }
        );
    }
    match (group.blocks, group.diverts) {
        (0, 1) => "1 move goes elsewhere".to_string(),
        (0, diverts) => format!("{} go elsewhere", moves(diverts)),
        (blocks, 0) => format!("blocks {}", moves(blocks)),
        (blocks, diverts) => format!("blocks {}, {diverts} go elsewhere", moves(blocks)),
    }
}

fn names(all: &[Name]) -> String {
    let shown: Vec<&str> = all.iter().take(NAMES_SHOWN).map(|name| &**name).collect();
    match all.len().saturating_sub(NAMES_SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
