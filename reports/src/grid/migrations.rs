//! The grids of a run's migrations, rounds and log.

use algorithms::ids::{MigrationId, Name};
use algorithms::records::{EventRecord, Level, MigrationRecord, Outcome, RoundRecord, RunRecords};
use sim_core::SimTime;

use super::{Grid, Tone, left, right};
use crate::{human, words};

/// One row for each migration. `whereabouts` are told where they are not what the outcome says by itself, such as in
/// doubt; `queued` is empty for those asked for at the very beginning, and
/// `reason` for those that were completed; `how` and `why` are for what a failover cluster moves. A
/// column that is empty throughout is left out.
pub(crate) fn migrations(run: &RunRecords) -> Grid {
    let mut grid = Grid::new([
        left("vm"),
        left("from → to"),
        left("outcome"),
        left("whereabouts"),
        left("how"),
        right("queued"),
        right("started"),
        right("total"),
        right("brownout"),
        right("blackout"),
        right("rounds"),
        right("memory\nsent"),
        right("storage\nsent"),
        right("guest\nslowed"),
        right("faults"),
        left("reason"),
        left("why"),
    ]);
    for record in &run.migrations {
        grid.push(tone_of(record.outcome), migration_cells(record));
    }
    let grid = grid
        .without_if_empty("whereabouts")
        .without_if_empty("how")
        .without_if_empty("queued")
        .without_if_empty("storage\nsent");
    let grid = grid.without_if_empty("guest\nslowed").without_if_empty("faults");
    grid.without_if_empty("reason").without_if_empty("why")
}

/// The same, with what sending took and what held it back: for the page, which has room.
pub(crate) fn migrations_in_full(run: &RunRecords) -> Grid {
    let mut grid = migrations(run);
    let before = grid.columns.iter().position(|column| column.heading == "reason");
    let place = before.unwrap_or(grid.columns.len());
    let added = [right("CPU at source"), right("CPU at destination"), left("held back by")];
    if run.migrations.iter().all(|record| record.transfer.is_none()) {
        return grid;
    }
    grid.columns.splice(place..place, added);
    for (row, record) in grid.rows.iter_mut().zip(&run.migrations) {
        row.cells.splice(place..place, transfer_cells(record));
    }
    grid
}

fn transfer_cells(record: &MigrationRecord) -> [String; 3] {
    let nothing = || human::NOTHING.to_string();
    let Some(transfer) = &record.transfer else {
        return [nothing(), nothing(), nothing()];
    };
    let core_seconds = |value: f64| format!("{} core-s", human::digits(value, 3));
    let held = transfer.bottleneck.as_ref().map_or_else(nothing, |name| {
        let compressed = transfer.compressed_share.filter(|share| *share < 1.0);
        let note = compressed.map(|share| format!(", {} compressed", human::share(share)));
        format!("{name} ({}{})", human::share(transfer.bottleneck_share), note.unwrap_or_default())
    });
    [core_seconds(transfer.source_core_seconds), core_seconds(transfer.destination_core_seconds), held]
}

/// One row for each round of one migration.
pub(crate) fn rounds(run: &RunRecords, migration: MigrationId) -> Grid {
    let mut grid = Grid::new([
        right("round"),
        left("phase"),
        right("start"),
        right("duration"),
        right("sent"),
        right("dirty left"),
        right("rate"),
        right("throttle"),
    ]);
    for record in run.rounds.iter().filter(|each| each.migration == migration) {
        grid.push(Tone::Plain, round_cells(record));
    }
    grid.without_if_empty("throttle")
}

/// One row for each line of the log.
pub(crate) fn events(run: &RunRecords) -> Grid {
    let mut grid = Grid::new([
        right("time"),
        left("level"),
        right("event id"),
        left("vm"),
        left("host"),
        left("message"),
    ]);
    for record in &run.events {
        grid.push(tone_of_level(record.level), event_cells(record));
    }
    grid.without_if_empty("event id").without_if_empty("vm").without_if_empty("host")
}

fn migration_cells(record: &MigrationRecord) -> Vec<String> {
    let destination = record.destination.as_deref().unwrap_or(human::NOTHING);
    // What never began has no times; zeros would read as "instantly".
    let began = |shown: String| {
        if record.started.is_some() { shown } else { human::NOTHING.to_string() }
    };
    let storage = record.storage_bytes_sent.as_f64();
    vec![
        record.vm.to_string(),
        format!("{} → {destination}", record.source),
        words::spoken(words::outcome(record.outcome)),
        words::where_left(record).unwrap_or_default(),
        how(record),
        if record.queued > SimTime::ZERO {
            human::seconds(record.queued.as_secs_f64())
        } else {
            String::new()
        },
        record.started.map_or(human::NOTHING.to_string(), |time| human::seconds(time.as_secs_f64())),
        began(human::seconds(record.total.as_secs_f64())),
        began(human::seconds(record.brownout.as_secs_f64())),
        began(human::pause(record.blackout.as_secs_f64())),
        began(record.rounds.to_string()),
        began(human::bytes(record.memory_bytes_sent.as_f64())),
        if storage > 0.0 { human::bytes(storage) } else { String::new() },
        slowed(record),
        faults(record),
        reason_of(record),
        record.why.as_deref().unwrap_or_default().to_string(),
    ]
}

/// How much slower the guest was before the pause; empty where it was not.
fn slowed(record: &MigrationRecord) -> String {
    let share = record.impact.as_ref().map_or(0.0, |impact| impact.slow_down);
    if share > 0.0 { human::share(share) } else { String::new() }
}

/// Pages that were fetched over the network; empty where memory did not follow the guest.
fn faults(record: &MigrationRecord) -> String {
    let post_copy = record.impact.as_ref().and_then(|impact| impact.post_copy);
    post_copy.map_or(String::new(), |post_copy| post_copy.faults.to_string())
}

/// How the cluster moved it; nothing where no cluster did.
fn how(record: &MigrationRecord) -> String {
    record.why.as_ref().map(|_| words::spoken(words::kind(record.kind))).unwrap_or_default()
}

fn reason_of(record: &MigrationRecord) -> String {
    match (record.outcome, record.event_id) {
        (Outcome::Completed, _) => String::new(),
        (_, Some(event)) => format!("{} (event {event})", record.reason),
        (_, None) => record.reason.clone(),
    }
}

fn round_cells(record: &RoundRecord) -> Vec<String> {
    vec![
        record.round.to_string(),
        words::spoken(words::phase(record.phase)),
        human::seconds(record.start.as_secs_f64()),
        human::seconds(record.duration.as_secs_f64()),
        human::bytes(record.bytes_sent.as_f64()),
        human::bytes(record.dirty_bytes_left.as_f64()),
        human::bits_per_second(record.rate.bits_per_sec() as f64),
        if record.throttle_percent > 0 { format!("{} %", record.throttle_percent) } else { String::new() },
    ]
}

fn event_cells(record: &EventRecord) -> Vec<String> {
    let name = |name: &Option<Name>| name.as_deref().unwrap_or_default().to_string();
    vec![
        human::seconds(record.time.as_secs_f64()),
        words::level(record.level).to_string(),
        record.event_id.map(|id| id.to_string()).unwrap_or_default(),
        name(&record.vm),
        name(&record.host),
        record.message.clone(),
    ]
}

fn tone_of(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Completed => Tone::Plain,
        Outcome::Cancelled => Tone::Warning,
        Outcome::Failed | Outcome::Lost | Outcome::NotStarted => Tone::Bad,
    }
}

fn tone_of_level(level: Level) -> Tone {
    match level {
        Level::Information => Tone::Plain,
        Level::Warning => Tone::Warning,
        Level::Error => Tone::Bad,
    }
}
