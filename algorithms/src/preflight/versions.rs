//! Versions of Windows Server and of guests' configurations, and which supports which.
//!
//! Source: Microsoft, "Upgrade virtual machine version in Hyper-V on Windows or Windows Server",
//! table of long-term servicing hosts (page of 2025-01-20).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A release of Windows Server, older ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WindowsServer {
    /// Windows Server 2012 R2.
    V2012R2,
    /// Windows Server 2016.
    V2016,
    /// Windows Server 2019.
    V2019,
    /// Windows Server 2022.
    V2022,
    /// Windows Server 2025.
    V2025,
}

impl WindowsServer {
    /// All of them, older ones first.
    pub const ALL: [WindowsServer; 5] = [
        WindowsServer::V2012R2,
        WindowsServer::V2016,
        WindowsServer::V2019,
        WindowsServer::V2022,
        WindowsServer::V2025,
    ];

    /// As in its name.
    pub const fn year(self) -> &'static str {
        match self {
            WindowsServer::V2012R2 => "2012 R2",
            WindowsServer::V2016 => "2016",
            WindowsServer::V2019 => "2019",
            WindowsServer::V2022 => "2022",
            WindowsServer::V2025 => "2025",
        }
    }

    /// The oldest and the newest configuration version that can run on it; the newest is what new
    /// guests get.
    pub const fn configurations(self) -> (ConfigurationVersion, ConfigurationVersion) {
        let (oldest, newest) = match self {
            WindowsServer::V2012R2 => ((5, 0), (5, 0)),
            WindowsServer::V2016 => ((5, 0), (8, 0)),
            WindowsServer::V2019 => ((5, 0), (9, 0)),
            WindowsServer::V2022 => ((8, 0), (10, 0)),
            WindowsServer::V2025 => ((8, 0), (12, 0)),
        };
        (ConfigurationVersion(oldest.0, oldest.1), ConfigurationVersion(newest.0, newest.1))
    }
}

impl fmt::Display for WindowsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Windows Server {}", self.year())
    }
}

impl FromStr for WindowsServer {
    type Err = String;

    fn from_str(text: &str) -> Result<WindowsServer, String> {
        let year = text.trim().trim_start_matches("Windows Server").trim();
        let known = WindowsServer::ALL.into_iter().find(|version| version.year() == year);
        known.ok_or_else(|| format!("there is no `{text}`; known are 2012 R2, 2016, 2019, 2022 and 2025"))
    }
}

/// The version of a guest's configuration, such as 9.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConfigurationVersion(
    /// Before the dot.
    pub u8,
    /// After it.
    pub u8,
);

impl ConfigurationVersion {
    /// All that hosts for servers ever had.
    const KNOWN: [ConfigurationVersion; 15] = [
        ConfigurationVersion(5, 0),
        ConfigurationVersion(6, 2),
        ConfigurationVersion(7, 0),
        ConfigurationVersion(7, 1),
        ConfigurationVersion(8, 0),
        ConfigurationVersion(8, 1),
        ConfigurationVersion(8, 2),
        ConfigurationVersion(8, 3),
        ConfigurationVersion(9, 0),
        ConfigurationVersion(9, 1),
        ConfigurationVersion(9, 2),
        ConfigurationVersion(9, 3),
        ConfigurationVersion(10, 0),
        ConfigurationVersion(11, 0),
        ConfigurationVersion(12, 0),
    ];
}

impl fmt::Display for ConfigurationVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for ConfigurationVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<ConfigurationVersion, String> {
        let known = ConfigurationVersion::KNOWN.into_iter().find(|version| version.to_string() == text);
        known.ok_or_else(|| {
            let all: Vec<String> =
                ConfigurationVersion::KNOWN.iter().map(ConfigurationVersion::to_string).collect();
            format!("there is no configuration version `{text}`; known are {}", all.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_table_of_microsoft_is_kept() {
        let runs_on = |version: &str| -> Vec<&str> {
            let version: ConfigurationVersion = version.parse().unwrap();
            let supports = |os: &WindowsServer| {
                let (oldest, newest) = os.configurations();
                (oldest..=newest).contains(&version)
            };
            WindowsServer::ALL.into_iter().filter(supports).map(WindowsServer::year).collect()
        };
        assert_eq!(runs_on("5.0"), ["2012 R2", "2016", "2019"]);
        assert_eq!(runs_on("7.1"), ["2016", "2019"]);
        assert_eq!(runs_on("8.0"), ["2016", "2019", "2022", "2025"]);
        assert_eq!(runs_on("9.0"), ["2019", "2022", "2025"]);
        assert_eq!(runs_on("10.0"), ["2022", "2025"]);
        assert_eq!(runs_on("12.0"), ["2025"]);
    }

    #[test]
    fn names_are_read_with_and_without_windows_server() {
        assert_eq!("Windows Server 2022".parse(), Ok(WindowsServer::V2022));
        assert_eq!("2012 R2".parse(), Ok(WindowsServer::V2012R2));
        assert!("2021".parse::<WindowsServer>().is_err());
        assert!("9.4".parse::<ConfigurationVersion>().is_err());
    }
}
