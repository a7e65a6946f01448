//! `migtwin live`: identities, agents, migrations between them, recovery, and a lab.

mod apply;
pub mod arguments;
mod disks;
mod forecast;
mod lab;
mod migrate;
mod probe;
mod qemu;

use std::io::Write;
use std::net::TcpListener;

use live::client::Client;
use live::identity::{load_identity, make_identities};
use live::protocol::Activity;
use live::recover::recover;
use live::storage::StorageOptions;
use live::tls::Credentials;
use live::tracking::Method;
use live::{AgentOptions, LiveError, process, steps};

use crate::failure::Failure;
use arguments::{Agent, Agents, Live, LiveCommand, Tracking};

/// Runs the command.
pub fn run(arguments: &Live) -> Result<(), Failure> {
    match &arguments.command {
        LiveCommand::Identity { names, out } => {
            for path in make_identities(out, names)? {
                eprintln!("wrote {}", path.display());
            }
            Ok(())
        }
        LiveCommand::Agent(arguments) => agent(arguments),
        LiveCommand::Status { agents } => status(agents),
        LiveCommand::Migrate(arguments) => migrate::run(arguments),
        LiveCommand::Create { file, agents } => migrate::create(file, agents),
        LiveCommand::Apply(arguments) => apply::run(arguments),
        LiveCommand::Probe(arguments) => probe::run(arguments),
        LiveCommand::Forecast(arguments) => forecast::run(arguments),
        LiveCommand::Recover { qemu: Some(directory), .. } => qemu::recover(directory),
        LiveCommand::Recover { agents, qemu: None } => recover_all(agents),
        LiveCommand::Qemu(arguments) => qemu::run(arguments),
        LiveCommand::Lab { command } => lab::run(command),
    }
}

/// Serves until it is ended from outside.
fn agent(arguments: &Agent) -> Result<(), Failure> {
    log_to_standard_error();
    let options = AgentOptions {
        identity: load_identity(&arguments.identity)?,
        directory: arguments.directory.clone(),
        advertised: arguments.advertise.clone(),
        memory: arguments.memory,
        tracking: arguments.tracking.map(|tracking| match tracking {
            Tracking::Userfault => Method::Userfault,
            Tracking::Hashes => Method::Hashes,
        }),
        storage: StorageOptions {
            places: arguments.storage.iter().cloned().collect(),
            limit: arguments.disk_space,
        },
        watch: steps::log(),
    };
    let made = std::fs::create_dir_all(&options.directory);
    made.map_err(LiveError::file("make", &options.directory))?;
    process::claim(&options.directory)?;
    let listener = TcpListener::bind(&arguments.listen);
    let listener = listener.map_err(LiveError::system(format!("listen on {}", arguments.listen)))?;
    let agent = live::Agent::start(&listener, options)?;
    Ok(agent.serve(&listener)?)
}

/// One JSON object a line, of the levels that MIGTWIN_LOG asks for.
fn log_to_standard_error() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MIGTWIN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr);
    // Set once in a process; there is nothing to do where another has been set.
    let _ = log.try_init();
}

/// Agents by name, and who asks them.
struct Known {
    agents: Vec<(String, String)>,
    credentials: Credentials,
}

impl Agents {
    fn known(&self) -> Result<Known, Failure> {
        if let Some(directory) = &self.lab {
            let lab = live::lab::load(directory)?;
            let agents = lab.hosts.into_iter().map(|host| (host.name, host.address)).collect();
            return Ok(Known { agents, credentials: Credentials::new(&load_identity(&lab.operator)?)? });
        }
        let needed = |needed: &str| {
            Failure::from(LiveError::Absent { what: "talking to agents".into(), needed: needed.into() })
        };
        let identity = self.identity.as_ref();
        let identity = identity.ok_or_else(|| needed("`--identity FILE`, or `--lab DIR`"))?;
        if self.agents.is_empty() {
            return Err(needed("`--agent NAME=ADDR` for each of them, or `--lab DIR`"));
        }
        let credentials = Credentials::new(&load_identity(identity)?)?;
        Ok(Known { agents: self.agents.clone(), credentials })
    }
}

fn status(agents: &Agents) -> Result<(), Failure> {
    let known = agents.known()?;
    let mut out = std::io::stdout().lock();
    for (name, address) in &known.agents {
        let mut client = Client::connect(address, &known.credentials)?;
        let described = client.describe()?;
        writeln!(
            out,
            "{name} at {address}: {} of {} used; dirty memory by {}",
            described.used, described.memory, described.tracking
        )?;
        for guest in described.guests {
            let activity = match guest.activity {
                Activity::Running => "running",
                Activity::Paused => "paused",
                Activity::Incoming => "coming",
            };
            writeln!(
                out,
                "  {} {activity}, {}, {} writes",
                guest.spec.name, guest.spec.memory, guest.writes
            )?;
        }
        for handover in client.handovers()? {
            writeln!(out, "  hand-over {} of {} is open", handover.token, handover.guest)?;
        }
    }
    Ok(())
}

fn recover_all(agents: &Agents) -> Result<(), Failure> {
    let known = agents.known()?;
    let addresses: Vec<String> = known.agents.iter().map(|(_, address)| address.clone()).collect();
    let recovered = recover(&addresses, &known.credentials)?;
    let mut out = std::io::stdout().lock();
    if recovered.is_empty() {
        writeln!(out, "no hand-over is open")?;
    }
    let mut unknown = 0;
    for one in recovered {
        writeln!(out, "{} {}", one.guest, one.finding)?;
        unknown += usize::from(one.finding.needs_operator());
    }
    if unknown > 0 {
        return Err(Failure::NotMoved(format!("{unknown} guests cannot be placed yet")));
    }
    Ok(())
}
