//! `migtwin live lab`: a test bed on this machine.

use std::io::Write;

use live::LiveError;
use live::lab::{self, LabOptions, Wiring};

use super::arguments::LabCommand;
use crate::failure::Failure;

/// Runs the command.
pub(super) fn run(command: &LabCommand) -> Result<(), Failure> {
    match command {
        LabCommand::Up { hosts, link, loopback, memory, shared, directory } => {
            let wiring = if *loopback { Wiring::Loopback } else { Wiring::Namespaces(*link) };
            let executable = std::env::current_exe().map_err(LiveError::system("find this program"))?;
            let (directory, shared, memory) = (directory.clone(), shared.clone(), *memory);
            let options = LabOptions { directory, hosts: *hosts, wiring, memory, shared, executable };
            let lab = lab::up(&options)?;
            let mut out = std::io::stdout().lock();
            for host in &lab.hosts {
                writeln!(out, "{} at {}", host.name, host.address)?;
            }
            Ok(())
        }
        LabCommand::Down { directory } => {
            let lab = lab::down(directory)?;
            eprintln!("ended {} agents, and removed all that was made for them", lab.hosts.len());
            Ok(())
        }
        LabCommand::Status { directory } => {
            let mut out = std::io::stdout().lock();
            for status in lab::status(&lab::load(directory)?)? {
                let guests = match status.guests {
                    Ok(guests) if guests.is_empty() => "no guests".to_string(),
                    Ok(guests) => guests.join(", "),
                    Err(reason) => format!("does not answer: {reason}"),
                };
                writeln!(out, "{} at {}: {guests}", status.host.name, status.host.address)?;
            }
            Ok(())
        }
    }
}
