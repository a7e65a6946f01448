//! What an operator sees while a plan is carried out: bars on a terminal, a line for each event elsewhere.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write, stderr, stdin};
use std::time::Duration;

use algorithms::drain_plan::{DrainPlan, Expected};
use algorithms::ids::{MigrationId, Name};
use algorithms::operation::Attempt;
use algorithms::orchestrator::MoveOrder;
use algorithms::records::{EventKind, Outcome, Record};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use live::apply::{Operator, Signals};
use sim_core::Bytes;

/// Between two looks of a bar at the clock.
const TICK: Duration = Duration::from_millis(200);

/// The operator's view.
pub(super) struct Progress {
    planned: BTreeMap<Name, Expected>,
    /// The guest of each attempt: attempts are numbered in the order in which they start.
    guests: Vec<Name>,
    bars: Option<MultiProgress>,
    bar_of: BTreeMap<MigrationId, ProgressBar>,
    signals: Signals,
}

impl Progress {
    pub(super) fn new(plan: &DrainPlan, signals: Signals) -> Progress {
        let planned = plan.moves.iter().map(|each| (each.vm.clone(), each.total_s)).collect();
        let bars = stderr().is_terminal().then(MultiProgress::new);
        Progress { planned, guests: Vec::new(), bars, bar_of: BTreeMap::new(), signals }
    }

    /// Takes the bars away.
    pub(super) fn end(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that is gone shows nothing anyway.
            let _ = bars.clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(text);
            }
            None => eprintln!("{text}"),
        }
    }

    fn guest(&self, number: MigrationId) -> &str {
        self.guests.get(number.index()).map_or("?", |name| name)
    }
}

impl Operator for Progress {
    fn ask(&mut self, question: &str) {
        let (signals, question) = (self.signals.clone(), question.to_string());
        let prompt = move || {
            eprint!("{question} [y/N] ");
            let _ = stderr().flush();
            let mut answer = String::new();
            // Where nobody can answer, the answer is no.
            let read = stdin().lock().read_line(&mut answer).unwrap_or(0);
            signals.answer(read > 0 && matches!(answer.trim(), "y" | "Y" | "yes"));
        };
        match &self.bars {
            // In a thread, since what is under way goes on meanwhile.
            Some(bars) => {
                let bars = bars.clone();
                std::thread::spawn(move || bars.suspend(prompt));
            }
            None => {
                std::thread::spawn(prompt);
            }
        }
    }

    fn started(&mut self, attempt: &Attempt) {
        let number = MigrationId(self.guests.len() as u32);
        let Attempt { order, attempt } = attempt;
        let MoveOrder { vm, source, destination, storage, .. } = &**order;
        self.guests.push(vm.clone());
        let planned = self.planned.get(vm).copied().unwrap_or_default();
        let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
        let disks = storage.iter().flat_map(|order| &order.disks).map(|disk| disk.bytes);
        let with = if storage.is_some() {
            format!(" with {} of disks", disks.sum::<Bytes>())
        } else {
            String::new()
        };
        let text = format!("{vm}: {source} to {destination}{with}{again}");
        let expected = format!("{:.1} s, {:.1} s at p95", planned.p50, planned.p95);
        let Some(bars) = &self.bars else {
            eprintln!("{text}: started; planned are {expected}");
            return;
        };
        let bar = bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {elapsed} of {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(text);
        bar.set_message(expected);
        bar.enable_steady_tick(TICK);
        self.bar_of.insert(number, bar);
    }

    fn record(&mut self, record: &Record) {
        match record {
            Record::Round(round) => {
                let done = format!(
                    "round {}: {} sent, {} dirty",
                    round.round, round.bytes_sent, round.dirty_bytes_left
                );
                match self.bar_of.get(&round.migration) {
                    Some(bar) => bar.set_message(done),
                    None => eprintln!("{}: {done}", self.guest(round.migration)),
                }
            }
            // Under the plan's number, of which no attempt was made.
            Record::Migration(ended) if ended.outcome == Outcome::NotStarted => {
                self.line(&format!("{}: stays: {}", ended.vm, ended.reason));
            }
            Record::Migration(ended) => {
                if let Some(bar) = self.bar_of.remove(&ended.migration) {
                    bar.finish_and_clear();
                }
                let took = format!(
                    "{:.1} s, paused for {:.0} ms",
                    ended.total.as_secs_f64(),
                    ended.blackout.as_secs_f64() * 1e3
                );
                let how = match ended.outcome {
                    Outcome::Completed => format!("moved in {took}"),
                    _ => format!("not moved after {took}: {}", ended.reason),
                };
                self.line(&format!("{}: {how}", ended.vm));
            }
            Record::Event(event) => {
                // A migration's own beginning and end are told above, and its rounds.
                let of_disks = event.kind == EventKind::DiskProgress;
                let bar = event.migration.and_then(|number| self.bar_of.get(&number)).filter(|_| of_disks);
                if let Some(bar) = bar {
                    bar.set_message(event.message.clone());
                } else if event.migration.is_none() || of_disks {
                    let vm = event.vm.as_ref().map(|vm| format!("{vm}: ")).unwrap_or_default();
                    self.line(&format!("{vm}{}", event.message));
                }
            }
            Record::Resource(_) => {}
        }
    }
}
