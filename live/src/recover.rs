//! Hand-overs that were cut short, brought to their end: `migtwin live recover`.
//!
//! Asks every agent for the hand-overs that it has not ended, asks the other side of each what it knows,
//! and has [`algorithms::handover::resolve`] say what is to be done. Where a side does not answer, nothing is:
//! then it cannot be known who runs the guest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use algorithms::handover::{DestinationPhase, Resolution, SourcePhase, resolve};

use crate::client::Client;
use crate::error::LiveError;
use crate::protocol::{Handover, Request, Side};
use crate::tls::Credentials;
use crate::token::Token;

/// Resolving takes three steps at most; a fifth would mean that a side does not do what it says.
const MOST_STEPS: usize = 5;

/// What became of one hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The guest.
    pub guest: String,
    /// The hand-over.
    pub token: Token,
    /// What was found or done.
    pub finding: Finding,
}

/// What became of a hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is going on by itself.
    UnderWay,
    /// The guest is at the source.
    AtSource,
    /// The guest is at the destination.
    AtDestination,
    /// The guest is at the destination, which started it anew: its memory was lost in post-copy.
    StartedAnew,
    /// Neither side has the guest any more.
    Lost,
    /// Neither side runs the guest, and the destination may have run it: nothing was changed.
    InDoubt,
    /// Both sides run the guest: nothing was changed.
    Both,
    /// A side does not answer: nothing was changed.
    Unknown(String),
}

impl Finding {
    /// Whether somebody has to look: it is not so that one side has the guest.
    pub fn needs_operator(&self) -> bool {
        match self {
            Finding::UnderWay | Finding::AtSource | Finding::AtDestination | Finding::StartedAnew => false,
            Finding::Lost | Finding::InDoubt | Finding::Both | Finding::Unknown(_) => true,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::UnderWay => f.write_str("is being handed over just now; left alone"),
            Finding::AtSource => f.write_str("is at the source"),
            Finding::AtDestination => f.write_str("is at the destination"),
            Finding::StartedAnew => f.write_str(
                "is at the destination, where it was started anew: it ran there before all of its memory, and what was \
                 missing was lost with an agent",
            ),
            Finding::Lost => f.write_str("is lost: neither side has it any more, and it must be made anew"),
            Finding::InDoubt => f.write_str(
                "runs nowhere, and was left as it is: it was given to the destination, which does not have all of it \
                 and may have run it, so that the source's copy may be older; an operator must say which goes on",
            ),
            Finding::Both => f.write_str(
                "runs at both sides, and was left as it is: one of them was started by hand; stop the one that is not \
                 to go on",
            ),
            Finding::Unknown(reason) => {
                write!(
                    f,
                    "cannot be placed, and was left as it is: {reason}; start that agent and run this again"
                )
            }
        }
    }
}

/// The two sides' addresses, as far as they are known.
#[derive(Debug, Default)]
struct Ends {
    guest: String,
    source: Option<String>,
    destination: Option<String>,
    under_way: bool,
}

/// Ends every hand-over that the agents at `addresses` have not ended.
///
/// # Errors
///
/// [`LiveError`] where one of these agents does not answer.
pub fn recover(addresses: &[String], credentials: &Credentials) -> Result<Vec<Recovered>, LiveError> {
    recover_some(addresses, credentials, |_| true)
}

/// The same of one guest only.
///
/// # Errors
///
/// As [`recover`].
pub fn recover_guest(
    guest: &str,
    addresses: &[String],
    credentials: &Credentials,
) -> Result<Vec<Recovered>, LiveError> {
    recover_some(addresses, credentials, |handover| handover.guest == guest)
}

fn recover_some(
    addresses: &[String],
    credentials: &Credentials,
    wanted: impl Fn(&Handover) -> bool,
) -> Result<Vec<Recovered>, LiveError> {
    let mut open: BTreeMap<Token, Ends> = BTreeMap::new();
    for address in addresses {
        let handovers = Client::connect(address, credentials)?.handovers()?;
        for handover in handovers.into_iter().filter(&wanted) {
            note(open.entry(handover.token.clone()).or_default(), address, handover);
        }
    }
    let recovered = open.into_iter().map(|(token, ends)| {
        let finding = end(&token, &ends, credentials);
        Recovered { guest: ends.guest, token, finding }
    });
    Ok(recovered.collect())
}

fn note(ends: &mut Ends, address: &str, handover: Handover) {
    let peer = (!handover.peer.is_empty()).then_some(handover.peer);
    // An agent that was asked knows its own address best; the other side's is what it was told.
    match handover.side {
        Side::Source(_) => {
            ends.source = Some(address.to_string());
            ends.destination = ends.destination.take().or(peer);
        }
        Side::Destination(_) => {
            ends.destination = Some(address.to_string());
            ends.source = ends.source.take().or(peer);
        }
    }
    ends.under_way |= handover.under_way && matches!(handover.side, Side::Source(_));
    ends.guest = handover.guest;
}

fn end(token: &Token, ends: &Ends, credentials: &Credentials) -> Finding {
    if ends.under_way {
        return Finding::UnderWay;
    }
    match bring_to_end(token, ends, credentials) {
        Ok(finding) => finding,
        Err(error) => Finding::Unknown(error.to_string()),
    }
}

fn bring_to_end(token: &Token, ends: &Ends, credentials: &Credentials) -> Result<Finding, LiveError> {
    let connect = |address: &Option<String>| {
        let unknown = || LiveError::Absent {
            what: "recovery".into(),
            needed: "the address of the other side's agent".into(),
        };
        Client::connect(address.as_deref().ok_or_else(unknown)?, credentials)
    };
    let (mut source, mut destination) = (connect(&ends.source)?, connect(&ends.destination)?);
    let mut done = BTreeSet::new();
    for _ in 0..MOST_STEPS {
        let here = source_phase(&mut source, token)?;
        let (there, lost) = destination_phase(&mut destination, token)?;
        let resolution = resolve(here.into(), there.into());
        let side = match resolution {
            Resolution::Nothing if lost => return Ok(Finding::StartedAnew),
            Resolution::Nothing => return Ok(place(here, there)),
            Resolution::Lost => return Ok(Finding::Lost),
            Resolution::InDoubt => return Ok(Finding::InDoubt),
            Resolution::Both => return Ok(Finding::Both),
            Resolution::Commit | Resolution::Renounce | Resolution::Anew => &mut destination,
            Resolution::Release | Resolution::TakeBack | Resolution::Deliver => &mut source,
        };
        side.order(&Request::Settle { token: token.clone(), resolution })?;
        done.insert(format!("{resolution:?}"));
    }
    Ok(Finding::Unknown(format!("{done:?} did not end it")))
}

fn place(source: Option<SourcePhase>, destination: Option<DestinationPhase>) -> Finding {
    match (source.is_none_or(SourcePhase::owns), destination.is_some_and(DestinationPhase::owns)) {
        (_, true) => Finding::AtDestination,
        (true, false) => Finding::AtSource,
        (false, false) => Finding::Unknown(format!("the sides say {source:?} and {destination:?}")),
    }
}

fn source_phase(source: &mut Client, token: &Token) -> Result<Option<SourcePhase>, LiveError> {
    Ok(source.handover(token)?.and_then(|handover| match handover.side {
        Side::Source(phase) => Some(phase),
        Side::Destination(_) => None,
    }))
}

/// The destination's phase, and whether it has lost memory.
fn destination_phase(
    destination: &mut Client,
    token: &Token,
) -> Result<(Option<DestinationPhase>, bool), LiveError> {
    Ok(destination.handover(token)?.map_or((None, false), |handover| match handover.side {
        Side::Destination(phase) => (Some(phase), handover.memory_lost),
        Side::Source(_) => (None, false),
    }))
}
