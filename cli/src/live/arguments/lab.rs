//! Arguments of `migtwin live lab`.

use std::path::PathBuf;

use clap::Subcommand;
use sim_core::{Bandwidth, Bytes};

#[derive(Subcommand)]
pub enum LabCommand {
    /// Make a lab and start its agents.
    Up {
        /// How many hosts; they are host1, host2 and so on.
        #[arg(long, value_name = "N", default_value_t = 2)]
        hosts: u32,
        /// The speed of each host's link, such as 400mbit or "10 Gbit/s"; unlimited by default.
        #[arg(long, value_name = "RATE", value_parser = link)]
        link: Option<Bandwidth>,
        /// No namespaces and no links: agents over the loopback interface. Needs no root.
        #[arg(long, conflicts_with = "link")]
        loopback: bool,
        /// Memory that guests of each host may have.
        #[arg(long, value_name = "SIZE")]
        memory: Option<Bytes>,
        /// A storage location that all hosts reach; may be given several times. All others are each host's own.
        #[arg(long = "shared-storage", value_name = "NAME")]
        shared: Vec<String>,
        /// Where the lab is kept.
        #[arg(long, value_name = "DIR", default_value = "migtwin-lab")]
        directory: PathBuf,
    },
    /// End a lab: its agents and guests, namespaces, links and files.
    Down {
        /// Where the lab is kept.
        #[arg(long, value_name = "DIR", default_value = "migtwin-lab")]
        directory: PathBuf,
    },
    /// Say how a lab's hosts are.
    Status {
        /// Where the lab is kept.
        #[arg(long, value_name = "DIR", default_value = "migtwin-lab")]
        directory: PathBuf,
    },
}

/// A speed as we write it, or as `tc` does: 400mbit.
fn link(text: &str) -> Result<Bandwidth, String> {
    let units = [("kbit", " kbit/s"), ("mbit", " Mbit/s"), ("gbit", " Gbit/s")];
    let of_tc = units.iter().find_map(|(short, long)| Some(format!("{}{long}", text.strip_suffix(short)?)));
    of_tc.as_deref().unwrap_or(text).parse().map_err(|error: sim_core::QuantityError| error.to_string())
}
