//! Which migration network two hosts use: the best that both are on and both allow.

use super::facts::{HostSettings, MigrationNetworks};
use super::subnet::Subnet;

/// The outcome of looking for a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// Any will do: nothing is said of networks on either side.
    Any,
    /// This one, with its priority at the source.
    Network(Subnet, u32),
    /// There is none.
    None,
}

/// The network for migrations from `source` to `destination`: of those that both are on and both
/// allow the one with the lowest priority number at the source, then at the destination, then the
/// lowest address.
///
/// That the source's order counts, and that lower numbers come first, is how Hyper-V's settings
/// list them ("-Priority 8 … as lower priority", reference of `Add-VMMigrationNetwork`).
pub fn choose(source: &HostSettings, destination: &HostSettings) -> Chosen {
    let candidates = match (presence(source), presence(destination)) {
        (None, None) => return Chosen::Any,
        (Some(here), None) | (None, Some(here)) => here,
        (Some(here), Some(there)) => {
            let shared = |subnet: &Subnet| there.iter().any(|other| other.contains(subnet));
            let narrower = |subnet: &Subnet| here.iter().any(|other| other.contains(subnet));
            here.iter()
                .filter(|each| shared(each))
                .chain(there.iter().filter(|each| narrower(each)))
                .copied()
                .collect()
        }
    };
    let ranked = candidates
        .into_iter()
        .filter_map(|subnet| Some((priority(source, &subnet)?, priority(destination, &subnet)?, subnet)));
    ranked.min().map_or(Chosen::None, |(at_source, _, subnet)| Chosen::Network(subnet, at_source))
}

/// Subnets on which a host is known to have an address: where nothing is said, those that it allows,
/// and where it allows any, wherever it needs one (`None`).
fn presence(host: &HostSettings) -> Option<Vec<Subnet>> {
    match (&host.addresses, &host.migration_networks) {
        (Some(addresses), _) => Some(addresses.clone()),
        (None, MigrationNetworks::Only(allowed)) => {
            Some(allowed.iter().map(|network| network.subnet).collect())
        }
        (None, MigrationNetworks::Any) => None,
    }
}

/// The priority of a network at a host; `None` where it is not allowed.
fn priority(host: &HostSettings, subnet: &Subnet) -> Option<u32> {
    match &host.migration_networks {
        MigrationNetworks::Any => Some(0),
        MigrationNetworks::Only(allowed) => {
            let containing = allowed.iter().filter(|network| network.subnet.contains(subnet));
            containing.map(|network| network.priority).min()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::facts::MigrationNetwork;
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    /// A host with addresses on these subnets, that allows these with their priorities.
    fn host(addresses: &[&str], allowed: &[(&str, u32)]) -> HostSettings {
        let network =
            |(text, priority): &(&str, u32)| MigrationNetwork { subnet: subnet(text), priority: *priority };
        HostSettings {
            addresses: Some(addresses.iter().map(|text| subnet(text)).collect()),
            migration_networks: MigrationNetworks::Only(allowed.iter().map(network).collect()),
            ..HostSettings::default()
        }
    }

    const BOTH: [&str; 2] = ["10.10.50.0/24", "10.10.60.0/24"];

    #[test]
    fn the_best_priority_of_those_that_both_have_and_allow_is_chosen() {
        let one = host(&BOTH, &[("10.10.50.0/24", 2), ("10.10.60.0/24", 1)]);
        assert_eq!(choose(&one, &one), Chosen::Network(subnet("10.10.60.0/24"), 1));
        let other = host(&BOTH, &[("10.10.50.0/24", 1)]);
        assert_eq!(choose(&one, &other), Chosen::Network(subnet("10.10.50.0/24"), 2));
        let elsewhere = host(&["10.10.60.0/24"], &[("10.10.50.0/24", 1)]);
        assert_eq!(choose(&one, &elsewhere), Chosen::None);
    }

    #[test]
    fn any_network_is_one_that_the_other_allows() {
        let any = HostSettings::default();
        assert_eq!(choose(&any, &any), Chosen::Any);
        let one = host(&BOTH, &[("10.10.0.0/16", 5)]);
        assert_eq!(choose(&any, &one), Chosen::Network(subnet("10.10.50.0/24"), 0));
        let on_another =
            HostSettings { addresses: Some(vec![subnet("192.168.1.0/24")]), ..HostSettings::default() };
        assert_eq!(choose(&on_another, &one), Chosen::None);
    }
}
