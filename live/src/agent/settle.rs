//! This agent's side of hand-overs: as destination, and where one is brought to its end from outside.

use std::sync::Arc;

use algorithms::handover::{DestinationPhase, DestinationStep, Resolution, SourceStep};

use crate::disk::DiskSpec;
use crate::error::LiveError;
use crate::guest::{Guest, GuestState};
use crate::ledger::declined;
use crate::protocol::{ReceiveRequest, Sending, Side};
use crate::steps::Step;
use crate::sync::lock;
use crate::token::Token;

use super::Agent;
use super::disks::name_copies;
use super::incoming::Incoming;

impl Agent {
    /// Makes room for a guest that is to come.
    pub(super) fn receive(&self, mut request: ReceiveRequest) -> Result<(), LiveError> {
        if let Some(problem) = request.spec.problem() {
            return Err(declined(problem));
        }
        if !(1..=Sending::MOST_STREAMS).contains(&request.streams) {
            return Err(declined(format!("{} streams", request.streams)));
        }
        self.check_room(&request.spec)?;
        self.collect_of_others(&request.spec.name);
        let copies = name_copies(&mut request)?;
        let moved = |number: &u32| request.spec.disks.get(*number as usize);
        let moved: Vec<&DiskSpec> = request.moved.iter().filter_map(moved).collect();
        self.check_disk_room(&moved)?;
        let ReceiveRequest { token, spec, source, source_address, .. } = request.clone();
        let name = spec.name.clone();
        lock(&self.ledger).begin_incoming(spec, token.clone(), source_address, copies)?;
        let incoming = match Incoming::new(&request, &self.storage) {
            Ok(incoming) => incoming,
            Err(error) => {
                self.renounce(&token)?;
                return Err(error);
            }
        };
        lock(&self.incoming).insert(token.clone(), Arc::new(incoming));
        tracing::info!(guest = name, %token, source, "receiving");
        self.reached(Step::Receiving);
        Ok(())
    }

    /// The guest of this hand-over, on its way here.
    pub(super) fn coming(&self, token: &Token) -> Result<Arc<Incoming>, LiveError> {
        let incoming = lock(&self.incoming).get(token).cloned();
        incoming.ok_or_else(|| declined(format!("the hand-over {token} is not under way here")))
    }

    /// All memory has come.
    pub(super) fn prepare(
        &self,
        token: &Token,
        state: GuestState,
        (digest, missing): (u64, u64),
    ) -> Result<(), LiveError> {
        self.coming(token)?.complete(state, digest, missing)?;
        lock(&self.ledger).destination_step(token, DestinationStep::Prepare)?;
        self.reached(Step::Prepared);
        Ok(())
    }

    /// The source's control connection has ended. What was not prepared has lost its memory's source.
    pub(super) fn source_left(&self, token: &Token) {
        let Ok(incoming) = self.coming(token) else {
            return;
        };
        incoming.left_alone();
        if incoming.is_probe() {
            return self.end_probe(token);
        }
        let phase = lock(&self.ledger).handover(token).map(|handover| handover.side);
        match phase {
            Some(Side::Destination(DestinationPhase::Receiving)) => {
                tracing::warn!(guest = incoming.spec.name, %token, "given up: the source is gone");
                if let Err(error) = self.renounce(token) {
                    tracing::error!(%error, %token, "cannot note that it was given up");
                }
            }
            Some(Side::Destination(DestinationPhase::Prepared)) => {
                tracing::warn!(guest = incoming.spec.name, %token, "in doubt: the source left before it decided");
            }
            _ => {}
        }
    }

    /// Brings this side of a hand-over to where `resolution` says.
    pub(super) fn settle(&self, token: &Token, resolution: Resolution) -> Result<(), LiveError> {
        match resolution {
            Resolution::Nothing => Ok(()),
            Resolution::Commit => self.commit(token),
            Resolution::Renounce => self.renounce(token),
            Resolution::Release => self.release(token),
            Resolution::TakeBack => self.take_back(token),
            Resolution::Deliver => self.deliver(token),
            Resolution::Anew => self.anew(token),
            // These say what is so, and order nothing.
            Resolution::Lost | Resolution::InDoubt | Resolution::Both => {
                let guest = lock(&self.ledger).handover(token).map(|handover| handover.guest);
                let guest = guest.unwrap_or_else(|| format!("the guest of {token}"));
                Err(declined(format!(
                    "{resolution:?} is no order: an operator must say what becomes of {guest}"
                )))
            }
        }
    }

    /// The guest is this agent's. Told twice, it is so still.
    fn commit(&self, token: &Token) -> Result<(), LiveError> {
        let already = lock(&self.ledger).handover(token).map(|handover| handover.side);
        if let Some(Side::Destination(DestinationPhase::Running | DestinationPhase::PostCopying)) = already {
            return Ok(());
        }
        let incoming = self.coming(token)?;
        let guest = incoming.guest().ok_or_else(|| declined(format!("{token} is not prepared")))?;
        let early = incoming.following.is_early();
        let step = if early { DestinationStep::CommitEarly } else { DestinationStep::Commit };
        lock(&self.ledger).destination_step(token, step)?;
        self.reached(Step::Running);
        if early {
            incoming.following.start();
        }
        self.run(&guest);
        if !early {
            lock(&self.incoming).remove(token);
        }
        self.reached(Step::Resumed);
        Ok(())
    }

    fn run(&self, guest: &Arc<Guest>) {
        guest.resume();
        let name = guest.spec().name.clone();
        tracing::info!(guest = name, "runs here");
        lock(&self.guests).insert(name, Arc::clone(guest));
    }

    fn renounce(&self, token: &Token) -> Result<(), LiveError> {
        lock(&self.ledger).destination_step(token, DestinationStep::Renounce)?;
        if let Some(incoming) = lock(&self.incoming).remove(token) {
            incoming.following.end();
        }
        let handover = lock(&self.ledger).handover(token);
        if let Some(handover) = handover {
            self.collect(&handover.guest);
        }
        Ok(())
    }

    /// The destination runs the guest.
    pub(crate) fn release(&self, token: &Token) -> Result<(), LiveError> {
        lock(&self.ledger).source_step(token, SourceStep::DestinationRuns)?;
        let handover = lock(&self.ledger).handover(token);
        if let Some(handover) = handover {
            self.let_go(&handover.guest);
            self.collect(&handover.guest);
        }
        Ok(())
    }

    /// The destination never will run the guest: it goes on here, with its memory if that is still there.
    fn take_back(&self, token: &Token) -> Result<(), LiveError> {
        let name = {
            let mut ledger = lock(&self.ledger);
            ledger.source_step(token, SourceStep::DestinationRenounced)?;
            ledger.handover(token).map(|handover| handover.guest)
        };
        let name = name.ok_or_else(|| declined(format!("nothing is known of the hand-over {token}")))?;
        if let Ok(guest) = self.guest(&name) {
            guest.resume();
            return Ok(());
        }
        tracing::warn!(guest = name, "started anew: its memory was lost");
        let spec = lock(&self.ledger).get(&name).map(|entry| entry.spec.clone());
        let spec = spec.ok_or_else(|| declined(format!("there is no guest `{name}` here")))?;
        let disks = self.storage.open(&spec)?;
        let guest = Arc::new(Guest::boot_with(spec, disks)?);
        lock(&self.guests).insert(name, guest);
        Ok(())
    }
}
