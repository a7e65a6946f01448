//! Two hosts that carry out every command of a controller in a second, and keep count of who runs the VM.

use std::collections::{BTreeMap, VecDeque};

use algorithms::controller::{Command, Input, LoopOwner, MigrationController, MigrationOrder};
use algorithms::hypervisor_loop::{LoopCommand, LoopInput};
use algorithms::machine::{Host, Machine, Refused, Settled, WaitingHost, run, settle};
use algorithms::page_loop::{Opening, PageCommand, PageInput};
use algorithms::policy::{Policy, PostCopyStart, Qemu};
use algorithms::records::{Outcome, Record, Whereabouts};
use algorithms::storage_mirror::{DiskOrder, MirrorCommand, MirrorInput, StorageOrder, Switch};
use sim_core::{Bytes, SimTime, Span};

use super::order;

/// How the two hosts hand over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// Told to resume, the destination runs the VM.
    AtOnce,
    /// Told to resume, it gets ready, and waits for the decision.
    InTwoPhases,
}

/// A migration, and what happens to it from outside.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub name: &'static str,
    pub order: MigrationOrder,
    pub hand_over: HandOver,
    /// Inputs that come before the answer of this number.
    pub meanwhile: BTreeMap<usize, Input>,
}

/// The hosts, and all that they were told.
pub struct Hosts {
    pub hand_over: HandOver,
    pub vm: Whereabouts,
    pub commands: Vec<Command>,
    pub records: Vec<Record>,
    pub refused: Vec<Refused>,
    meanwhile: BTreeMap<usize, Input>,
    answers: VecDeque<Input>,
    now: SimTime,
    waited: usize,
    counts: u32,
}

/// A host that waits for what never comes.
#[derive(Debug, PartialEq, Eq)]
pub struct Hangs;

/// No migration here waits so often.
const MOST_WAITS: usize = 10_000;

impl Hosts {
    pub fn new(scenario: &Scenario) -> Hosts {
        Hosts {
            hand_over: scenario.hand_over,
            vm: Whereabouts::AtSource,
            commands: Vec::new(),
            records: Vec::new(),
            refused: Vec::new(),
            meanwhile: scenario.meanwhile.clone(),
            answers: VecDeque::new(),
            now: SimTime::ZERO,
            waited: 0,
            counts: 0,
        }
    }

    /// What a hypervisor tells by itself, when it was let begin.
    fn passes(&mut self) {
        let mib = Bytes::from_mib;
        let pass = |sent, dirty| LoopInput::Pass { sent: mib(sent), dirty: mib(dirty), throttle_percent: 0 };
        let told = [
            pass(1024, 64),
            pass(1088, 4),
            LoopInput::Stopped,
            LoopInput::AtSwitchover,
            LoopInput::Sent { sent: mib(1092) },
        ];
        self.answers.extend(told.map(Input::Loop));
    }

    fn answer(&mut self, command: Command) {
        let answer = match command {
            Command::Prepare => Input::Prepared,
            Command::Page(PageCommand::Send { .. }) => Input::Page(PageInput::RoundSent),
            Command::Page(PageCommand::Count { unsent }) => {
                self.counts += 1;
                let dirty = unsent.max(Bytes::from_mib(256 >> (2 * self.counts).min(8)));
                Input::Page(PageInput::Counted { dirty })
            }
            Command::Page(PageCommand::Pause) => Input::Page(PageInput::Paused),
            Command::Page(PageCommand::Resume) if self.hand_over == HandOver::InTwoPhases => Input::Ready,
            Command::Page(PageCommand::Resume) | Command::Commit => {
                self.vm = Whereabouts::AtDestination;
                Input::Page(PageInput::Resumed)
            }
            Command::Loop(LoopCommand::Start) => return self.passes(),
            Command::Loop(LoopCommand::StartPostCopy) => {
                self.answers.clear();
                let sent = Bytes::from_mib(1030);
                let told = [LoopInput::Stopped, LoopInput::PostCopy { sent }, LoopInput::Sent { sent }];
                return self.answers.extend(told.map(Input::Loop));
            }
            Command::Loop(handed_over @ (LoopCommand::Resume | LoopCommand::LeavePaused)) => {
                self.vm = Whereabouts::AtDestination;
                let paused = handed_over == LoopCommand::LeavePaused;
                let answer = if paused { LoopInput::ArrivedPaused } else { LoopInput::Resumed };
                return self.answers.push_front(Input::Loop(answer));
            }
            Command::Page(PageCommand::Throttle { .. })
            | Command::Loop(LoopCommand::SwitchOver | LoopCommand::ForcePause) => return,
            Command::Storage(MirrorCommand::Copy { .. }) => Input::Storage(MirrorInput::Copied),
            Command::Storage(MirrorCommand::SwitchOver) => Input::Storage(MirrorInput::SwitchedOver),
            Command::EndMirror => Input::MirrorEnded { written: Bytes::from_mib(3) },
            Command::Finish => Input::Finished,
            Command::Abort => {
                self.answers.clear();
                Input::Aborted { sent: Bytes::ZERO, whereabouts: self.vm }
            }
        };
        self.answers.push_back(answer);
    }
}

impl<M: Machine<Input = Input, Command = Command>> Host<M> for Hosts {
    type Error = Hangs;

    fn carry_out(&mut self, _: SimTime, command: Command) -> Result<Option<Input>, Hangs> {
        self.commands.push(command);
        self.answer(command);
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    fn refused(&mut self, now: SimTime, refused: Refused) {
        self.records.push(refused.record(now));
        self.refused.push(refused);
    }
}

impl<M: Machine<Input = Input, Command = Command>> WaitingHost<M> for Hosts {
    fn wait(&mut self, until: SimTime) -> Result<(SimTime, Input), Hangs> {
        self.waited += 1;
        self.now += Span::from_secs(1);
        if let Some(input) = self.meanwhile.remove(&self.waited) {
            return Ok((self.now, input));
        }
        if self.waited > MOST_WAITS {
            return Err(Hangs);
        }
        if until <= self.now {
            return Ok((self.now, Input::Tick));
        }
        match self.answers.pop_front() {
            Some(answer) => Ok((self.now, answer)),
            None if until < SimTime::MAX => {
                self.now = self.now.max(until);
                Ok((self.now, Input::Tick))
            }
            None => Err(Hangs),
        }
    }
}

/// Drives `machine` on these hosts to its end.
pub fn drive<M: Machine<Input = Input, Command = Command, Done = Outcome>>(
    machine: &mut M,
    hosts: &mut Hosts,
) -> Outcome {
    run(machine, (SimTime::ZERO, Input::Begin), hosts).expect("it does not hang")
}

/// Drives a migration without a journal.
pub fn alone(scenario: &Scenario) -> (Hosts, Outcome) {
    let mut hosts = Hosts::new(scenario);
    let outcome = drive(&mut MigrationController::new(scenario.order.clone()), &mut hosts);
    (hosts, outcome)
}

/// Settles one more input, at the hosts' time.
pub fn settle_late<M: Machine<Input = Input, Command = Command, Done = Outcome>>(
    machine: &mut M,
    hosts: &mut Hosts,
    input: Input,
) -> Settled<Outcome> {
    let now = hosts.now;
    settle(machine, now, input, hosts).expect("it does not hang")
}

pub fn disks(switch: Switch) -> Option<StorageOrder> {
    let disk = |disk: u32, gib| DiskOrder {
        disk,
        name: format!("disk{disk}").into(),
        bytes: Bytes::from_gib(gib),
        from: "c".into(),
        to: "d".into(),
    };
    Some(StorageOrder { disks: vec![disk(0, 1), disk(1, 3)], switch })
}

/// QEMU's rules with post-copy after the first pass.
pub fn post_copy() -> Policy {
    Policy::Qemu(Qemu { post_copy: PostCopyStart::AfterPasses(1), ..Qemu::default() })
}

/// Migrations of every shape, good and bad.
pub fn scenarios() -> Vec<Scenario> {
    let own = order();
    let watched =
        MigrationOrder { page_loop: LoopOwner::Hypervisor, policy: Policy::Qemu(Qemu::default()), ..order() };
    let with = |name, order: &MigrationOrder, hand_over, meanwhile: &[(usize, Input)]| Scenario {
        name,
        order: order.clone(),
        hand_over,
        meanwhile: meanwhile.iter().cloned().collect(),
    };
    use HandOver::{AtOnce, InTwoPhases};
    let cancel = || Input::Cancel { reason: "changed my mind".into() };
    let failed = || Input::Failed { reason: "the destination is gone".into() };
    let post = MigrationOrder { policy: post_copy(), ..own.clone() };
    let watched_post = MigrationOrder { policy: post_copy(), ..watched.clone() };
    let storage = |order: &MigrationOrder, switch| MigrationOrder { storage: disks(switch), ..order.clone() };
    let odd = [(2, Input::Finished), (4, Input::Begin), (5, Input::MirrorEnded { written: Bytes::ZERO })];
    vec![
        with("at once", &own, AtOnce, &[]),
        with("in two phases", &own, InTwoPhases, &[]),
        with("post-copy at once", &post, AtOnce, &[]),
        with("post-copy in two phases", &post, InTwoPhases, &[]),
        with("the hypervisor's loop", &watched, AtOnce, &[]),
        with("the hypervisor's post-copy", &watched_post, AtOnce, &[]),
        with("with disks", &storage(&own, Switch::WithMemory), InTwoPhases, &[]),
        with("the hypervisor's loop with disks", &storage(&watched, Switch::WithMemory), AtOnce, &[]),
        with("disks alone", &storage(&own, Switch::WhenCopied), AtOnce, &[]),
        with("cancelled", &own, InTwoPhases, &[(4, cancel())]),
        with("cancelled too late", &own, AtOnce, &[(9, cancel())]),
        with("failed", &own, InTwoPhases, &[(5, failed())]),
        with("failed with disks", &storage(&own, Switch::WithMemory), InTwoPhases, &[(3, failed())]),
        with("failed in the hypervisor's loop", &watched, AtOnce, &[(3, failed())]),
        with("told what does not fit", &own, InTwoPhases, &odd),
    ]
}

/// Whether a command hands the VM over.
pub fn decides(command: &Command, hand_over: HandOver) -> bool {
    match command {
        Command::Commit
        | Command::Loop(LoopCommand::Resume | LoopCommand::LeavePaused)
        | Command::Storage(MirrorCommand::SwitchOver)
        | Command::Page(PageCommand::Send { opening: Opening::PostCopy, .. }) => true,
        Command::Page(PageCommand::Resume) => hand_over == HandOver::AtOnce,
        _ => false,
    }
}

impl Hosts {
    /// The time at which the hosts answered last.
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// What happens next, where that is no tick.
    pub fn next_input(&mut self) -> Option<Input> {
        if self.waited == 0 {
            self.waited = 1;
            return Some(Input::Begin);
        }
        let waited = WaitingHost::<MigrationController>::wait(self, SimTime::MAX).ok()?;
        Some(waited.1)
    }
}
