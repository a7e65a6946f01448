//! Labs whose agents are the very program that asks for them: a benchmark needs no `migtwin` beside it.

use std::error::Error;
use std::net::TcpListener;
use std::path::PathBuf;

use live::client::Client;
use live::identity::load_identity;
use live::lab::{self, Lab, LabOptions, Wiring};
use live::storage::StorageOptions;
use live::tls::Credentials;
use live::{Agent, AgentOptions, LiveError, process, steps};
use sim_core::Bandwidth;

/// What a benchmark fails with: it is run by people, who read it.
pub type Failed = Box<dyn Error>;

/// Serves as an agent where this program was started as one, by the arguments that `migtwin live agent` takes;
/// whether it was.
///
/// # Errors
///
/// Whatever an agent ends with.
pub fn serve_if_started_as_agent() -> Result<bool, Failed> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_none_or(|first| first != "live") {
        return Ok(false);
    }
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).ok_or(format!("{name} is missing"))
    };
    let directory = PathBuf::from(value("--directory")?);
    process::claim(&directory)?;
    let options = AgentOptions {
        identity: load_identity(value("--identity")?.as_ref())?,
        directory,
        advertised: None,
        memory: None,
        tracking: None,
        storage: StorageOptions::default(),
        watch: steps::log(),
    };
    let listener = TcpListener::bind(value("--listen")?)?;
    Agent::start(&listener, options)?.serve(&listener)?;
    Ok(true)
}

/// Two agents in namespaces of their own, and who commands them. Removed when dropped.
pub struct Pair {
    lab: Lab,
    directory: PathBuf,
    credentials: Credentials,
}

impl Pair {
    /// Joins them by a link of this speed, or as fast as the machine is where `None`. Needs root and iproute2.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where something is absent.
    pub fn joined_by(link: Option<Bandwidth>) -> Result<Pair, Failed> {
        let directory = std::env::temp_dir().join(format!("migtwin-benches-{}", std::process::id()));
        let wiring = Wiring::Namespaces(link);
        let executable = std::env::current_exe()?;
        let lab = lab::up(&LabOptions {
            directory: directory.clone(),
            hosts: 2,
            wiring,
            memory: None,
            shared: vec![],
            executable,
        })?;
        let credentials = Credentials::new(&load_identity(&lab.operator)?)?;
        Ok(Pair { lab, directory, credentials })
    }

    /// Who commands the source.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it does not answer.
    pub fn source(&self) -> Result<Client, LiveError> {
        Client::connect(&self.lab.hosts[0].address, &self.credentials)
    }

    /// Who commands the destination.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it does not answer.
    pub fn destination(&self) -> Result<Client, LiveError> {
        Client::connect(self.destination_address(), &self.credentials)
    }

    /// Where the destination listens.
    pub fn destination_address(&self) -> &str {
        &self.lab.hosts[1].address
    }

    /// The destination's name.
    pub fn destination_name(&self) -> &str {
        &self.lab.hosts[1].name
    }

    /// The namespaces of source and destination.
    pub fn namespaces(&self) -> [&str; 2] {
        [0, 1].map(|host| self.lab.hosts[host].namespace.as_deref().unwrap_or_default())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if let Err(error) = lab::down(&self.directory) {
            tracing::error!(%error, "cannot remove the lab");
        }
    }
}
