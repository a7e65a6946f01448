//! The controller's part where the hypervisor owns the page loop: [`HypervisorLoop`] is told what the
//! hypervisor says, and its commands go to the hypervisor's levers.
//!
//! Everything else — preparing, disks, deadlines, giving up — is as it is with our own loop.

use sim_core::{Bytes, SimTime};

use super::{Command, MigrationController, MigrationOrder, State};
use crate::hypervisor_loop::{HypervisorLoop, LoopInput, PostCopy};
use crate::machine::{Output, Refused};
use crate::page_loop::{PageInput, PageLoop, UnderWay};
use crate::policy::Policy;

impl MigrationController {
    /// A controller of a hypervisor that has a page loop of its own; it waits for
    /// [`Input::Begin`](super::Input::Begin).
    pub fn of_hypervisor(order: MigrationOrder, post_copy: PostCopy) -> MigrationController {
        let hypervisor = HypervisorLoop::new(order.migration, post_copy);
        MigrationController { hypervisor: Some(hypervisor), ..MigrationController::new(order) }
    }

    /// This controller with our own page loop, by `policy`, in the hypervisor's place: it goes on at `now` from
    /// where that was seen to stand. So what the hypervisor will do can be simulated.
    ///
    /// # Errors
    ///
    /// [`Refused`] where memory is not being copied, or the guest has been paused.
    pub fn stand_in(&self, policy: Policy, so_far: &UnderWay, now: SimTime) -> Result<Self, Refused> {
        let paused = self.paused_since().is_some() || self.is_handed_over();
        if self.hypervisor.is_none() || self.state != State::Copying || paused {
            let input = "a page loop in the hypervisor's place".into();
            return Err(Refused { input, state: format!("{:?}", self.state) });
        }
        let mut stand_in = MigrationController { hypervisor: None, ..self.clone() };
        stand_in.pages = PageLoop::under_way(self.order.migration, policy.clone(), so_far, now);
        stand_in.order.policy = policy;
        stand_in.pass_on();
        Ok(stand_in)
    }

    /// Whether the guest was told to start at the destination, or in post-copy of our own loop runs there: from
    /// then on the source must not run it, whatever happens.
    pub fn is_handed_over(&self) -> bool {
        match &self.hypervisor {
            Some(hypervisor) => hypervisor.is_handed_over(),
            None => self.pages.handed_over().is_some(),
        }
    }

    /// When it wants to be told the time.
    pub(super) fn wakes(&self) -> SimTime {
        let of_loop = self.hypervisor.as_ref().map_or(SimTime::MAX, HypervisorLoop::wakes);
        self.deadline.min(self.connection.limit()).min(of_loop)
    }

    /// Tells the hypervisor's loop the time, if it has asked for that.
    pub(super) fn tick_loop(&mut self, now: SimTime) -> Result<(), Refused> {
        match &self.hypervisor {
            Some(hypervisor) if now >= hypervisor.wakes() => self.loop_input(now, LoopInput::Tick),
            _ => Ok(()),
        }
    }

    pub(super) fn begin_memory(&mut self, now: SimTime) -> Result<(), Refused> {
        match self.hypervisor {
            Some(_) => self.loop_input(now, LoopInput::Begin),
            None => self.page_input(now, PageInput::Begin),
        }
    }

    pub(super) fn force_pause(&mut self, now: SimTime) -> Result<(), Refused> {
        match self.hypervisor {
            Some(_) => self.loop_input(now, LoopInput::ForcePause),
            None => self.page_input(now, PageInput::ForcePause),
        }
    }

    pub(super) fn loop_input(&mut self, now: SimTime, input: LoopInput) -> Result<(), Refused> {
        let Some(hypervisor) = &mut self.hypervisor else {
            return Err(Refused { input: format!("{input:?}"), state: "the page loop is our own".into() });
        };
        hypervisor.handle(now, input)?;
        loop {
            match hypervisor.poll() {
                Output::Command(command) => self.outbox.command(Command::Loop(command)),
                Output::Record(record) => self.outbox.record(record),
                Output::Wait(_) => return Ok(()),
                Output::Done(moved) => {
                    self.moved(moved);
                    return Ok(());
                }
            }
        }
    }

    pub(super) fn paused_since(&self) -> Option<SimTime> {
        self.hypervisor.as_ref().map_or(self.pages.paused_since(), HypervisorLoop::paused_since)
    }

    pub(super) fn memory_sent(&self) -> Bytes {
        self.hypervisor.as_ref().map_or(self.pages.total_sent(), HypervisorLoop::total_sent)
    }

    pub(super) fn rounds(&self) -> u32 {
        self.hypervisor.as_ref().map_or(self.pages.rounds(), HypervisorLoop::rounds)
    }
}
