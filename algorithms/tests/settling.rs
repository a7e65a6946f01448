//! The one loop that drains a machine: answers at once, refusals, hosts that cannot go on.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use algorithms::machine::{Host, Machine, Output, Refused, Settled, WaitingHost, run, settle};
use algorithms::records::{EventKind, EventRecord, Level, Record};
use sim_core::{SimTime, Span};

/// Wants what it is told, one command for each letter, then a record; refuses what is not small; ends with a full stop.
#[derive(Debug, Default)]
struct Letters {
    heard: String,
    outbox: VecDeque<Output<char, usize>>,
}

impl Machine for Letters {
    type Input = &'static str;
    type Command = char;
    type Done = usize;

    fn handle(&mut self, now: SimTime, input: &'static str) -> Result<(), Refused> {
        if input.chars().any(char::is_uppercase) {
            return Err(Refused { input: input.into(), state: "small letters".into() });
        }
        self.heard += input;
        self.outbox.extend(input.chars().filter(|letter| letter.is_lowercase()).map(Output::Command));
        self.outbox.push_back(Output::Record(Record::Event(EventRecord::information(now, input))));
        Ok(())
    }

    fn poll(&mut self) -> Output<char, usize> {
        let waiting = self.outbox.pop_front();
        waiting.unwrap_or_else(|| match self.heard.ends_with('.') {
            true => Output::Done(self.heard.len()),
            false => Output::Wait(SimTime::MAX),
        })
    }
}

/// Answers by a table, and notes what it sees.
#[derive(Debug, Default)]
struct Table {
    answers: Vec<(char, &'static str)>,
    seen: Vec<String>,
    kinds: Vec<(EventKind, Level)>,
    next: VecDeque<&'static str>,
}

impl Host<Letters> for Table {
    type Error = char;

    fn carry_out(&mut self, _: SimTime, command: char) -> Result<Option<&'static str>, char> {
        if command == 'x' {
            return Err('x');
        }
        self.seen.push(command.into());
        Ok(self.answers.iter().find(|(letter, _)| *letter == command).map(|(_, answer)| *answer))
    }

    fn record(&mut self, record: Record) {
        if let Record::Event(event) = record {
            self.kinds.push((event.kind, event.level));
            self.seen.push(format!("\"{}\"", event.message));
        }
    }
}

impl WaitingHost<Letters> for Table {
    fn wait(&mut self, until: SimTime) -> Result<(SimTime, &'static str), char> {
        assert_eq!(until, SimTime::MAX);
        self.next.pop_front().map(|input| (SimTime::ZERO + Span::from_secs(1), input)).ok_or('?')
    }
}

fn table(answers: &[(char, &'static str)]) -> Table {
    Table { answers: answers.to_vec(), ..Table::default() }
}

#[test]
fn answers_at_once_are_told_in_the_order_of_their_commands_when_all_else_is_taken() {
    let mut host = table(&[('a', "1"), ('b', "c2"), ('c', "3"), ('d', "4")]);
    let settled = settle(&mut Letters::default(), SimTime::ZERO, "abd", &mut host);
    assert_eq!(settled, Ok(Settled::Wait(SimTime::MAX)));
    assert_eq!(host.seen, ["a", "b", "d", "\"abd\"", "\"1\"", "c", "\"c2\"", "\"4\"", "\"3\""]);
}

#[test]
fn a_command_without_an_answer_is_waited_for() {
    let mut host = table(&[]);
    assert_eq!(
        settle(&mut Letters::default(), SimTime::ZERO, "a", &mut host),
        Ok(Settled::Wait(SimTime::MAX))
    );
    assert_eq!(host.seen, ["a", "\"a\""]);
}

#[test]
fn a_refused_answer_is_recorded_and_the_loop_goes_on() {
    let mut host = table(&[('a', "NO"), ('b', "yes")]);
    let mut letters = Letters::default();
    assert_eq!(settle(&mut letters, SimTime::ZERO, "ab", &mut host), Ok(Settled::Wait(SimTime::MAX)));
    assert_eq!(letters.heard, "abyes");
    assert_eq!(host.seen[3], "\"ignored: NO does not fit the state small letters\"");
    assert_eq!(host.kinds[1], (EventKind::InputRefused, Level::Warning));
}

#[test]
fn a_refused_input_is_recorded_and_the_machine_is_polled_all_the_same() {
    let mut host = table(&[]);
    assert_eq!(
        settle(&mut Letters::default(), SimTime::ZERO, "NO", &mut host),
        Ok(Settled::Wait(SimTime::MAX))
    );
    assert_eq!(host.kinds, [(EventKind::InputRefused, Level::Warning)]);
}

#[test]
fn a_host_that_cannot_go_on_stops_with_its_error() {
    let mut host = table(&[]);
    assert_eq!(settle(&mut Letters::default(), SimTime::ZERO, "axb", &mut host), Err('x'));
    assert_eq!(host.seen, ["a"]);
}

#[test]
fn the_end_comes_when_all_output_is_taken_and_answers_after_it_are_not_told() {
    let mut host = table(&[('a', "b")]);
    assert_eq!(settle(&mut Letters::default(), SimTime::ZERO, "a.", &mut host), Ok(Settled::Done(2)));
    assert_eq!(host.seen, ["a", "\"a.\""]);
}

#[test]
fn a_host_that_waits_drives_to_the_end() {
    let mut host = Table { next: ["NO", "b", "."].into(), ..table(&[]) };
    assert_eq!(run(&mut Letters::default(), (SimTime::ZERO, "a"), &mut host), Ok(3));
    let mut host = table(&[]);
    assert_eq!(run(&mut Letters::default(), (SimTime::ZERO, "a"), &mut host), Err('?'));
}
