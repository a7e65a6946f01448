//! Every state that a hand-over can come to, messages lost, doubled and late, either side killed at
//! any moment: never two that own the guest, and always a way back to one.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, VecDeque};

use algorithms::handover::{DestinationPhase, DestinationStep, Resolution, SourcePhase, SourceStep, resolve};

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
        match resolve(Some(self.source), Some(self.destination)) {
            Resolution::Nothing => None,
            Resolution::Commit => self.destination_takes(DestinationStep::Commit),
            Resolution::Release => self.source_takes(SourceStep::DestinationRuns),
            Resolution::TakeBack => self.source_takes(SourceStep::DestinationRenounced),
            Resolution::Renounce => self.destination_takes(DestinationStep::Renounce),
            // Memory that is there comes; where it is not, the source lets go.
            Resolution::Deliver => self.source_takes(SourceStep::DestinationRuns),
            Resolution::Anew => self.destination_takes(DestinationStep::MemoryLost),
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
    assert_eq!(resolve(Some(SourcePhase::Committed), None), Resolution::TakeBack);
    assert_eq!(resolve(None, Some(DestinationPhase::Prepared)), Resolution::Renounce);
    assert_eq!(resolve(None, Some(DestinationPhase::Running)), Resolution::Nothing);
    assert_eq!(resolve(None, Some(DestinationPhase::PostCopying)), Resolution::Anew);
    assert_eq!(resolve(Some(SourcePhase::Undecided), None), Resolution::Nothing);
}
