//! Agents that are processes of their own, and are killed: a test's binary, started again with a test that is an
//! agent. At the moment in question the agent stands still and says so.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use live::client::Client;
use live::guest::GuestSpec;
use live::protocol::{Activity, MigrateRequest};
use live::recover::{Finding, Recovered, recover};
use live::steps::Step;
use live::storage::StorageOptions;
use live::{Agent, AgentOptions, LiveError};
use sim_core::Bytes;

use super::{Bench, disk_files, replay};

/// Tells the binary that it is to be an agent: its directory, its port, and the moment to stop at.
const AGENT: &str = "MIGTWIN_TEST_AGENT";

/// What a test of the name `agent_process` does in every binary that has such agents.
pub fn be_an_agent() {
    let Some(setup) = std::env::var_os(AGENT) else {
        return;
    };
    let setup = setup.into_string().unwrap();
    let [directory, port, stop_at] = setup.split('|').collect::<Vec<_>>()[..] else { panic!("{setup}") };
    let stop_at = Step::ALL.into_iter().find(|step| format!("{step:?}") == stop_at);
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let directory = PathBuf::from(directory);
    let options = AgentOptions {
        identity: live::identity::load_identity(&directory.join("identity.json")).unwrap(),
        directory,
        advertised: None,
        memory: Some(Bytes::from_mib(128)),
        tracking: None,
        storage: StorageOptions::default(),
        watch: Arc::new(move |step| {
            if Some(step) == stop_at {
                println!("reached");
                loop {
                    std::thread::park();
                }
            }
        }),
    };
    let agent = Agent::start(&listener, options).unwrap();
    println!("started");
    std::io::stdout().flush().unwrap();
    agent.serve(&listener).unwrap();
}

/// An agent that is a process.
pub struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
    pub directory: PathBuf,
    pub address: String,
}

impl Process {
    pub fn new(bench: &Bench, name: &str, stop_at: Option<Step>) -> Process {
        let directory = bench.directory.path().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let identity = serde_json::to_vec(&bench.authority.issue(name).unwrap()).unwrap();
        std::fs::write(directory.join("identity.json"), identity).unwrap();
        // A port that is free now, and that the agent has again when it is started again.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        Process::start(directory, address, stop_at)
    }

    fn start(directory: PathBuf, address: String, stop_at: Option<Step>) -> Process {
        let port = address.rsplit(':').next().unwrap();
        let stop_at = stop_at.map_or("never".into(), |step| format!("{step:?}"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "agent_process", "--ignored", "--nocapture"])
            .env(AGENT, format!("{}|{port}|{stop_at}", directory.display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut process = Process { child, output, directory, address };
        process.wait_for("started");
        process
    }

    pub fn wait_for(&mut self, said: &str) {
        for line in (&mut self.output).lines() {
            if line.unwrap().contains(said) {
                return;
            }
        }
        panic!("the agent ended before it said `{said}`");
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills it, and starts it anew without stopping anywhere.
    pub fn restart(mut self) -> Process {
        self.kill();
        Process::start(self.directory.clone(), self.address.clone(), None)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many of these agents run the guest; one that does not answer runs nothing.
pub fn running(bench: &Bench, addresses: &[&str]) -> usize {
    let runs = |address: &&&str| {
        let Ok(mut client) = Client::connect(address, &bench.operator) else {
            return false;
        };
        let guests = client.describe().unwrap().guests;
        guests.iter().any(|guest| guest.spec.name == "web" && guest.activity == Activity::Running)
    };
    addresses.iter().filter(runs).count()
}

pub fn replay_all(directory: &Path) {
    for journal in std::fs::read_dir(directory.join("journals")).unwrap() {
        replay(journal.unwrap().path());
    }
}

/// Has the guest `web` moved by `order` from `a` to `b`, kills one agent at `step`, and afterwards, if `both`, the
/// other too; then starts and recovers, and gives what recovery found.
pub fn kill_at(
    step: Step,
    both: bool,
    guest: GuestSpec,
    order: fn(&Process) -> MigrateRequest,
) -> Vec<Finding> {
    let bench = Bench::new();
    let at_source = step.is_at_source();
    let a = Process::new(&bench, "a", at_source.then_some(step));
    let b = Process::new(&bench, "b", (!at_source).then_some(step));
    bench.client(&a.address).create(guest).unwrap();
    let addresses = [a.address.clone(), b.address.clone()];
    let mut agents = [Some(a), Some(b)];
    let (victim, other) = if at_source { (0, 1) } else { (1, 0) };

    let mut client = bench.client(&addresses[0]);
    let order = order(agents[1].as_ref().unwrap());
    // Ends when the source is killed, or has found out what became of the destination.
    let migrating = std::thread::spawn(move || client.migrate(order, |_| {}).map(|_| ()));
    agents[victim].as_mut().unwrap().wait_for("reached");
    let known = [addresses[0].as_str(), addresses[1].as_str()];
    let before = disk_writes(&bench, known[0]);
    assert!(running(&bench, &known) <= 1, "at {step:?}");
    agents[victim].as_mut().unwrap().kill();
    assert!(running(&bench, &known) <= 1, "after the kill at {step:?}");
    if both {
        agents[other].as_mut().unwrap().kill();
        agents[other] = agents[other].take().map(Process::restart);
    }
    agents[victim] = agents[victim].take().map(Process::restart);
    let ended: Result<(), LiveError> = migrating.join().unwrap();
    assert!(!at_source || ended.is_err(), "the source was killed at {step:?}");

    assert!(running(&bench, &known) <= 1, "before recovery from {step:?}");
    let findings = recover(&addresses, &bench.operator).unwrap();
    for Recovered { guest, finding, .. } in &findings {
        let placed = matches!(finding, Finding::AtSource | Finding::AtDestination | Finding::StartedAnew);
        assert!(placed, "{step:?}: {guest} {finding}");
    }
    assert_eq!(running(&bench, &known), 1, "after recovery from {step:?}");
    assert_eq!(recover(&addresses, &bench.operator).unwrap(), [], "nothing is left open");
    let there = known.iter().find(|address| running(&bench, &[address]) == 1).unwrap();
    assert_eq!(bench.client(there).verify("web").unwrap().wrong, [""; 0], "{step:?}");
    one_copy_is_left(&bench, step);
    assert!(disk_writes(&bench, there) >= before, "{step:?}: what was written before the kill is there");
    for agent in agents.iter().flatten() {
        replay_all(&agent.directory);
    }
    findings.into_iter().map(|recovered| recovered.finding).collect()
}

/// Writes that the disks of the guest hold, all of which must be whole; zero where it is not.
pub fn disk_writes(bench: &Bench, address: &str) -> u64 {
    let Ok(mut client) = Client::connect(address, &bench.operator) else {
        return 0;
    };
    client.verify("web").map_or(0, |verified| {
        assert_eq!(verified.wrong, [""; 0]);
        verified.disks.writes
    })
}

pub fn one_copy_is_left(bench: &Bench, step: Step) {
    let files = disk_files(bench.directory.path());
    assert_eq!(files.len(), 2, "{step:?}: one file for each of two disks: {files:?}");
}
