//! Rules of authentication: Kerberos needs domains that trust each other and constrained delegation of
//! both services; CredSSP needs a session on the source.

use super::refused;
use crate::ids::Name;
use crate::preflight::facts::{Authentication, Delegation, Initiation, Membership, Service};
use crate::preflight::{Category, HostFacts, Pair, Refusal, Rule};

/// How the move is authenticated: by the source's setting; by the cluster service where it begins it.
pub(in crate::preflight) fn authentication(pair: &Pair<'_>) -> Option<Authentication> {
    let by_cluster = pair.administration.initiation == Initiation::Cluster;
    (!by_cluster).then_some(pair.source.settings.authentication)
}

/// Whether Kerberos works between the domains of the two hosts.
fn domains_trust(pair: &Pair<'_>) -> bool {
    match (&pair.source.settings.membership, &pair.destination.settings.membership) {
        (Membership::Workgroup, _) | (_, Membership::Workgroup) => false,
        (Membership::Common, _) | (_, Membership::Common) => true,
        (Membership::Domain(here), Membership::Domain(there)) => {
            let joins = |(a, b): &(Name, Name)| (a, b) == (here, there) || (b, a) == (here, there);
            here == there || pair.administration.trusts.iter().any(joins)
        }
    }
}

pub(super) fn authentication_type(pair: &Pair<'_>) -> Option<Refusal> {
    authentication(pair)?;
    let (here, there) = (pair.source.settings.authentication, pair.destination.settings.authentication);
    (here != there).then(|| {
        refused(
            Rule::AuthenticationType,
            Category::Authentication,
            format!("{} authenticates by {here} and {} by {there}", pair.source.name, pair.destination.name),
            "the setting was changed on one host only",
            format!(
                "Set-VMHost -ComputerName \"{}\", \"{}\" -VirtualMachineMigrationAuthenticationType Kerberos",
                pair.source.name, pair.destination.name
            ),
        )
    })
}

pub(super) fn domain(pair: &Pair<'_>) -> Option<Refusal> {
    if authentication(pair)? != Authentication::Kerberos || domains_trust(pair) {
        return None;
    }
    Some(refused(
        Rule::Domain,
        Category::Authentication,
        format!(
            "Kerberos does not work between {} ({}) and {} ({})",
            pair.source.name,
            domain_of(pair.source),
            pair.destination.name,
            domain_of(pair.destination)
        ),
        "the hosts are in no common domain and their domains do not trust each other",
        format!(
            "Set-VMHost -ComputerName \"{}\", \"{}\" -VirtualMachineMigrationAuthenticationType CredSSP  # or create \
             a trust between the domains",
            pair.source.name, pair.destination.name
        ),
    ))
}

pub(super) fn delegation(pair: &Pair<'_>) -> Option<Refusal> {
    let missing = missing_services(pair);
    if missing.is_empty() {
        return None;
    }
    let (here, there) = (&pair.source.name, &pair.destination.name);
    let principals: Vec<&str> = missing.iter().map(|service| service.principal()).collect();
    let values = principals.iter().map(|principal| format!("\"{principal}/$name\""));
    Some(refused(
        Rule::Delegation,
        Category::Authentication,
        format!("the computer account of {here} may not delegate to {} on {there}", principals.join(" and ")),
        "constrained delegation in Active Directory was not set up in this direction, or for one of both services only",
        format!(
            "$name = (Get-ADComputer \"{there}\").DNSHostName; Set-ADComputer \"{here}\" -Add \
             @{{'msDS-AllowedToDelegateTo' = {}}}",
            values.collect::<Vec<_>>().join(", ")
        ),
    ))
}

/// Services of the destination to which the source may not delegate, though it has to.
fn missing_services(pair: &Pair<'_>) -> Vec<Service> {
    if authentication(pair) != Some(Authentication::Kerberos) {
        return Vec::new();
    }
    let Delegation::Only(allowed) = &pair.source.settings.delegation else {
        return Vec::new();
    };
    let to_there = || allowed.iter().filter(|each| each.to == pair.destination.name);
    let may = |service| to_there().any(|each| each.services.contains(&service));
    Service::BOTH.into_iter().filter(|service| !may(*service)).collect()
}

pub(super) fn session(pair: &Pair<'_>) -> Option<Refusal> {
    if authentication(pair)? != Authentication::CredSsp {
        return None;
    }
    let source = &pair.source.name;
    let from = match &pair.administration.initiation {
        Initiation::AtSource | Initiation::Cluster => return None,
        Initiation::From(host) if host == source => return None,
        Initiation::From(host) => host,
        Initiation::Remote => "a remote console",
    };
    Some(refused(
        Rule::Session,
        Category::Authentication,
        format!(
            "the move from {source} is begun from {from}, and CredSSP delegates only from a session on {source}"
        ),
        "the move was started by a management console elsewhere",
        format!("mstsc /v:{source}  # and begin the move there; or use Kerberos with constrained delegation"),
    ))
}

/// A host's domain, for people.
pub(in crate::preflight) fn domain_of(host: &HostFacts) -> &str {
    match &host.settings.membership {
        Membership::Common => "the common domain",
        Membership::Domain(name) => name,
        Membership::Workgroup => "in no domain",
    }
}
