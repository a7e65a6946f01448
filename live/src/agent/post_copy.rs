//! This agent's side of hand-overs whose memory follows the guest.

use std::sync::Arc;

use algorithms::handover::{DestinationStep, SourceStep};

use crate::connection::Connection;
use crate::error::LiveError;
use crate::guest::Guest;
use crate::ledger::{Standing, declined};
use crate::protocol::{Reply, Sending};
use crate::source::following::{Delivered, deliver};
use crate::steps::Step;
use crate::sync::lock;
use crate::token::Token;

use super::Agent;

impl Agent {
    /// The guest of this name, where all of its memory is here: to look at a page that is not would wait for it.
    pub(super) fn whole_guest(&self, name: &str) -> Result<Arc<Guest>, LiveError> {
        let follows = lock(&self.incoming).values().any(|coming| coming.spec.name == name && coming.runs());
        if follows {
            return Err(declined(format!("the memory of {name} is still on its way here")));
        }
        self.guest(name)
    }

    /// Waits until all memory has followed a guest to here, and says what it went through.
    pub(super) fn memory_came(&self, token: &Token, source: &mut Connection) -> Result<Reply, LiveError> {
        let incoming = self.coming(token)?;
        let followed = incoming.following.wait_all(source)?;
        lock(&self.ledger).destination_step(token, DestinationStep::MemoryCame)?;
        self.reached(Step::AllFollowed);
        incoming.following.complete(incoming.guest().as_deref());
        lock(&self.incoming).remove(token);
        tracing::info!(guest = incoming.spec.name, faults = followed.faults, "all memory has followed");
        Ok(Reply::Followed(followed))
    }

    /// Sends what the destination misses, from the guest that stands still here; one that has lost it lets go.
    pub(super) fn deliver(&self, token: &Token) -> Result<(), LiveError> {
        let entry = lock(&self.ledger).entries().find(|entry| is_outgoing(&entry.standing, token)).cloned();
        let entry = entry.ok_or_else(|| declined(format!("{token} is not a hand-over from here")))?;
        let name = entry.spec.name;
        let Standing::Outgoing { peer, .. } = entry.standing else {
            return Err(declined(format!("{token} is not a hand-over from here")));
        };
        match self.guest(&name) {
            Ok(guest) => match deliver(self, &guest, token, (&peer, &Sending::default()))? {
                Delivered::All(followed) => {
                    tracing::info!(guest = name, ?followed, "missing memory delivered")
                }
                Delivered::NotNeeded => {}
            },
            Err(_) => tracing::warn!(guest = name, "what it misses was lost with the agent that held it"),
        }
        lock(&self.ledger).source_step(token, SourceStep::DestinationRuns)?;
        self.let_go(&name);
        self.collect(&name);
        Ok(())
    }

    /// Nobody has what a guest misses here: it is started anew, on its disks.
    pub(super) fn anew(&self, token: &Token) -> Result<(), LiveError> {
        let incoming = self.coming(token)?;
        let name = incoming.spec.name.clone();
        tracing::warn!(guest = name, "started anew: part of its memory was lost with its source");
        let spec = lock(&self.ledger).get(&name).map(|entry| entry.spec.clone());
        let spec = spec.ok_or_else(|| declined(format!("there is no guest `{name}` here")))?;
        // Whoever waits for a page goes on, and finds that the guest is to stand still.
        let lost = lock(&self.guests).remove(&name);
        lost.iter().for_each(|guest| guest.halt());
        incoming.following.end();
        lock(&self.ledger).destination_step(token, DestinationStep::MemoryLost)?;
        lock(&self.incoming).remove(token);
        drop((incoming, lost));
        let disks = self.storage.open(&spec)?;
        let guest = Arc::new(Guest::boot_with(spec, disks)?);
        lock(&self.guests).insert(name, guest);
        Ok(())
    }
}

fn is_outgoing(standing: &Standing, wanted: &Token) -> bool {
    matches!(standing, Standing::Outgoing { token, .. } if token == wanted)
}
