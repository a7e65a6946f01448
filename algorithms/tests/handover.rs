//! Every state that a hand-over can come to, messages lost, doubled and late, either side killed at
//! any moment: never two that own the guest, and always a way back to one.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, VecDeque};

use algorithms::handover::{
    DestinationPhase, DestinationStep, Known, Resolution, SourcePhase, SourceStep, resolve,
};

/// A message that has been sent. It stays on its way, so that it can come late and more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Message {
    Commit,
    GiveUp,
    IsPrepared,
    Runs,
    HasRenounced,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Both {
    source: SourcePhase,
    destination: DestinationPhase,
    /// Whether the destination has been told something that lets the source decide.
    sent: BTreeSet<Message>,
}

impl Both {
    fn source_takes(&self, step: SourceStep) -> Option<Both> {
        let source = self.source.after(step).ok()?;
        let mut sent = self.sent.clone();
        match source {
            SourcePhase::Committed => drop(sent.insert(Message::Commit)),
            SourcePhase::TakenBack => drop(sent.insert(Message::GiveUp)),
            SourcePhase::Undecided | SourcePhase::Released => {}
        }
        Some(Both { source, sent, ..self.clone() })
    }

    fn destination_takes(&self, step: DestinationStep) -> Option<Both> {
        let destination = self.destination.after(step).ok()?;
        let mut sent = self.sent.clone();
        match destination {
            DestinationPhase::Prepared => drop(sent.insert(Message::IsPrepared)),
            DestinationPhase::Running => drop(sent.insert(Message::Runs)),
            DestinationPhase::Renounced => drop(sent.insert(Message::HasRenounced)),
            // What it says of itself lets the source release the guest only when all memory is there.
            DestinationPhase::Receiving | DestinationPhase::PostCopying => {}
        }
        Some(Both { destination, sent, ..self.clone() })
    }

    /// Everything that may happen next.
    fn next(&self) -> Vec<Both> {
        let mut next = vec![
            Some(Both { source: self.source.restarted(), ..self.clone() }),
            Some(Both { destination: self.destination.restarted(), ..self.clone() }),
            self.source_takes(SourceStep::TakeBack),
            self.destination_takes(DestinationStep::Prepare),
            self.destination_takes(DestinationStep::Renounce),
        ];
        for message in &self.sent {
            next.push(match message {
                Message::IsPrepared => self.source_takes(SourceStep::Commit),
                Message::Commit => self.destination_takes(DestinationStep::Commit),
                Message::GiveUp => self.destination_takes(DestinationStep::Renounce),
                Message::Runs => self.source_takes(SourceStep::DestinationRuns),
                Message::HasRenounced => self.source_takes(SourceStep::DestinationRenounced),
            });
        }
        if self.sent.contains(&Message::Commit) {
            next.push(self.destination_takes(DestinationStep::CommitEarly));
        }
        // The source has the missing memory as long as it is committed and was not killed.
        if self.source == SourcePhase::Committed {
            next.push(self.destination_takes(DestinationStep::MemoryCame));
        }
        // Recovery by an operator, at any moment, with both sides asked.
        next.push(self.resolved());
        next.into_iter().flatten().collect()
    }

    fn resolved(&self) -> Option<Both> {
        match resolve(Known::At(self.source), Known::At(self.destination)) {
            Resolution::Nothing => None,
            Resolution::Commit => self.destination_takes(DestinationStep::Commit),
            Resolution::Release => self.source_takes(SourceStep::DestinationRuns),
            Resolution::TakeBack => self.source_takes(SourceStep::DestinationRenounced),
            Resolution::Renounce => self.destination_takes(DestinationStep::Renounce),
            // Memory that is there comes; where it is not, the source lets go.
            Resolution::Deliver => self.source_takes(SourceStep::DestinationRuns),
            Resolution::Anew => self.destination_takes(DestinationStep::MemoryLost),
            never @ (Resolution::Lost | Resolution::InDoubt | Resolution::Both) => {
                panic!("{never:?} from {self:?}, where each side can be asked")
            }
        }
    }

    fn owners(&self) -> usize {
        usize::from(self.source.owns()) + usize::from(self.destination.owns())
    }
}

fn reachable() -> BTreeSet<Both> {
    let start = Both {
        source: SourcePhase::Undecided,
        destination: DestinationPhase::Receiving,
        sent: BTreeSet::new(),
    };
    let mut seen = BTreeSet::from([start.clone()]);
    let mut waiting = VecDeque::from([start]);
    while let Some(state) = waiting.pop_front() {
        for next in state.next() {
            if seen.insert(next.clone()) {
                waiting.push_back(next);
            }
        }
    }
    seen
}

#[test]
fn never_do_both_sides_own_the_guest() {
    let states = reachable();
    assert!(states.len() > 15, "only {} states were looked at", states.len());
    for state in &states {
        assert!(state.owners() <= 1, "two owners in {state:?}");
    }
    let ends = |source, destination| {
        states.iter().any(|state| state.source == source && state.destination == destination)
    };
    assert!(ends(SourcePhase::Released, DestinationPhase::Running), "it can succeed");
    assert!(ends(SourcePhase::TakenBack, DestinationPhase::Renounced), "it can be given up");
    assert!(ends(SourcePhase::Committed, DestinationPhase::Renounced), "it can be in doubt");
    assert!(ends(SourcePhase::Committed, DestinationPhase::PostCopying), "it can run before its memory");
    let never = |source| !ends(source, DestinationPhase::PostCopying);
    assert!(
        never(SourcePhase::Undecided) && never(SourcePhase::TakenBack),
        "and not while it is the source's"
    );
}

/// From wherever killing and losing messages led, restarting both and resolving ends with one owner.
#[test]
fn from_every_state_recovery_leads_to_exactly_one_owner() {
    for state in reachable() {
        let restarted = Both {
            source: state.source.restarted(),
            destination: state.destination.restarted(),
            sent: BTreeSet::new(),
        };
        for mut state in [state, restarted] {
            let mut steps = 0;
            while let Some(next) = state.resolved() {
                state = next;
                steps += 1;
                assert!(steps <= 2, "resolving does not end: {state:?}");
            }
            assert_eq!(state.owners(), 1, "no owner after recovery: {state:?}");
        }
    }
}

#[test]
fn a_side_that_knows_nothing_of_it_is_no_obstacle() {
    use Known::{At, Nothing};
    assert_eq!(resolve(At(SourcePhase::Committed), Nothing), Resolution::TakeBack);
    assert_eq!(resolve(Nothing, At(DestinationPhase::Prepared)), Resolution::Renounce);
    assert_eq!(resolve(Nothing, At(DestinationPhase::Running)), Resolution::Nothing);
    assert_eq!(resolve(Nothing, At(DestinationPhase::PostCopying)), Resolution::Anew);
    assert_eq!(resolve(At(SourcePhase::Undecided), Nothing), Resolution::Nothing);
}

/// A side that is gone had its copy with it: the other goes on where it has all, and only where it cannot have run twice.
#[test]
fn a_side_that_is_gone_leaves_the_other_to_go_on_or_an_operator_to_look() {
    use Known::{At, Gone, Nothing};
    assert_eq!(resolve(Gone, At(DestinationPhase::Prepared)), Resolution::Commit);
    assert_eq!(resolve(Gone, At(DestinationPhase::Running)), Resolution::Nothing);
    assert_eq!(resolve(Gone, At(DestinationPhase::Receiving)), Resolution::Lost);
    assert_eq!(resolve(Gone, At(DestinationPhase::PostCopying)), Resolution::Anew);
    assert_eq!(resolve(Gone, Gone), Resolution::Lost);
    assert_eq!(resolve(Gone, Nothing), Resolution::Lost);
    assert_eq!(resolve(At(SourcePhase::TakenBack), Gone), Resolution::Nothing);
    assert_eq!(resolve(At(SourcePhase::Undecided), Gone), Resolution::TakeBack);
    assert_eq!(resolve(At(SourcePhase::Committed), Gone), Resolution::InDoubt, "it may have run there");
    assert_eq!(resolve(At(SourcePhase::Released), Gone), Resolution::Lost);
}

#[test]
fn no_resolution_starts_a_copy_while_the_other_may_run() {
    use {DestinationPhase as There, SourcePhase as Here};
    let here = [Here::Undecided, Here::Committed, Here::Released, Here::TakenBack];
    let there = [There::Receiving, There::Prepared, There::Running, There::PostCopying, There::Renounced];
    let sources = here.map(Known::At).into_iter().chain([Known::Nothing, Known::Gone]);
    for source in sources {
        for destination in there.map(Known::At).into_iter().chain([Known::Nothing, Known::Gone]) {
            let found = resolve(source, destination);
            if matches!(found, Resolution::Commit | Resolution::Anew) {
                assert!(!matches!(source, Known::At(phase) if phase.owns()), "{source:?} {destination:?}");
            }
            if found == Resolution::TakeBack {
                let runs = matches!(destination, Known::At(phase) if phase.owns());
                assert!(!runs && destination != Known::At(There::Prepared), "{source:?} {destination:?}");
            }
        }
    }
}
