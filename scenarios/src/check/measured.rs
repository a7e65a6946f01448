//! What others measured.

use algorithms::ids::Name;
use algorithms::measured::{Measured, MeasuredValue, Quantity, Subject};
use sim_core::Span;

use super::Checker;
use super::guests::Guests;
use crate::error::Problem;
use crate::file::{MeasuredFile, MeasuredRow};
use crate::read::at::At;

impl Checker {
    pub(crate) fn measured(&mut self, files: &[At<MeasuredFile>], guests: &Guests) -> Vec<Measured> {
        let mut all = Vec::with_capacity(files.len());
        for file in files {
            if file.source.trim().is_empty() {
                let problem = Problem::at(file.source.place, "measured values need a source", "is empty");
                self.problems
                    .push(problem.help("a paper, page or data set, so that a reader can look it up"));
            }
            let mut values = Vec::new();
            for row in &file.values {
                if self.problems.are_enough() {
                    return all;
                }
                let read = values_of(row, guests);
                values.extend(self.problems.take(read).unwrap_or_default());
            }
            all.push(Measured { source: file.source.value.clone(), values });
        }
        all
    }
}

fn values_of(row: &At<MeasuredRow>, guests: &Guests) -> Result<Vec<MeasuredValue>, Problem> {
    let subject = match &row.vm {
        None => Subject::Run,
        Some(vm) => {
            let index = guests.table.one(vm)?;
            Subject::Vm(Name::from(guests.table.name(index)))
        }
    };
    check_subject(row)?;
    let seconds = |span: &At<Span>| span.as_secs_f64();
    let quantities = [
        (Quantity::Makespan, row.makespan.as_ref().map(seconds)),
        (Quantity::Started, row.started.as_ref().map(seconds)),
        (Quantity::Total, row.total.as_ref().map(seconds)),
        (Quantity::Blackout, row.blackout.as_ref().map(seconds)),
        (Quantity::MemoryBytesSent, row.memory_sent.as_ref().map(|bytes| bytes.as_f64())),
        (Quantity::Rounds, row.rounds.as_ref().map(|rounds| f64::from(rounds.value))),
    ];
    let given = quantities.into_iter().filter_map(|(quantity, value)| Some((quantity, value?)));
    let values: Vec<MeasuredValue> = given
        .map(|(quantity, value)| MeasuredValue {
            subject: subject.clone(),
            quantity,
            value,
            calibrated: row.calibrated.unwrap_or(false),
        })
        .collect();
    if values.is_empty() {
        return Err(Problem::at(row.place, "no value is given", "measured what?")
            .help("give one or more of: makespan, started, total, blackout, memory_sent, rounds"));
    }
    Ok(values)
}

/// A makespan is the run's, a start or a pause a guest's.
fn check_subject(row: &MeasuredRow) -> Result<(), Problem> {
    if let (Some(_), Some(makespan)) = (&row.vm, &row.makespan) {
        let message = "one guest has no makespan";
        return Err(Problem::at(makespan.place, message, "belongs to the whole run").help(
            "a guest's migration time is its `total`; leave out `vm` to give the makespan of the run",
        ));
    }
    let of_guest = [&row.started, &row.total, &row.blackout];
    match (&row.vm, of_guest.into_iter().flatten().next()) {
        (None, Some(value)) => {
            Err(Problem::at(value.place, "this belongs to one guest's migration", "of which guest?")
                .help("add `vm: \"…\"`; the time of the whole run is its `makespan`"))
        }
        _ => Ok(()),
    }
}
