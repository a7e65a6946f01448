//! A test bed on one machine: agents in network namespaces, joined by shaped links.
//!
//! ```text
//!   host1 ns ──veth, tbf──┐
//!   host2 ns ──veth, tbf──┤ switch ns: bridge ──veth── here (for commands; not shaped)
//!   host3 ns ──veth, tbf──┘
//! ```
//!
//! What is to be made is written down before it is made ([`STATE`]), so that [`down`] finds all of it,
//! also after a crash: it ends what runs in our namespaces, removes those, and the links with them.
//! Without root there are no namespaces; agents over the loopback interface work all the same.

mod network;

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Bytes};

use crate::client::Client;
use crate::disk::is_file_name;
use crate::error::LiveError;
use crate::files;
use crate::identity::{load_identity, make_identities};
use crate::process::{self, Process};
use crate::tls::Credentials;
use crate::token::Token;

/// The file of a lab's state, in its directory.
pub const STATE: &str = "lab.json";

/// Where storage is that all hosts reach, in its directory.
const SHARED: &str = "storage";

/// Hosts of one lab; they share one machine.
pub const MOST_HOSTS: u32 = 32;

/// An agent that was started answers within this.
const STARTING: Duration = Duration::from_secs(30);

/// What a lab is to be.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Where its state, identities and agents' directories go.
    pub directory: PathBuf,
    /// How many hosts, 1 to [`MOST_HOSTS`].
    pub hosts: u32,
    /// What joins them.
    pub wiring: Wiring,
    /// Memory that guests of each host may have.
    pub memory: Option<Bytes>,
    /// Storage locations that all hosts reach.
    pub shared: Vec<String>,
    /// The `migtwin` to start agents with.
    pub executable: PathBuf,
}

/// What joins the hosts of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wiring {
    /// Links of their own between namespaces, each of this speed in either direction; as fast as
    /// the machine is where `None`. Needs root.
    Namespaces(Option<Bandwidth>),
    /// The loopback interface.
    Loopback,
}

/// A lab, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lab {
    /// Begins the name of everything that belongs to it.
    pub prefix: String,
    /// What joins its hosts.
    pub wiring: Wiring,
    /// Its hosts.
    pub hosts: Vec<LabHost>,
    /// The identity of those who command it.
    pub operator: PathBuf,
}

/// A host of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabHost {
    /// Such as `host1`.
    pub name: String,
    /// Where its agent listens.
    pub address: String,
    /// Its agent's directory.
    pub directory: PathBuf,
    /// Its namespace, where it has one.
    pub namespace: Option<String>,
}

/// How a host of a lab is.
#[derive(Debug, Clone, PartialEq)]
pub struct HostStatus {
    /// The host.
    pub host: LabHost,
    /// Its guests' names, or why it does not answer.
    pub guests: Result<Vec<String>, String>,
}

/// Makes a lab and starts its agents. What was made is removed again if something fails.
///
/// # Errors
///
/// [`LiveError`] where there is a lab already, or something is absent.
pub fn up(options: &LabOptions) -> Result<Lab, LiveError> {
    if !(1..=MOST_HOSTS).contains(&options.hosts) {
        let needed = format!("1 to {MOST_HOSTS} hosts");
        return Err(LiveError::Absent { what: "a lab".into(), needed });
    }
    if options.directory.join(STATE).exists() {
        let reason = "there is a lab already; end it with `migtwin live lab down`".to_string();
        return Err(LiveError::Declined { agent: options.directory.display().to_string(), reason });
    }
    if let Some(name) = options.shared.iter().find(|name| !is_file_name(name)) {
        let needed = format!("names of letters, digits, `-`, `_` and `.`; `{name}` is none");
        return Err(LiveError::Absent { what: "storage of a lab".into(), needed });
    }
    if let Wiring::Namespaces(_) = options.wiring {
        network::check()?;
    }
    fs::create_dir_all(&options.directory).map_err(LiveError::file("make", &options.directory))?;
    let directory = options.directory.canonicalize().map_err(LiveError::file("find", &options.directory))?;
    let lab = plan(options, &directory)?;
    files::replace(&directory.join(STATE), &lab)?;
    match make(&lab, options, &directory) {
        Ok(()) => Ok(lab),
        Err(error) => {
            if let Err(also) = down(&directory) {
                tracing::error!(%also, "cannot remove what was made");
            }
            Err(error)
        }
    }
}

fn plan(options: &LabOptions, directory: &Path) -> Result<Lab, LiveError> {
    let prefix = network::prefix(&Token::new()?);
    let host = |number: u32| {
        let name = format!("host{number}");
        let (address, namespace) = match options.wiring {
            Wiring::Namespaces(_) => {
                (network::address(&prefix, number), Some(network::namespace(&prefix, number)))
            }
            Wiring::Loopback => (free_port()?, None),
        };
        Ok(LabHost { directory: directory.join(&name), name, address, namespace })
    };
    let hosts = (1..=options.hosts).map(host).collect::<Result<_, LiveError>>()?;
    Ok(Lab { prefix, wiring: options.wiring, hosts, operator: directory.join("identities/operator.json") })
}

/// A port that is free now.
fn free_port() -> Result<String, LiveError> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map(|address| address.to_string()).map_err(LiveError::system("find a free port"))
}

fn make(lab: &Lab, options: &LabOptions, directory: &Path) -> Result<(), LiveError> {
    let mut names = vec!["operator".to_string()];
    names.extend(lab.hosts.iter().map(|host| host.name.clone()));
    make_identities(&directory.join("identities"), &names)?;
    if let Wiring::Namespaces(link) = lab.wiring {
        network::make(&lab.prefix, options.hosts, link)?;
    }
    for host in &lab.hosts {
        start(host, options, directory)?;
    }
    let credentials = Credentials::new(&load_identity(&lab.operator)?)?;
    lab.hosts.iter().try_for_each(|host| wait_for(host, &credentials))
}

fn start(host: &LabHost, options: &LabOptions, directory: &Path) -> Result<(), LiveError> {
    fs::create_dir_all(&host.directory).map_err(LiveError::file("make", &host.directory))?;
    let path = host.directory.join("agent.log");
    let log = File::create(&path).map_err(LiveError::file("write", &path))?;
    let errors = log.try_clone().map_err(LiveError::file("write", &path))?;
    let mut command = match &host.namespace {
        Some(namespace) => network::within(namespace, &options.executable),
        None => Command::new(&options.executable),
    };
    command.args(["live", "agent", "--listen", &host.address, "--directory"]).arg(&host.directory);
    command.arg("--identity").arg(directory.join("identities").join(format!("{}.json", host.name)));
    if let Some(memory) = options.memory {
        command.args(["--memory", &memory.to_string()]);
    }
    for name in &options.shared {
        let path = directory.join(SHARED).join(name);
        fs::create_dir_all(&path).map_err(LiveError::file("make", &path))?;
        command.arg("--storage").arg(format!("{name}={}", path.display()));
    }
    // A group of its own: Ctrl-C at the terminal is not for it.
    command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    command.spawn().map_err(LiveError::system(format!("start the agent of {}", host.name)))?;
    Ok(())
}

fn wait_for(host: &LabHost, credentials: &Credentials) -> Result<(), LiveError> {
    let began = Instant::now();
    loop {
        match Client::connect(&host.address, credentials) {
            Ok(_) => return Ok(()),
            Err(_) if began.elapsed() < STARTING => std::thread::sleep(Duration::from_millis(50)),
            Err(error) => {
                let log = fs::read_to_string(host.directory.join("agent.log")).unwrap_or_default();
                tracing::error!(host = host.name, log, "the agent does not answer");
                return Err(error);
            }
        }
    }
}

/// The lab of `directory`.
///
/// # Errors
///
/// [`LiveError`] where there is none.
pub fn load(directory: &Path) -> Result<Lab, LiveError> {
    files::read(&directory.join(STATE))
}

/// Ends the lab of `directory`: its agents with their guests, its namespaces and links, its files.
/// What is gone already is no error, so that it can be done again after it failed.
///
/// # Errors
///
/// [`LiveError`] where there is no lab, or something cannot be removed.
pub fn down(directory: &Path) -> Result<Lab, LiveError> {
    let lab = load(directory)?;
    for host in &lab.hosts {
        if let Some(agent) = process::noted(&host.directory) {
            agent.kill()?;
        }
    }
    if let Wiring::Namespaces(_) = lab.wiring {
        let namespaces = lab.hosts.iter().filter_map(|host| host.namespace.as_deref());
        network::remove(&lab.prefix, namespaces)?;
    }
    for host in &lab.hosts {
        remove_directory(&host.directory)?;
    }
    remove_directory(&directory.join(SHARED))?;
    remove_directory(&directory.join("identities"))?;
    files::remove(&directory.join(STATE))?;
    // Only where nothing else is in it.
    let _ = fs::remove_dir(directory);
    Ok(lab)
}

fn remove_directory(path: &Path) -> Result<(), LiveError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LiveError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// How the hosts of a lab are.
///
/// # Errors
///
/// [`LiveError`] where its identities are gone.
pub fn status(lab: &Lab) -> Result<Vec<HostStatus>, LiveError> {
    let credentials = Credentials::new(&load_identity(&lab.operator)?)?;
    let ask = |host: &LabHost| -> Result<Vec<String>, LiveError> {
        let guests = Client::connect(&host.address, &credentials)?.describe()?.guests;
        Ok(guests.into_iter().map(|guest| guest.spec.name).collect())
    };
    let status = |host: &LabHost| HostStatus {
        guests: ask(host).map_err(|error| error.to_string()),
        host: host.clone(),
    };
    Ok(lab.hosts.iter().map(status).collect())
}

/// Processes that run in a namespace.
pub(crate) fn processes_of(text: &str) -> Vec<Process> {
    text.split_whitespace().filter_map(|word| Process::find(word.parse().ok()?)).collect()
}
