//! The loop that moves a VM's memory: our own, or a hypervisor's that is watched. One of the two, by the order.
//!
//! Everything else — preparing, disks, deadlines, giving up — is the same with both.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime};

use super::{Command, LoopOwner, MigrationController, MigrationOrder, State};
use crate::hypervisor_loop::{HypervisorLoop, LoopInput};
use crate::machine::{Refused, Settled, settle_inner};
use crate::page_loop::{PageInput, PageLoop, PagesMoved, UnderWay};
use crate::policy::{Policy, PostCopyStart};
use crate::records::{EventKind, Level};

/// Whose loop it is, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "one for each migration, and nearly always the larger")]
pub(super) enum MemoryLoop {
    /// Ours.
    Own(PageLoop),
    /// The hypervisor's.
    Hypervisor(HypervisorLoop),
}

impl MemoryLoop {
    pub(super) fn of(order: &MigrationOrder) -> MemoryLoop {
        match order.page_loop {
            LoopOwner::Own => {
                MemoryLoop::Own(PageLoop::new(order.migration, order.policy.clone(), order.memory))
            }
            LoopOwner::Hypervisor => {
                let post_copy = match &order.policy {
                    Policy::Qemu(rules) => rules.post_copy,
                    _ => PostCopyStart::Never,
                };
                MemoryLoop::Hypervisor(HypervisorLoop::new(order.migration, post_copy))
            }
        }
    }

    /// When it wants to be told the time.
    fn wakes(&self) -> SimTime {
        match self {
            MemoryLoop::Own(_) => SimTime::MAX,
            MemoryLoop::Hypervisor(watched) => watched.wakes(),
        }
    }

    /// Whether the VM was told to start at the destination, or in post-copy of our own loop runs there: from
    /// then on the source must not run it, whatever happens.
    fn is_handed_over(&self) -> bool {
        match self {
            MemoryLoop::Own(pages) => pages.handed_over().is_some(),
            MemoryLoop::Hypervisor(watched) => watched.is_handed_over(),
        }
    }

    /// When the VM was paused and when it ran again at the destination, while memory that the source alone has
    /// follows it. A hypervisor's own post-copy is the hypervisor's to end: its host says where that left the VM.
    pub(super) fn followed_by_memory(&self) -> Option<(SimTime, SimTime)> {
        match self {
            MemoryLoop::Own(pages) => pages.handed_over(),
            MemoryLoop::Hypervisor(_) => None,
        }
    }

    /// Whether our own loop waits for the VM to run at the destination.
    pub(super) fn waits_for_hand_over(&self) -> bool {
        match self {
            MemoryLoop::Own(pages) => pages.is_resuming(),
            MemoryLoop::Hypervisor(_) => false,
        }
    }

    /// Goes on by other rules of the same hypervisor.
    pub(super) fn adjust(&mut self, policy: &Policy) -> Result<(), Refused> {
        match self {
            MemoryLoop::Own(pages) => pages.adjust(policy),
            MemoryLoop::Hypervisor(_) => Err(Refused {
                input: "other rules".into(),
                state: "the page loop is the hypervisor's".into(),
            }),
        }
    }

    pub(super) fn paused_since(&self) -> Option<SimTime> {
        match self {
            MemoryLoop::Own(pages) => pages.paused_since(),
            MemoryLoop::Hypervisor(watched) => watched.paused_since(),
        }
    }

    /// Whether somebody else has paused the VM.
    fn is_paused_by_other(&self) -> bool {
        match self {
            MemoryLoop::Own(_) => false,
            MemoryLoop::Hypervisor(watched) => watched.is_paused_by_other(),
        }
    }

    pub(super) fn total_sent(&self) -> Bytes {
        match self {
            MemoryLoop::Own(pages) => pages.total_sent(),
            MemoryLoop::Hypervisor(watched) => watched.total_sent(),
        }
    }

    pub(super) fn rounds(&self) -> u32 {
        match self {
            MemoryLoop::Own(pages) => pages.rounds(),
            MemoryLoop::Hypervisor(watched) => watched.rounds(),
        }
    }
}

impl MigrationController {
    /// Returns this controller with our own page loop, by `policy`, in the hypervisor's place: it goes on at `now` from
    /// where that was seen to stand. So what the hypervisor will do can be simulated.
    ///
    /// # Errors
    ///
    /// [`Refused`] where memory is not being copied, or the VM has been paused.
    pub fn stand_in(&self, policy: Policy, so_far: &UnderWay, now: SimTime) -> Result<Self, Refused> {
        let paused = self.paused_since().is_some() || self.is_paused_by_other() || self.is_handed_over();
        let watched = matches!(self.memory, MemoryLoop::Hypervisor(_));
        if !watched || self.state != State::Copying || paused {
            let input = "a page loop in the hypervisor's place".into();
            return Err(Refused { input, state: format!("{:?}", self.state) });
        }
        let pages = PageLoop::under_way(self.order.migration, policy.clone(), so_far);
        let mut stand_in = MigrationController { memory: MemoryLoop::Own(pages), ..self.clone() };
        stand_in.order.policy = policy;
        stand_in.order.page_loop = LoopOwner::Own;
        stand_in.page_input(now, PageInput::Begin)?;
        Ok(stand_in)
    }

    /// Whether the VM was told to start at the destination, or in post-copy of our own loop runs there: from
    /// then on the source must not run it, whatever happens.
    pub fn is_handed_over(&self) -> bool {
        self.memory.is_handed_over()
    }

    /// When it wants to be told the time.
    pub(super) fn wakes(&self) -> SimTime {
        self.deadline.min(self.connection.limit()).min(self.memory.wakes())
    }

    /// Tells the hypervisor's loop the time, if it has asked for that.
    pub(super) fn tick_loop(&mut self, now: SimTime) -> Result<(), Refused> {
        if now >= self.memory.wakes() { self.loop_input(now, LoopInput::Tick) } else { Ok(()) }
    }

    pub(super) fn begin_memory(&mut self, now: SimTime) -> Result<(), Refused> {
        match self.memory {
            MemoryLoop::Own(_) => self.page_input(now, PageInput::Begin),
            MemoryLoop::Hypervisor(_) => self.loop_input(now, LoopInput::Begin),
        }
    }

    pub(super) fn force_pause(&mut self, now: SimTime) -> Result<(), Refused> {
        match self.memory {
            MemoryLoop::Own(_) => self.page_input(now, PageInput::ForcePause),
            MemoryLoop::Hypervisor(_) => self.loop_input(now, LoopInput::ForcePause),
        }
    }

    pub(super) fn page_input(&mut self, now: SimTime, input: PageInput) -> Result<(), Refused> {
        let MemoryLoop::Own(pages) = &mut self.memory else {
            return Err(Refused {
                input: format!("{input:?}"),
                state: "the page loop is the hypervisor's".into(),
            });
        };
        let settled = settle_inner(pages, now, input, &mut self.outbox, Command::Page)?;
        self.memory_settled(settled);
        Ok(())
    }

    pub(super) fn loop_input(&mut self, now: SimTime, input: LoopInput) -> Result<(), Refused> {
        let MemoryLoop::Hypervisor(watched) = &mut self.memory else {
            return Err(Refused { input: format!("{input:?}"), state: "the page loop is our own".into() });
        };
        let paused = watched.is_paused_by_other();
        let settled = settle_inner(watched, now, input, &mut self.outbox, Command::Loop)?;
        self.note_pause(now, paused, input);
        self.memory_settled(settled);
        Ok(())
    }

    /// The log says who else has paused the VM or let it go on; `before` is whether it was paused so.
    fn note_pause(&mut self, now: SimTime, before: bool, input: LoopInput) {
        let (vm, source) = (self.order.vm.clone(), self.order.source.clone());
        let message = match (before, self.is_paused_by_other(), input) {
            (false, true, _) => format!("somebody has paused {vm} at {source}: it is moved as it is"),
            (true, false, LoopInput::Resumed) => format!("somebody has let {vm} go on where it has arrived"),
            (true, false, _) => format!("somebody has let {vm} go on at {source}"),
            (true, true, LoopInput::ArrivedPaused) => {
                format!("{vm} has arrived paused, as somebody left it: it runs when somebody lets it go on")
            }
            (false, false, _) | (true, true, _) => return,
        };
        self.log_as(now, Level::Warning, EventKind::PausedByOthers, None, message);
    }

    /// Whether somebody else has paused the VM, and nobody has let it go on since.
    pub fn is_paused_by_other(&self) -> bool {
        self.memory.is_paused_by_other()
    }

    fn memory_settled(&mut self, settled: Settled<PagesMoved>) {
        if let Settled::Done(moved) = settled {
            self.moved(moved);
        }
    }

    pub(super) fn paused_since(&self) -> Option<SimTime> {
        self.memory.paused_since()
    }

    pub(super) fn memory_sent(&self) -> Bytes {
        self.memory.total_sent()
    }

    pub(super) fn rounds(&self) -> u32 {
        self.memory.rounds()
    }
}
