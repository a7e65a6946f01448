//! The destination does not answer the commit: does it run the guest, will it, or can it not?

use std::time::{Duration, Instant};

use algorithms::handover::{DestinationPhase, Known, Resolution, SourcePhase, SourceStep, resolve};

use crate::agent::Agent;
use crate::connection::Connection;
use crate::error::LiveError;
use crate::protocol::{MigrateRequest, ProtocolError, Reply, Request, Side};
use crate::sync::lock;
use crate::token::Token;

/// How long a destination that cannot be reached is tried; `live recover` can go on from there.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// Between two attempts.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

/// Asks until it is known: `Ok` when the destination runs the guest.
///
/// # Errors
///
/// [`LiveError::InDoubt`] where it cannot be reached for [`LONGEST`]; any other error means that the
/// destination never will run the guest, and that this is on disk here.
pub(super) fn find_out(agent: &Agent, request: &MigrateRequest, token: &Token) -> Result<(), LiveError> {
    let began = Instant::now();
    loop {
        match settle(agent, request, token) {
            Ok(true) => return Ok(()),
            Ok(false) => break,
            Err(error) if began.elapsed() > LONGEST => {
                let reason = format!("{} does not say whether it has it: {error}", request.destination);
                return Err(LiveError::InDoubt { guest: request.guest.clone(), reason });
            }
            Err(error) => {
                tracing::warn!(%error, guest = request.guest, "asking again whether the guest arrived");
                std::thread::sleep(PAUSE);
            }
        }
    }
    lock(&agent.ledger)
        .source_step(token, SourceStep::DestinationRenounced)
        .map_err(|error| LiveError::InDoubt { guest: request.guest.clone(), reason: error.to_string() })?;
    let reason = "it lost the guest's memory before it ran it, and never will".into();
    Err(LiveError::Declined { agent: request.destination.clone(), reason })
}

/// Asks the destination for its phase, and has it commit if it can. Whether it runs the guest.
fn settle(agent: &Agent, request: &MigrateRequest, token: &Token) -> Result<bool, LiveError> {
    let mut control = Connection::control(&request.address, &agent.credentials)?;
    let phase = phase(&mut control, token)?;
    match resolve(Known::At(SourcePhase::Committed), phase.into()) {
        Resolution::Release => Ok(true),
        Resolution::Commit => {
            let resolution = Resolution::Commit;
            control.order(&Request::Settle { token: token.clone(), resolution })?;
            Ok(true)
        }
        Resolution::TakeBack => Ok(false),
        // It runs the guest, and waits for what this host has.
        Resolution::Deliver => Ok(true),
        // Nothing that a destination says of itself leads to these, but that it is still receiving: it is asked again.
        Resolution::Renounce
        | Resolution::Anew
        | Resolution::Nothing
        | Resolution::Lost
        | Resolution::InDoubt
        | Resolution::Both => Err(ProtocolError::Unexpected(format!("the phase {phase:?}")).into()),
    }
}

pub(super) fn phase(control: &mut Connection, token: &Token) -> Result<Option<DestinationPhase>, LiveError> {
    match control.ask(&Request::Ask { token: token.clone() })? {
        Reply::Handovers(known) => match known.first().map(|handover| handover.side) {
            None => Ok(None),
            Some(Side::Destination(phase)) => Ok(Some(phase)),
            Some(side) => Err(ProtocolError::Unexpected(format!("{side:?}")).into()),
        },
        other => Err(ProtocolError::Unexpected(format!("{other:?}")).into()),
    }
}
