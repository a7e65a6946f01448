//! The page loop of a hypervisor that has its own: what is told becomes records, and the guest is handed
//! over once and only when all is sent.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::controller::{
    Command, Deadline, DeadlineAction, Input, LoopOwner, MigrationController, MigrationOrder,
};
use algorithms::hypervisor_loop::{LoopCommand, LoopInput};
use algorithms::machine::Refused;
use algorithms::policy::{Policy, PostCopyStart, Qemu, StopReason};
use algorithms::records::{
    EventKind, MigrationRecord, Outcome, Record, RoundPhase, RoundRecord, Whereabouts,
};
use proptest::prelude::*;
use sim_core::{Bytes, SimTime, Span};
use support::assert_refused;

fn order(post_copy: PostCopyStart) -> MigrationOrder {
    let policy = Policy::Qemu(Qemu { post_copy, ..Qemu::default() });
    MigrationOrder { policy, page_loop: LoopOwner::Hypervisor, ..support::order() }
}

fn at(millis: u64) -> SimTime {
    SimTime::ZERO + Span::from_millis(millis)
}

fn mb(count: u64) -> Bytes {
    Bytes::new(count * 1_000_000)
}

/// A controller, and all that it has said.
struct Told {
    controller: MigrationController,
    commands: Vec<Command>,
    records: Vec<Record>,
    wait: Option<SimTime>,
    outcome: Option<Outcome>,
}

impl Told {
    /// One that is copying.
    fn copying(post_copy: PostCopyStart) -> Told {
        Told::begun(order(post_copy))
    }

    fn begun(order: MigrationOrder) -> Told {
        let controller = MigrationController::new(order);
        let (commands, records) = (vec![], vec![]);
        let mut told = Told { controller, commands, records, wait: None, outcome: None };
        told.tell(0, Input::Begin);
        told.tell(10, Input::Prepared);
        assert_eq!(told.commands, [Command::Prepare, Command::Loop(LoopCommand::Start)]);
        told
    }

    fn tell(&mut self, millis: u64, input: Input) {
        let refused = self.try_tell(millis, input);
        assert!(refused.is_empty(), "{refused:?}");
    }

    fn try_tell(&mut self, millis: u64, input: Input) -> Vec<Refused> {
        let said = support::try_tell(&mut self.controller, at(millis), input);
        self.commands.extend(said.commands);
        self.records.extend(said.records);
        (self.wait, self.outcome) = (said.wait, said.done);
        said.refused
    }

    fn says(&mut self, millis: u64, input: LoopInput) {
        self.tell(millis, Input::Loop(input));
    }

    fn rounds(&self) -> Vec<&RoundRecord> {
        support::rounds(&self.records)
    }

    fn migration(&self) -> &MigrationRecord {
        support::migrations(&self.records)[0]
    }

    fn resumed(&self) -> usize {
        let handed_over = [LoopCommand::Resume, LoopCommand::LeavePaused].map(Command::Loop);
        self.commands.iter().filter(|command| handed_over.contains(command)).count()
    }
}

#[test]
fn passes_become_rounds_and_the_blackout_is_from_stop_to_resume() {
    let mut told = Told::copying(PostCopyStart::Never);
    told.says(1_010, LoopInput::Pass { sent: mb(100), dirty: mb(20), throttle_percent: 0 });
    told.says(1_210, LoopInput::Pass { sent: mb(120), dirty: mb(4), throttle_percent: 0 });
    told.says(1_211, LoopInput::Stopped);
    told.says(1_220, LoopInput::Pass { sent: mb(120), dirty: mb(5), throttle_percent: 0 });
    assert_eq!(told.resumed(), 0, "not before all is sent");
    told.says(1_260, LoopInput::Sent { sent: mb(125) });
    assert_eq!(told.resumed(), 1);
    told.says(1_271, LoopInput::Resumed);
    told.tell(1_280, Input::Finished);
    let rounds = told.rounds();
    let bytes: Vec<_> = rounds.iter().map(|round| round.bytes_sent).collect();
    assert_eq!(bytes, [mb(100), mb(20), mb(5)], "the count of a guest that stands still ends no round");
    assert_eq!(rounds[2].phase, RoundPhase::StopAndCopy);
    let record = told.migration();
    assert_eq!((record.blackout, record.total), (Span::from_millis(60), Span::from_millis(1_280)));
    assert_eq!((record.memory_bytes_sent, record.rounds), (mb(125), 3));
    assert_eq!(told.outcome, Some(Outcome::Completed));
}

#[test]
fn post_copy_hands_over_when_the_source_says_so_and_ends_when_all_is_there() {
    let mut told = Told::copying(PostCopyStart::AfterPasses(1));
    told.says(1_000, LoopInput::Pass { sent: mb(100), dirty: mb(50), throttle_percent: 0 });
    assert_eq!(told.commands.last(), Some(&Command::Loop(LoopCommand::StartPostCopy)));
    told.says(1_010, LoopInput::Stopped);
    told.says(1_020, LoopInput::PostCopy { sent: mb(101) });
    assert_eq!(told.resumed(), 1);
    told.says(1_050, LoopInput::Resumed);
    assert_eq!(told.outcome, None, "pages still follow");
    told.tell(1_060, Input::Cancel { reason: "too late".into() });
    told.says(1_500, LoopInput::Sent { sent: mb(150) });
    told.tell(1_510, Input::Finished);
    let record = told.migration();
    assert_eq!((record.outcome, record.blackout), (Outcome::Completed, Span::from_millis(40)));
    assert_eq!((record.memory_bytes_sent, record.stop), (mb(150), Some(StopReason::PostCopy)));
}

#[test]
fn post_copy_after_a_time_is_asked_for_once_and_by_the_clock() {
    let mut told = Told::copying(PostCopyStart::After(Span::from_millis(700)));
    // The memory began to go at 10 ms.
    assert_eq!(told.wait, Some(at(710)));
    told.tell(500, Input::Tick);
    assert_eq!(told.commands.last(), Some(&Command::Loop(LoopCommand::Start)));
    told.tell(711, Input::Tick);
    assert_eq!(told.commands.last(), Some(&Command::Loop(LoopCommand::StartPostCopy)));
    told.tell(720, Input::Tick);
    assert_eq!((told.commands.len(), told.wait), (3, Some(SimTime::MAX)));
    // A guest that stands still anyway needs none.
    let mut told = Told::copying(PostCopyStart::After(Span::from_millis(700)));
    told.says(600, LoopInput::Stopped);
    told.tell(800, Input::Tick);
    assert!(!told.commands.contains(&Command::Loop(LoopCommand::StartPostCopy)));
}

#[test]
fn a_deadline_that_comes_in_post_copy_is_let_pass_and_not_waited_for_again() {
    let deadline = Some(Deadline { after: Span::from_secs(2), action: DeadlineAction::Cancel });
    let mut told = Told::begun(MigrationOrder { deadline, ..order(PostCopyStart::AfterPasses(1)) });
    told.says(1_000, LoopInput::Pass { sent: mb(100), dirty: mb(50), throttle_percent: 0 });
    told.says(1_010, LoopInput::Stopped);
    told.says(1_020, LoopInput::PostCopy { sent: mb(101) });
    told.says(1_050, LoopInput::Resumed);
    told.tell(2_000, Input::Tick);
    assert!(!told.commands.contains(&Command::Abort));
    assert_eq!(told.wait, Some(SimTime::MAX));
}

/// A pass that sent so much in all.
fn pass(sent: u64) -> LoopInput {
    LoopInput::Pass { sent: mb(sent), dirty: mb(10), throttle_percent: 0 }
}

fn pauses(told: &Told) -> usize {
    let of_others = |record: &&Record| match record {
        Record::Event(event) => event.kind == EventKind::PausedByOthers,
        _ => false,
    };
    told.records.iter().filter(of_others).count()
}

#[test]
fn a_pause_of_others_that_ended_before_the_switchover_leaves_no_trace_but_in_the_log() {
    let mut told = Told::copying(PostCopyStart::Never);
    told.says(300, LoopInput::PausedByOther);
    told.says(310, LoopInput::PausedByOther);
    told.says(800, pass(100));
    told.says(900, LoopInput::ResumedByOther);
    told.says(1_000, LoopInput::Stopped);
    told.says(1_040, LoopInput::Sent { sent: mb(110) });
    assert_eq!(told.commands.last(), Some(&Command::Loop(LoopCommand::Resume)));
    told.says(1_050, LoopInput::Resumed);
    told.tell(1_060, Input::Finished);
    assert_eq!(told.rounds().len(), 2, "passes of a paused guest are passes");
    let record = told.migration();
    assert_eq!((record.blackout, record.paused_by_others), (Span::from_millis(50), false));
    assert_eq!(pauses(&told), 2, "paused, and let go on; each once");
}

#[test]
fn a_guest_that_somebody_paused_arrives_paused_and_that_is_no_blackout() {
    for late in [false, true] {
        let mut told = Told::copying(PostCopyStart::Never);
        let order = [LoopInput::PausedByOther, LoopInput::Stopped];
        // Whose pause it was may show only later.
        let order = if late { [order[1], order[0]] } else { order };
        told.says(300, order[0]);
        told.says(700, order[1]);
        told.tell(750, Input::Tick);
        told.says(800, LoopInput::Sent { sent: mb(110) });
        assert_eq!(told.commands.last(), Some(&Command::Loop(LoopCommand::LeavePaused)));
        assert!(told.controller.is_handed_over());
        told.says(810, LoopInput::ArrivedPaused);
        told.tell(820, Input::Finished);
        let record = told.migration();
        assert_eq!((record.outcome, record.blackout), (Outcome::Completed, Span::ZERO));
        assert!(record.paused_by_others && pauses(&told) == 2, "{record:?}");
    }
}

#[test]
fn one_that_somebody_lets_go_on_where_it_has_arrived_runs() {
    let mut told = Told::copying(PostCopyStart::AfterPasses(1));
    told.says(300, LoopInput::PausedByOther);
    told.says(800, pass(100));
    told.says(900, LoopInput::Stopped);
    told.says(910, LoopInput::PostCopy { sent: mb(101) });
    told.says(920, LoopInput::ArrivedPaused);
    told.says(1_000, LoopInput::Resumed);
    told.says(1_500, LoopInput::Sent { sent: mb(150) });
    told.tell(1_510, Input::Finished);
    let record = told.migration();
    assert_eq!(
        (record.outcome, record.blackout, record.paused_by_others),
        (Outcome::Completed, Span::ZERO, false)
    );
}

#[test]
fn a_pause_taken_for_the_hypervisors_that_ends_was_somebodys() {
    let mut told = Told::copying(PostCopyStart::Never);
    told.says(300, LoopInput::Stopped);
    told.says(310, LoopInput::ResumedByOther);
    told.says(800, pass(100));
    told.says(900, LoopInput::Stopped);
    told.says(940, LoopInput::Sent { sent: mb(110) });
    told.says(950, LoopInput::Resumed);
    told.tell(960, Input::Finished);
    assert_eq!(told.migration().blackout, Span::from_millis(50));
}

#[test]
fn a_migration_of_a_paused_guest_that_is_given_up_says_that_it_is_paused() {
    let mut told = Told::copying(PostCopyStart::Never);
    told.says(300, LoopInput::PausedByOther);
    told.tell(950, Input::Cancel { reason: "asked for".into() });
    told.tell(960, Input::Aborted { sent: Bytes::ZERO, whereabouts: Whereabouts::AtSource });
    let record = told.migration();
    assert_eq!(
        (record.outcome, record.blackout, record.paused_by_others),
        (Outcome::Cancelled, Span::ZERO, true)
    );
}

#[test]
fn disks_settle_while_the_guest_stands_still() {
    let mut told = Told::copying(PostCopyStart::Never);
    told.says(900, LoopInput::Stopped);
    told.says(901, LoopInput::AtSwitchover);
    assert_eq!(told.commands.last(), Some(&Command::Loop(LoopCommand::SwitchOver)));
}

#[test]
fn giving_up_before_the_hand_over_aborts_and_counts_the_pause() {
    let mut told = Told::copying(PostCopyStart::Never);
    told.says(900, LoopInput::Stopped);
    told.tell(950, Input::Failed { reason: "the destination is gone".into() });
    assert_eq!(told.commands.last(), Some(&Command::Abort));
    told.tell(960, Input::Aborted { sent: Bytes::ZERO, whereabouts: Whereabouts::AtSource });
    assert_eq!((told.resumed(), told.outcome), (0, Some(Outcome::Failed)));
    assert_eq!(told.migration().blackout, Span::from_millis(50));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut told = Told::copying(PostCopyStart::Never);
    told.says(500, LoopInput::Pass { sent: mb(50), dirty: mb(5), throttle_percent: 0 });
    for input in [
        LoopInput::Begin,
        LoopInput::Resumed,
        LoopInput::Sent { sent: mb(60) },
        LoopInput::AtSwitchover,
        LoopInput::Pass { sent: mb(40), dirty: mb(5), throttle_percent: 0 },
    ] {
        assert_refused(&mut told.controller, at(600), Input::Loop(input));
    }
    let mut ours = MigrationController::new(support::order());
    support::tell(&mut ours, 0, Input::Begin);
    assert_refused(&mut ours, at(1), Input::Loop(LoopInput::Stopped));
}

fn any_input() -> impl Strategy<Value = Input> {
    let bytes = || (0_u64..1_000).prop_map(mb);
    prop_oneof![
        (bytes(), bytes()).prop_map(|(sent, dirty)| Input::Loop(LoopInput::Pass {
            sent,
            dirty,
            throttle_percent: 0
        })),
        Just(Input::Loop(LoopInput::Stopped)),
        Just(Input::Loop(LoopInput::AtSwitchover)),
        bytes().prop_map(|sent| Input::Loop(LoopInput::PostCopy { sent })),
        bytes().prop_map(|sent| Input::Loop(LoopInput::Sent { sent })),
        Just(Input::Loop(LoopInput::Resumed)),
        Just(Input::Loop(LoopInput::PausedByOther)),
        Just(Input::Loop(LoopInput::ResumedByOther)),
        Just(Input::Loop(LoopInput::ArrivedPaused)),
        Just(Input::Loop(LoopInput::ForcePause)),
        Just(Input::Cancel { reason: "x".into() }),
        Just(Input::Failed { reason: "x".into() }),
        Just(Input::Tick),
        Just(Input::Finished),
        Just(Input::Aborted { sent: Bytes::ZERO, whereabouts: Whereabouts::AtSource }),
    ]
}

proptest! {
    /// Whatever a hypervisor says: no panic, the guest is handed over at most once, never before the
    /// source has said so, and never after it was taken back.
    #[test]
    fn whatever_is_told_the_guest_is_handed_over_once_and_only_when_told(
        inputs in prop::collection::vec(any_input(), 0..30),
        post_copy in prop_oneof![
            Just(PostCopyStart::Never),
            (1_u32..4).prop_map(PostCopyStart::AfterPasses),
            (0_u64..40).prop_map(|millis| PostCopyStart::After(Span::from_millis(millis))),
        ],
    ) {
        let mut told = Told::copying(post_copy);
        let (mut may, mut aborted) = (false, false);
        for (input, millis) in inputs.into_iter().zip(20..) {
            let sent = matches!(input, Input::Loop(LoopInput::Sent { .. } | LoopInput::PostCopy { .. }));
            let before = told.resumed();
            may |= told.try_tell(millis, input).is_empty() && sent;
            prop_assert!(told.resumed() <= 1);
            if told.resumed() > before {
                prop_assert!(may && !aborted);
            }
            aborted |= told.commands.contains(&Command::Abort);
        }
        let of_rounds: Bytes = told.rounds().iter().map(|round| round.bytes_sent).sum();
        prop_assert!(of_rounds <= mb(1_000));
    }
}
