//! Journals: every one replays, cut anywhere; one that was changed does not; and where one cannot be written, the
//! migration is given up in good order or completes.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::controller::{Command, Input, MigrationController};
use algorithms::journal::{Entry, EntryOf, Journal, Journalled, NotReplayed, VERSION, replay};
use algorithms::records::{Level, Outcome, Record, Whereabouts};
use proptest::prelude::*;
use sim_core::SimTime;
use support::answering::{HandOver, Hosts, Scenario, alone, decides, drive, scenarios, settle_late};
use support::{anything, events, migrations, order};

type Entries = Vec<EntryOf<MigrationController>>;

/// A journal in memory, which takes so many entries.
#[derive(Debug, Default)]
struct Memory {
    entries: Entries,
    room: Option<usize>,
}

impl Journal<EntryOf<MigrationController>> for Memory {
    type Error = &'static str;

    fn write(&mut self, entry: &EntryOf<MigrationController>) -> Result<(), &'static str> {
        if self.room == Some(self.entries.len()) {
            // There is none later either, but that must not be tried.
            self.room = Some(usize::MAX);
            return Err("no space left");
        }
        assert_ne!(self.room, Some(usize::MAX), "nothing is written after an entry that could not be");
        self.entries.push(entry.clone());
        Ok(())
    }
}

/// Drives a migration with a journal of so much room; `None` where it did not begin.
fn with_journal(scenario: &Scenario, room: Option<usize>) -> Option<(Entries, Hosts, Outcome)> {
    let mut memory = Memory { entries: Vec::new(), room };
    let mut hosts = Hosts::new(scenario);
    let mut machine: Journalled<MigrationController, _> =
        Journalled::begin(scenario.order.clone(), &mut memory).ok()?;
    let outcome = drive(&mut machine, &mut hosts);
    Some((memory.entries, hosts, outcome))
}

fn recorded(entries: &Entries) -> Result<Vec<Record>, NotReplayed> {
    replay::<MigrationController>(entries).map(|replayed| replayed.records)
}

#[test]
fn a_journal_changes_nothing_and_replays_with_the_same_records() {
    for scenario in scenarios() {
        let (hosts, outcome) = alone(&scenario);
        let (entries, journalled, same) = with_journal(&scenario, None).unwrap();
        assert_eq!((same, &journalled.commands), (outcome, &hosts.commands), "{}", scenario.name);
        assert_eq!(journalled.records, hosts.records, "{}", scenario.name);
        let replayed = replay::<MigrationController>(&entries).unwrap();
        assert_eq!((replayed.outcome, replayed.commands), (Some(outcome), hosts.commands.len()));
        assert_eq!(replayed.records, hosts.records, "{}", scenario.name);
        let refused = entries.iter().filter(|entry| matches!(entry, Entry::Refused(_))).count();
        assert_eq!(refused, hosts.refused.len());
        let text = serde_json::to_string(&entries).unwrap();
        assert_eq!(serde_json::from_str::<Entries>(&text).unwrap(), entries);
    }
}

#[test]
fn refused_inputs_are_in_the_journal() {
    let scenario = scenarios().into_iter().find(|each| each.name == "told what does not fit").unwrap();
    let (entries, hosts, outcome) = with_journal(&scenario, None).unwrap();
    assert_eq!((outcome, hosts.refused.len()), (Outcome::Completed, 3));
    let refused = entries.iter().filter(|entry| matches!(entry, Entry::Refused(_))).count();
    assert_eq!(refused, 3);
}

#[test]
fn a_journal_that_was_cut_anywhere_replays() {
    for scenario in scenarios() {
        let (entries, hosts, _) = with_journal(&scenario, None).unwrap();
        for length in 1..=entries.len() {
            let records = recorded(&entries[..length].to_vec()).unwrap();
            assert_eq!(records[..], hosts.records[..records.len()], "{} cut at {length}", scenario.name);
        }
        assert_eq!(recorded(&Vec::new()), Err(NotReplayed::NoOrder));
        assert_eq!(recorded(&entries[1..].to_vec()), Err(NotReplayed::NoOrder));
    }
}

/// Whether an entry is an input that led to nothing: it can be missed by nobody.
fn is_silent(entries: &Entries, index: usize) -> bool {
    let next = entries.get(index + 1);
    matches!(entries[index], Entry::Told(..)) && matches!(next, None | Some(Entry::Told(..)))
}

#[test]
fn a_journal_with_an_entry_left_out_or_changed_does_not_replay_and_says_where() {
    for scenario in scenarios() {
        let (entries, ..) = with_journal(&scenario, None).unwrap();
        for index in (1..entries.len() - 1).filter(|index| !is_silent(&entries, *index)) {
            let mut without = entries.clone();
            without.remove(index);
            let left_out = recorded(&without).unwrap_err();
            assert!(
                matches!(left_out, NotReplayed::Differs { entry, .. } if entry > index),
                "{}, {index}: {left_out}",
                scenario.name
            );
            let mut changed = entries.clone();
            match &mut changed[index] {
                Entry::Wanted(command) => {
                    *command = if *command == Command::Finish { Command::Abort } else { Command::Finish };
                }
                Entry::Refused(refused) => refused.state.push('!'),
                Entry::Told(_, input) => {
                    *input = Input::Silent { limit: sim_core::Span::from_secs(1_000) };
                }
                Entry::Ended(_) | Entry::Opened { .. } => continue,
            }
            let error = recorded(&changed).unwrap_err();
            let number = index + if matches!(entries[index], Entry::Told(..)) { 2 } else { 1 };
            assert!(
                matches!(&error, NotReplayed::Differs { entry, .. } if *entry == number),
                "{}, entry {number}: {error}",
                scenario.name
            );
            assert!(error.to_string().starts_with(&format!("entry {number}: ")), "{error}");
        }
    }
}

#[test]
fn another_version_is_refused_by_name_with_what_to_do() {
    let entries = vec![Entry::Opened { version: 1, order: Box::new(order()) }];
    let error = recorded(&entries).unwrap_err();
    assert_eq!(error, NotReplayed::Version { found: 1 });
    let said = error.to_string();
    assert!(said.contains("version 1") && said.contains(&format!("version {VERSION}")), "{said}");
    assert!(said.contains("use the migtwin that wrote it"), "{said}");
}

#[test]
fn an_input_from_before_the_one_before_it_is_refused() {
    let scenario = &scenarios()[0];
    let (mut entries, ..) = with_journal(scenario, None).unwrap();
    let index = entries.iter().rposition(|entry| matches!(entry, Entry::Told(..))).unwrap();
    if let Entry::Told(at, _) = &mut entries[index] {
        *at = SimTime::ZERO;
    }
    let error = recorded(&entries).unwrap_err();
    assert!(matches!(&error, NotReplayed::Differs { entry, .. } if *entry == index + 1), "{error}");
    assert!(error.to_string().contains("before"), "{error}");
}

#[test]
fn what_is_told_after_the_end_replays_too() {
    let scenario = &scenarios()[0];
    let (mut memory, mut hosts) = (Memory::default(), Hosts::new(scenario));
    let mut machine: Journalled<MigrationController, _> =
        Journalled::begin(scenario.order.clone(), &mut memory).unwrap();
    drive(&mut machine, &mut hosts);
    settle_late(&mut machine, &mut hosts, Input::Finished);
    settle_late(&mut machine, &mut hosts, Input::Tick);
    assert_eq!(hosts.refused.len(), 1);
    assert_eq!(recorded(&memory.entries).unwrap(), hosts.records);
}

/// What was carried out of what a journal does not have.
fn unnoted(entries: &Entries, commands: &[Command]) -> Vec<Command> {
    let noted = entries.iter().filter(|entry| matches!(entry, Entry::Wanted(_))).count();
    commands[noted..].to_vec()
}

/// Checks a migration whose journal takes `room` entries.
fn check_broken(scenario: &Scenario, room: usize) {
    let what = format!("{} with room for {room}", scenario.name);
    let Some((entries, hosts, outcome)) = with_journal(scenario, Some(room)) else {
        assert_eq!(room, 0, "{what}: only the order can keep it from beginning");
        return;
    };
    assert_eq!(entries.len(), room, "{what}");
    recorded(&entries).unwrap_or_else(|error| panic!("{what}: {error}"));
    let said: Vec<_> =
        events(&hosts.records).into_iter().filter(|event| event.message.contains("journal ends")).collect();
    assert_eq!(said.len(), 1, "{what}: said once");
    let record = migrations(&hosts.records)[0];
    let decided = hosts.commands.iter().any(|command| decides(command, scenario.hand_over));
    let gave_up = hosts.commands.contains(&Command::Abort) || outcome == Outcome::NotStarted;
    let unnoted = unnoted(&entries, &hosts.commands);
    match said[0].level {
        Level::Error => {
            assert!(matches!(outcome, Outcome::Failed | Outcome::NotStarted), "{what}: {outcome:?}");
            assert_eq!((record.whereabouts, decided), (Whereabouts::AtSource, false), "{what}");
            assert!(record.reason.contains("the journal cannot be written: no space left"), "{what}");
            let undoing = |command: &Command| matches!(command, Command::EndMirror | Command::Abort);
            assert!(unnoted.iter().all(undoing), "{what}: {unnoted:?}");
        }
        _ if gave_up => {
            // It was given up for another reason before the journal broke.
            let (_, otherwise) = alone(scenario);
            assert_eq!(outcome, otherwise, "{what}");
        }
        _ => {
            assert_eq!(
                (outcome, record.whereabouts),
                (Outcome::Completed, Whereabouts::AtDestination),
                "{what}"
            );
            assert!(decided && !unnoted.contains(&Command::Commit), "{what}: {unnoted:?}");
            let (_, otherwise) = alone(scenario);
            assert_eq!(outcome, otherwise, "{what}");
        }
    }
}

#[test]
fn a_journal_that_breaks_gives_up_in_good_order_or_lets_it_complete() {
    for scenario in scenarios() {
        let (entries, ..) = with_journal(&scenario, None).unwrap();
        for room in 0..entries.len() {
            check_broken(&scenario, room);
        }
    }
}

#[test]
fn a_destination_that_waits_for_the_decision_is_told_nothing_that_cannot_be_noted() {
    let scenario = scenarios().into_iter().find(|each| each.hand_over == HandOver::InTwoPhases).unwrap();
    let (entries, ..) = with_journal(&scenario, None).unwrap();
    let commit = entries.iter().position(|entry| matches!(entry, Entry::Wanted(Command::Commit))).unwrap();
    // Not even when it got ready in vain: what is told of that cannot be noted either.
    for room in commit - 1..=commit {
        let (_, hosts, outcome) = with_journal(&scenario, Some(room)).unwrap();
        assert_eq!((outcome, hosts.vm), (Outcome::Failed, Whereabouts::AtSource));
        assert!(!hosts.commands.contains(&Command::Commit));
    }
    let (_, hosts, outcome) = with_journal(&scenario, Some(commit + 1)).unwrap();
    assert_eq!((outcome, hosts.vm), (Outcome::Completed, Whereabouts::AtDestination));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is told besides, the journal replays, whole and broken, and a broken one never hangs a migration that
    /// did not hang before.
    #[test]
    fn whatever_is_told_the_journal_replays(
        number in 0..15_usize,
        odd in prop::collection::btree_map(1..14_usize, anything::of_controller(), 0..5),
        room in prop::option::of(1..40_usize),
    ) {
        let scenario = scenarios().swap_remove(number);
        let (mut memory, mut hosts) = (Memory { entries: vec![], room }, Hosts::new(&scenario));
        let mut machine: Journalled<MigrationController, _> =
            Journalled::begin(scenario.order.clone(), &mut memory).unwrap();
        for turn in 0..60 {
            let Some(input) = hosts.next_input() else { break };
            if let Some(odd) = odd.get(&turn) {
                settle_late(&mut machine, &mut hosts, odd.clone());
            }
            settle_late(&mut machine, &mut hosts, input);
        }
        let replayed = replay::<MigrationController>(&memory.entries);
        prop_assert!(replayed.is_ok(), "{:?}", replayed.err());
        if room.is_none() {
            prop_assert_eq!(&replayed.unwrap().records, &hosts.records);
        }
        let said = events(&hosts.records).into_iter().filter(|event| event.message.contains("journal ends"));
        prop_assert!(said.count() <= 1);
    }
}
