//! Subnets, as `Add-VMMigrationNetwork -Subnet` takes them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A subnet; an address alone is a subnet of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subnet {
    /// The first address.
    address: IpAddr,
    /// Bits of it that all addresses of the subnet share.
    prefix: u8,
}

impl Subnet {
    /// Whether every address of `other` is in this one.
    pub fn contains(&self, other: &Subnet) -> bool {
        self.prefix <= other.prefix && masked(other.address, self.prefix) == Some(self.address)
    }
}

impl FromStr for Subnet {
    type Err = String;

    /// Reads `10.10.50.0/24`; an address within the subnet will do for the first.
    fn from_str(text: &str) -> Result<Subnet, String> {
        let wrong = || format!("`{text}` is no subnet; write for example \"10.10.50.0/24\"");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix = prefix.unwrap_or(if address.is_ipv4() { 32 } else { 128 });
        let address = masked(address, prefix).ok_or_else(wrong)?;
        Ok(Subnet { address, prefix })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The first address of the subnet; `None` where the prefix is longer than an address.
fn masked(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let rest = 32u32.checked_sub(u32::from(prefix))?;
            let mask = u32::MAX.checked_shl(rest).unwrap_or(0);
            Some(Ipv4Addr::from_bits(address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let rest = 128u32.checked_sub(u32::from(prefix))?;
            let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
            Some(Ipv6Addr::from_bits(address.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_stands_for_its_subnet() {
        assert_eq!(subnet("10.10.50.17/24"), subnet("10.10.50.0/24"));
        assert_eq!(subnet("10.10.50.17/24").to_string(), "10.10.50.0/24");
        assert_eq!(subnet("10.10.50.17").to_string(), "10.10.50.17/32");
        assert_eq!(subnet("2001:db8::5/64").to_string(), "2001:db8::/64");
        assert_eq!(subnet("1.2.3.4/0").to_string(), "0.0.0.0/0");
    }

    #[test]
    fn a_wider_subnet_contains_a_narrower_one_and_not_the_reverse() {
        assert!(subnet("10.10.0.0/16").contains(&subnet("10.10.50.0/24")));
        assert!(!subnet("10.10.50.0/24").contains(&subnet("10.10.0.0/16")));
        assert!(!subnet("10.10.0.0/16").contains(&subnet("10.11.50.0/24")));
        assert!(!subnet("::/0").contains(&subnet("10.10.50.0/24")));
    }

    #[test]
    fn what_is_no_subnet_is_refused() {
        for wrong in ["", "10.10.50", "10.10.50.0/33", "10.10.50.0/x", "::1/129", "10.0.0.0/-1"] {
            assert!(wrong.parse::<Subnet>().is_err(), "{wrong}");
        }
    }
}
