//! Why a rule holds, for those who ask to be told (`migtwin check --explain`).

use super::facts::{Authentication, IsoImage, ProcessorCompatibility};
use super::network::{self, Chosen};
use super::rules::authentication::{authentication, domain_of};
use super::{Pair, Rule};

/// Said of everything that the scenario does not mention.
const NOT_GIVEN: &str = "not given, and so taken to be as it should be";

/// Why `rule` has nothing against the move.
pub(super) fn why(rule: Rule, pair: &Pair<'_>) -> String {
    let configuration = &pair.guest.configuration;
    match rule {
        Rule::MigrationEnabled => "enabled on both hosts".into(),
        Rule::ProcessorVendor => vendor(pair),
        Rule::ProcessorFeatures => features(pair),
        Rule::OperatingSystem => operating_system(pair),
        Rule::ConfigurationVersion => configuration_version(pair),
        Rule::AuthenticationType => match authentication(pair) {
            None => "begun by the cluster, which authenticates itself".into(),
            Some(kind) => format!("{kind} on both hosts"),
        },
        Rule::Domain => match authentication(pair) {
            Some(Authentication::Kerberos) => {
                format!("{} and {}", domain_of(pair.source), domain_of(pair.destination))
            }
            _ => "not needed without Kerberos".into(),
        },
        Rule::Delegation => match authentication(pair) {
            Some(Authentication::Kerberos) => {
                format!("{} may delegate to both services of {}", pair.source.name, pair.destination.name)
            }
            _ => "not needed without Kerberos".into(),
        },
        Rule::Session => match authentication(pair) {
            Some(Authentication::CredSsp) => format!("begun in a session on {}", pair.source.name),
            _ => "not needed without CredSSP".into(),
        },
        Rule::MigrationNetwork => match network::choose(&pair.source.settings, &pair.destination.settings) {
            Chosen::Network(subnet, priority) => format!("{subnet}, priority {priority} at the source"),
            Chosen::Any | Chosen::None => "any network".into(),
        },
        Rule::Firewall => "the rules for migrations are enabled on both hosts".into(),
        Rule::VirtualSwitch => match (&configuration.switch, &pair.destination.settings.switches) {
            (Some(switch), Some(_)) => format!("{} has \"{switch}\"", pair.destination.name),
            _ => NOT_GIVEN.into(),
        },
        Rule::Memory => format!("{} free, {} needed", pair.free, pair.guest.memory),
        Rule::Checkpoints => match configuration.checkpoints {
            0 => "none".into(),
            count => format!("{count}, which move along"),
        },
        Rule::PassThroughDisks => "none".into(),
        Rule::IsoImage => match configuration.iso {
            IsoImage::Shared => "an image that the destination can open too".into(),
            IsoImage::None | IsoImage::Local => "none".into(),
        },
        Rule::StorageReachable
        | Rule::StoragePath
        | Rule::StorageSpace
        | Rule::StorageMigrations
        | Rule::HostAlive => "asked of the cluster as it stands".into(),
    }
}

fn vendor(pair: &Pair<'_>) -> String {
    let processors = (&pair.source.settings.processor, &pair.destination.settings.processor);
    match processors {
        (Some(here), Some(_)) => format!("{} on both hosts", here.vendor),
        _ => NOT_GIVEN.into(),
    }
}

fn features(pair: &Pair<'_>) -> String {
    let (Some(known), Some(there)) =
        (&pair.started_on.settings.processor, &pair.destination.settings.processor)
    else {
        return NOT_GIVEN.into();
    };
    match pair.guest.configuration.processor_compatibility {
        ProcessorCompatibility::On => "processor compatibility hides what differs".into(),
        ProcessorCompatibility::Off => {
            format!("{} has all that a guest started on {} sees", there.family, known.family)
        }
    }
}

fn operating_system(pair: &Pair<'_>) -> String {
    match (pair.source.settings.os, pair.destination.settings.os) {
        (Some(here), Some(there)) => format!("{here} to {there}"),
        _ => NOT_GIVEN.into(),
    }
}

fn configuration_version(pair: &Pair<'_>) -> String {
    let started_on = pair.started_on.settings.os.map(|os| os.configurations().1);
    match (pair.guest.configuration.version.or(started_on), pair.destination.settings.os) {
        (Some(version), Some(os)) => {
            let (oldest, newest) = os.configurations();
            format!("{version} is within {oldest} to {newest}")
        }
        _ => NOT_GIVEN.into(),
    }
}
