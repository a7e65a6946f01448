//! The plan of a drain as text.

use algorithms::drain_plan::{DrainPlan, Expected, PlannedMove, PlannedStay};

use crate::grid::{Grid, Tone, left, right};
use crate::human;
use crate::table::{TableOptions, show};
use crate::words;

/// Digits of a fingerprint that are enough to tell two inventories apart by eye.
const DIGITS_SHOWN: usize = 12;

/// Everything that a terminal shows of a plan.
pub fn drain_plan_text(plan: &DrainPlan, options: TableOptions) -> String {
    let alternative = plan.alternative.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let simulated = match plan.replications {
        1 => "simulated once".to_string(),
        times => format!("simulated {times} times"),
    };
    let Expected { p50, p95 } = plan.makespan_s;
    let inventory = &plan.inventory;
    let fingerprint: String = plan.fingerprint.chars().take(DIGITS_SHOWN).collect();
    let mut text = format!(
        "{}{alternative} · drain of {}, {simulated} under seed {}\n  {:<13} {}, in 95 of 100 before {}\n  \
         {:<13} {} hosts, {} guests, fingerprint {fingerprint}…\n",
        plan.scenario,
        plan.host,
        plan.seed,
        "done after",
        human::seconds(p50),
        human::seconds(p95),
        "inventory",
        inventory.hosts.len(),
        inventory.guests.len(),
    );
    if !plan.moves.is_empty() {
        text.push_str(&format!("\nMoves, in their order\n{}", show(&moves(&plan.moves), options)));
    }
    let disks = disks(plan);
    if !disks.rows.is_empty() {
        text.push_str(&format!("\nTheir disks\n{}", show(&disks, options)));
    }
    if !plan.stays.is_empty() {
        text.push_str(&stays(&plan.stays));
    }
    text
}

fn moves(moves: &[PlannedMove]) -> Grid {
    let mut grid = Grid::new([
        left("vm"),
        left("to"),
        left("kind"),
        right("disks"),
        right("starts"),
        right("total"),
        right("p95"),
        right("blackout"),
        right("its p95"),
        right("completes"),
        left("why there"),
    ]);
    for each in moves {
        let tone = if each.completes < 1.0 { Tone::Warning } else { Tone::Plain };
        let cells = vec![
            each.vm.to_string(),
            each.destination.to_string(),
            words::spoken(words::kind(each.kind)),
            if each.disks.is_empty() { String::new() } else { human::bytes(each.disk_bytes().as_f64()) },
            human::seconds(each.start_s.p50),
            human::seconds(each.total_s.p50),
            human::seconds(each.total_s.p95),
            human::pause(each.blackout_s.p50),
            human::pause(each.blackout_s.p95),
            human::share(each.completes),
            each.reason.clone(),
        ];
        grid.push(tone, cells);
    }
    grid.without_if_empty("disks")
}

/// What every disk of the guests that move does.
fn disks(plan: &DrainPlan) -> Grid {
    let mut grid = Grid::new([left("vm"), left("disk"), right("size"), left("on"), left("goes to")]);
    for each in &plan.moves {
        let guest = plan.inventory.guests.iter().find(|guest| guest.name == each.vm);
        for disk in guest.into_iter().flat_map(|guest| &guest.disks) {
            let to =
                each.disks.iter().find(|order| order.name == disk.name).map(|order| order.to.to_string());
            let cells = vec![
                each.vm.to_string(),
                disk.name.to_string(),
                human::bytes(disk.bytes.as_f64()),
                disk.on.to_string(),
                to.unwrap_or_else(|| format!("stays; {} reaches it", each.destination)),
            ];
            grid.push(Tone::Plain, cells);
        }
    }
    grid
}

/// Guests that stay for the same reason stand together: reasons and commands are longer than a table is wide.
fn stays(stays: &[PlannedStay]) -> String {
    let mut text = "\nGuests that stay\n".to_string();
    let mut told: Vec<&PlannedStay> = Vec::new();
    for each in stays {
        let same = |other: &PlannedStay| other.reason == each.reason && other.fix == each.fix;
        if told.iter().any(|other| same(other)) {
            continue;
        }
        told.push(each);
        let guests: Vec<&str> = stays.iter().filter(|other| same(other)).map(|other| &*other.vm).collect();
        let event = each.event_id.map(|id| format!(" · event {id}")).unwrap_or_default();
        text.push_str(&format!("  {}{event}\n    why   {}\n", guests.join(", "), each.reason));
        if let Some(fix) = &each.fix {
            text.push_str(&format!("    fix   {fix}\n"));
        }
    }
    text
}
