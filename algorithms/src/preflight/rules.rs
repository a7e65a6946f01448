//! The rules: one function each, which says what stands against a move, or nothing.

pub(super) mod authentication;

use super::facts::{Firewall, IsoImage, MigrationNetworks, MigrationService, ProcessorCompatibility};
use super::network::{self, Chosen};
use super::{Category, HostFacts, Pair, Refusal, Rule};
use crate::ids::Name;

/// What `rule` has against the move; nothing where it holds.
pub(super) fn refusal(rule: Rule, pair: &Pair<'_>) -> Option<Refusal> {
    match rule {
        Rule::MigrationEnabled => migration_enabled(pair),
        Rule::ProcessorVendor => processor_vendor(pair),
        Rule::ProcessorFeatures => processor_features(pair),
        Rule::OperatingSystem => operating_system(pair),
        Rule::ConfigurationVersion => configuration_version(pair),
        Rule::AuthenticationType => authentication::authentication_type(pair),
        Rule::Domain => authentication::domain(pair),
        Rule::Delegation => authentication::delegation(pair),
        Rule::Session => authentication::session(pair),
        Rule::MigrationNetwork => migration_network(pair),
        Rule::Firewall => firewall(pair),
        Rule::VirtualSwitch => virtual_switch(pair),
        Rule::Memory => memory(pair),
        // Microsoft documents no case in which a checkpoint alone stops a live migration.
        Rule::Checkpoints => None,
        // About the cluster, not about two hosts.
        Rule::StorageReachable
        | Rule::StoragePath
        | Rule::StorageSpace
        | Rule::StorageMigrations
        | Rule::HostAlive => None,
        Rule::PassThroughDisks => pass_through_disks(pair),
        Rule::IsoImage => iso_image(pair),
    }
}

/// Features that the guest sees and the destination lacks.
fn missing_features(pair: &Pair<'_>) -> Vec<Name> {
    let (Some(known), Some(there)) =
        (&pair.started_on.settings.processor, &pair.destination.settings.processor)
    else {
        return Vec::new();
    };
    match pair.guest.configuration.processor_compatibility {
        ProcessorCompatibility::On => Vec::new(),
        ProcessorCompatibility::Off => known.features.difference(&there.features).cloned().collect(),
    }
}

fn migration_enabled(pair: &Pair<'_>) -> Option<Refusal> {
    let disabled = those(pair, |host| host.settings.migration == MigrationService::Disabled);
    let quoted = quoted(&disabled)?;
    Some(refused(
        Rule::MigrationEnabled,
        Category::Network,
        format!("live migration is not enabled on {}", disabled.join(" and ")),
        "the setting is off, as it is after installing the role, so that no listener takes the connection",
        format!("Enable-VMMigration -ComputerName {quoted}"),
    ))
}

fn processor_vendor(pair: &Pair<'_>) -> Option<Refusal> {
    let (here, there) =
        (pair.source.settings.processor.as_ref()?, pair.destination.settings.processor.as_ref()?);
    let (vm, destination) = (&pair.guest.name, &pair.destination.name);
    (here.vendor != there.vendor).then(|| {
        refused(
            Rule::ProcessorVendor,
            Category::Compatibility,
            format!(
                "{} has a processor of {} and {destination} one of {}",
                pair.source.name, here.vendor, there.vendor
            ),
            "no running guest can change the vendor of its processor, with or without processor compatibility",
            format!("Stop-VM -Name \"{vm}\"; Move-VM -Name \"{vm}\" -DestinationHost \"{destination}\""),
        )
    })
}

fn processor_features(pair: &Pair<'_>) -> Option<Refusal> {
    let missing = missing_features(pair);
    if missing.is_empty() {
        return None;
    }
    let vm = &pair.guest.name;
    Some(refused(
        Rule::ProcessorFeatures,
        Category::Compatibility,
        format!(
            "guests started on {} use processor features that {} lacks: {}",
            pair.started_on.name,
            pair.destination.name,
            missing.join(", ")
        ),
        "the destination's processor is older, or its firmware hides features, and processor compatibility is off",
        format!(
            "Stop-VM -Name \"{vm}\"; Set-VMProcessor -VMName \"{vm}\" -CompatibilityForMigrationEnabled $true; \
             Start-VM -Name \"{vm}\""
        ),
    ))
}

fn operating_system(pair: &Pair<'_>) -> Option<Refusal> {
    let (here, there) = (pair.source.settings.os?, pair.destination.settings.os?);
    (there < here).then(|| {
        refused(
            Rule::OperatingSystem,
            Category::Compatibility,
            format!("{} runs {here} and {} only {there}", pair.source.name, pair.destination.name),
            "guests move to the same or a newer Windows Server, and not back",
            format!(
                "Get-CimInstance -ClassName Win32_OperatingSystem -ComputerName \"{}\" | \
                 Select-Object Caption, Version  # then upgrade it, or choose a newer host",
                pair.destination.name
            ),
        )
    })
}

fn configuration_version(pair: &Pair<'_>) -> Option<Refusal> {
    let there = pair.destination.settings.os?;
    let started_on = pair.started_on.settings.os.map(|os| os.configurations().1);
    let version = pair.guest.configuration.version.or(started_on)?;
    let (oldest, newest) = there.configurations();
    let vm = &pair.guest.name;
    let (cause, fix) = if version > newest {
        (
            "the guest was made or updated on a newer host; a configuration version cannot be taken back",
            format!(
                "Get-VMHostSupportedVersion -ComputerName \"{}\"  # choose a host that lists {version}",
                pair.destination.name
            ),
        )
    } else if version < oldest {
        (
            "the guest was made on an old host and its configuration was never updated",
            format!(
                "Stop-VM -Name \"{vm}\"; Update-VMVersion -Name \"{vm}\" -Force; Start-VM -Name \"{vm}\""
            ),
        )
    } else {
        return None;
    };
    let message = format!(
        "{} runs configuration versions {oldest} to {newest}, and the guest has {version}",
        pair.destination.name
    );
    Some(refused(Rule::ConfigurationVersion, Category::Compatibility, message, cause, fix))
}

fn migration_network(pair: &Pair<'_>) -> Option<Refusal> {
    let (here, there) = (&pair.source.settings, &pair.destination.settings);
    if network::choose(here, there) != Chosen::None {
        return None;
    }
    // Where both are on a network of the source's, allowing it at the destination is enough.
    let common = here
        .addresses
        .iter()
        .flatten()
        .find(|subnet| there.addresses.iter().flatten().any(|other| other == *subnet));
    let fix = match common {
        Some(subnet) => format!(
            "Add-VMMigrationNetwork -ComputerName \"{}\", \"{}\" -Subnet \"{subnet}\" -Priority 1",
            pair.source.name, pair.destination.name
        ),
        None => format!(
            "Get-NetIPAddress -CimSession \"{}\", \"{}\" -AddressFamily IPv4  # then give both an address on one network",
            pair.source.name, pair.destination.name
        ),
    };
    Some(refused(
        Rule::MigrationNetwork,
        Category::Network,
        format!(
            "no network joins {} and {} on which both allow migrations",
            pair.source.name, pair.destination.name
        ),
        match (&here.migration_networks, &there.migration_networks) {
            (MigrationNetworks::Any, MigrationNetworks::Any) => "the hosts have no network in common",
            _ => {
                "the lists of migration networks differ, or a host has no address on the network that it allows"
            }
        },
        fix,
    ))
}

fn firewall(pair: &Pair<'_>) -> Option<Refusal> {
    let blocked = those(pair, |host| host.settings.firewall == Firewall::Blocked);
    let quoted = quoted(&blocked)?;
    Some(refused(
        Rule::Firewall,
        Category::Network,
        format!("the firewall of {} does not let migrations through", blocked.join(" and ")),
        "the rules of the group Hyper-V are disabled (TCP 6600; TCP 445 for SMB)",
        format!("Enable-NetFirewallRule -CimSession {quoted} -DisplayGroup \"Hyper-V\""),
    ))
}

fn virtual_switch(pair: &Pair<'_>) -> Option<Refusal> {
    let (needed, there) =
        (pair.guest.configuration.switch.as_ref()?, pair.destination.settings.switches.as_ref()?);
    (!there.contains(needed)).then(|| {
        refused(
            Rule::VirtualSwitch,
            Category::Network,
            format!("{} has no virtual switch \"{needed}\"", pair.destination.name),
            "virtual switches must have the same name on all hosts",
            format!(
                "New-VMSwitch -ComputerName \"{}\" -Name \"{needed}\" -NetAdapterName ((Get-NetAdapter -CimSession \
                 \"{0}\" -Physical)[0].Name)",
                pair.destination.name
            ),
        )
    })
}

fn memory(pair: &Pair<'_>) -> Option<Refusal> {
    let Pair { free, guest, destination, .. } = pair;
    (*free < guest.memory).then(|| {
        refused(
            Rule::Memory,
            Category::Resources,
            format!("the destination has {free} of free memory, and {} are needed", guest.memory),
            "other guests, there or on their way, have taken the destination's memory",
            format!(
                "Get-VM -ComputerName \"{}\" | Sort-Object MemoryAssigned -Descending | Select-Object Name, \
                 MemoryAssigned  # then move or stop some",
                destination.name
            ),
        )
    })
}

fn pass_through_disks(pair: &Pair<'_>) -> Option<Refusal> {
    let vm = &pair.guest.name;
    (pair.guest.configuration.pass_through_disks > 0).then(|| {
        refused(
            Rule::PassThroughDisks,
            Category::Storage,
            "the guest has physical disks of its host attached to it".to_string(),
            "pass-through disks belong to one host; only virtual disks move",
            format!(
                "Get-VMHardDiskDrive -VMName \"{vm}\" | Where-Object DiskNumber -ne $null | Remove-VMHardDiskDrive  \
                 # after copying them into a VHDX"
            ),
        )
    })
}

fn iso_image(pair: &Pair<'_>) -> Option<Refusal> {
    let (vm, source) = (&pair.guest.name, &pair.source.name);
    (pair.guest.configuration.iso == IsoImage::Local).then(|| {
        refused(
            Rule::IsoImage,
            Category::Storage,
            format!("the guest's DVD drive holds an image on a disk of {source}"),
            "somebody left an installation image in the drive; the destination cannot open it",
            format!(
                "Get-VMDvdDrive -ComputerName \"{source}\" -VMName \"{vm}\" | Set-VMDvdDrive -Path $null"
            ),
        )
    })
}

fn refused(rule: Rule, category: Category, message: String, cause: &str, fix: String) -> Refusal {
    Refusal { rule, category, event: rule.event(), message, cause: cause.to_string(), fix }
}

/// The names of those of the two hosts for which `holds`.
fn those<'a>(pair: &Pair<'a>, holds: impl Fn(&HostFacts) -> bool) -> Vec<&'a str> {
    [pair.source, pair.destination].into_iter().filter(|host| holds(host)).map(|host| &*host.name).collect()
}

/// Names as PowerShell takes a list of them; `None` where there are none.
fn quoted(names: &[&str]) -> Option<String> {
    let all: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    (!all.is_empty()).then(|| all.join(", "))
}
