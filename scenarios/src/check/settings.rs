//! Settings that decide whether a guest may move: from what a file says to the facts of the rules.

use algorithms::ids::Name;
use algorithms::preflight::facts::{
    Administration, Authentication, Delegated, Delegation, Firewall, GuestConfiguration, HostSettings,
    Initiation, IsoImage, Membership, MigrationNetwork, MigrationNetworks, MigrationService,
    ProcessorCompatibility, Service,
};
use algorithms::preflight::processor::{Processor, Vendor, families, features_of};

use models::hardware::Host;

use super::Checker;
use super::hosts::{Hosts, at_least_one};
use crate::error::Problem;
use crate::file::{
    AdministrationFile, AuthenticationFile, ConfigurationFile, DelegatedFile, FirewallFile, HostFile,
    InitiationFile, IsoFile, MigrationFile, MigrationNetworkFile, MigrationNetworksFile, ProcessorFile,
    ServiceFile, VendorFile,
};
use crate::nearest;
use crate::read::at::At;

/// Hyper-V's bounds of simultaneous migrations, as the seed guide has them.
const MOST_SIMULTANEOUS: u32 = 10;

impl Checker {
    /// Delegation names hosts, and so is read when all of them are known.
    pub(super) fn delegations(&mut self, files: &[At<HostFile>], hosts: &mut Hosts) {
        for file in files {
            let Some(delegates) =
                file.migration.as_ref().and_then(|migration| migration.delegates_to.as_ref())
            else {
                continue;
            };
            let allowed: Vec<Delegated> =
                delegates.iter().flat_map(|each| self.delegated(each, hosts)).collect();
            let of = hosts.table.all(&file.name, &mut self.budget);
            for host in self.problems.take(of).unwrap_or_default() {
                hosts.hosts[host as usize].settings.delegation = Delegation::Only(allowed.clone());
            }
        }
    }

    fn delegated(&mut self, file: &DelegatedFile, hosts: &Hosts) -> Vec<Delegated> {
        let services: Vec<Service> = match &file.services {
            None => Service::BOTH.to_vec(),
            Some(services) => services.iter().copied().map(service).collect(),
        };
        let to = hosts.table.all(&file.to, &mut self.budget);
        let to = self.problems.take(to).unwrap_or_default().into_iter();
        to.map(|host| Delegated { to: hosts.table.name(host).into(), services: services.clone() }).collect()
    }

    pub(super) fn administration(
        &mut self,
        file: Option<&At<AdministrationFile>>,
        hosts: &Hosts,
    ) -> Administration {
        let Some(file) = file else { return Administration::default() };
        let most = "a cluster that allows no migrations at all moves nothing";
        let limit = at_least_one(file.maximum_parallel_migrations.as_ref(), most);
        let initiation = match &file.initiated {
            None | Some(InitiationFile::AtSource) => Initiation::AtSource,
            Some(InitiationFile::Remote) => Initiation::Remote,
            Some(InitiationFile::Cluster) => Initiation::Cluster,
            Some(InitiationFile::From(host)) => {
                let known = hosts.table.one(host);
                self.problems.take(known);
                Initiation::From(host.value.as_str().into())
            }
        };
        let trusts = file.trusts.iter().flatten().map(|(a, b)| (a.as_str().into(), b.as_str().into()));
        Administration {
            trusts: trusts.collect(),
            initiation,
            maximum_parallel_migrations: self.problems.take(limit).flatten(),
        }
    }
}

/// `simultaneous`, which must be within Hyper-V's bounds.
pub(super) fn simultaneous(file: &HostFile) -> Result<Option<u32>, Problem> {
    let Some(given) = file.migration.as_ref().and_then(|migration| migration.simultaneous.as_ref()) else {
        return Ok(None);
    };
    if let Some(other) = &file.migration_limit {
        return Err(Problem::at(given.place, "the limit is given twice", "here as `simultaneous`")
            .also(other.place, "and here as `migration_limit`"));
    }
    if !(1..=MOST_SIMULTANEOUS).contains(&given.value) {
        let message = format!("{} is no number of simultaneous migrations", given.value);
        let label = format!("must be from 1 to {MOST_SIMULTANEOUS}, as in Hyper-V");
        return Err(Problem::at(given.place, message, label)
            .help("for other hypervisors, and for what Hyper-V does not support, use `migration_limit`"));
    }
    Ok(Some(given.value))
}

/// The settings of an entry's hosts, delegation aside.
pub(super) fn settings(file: &HostFile) -> Result<HostSettings, Problem> {
    let base = match &file.migration {
        None => HostSettings::default(),
        Some(migration) => migration_settings(migration)?,
    };
    let addresses = file.addresses.as_ref().map(|addresses| addresses.iter().map(parsed).collect());
    let switches = file.switches.as_ref();
    Ok(HostSettings {
        addresses: addresses.transpose()?,
        membership: file.domain.as_deref().map_or(Membership::Common, membership),
        processor: file.processor.as_ref().map(processor).transpose()?,
        os: file.os.as_ref().map(parsed).transpose()?,
        switches: switches.map(|names| names.iter().map(|name| name.as_str().into()).collect()),
        ..base
    })
}

fn migration_settings(file: &MigrationFile) -> Result<HostSettings, Problem> {
    let base = HostSettings::default();
    Ok(HostSettings {
        migration: match file.enabled {
            Some(false) => MigrationService::Disabled,
            None | Some(true) => MigrationService::Enabled,
        },
        authentication: match file.authentication {
            Some(AuthenticationFile::CredSSP) => Authentication::CredSsp,
            None | Some(AuthenticationFile::Kerberos) => Authentication::Kerberos,
        },
        migration_networks: file.networks.as_ref().map_or(Ok(MigrationNetworks::Any), networks)?,
        firewall: match file.firewall {
            Some(FirewallFile::Blocked) => Firewall::Blocked,
            None | Some(FirewallFile::Open) => Firewall::Open,
        },
        ..base
    })
}

fn networks(file: &MigrationNetworksFile) -> Result<MigrationNetworks, Problem> {
    let MigrationNetworksFile::Only(files) = file else {
        return Ok(MigrationNetworks::Any);
    };
    let one = |file: &MigrationNetworkFile| -> Result<MigrationNetwork, Problem> {
        Ok(MigrationNetwork { subnet: parsed(&file.subnet)?, priority: file.priority.unwrap_or(1) })
    };
    files.iter().map(one).collect::<Result<_, _>>().map(MigrationNetworks::Only)
}

/// A value that is written as text.
fn parsed<T: std::str::FromStr<Err = String>>(text: &At<String>) -> Result<T, Problem> {
    text.value.parse().map_err(|message: String| Problem::at(text.place, message, "this one"))
}

fn membership(domain: &str) -> Membership {
    if domain.eq_ignore_ascii_case("workgroup") {
        Membership::Workgroup
    } else {
        // Domains are names of the DNS, in which case does not matter.
        Membership::Domain(domain.to_ascii_lowercase().into())
    }
}

fn service(file: ServiceFile) -> Service {
    match file {
        ServiceFile::Cifs => Service::Cifs,
        ServiceFile::Migration => Service::Migration,
    }
}

fn processor(file: &At<ProcessorFile>) -> Result<Processor, Problem> {
    let vendor = match file.vendor {
        VendorFile::Intel => Vendor::Intel,
        VendorFile::Amd => Vendor::Amd,
    };
    let given =
        file.features.as_ref().map(|features| features.iter().map(|name| name.as_str().into()).collect());
    let features = given.or_else(|| features_of(vendor, &file.family)).ok_or_else(|| {
        let known = families(vendor);
        let near = nearest::word(&file.family, known.iter().copied());
        let label = near.map_or("unknown name".to_string(), |near| format!("did you mean \"{near}\"?"));
        let message = format!("no family `{}` of {vendor} is known", file.family.value);
        let help = format!("known are {}; for another, list its `features`", known.join(", "));
        Problem::at(file.family.place, message, label).help(help)
    })?;
    let family: Name = file.family.value.as_str().into();
    Ok(Processor { vendor, family, features })
}

/// A guest's configuration.
pub(super) fn configuration(file: Option<&At<ConfigurationFile>>) -> Result<GuestConfiguration, Problem> {
    let Some(file) = file else { return Ok(GuestConfiguration::default()) };
    Ok(GuestConfiguration {
        processor_compatibility: match file.processor_compatibility {
            Some(true) => ProcessorCompatibility::On,
            None | Some(false) => ProcessorCompatibility::Off,
        },
        version: file.version.as_ref().map(parsed).transpose()?,
        checkpoints: file.checkpoints.unwrap_or(0),
        pass_through_disks: file.pass_through_disks.unwrap_or(0),
        iso: match file.iso {
            None => IsoImage::None,
            Some(IsoFile::Shared) => IsoImage::Shared,
            Some(IsoFile::Local) => IsoImage::Local,
        },
        switch: file.switch.as_deref().map(Name::from),
    })
}

/// The host where a guest starts must run its configuration version.
pub(super) fn runs_here(
    file: Option<&At<ConfigurationFile>>,
    configuration: &GuestConfiguration,
    host: &Host,
) -> Result<(), Problem> {
    let given = file.and_then(|file| file.version.as_ref());
    let (Some(at), Some(version), Some(os)) = (given, configuration.version, host.settings.os) else {
        return Ok(());
    };
    let (oldest, newest) = os.configurations();
    if (oldest..=newest).contains(&version) {
        return Ok(());
    }
    let message = format!("`{}` runs {os}, which does not run configuration version {version}", host.name);
    Err(Problem::at(at.place, message, format!("must be from {oldest} to {newest}")))
}
