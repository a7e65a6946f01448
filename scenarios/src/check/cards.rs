//! Hosts' network cards.

use models::network::{CardTraits, Duplex, Rdma};
use sim_core::{Bandwidth, Span};

use super::hosts::{at_least_one, duplex, some_bandwidth, unknown_preset};
use crate::error::Problem;
use crate::file::{DuplexFile, HostFile, NicFile, OrPreset, RdmaFile};
use crate::presets::{self, DEFAULT_NIC, Nic, PresetKind};
use crate::read::at::{At, Place};

/// Cards that one host may have.
const MAX_CARDS: usize = 64;
/// Cards that one team may have, as in Windows.
const MAX_TEAM: u32 = 32;

/// A host's link to its switch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Card {
    pub(crate) speed: Bandwidth,
    pub(crate) latency: Span,
    pub(crate) duplex: Duplex,
    pub(crate) traits: CardTraits,
}

/// The card of a host whose own has mistakes.
pub(super) const STAND_IN_CARD: Card = Card {
    speed: Bandwidth::from_gbit(1),
    latency: Span::ZERO,
    duplex: Duplex::Full,
    traits: CardTraits { rdma: None, rss_queues: 1, team: 1, queue: None },
};

/// The card of hosts that give none.
pub(super) fn usual_card(file: Option<&At<OrPreset<NicFile>>>) -> Result<Card, Problem> {
    file.map_or(Ok(card(default_nic(), None)), card_of)
}

/// The cards of a host: one or more; where it gives none, the `usual` one.
pub(super) fn cards_of(file: &HostFile, usual: Card) -> Result<Vec<Card>, Problem> {
    match (&file.nic, &file.nics) {
        (None, None) => Ok(vec![usual]),
        (Some(nic), None) => Ok(vec![card_of(nic)?]),
        (Some(nic), Some(nics)) => {
            Err(Problem::at(nics.place, "the host has both `nic` and `nics`", "one of the two")
                .also(nic.place, "the other")
                .help("put all its cards into `nics`"))
        }
        (None, Some(nics)) if nics.is_empty() => {
            Err(Problem::at(nics.place, "the host has no network card", "this list is empty")
                .help("leave `nics` out for one 10GbE card"))
        }
        (None, Some(nics)) if nics.len() > MAX_CARDS => {
            let message = format!("the host has more than {MAX_CARDS} network cards");
            Err(Problem::at(nics.place, message, "too many"))
        }
        (None, Some(nics)) => nics.iter().map(card_of).collect(),
    }
}

fn default_nic() -> Nic {
    presets::nic(DEFAULT_NIC).unwrap_or(Nic {
        speed: STAND_IN_CARD.speed,
        latency: STAND_IN_CARD.latency,
        traits: STAND_IN_CARD.traits,
    })
}

fn card_of(file: &At<OrPreset<NicFile>>) -> Result<Card, Problem> {
    let default = default_nic();
    match &file.value {
        OrPreset::Preset(name) => nic_preset(name, file.place).map(|nic| card(nic, None)),
        OrPreset::Given(given) => {
            let preset = given.preset.as_ref();
            let mut nic = preset.map_or(Ok(default), |name| nic_preset(name, name.place))?;
            if let Some(speed) = &given.speed {
                nic.speed = some_bandwidth(speed, "the network card")?;
            }
            nic.latency = given.latency.unwrap_or(nic.latency);
            with_traits(&mut nic, given)?;
            Ok(card(nic, given.duplex))
        }
    }
}

fn card(nic: Nic, duplex_file: Option<DuplexFile>) -> Card {
    // A team carries what its members carry together.
    let speed = Bandwidth::from_bits_per_sec(nic.speed.bits_per_sec() * u64::from(nic.traits.team));
    Card { speed, latency: nic.latency, duplex: duplex(duplex_file), traits: nic.traits }
}

fn nic_preset(name: &str, place: Place) -> Result<Nic, Problem> {
    presets::nic(name).ok_or_else(|| {
        unknown_preset(name, place, PresetKind::Nic).maybe_help(name.parse::<Bandwidth>().ok().map(|speed| {
            format!(
                "a speed is written (speed: \"{speed}\"); presets are {}",
                presets::names_of(PresetKind::Nic).join(", ")
            )
        }))
    })
}

fn with_traits(nic: &mut Nic, given: &NicFile) -> Result<(), Problem> {
    nic.traits.rdma = match given.rdma {
        None => nic.traits.rdma,
        Some(RdmaFile::Off) => None,
        Some(RdmaFile::Iwarp) => Some(Rdma::Iwarp),
        Some(RdmaFile::RoCEv1) => Some(Rdma::RoceV1),
        Some(RdmaFile::RoCEv2) => Some(Rdma::RoceV2),
        Some(RdmaFile::InfiniBand) => Some(Rdma::InfiniBand),
    };
    let queues = at_least_one(given.rss_queues.as_ref(), "a network card has at least one queue")?;
    nic.traits.rss_queues = queues.unwrap_or(nic.traits.rss_queues);
    let team = at_least_one(given.team.as_ref(), "a team has at least one card")?;
    if let Some(given) = given.team.as_ref().filter(|team| team.value > MAX_TEAM) {
        let message = format!("a team of {} cards is too large", given.value);
        return Err(Problem::at(given.place, message, format!("must be from 1 to {MAX_TEAM}")));
    }
    nic.traits.team = team.unwrap_or(nic.traits.team);
    nic.traits.queue = given.queue.or(nic.traits.queue);
    Ok(())
}
