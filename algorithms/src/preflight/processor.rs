//! Processors as guests see them: vendor, family, and the features that a guest may use.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::Name;

/// A host's processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processor {
    /// Who made it.
    pub vendor: Vendor,
    /// Such as `Ice Lake-SP`; for people, as the features decide.
    pub family: Name,
    /// Features that guests see, such as `avx512f`.
    pub features: BTreeSet<Name>,
}

/// Who made a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Vendor {
    /// Intel.
    Intel,
    /// AMD.
    Amd,
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Vendor::Intel => "Intel",
            Vendor::Amd => "AMD",
        })
    }
}

/// Server processors with the features that each has beyond the one before it. A selection of what
/// differs and guests notice, from the vendors' CPUID documentation; not every feature.
const INTEL: [(&str, &[&str]); 6] = [
    ("Haswell", &["avx2", "bmi2", "fma"]),
    ("Broadwell", &["adx", "rdseed"]),
    ("Skylake-SP", &["avx512f", "clflushopt", "clwb", "pku"]),
    ("Cascade Lake", &["avx512_vnni"]),
    ("Ice Lake-SP", &["avx512_vbmi2", "sha", "vaes", "rdpid"]),
    ("Sapphire Rapids", &["amx_tile", "avx512_fp16"]),
];
const AMD: [(&str, &[&str]); 4] = [
    ("Naples", &["avx2", "bmi2", "fma", "adx", "rdseed", "sha", "clflushopt"]),
    ("Rome", &["clwb", "rdpid"]),
    ("Milan", &["vaes", "pku"]),
    ("Genoa", &["avx512f", "avx512_vnni", "avx512_vbmi2"]),
];

/// The families that are known by name, older ones first.
pub fn families(vendor: Vendor) -> Vec<&'static str> {
    generations(vendor).iter().map(|(family, _)| *family).collect()
}

/// The features of a family that is known by name.
pub fn features_of(vendor: Vendor, family: &str) -> Option<BTreeSet<Name>> {
    let generations = generations(vendor);
    let last = generations.iter().position(|(name, _)| *name == family)?;
    Some(
        generations[..=last]
            .iter()
            .flat_map(|(_, features)| features.iter().copied().map(Name::from))
            .collect(),
    )
}

fn generations(vendor: Vendor) -> &'static [(&'static str, &'static [&'static str])] {
    match vendor {
        Vendor::Intel => &INTEL,
        Vendor::Amd => &AMD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_all_that_the_one_before_it_had() {
        for vendor in [Vendor::Intel, Vendor::Amd] {
            let all: Vec<_> =
                families(vendor).into_iter().filter_map(|family| features_of(vendor, family)).collect();
            assert_eq!(all.len(), families(vendor).len());
            assert!(all.windows(2).all(|pair| pair[0].is_subset(&pair[1]) && pair[0] != pair[1]));
        }
        assert_eq!(features_of(Vendor::Intel, "Rome"), None);
    }
}
