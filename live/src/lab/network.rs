//! A lab's namespaces and links, by `ip` and `tc` of iproute2.
//!
//! The links are shaped by a token bucket at both ends, as a network card is: sending and receiving
//! apart. The burst is small, so that a link of 400 Mbit/s behaves like one.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sim_core::Bandwidth;

use crate::error::LiveError;
use crate::lab::processes_of;
use crate::token::Token;

/// The port of a lab's agents.
const PORT: u16 = 7420;

/// This machine's place in a lab's network; hosts have the numbers from 1.
const HERE: u8 = 254;

/// What everything of a lab begins with; short, since names of links have 15 characters at most.
pub(super) fn prefix(token: &Token) -> String {
    format!("mtw{}", &token.to_string()[..4])
}

/// The lab's network, one of 256 in 10.213.0.0/16.
fn network(prefix: &str) -> u8 {
    u8::from_str_radix(&prefix[prefix.len() - 2..], 16).unwrap_or(0)
}

pub(super) fn address(prefix: &str, number: u32) -> String {
    format!("10.213.{}.{number}:{PORT}", network(prefix))
}

pub(super) fn namespace(prefix: &str, number: u32) -> String {
    format!("{prefix}h{number}")
}

fn switch(prefix: &str) -> String {
    format!("{prefix}s")
}

/// A command that runs in a namespace.
pub(super) fn within(namespace: &str, executable: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(executable);
    command
}

/// Whether there can be namespaces here, and if not, what it needs.
pub(super) fn check() -> Result<(), LiveError> {
    let absent = |needed: &str| LiveError::Absent {
        what: "a lab of namespaces".into(),
        needed: format!("{needed}; `--loopback` needs neither, and has no link speeds"),
    };
    if !rustix::process::geteuid().is_root() {
        return Err(absent("root, to make network namespaces"));
    }
    match Command::new("ip").arg("-V").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(absent("`ip` and `tc`: install iproute2")),
    }
}

/// Makes the switch and a namespace for each host.
pub(super) fn make(prefix: &str, hosts: u32, link: Option<Bandwidth>) -> Result<(), LiveError> {
    let (switch, net) = (switch(prefix), network(prefix));
    ip(&format!("netns add {switch}"))?;
    ip(&format!("-n {switch} link add br0 type bridge"))?;
    ip(&format!("-n {switch} link set br0 up"))?;
    // From here to the switch.
    ip(&format!("link add {prefix} type veth peer name here netns {switch}"))?;
    plug(&switch, "here")?;
    ip(&format!("addr add 10.213.{net}.{HERE}/24 dev {prefix}"))?;
    ip(&format!("link set {prefix} up"))?;
    for number in 1..=hosts {
        let (host, port) = (namespace(prefix, number), format!("port{number}"));
        ip(&format!("netns add {host}"))?;
        ip(&format!("-n {host} link set lo up"))?;
        ip(&format!("-n {host} link add eth0 type veth peer name {port} netns {switch}"))?;
        plug(&switch, &port)?;
        ip(&format!("-n {host} addr add 10.213.{net}.{number}/24 dev eth0"))?;
        ip(&format!("-n {host} link set eth0 up"))?;
        if let Some(link) = link {
            bound_streams(&host)?;
            shape(&host, "eth0", link)?;
            shape(&switch, &port, link)?;
        }
    }
    Ok(())
}

fn plug(switch: &str, port: &str) -> Result<(), LiveError> {
    ip(&format!("-n {switch} link set {port} master br0"))?;
    ip(&format!("-n {switch} link set {port} up"))
}

/// What a stream may have on its way, in bytes: as the least, the usual and the most of `tcp_wmem`.
const STREAM: &str = "4096 65536 262144";

/// What waits before a link: as much as 32 streams may have on their way, so that none is lost. A loss
/// at the end of a round would have the round wait 0.2 s for TCP to notice, in the middle of a measurement.
const QUEUE: &str = "8m";

/// Keeps the host's streams from filling the queues of shaped links, as far as they may grow by themselves.
fn bound_streams(namespace: &str) -> Result<(), LiveError> {
    let what = || LiveError::system(format!("bound the streams of {namespace}"));
    let mut tee = within(namespace, Path::new("tee"));
    tee.arg("/proc/sys/net/ipv4/tcp_wmem").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut tee = tee.spawn().map_err(what())?;
    let mut stdin = tee.stdin.take().ok_or_else(|| what()(std::io::Error::other("it has no input")))?;
    stdin.write_all(STREAM.as_bytes()).map_err(what())?;
    drop(stdin);
    match tee.wait().map_err(what())? {
        status if status.success() => Ok(()),
        status => Err(what()(std::io::Error::other(format!("`tee` ended with {status}")))),
    }
}

fn shape(namespace: &str, device: &str, link: Bandwidth) -> Result<(), LiveError> {
    let bits = link.bits_per_sec();
    run(
        "tc",
        &format!(
            "-n {namespace} qdisc replace dev {device} root tbf rate {bits}bit burst 256k limit {QUEUE}"
        ),
    )
}

/// Ends what runs in the lab's namespaces, and removes those; what is not there is no error.
pub(super) fn remove<'a>(prefix: &str, hosts: impl Iterator<Item = &'a str>) -> Result<(), LiveError> {
    let mut names: Vec<String> = hosts.map(str::to_string).collect();
    names.push(switch(prefix));
    let known = said("ip", "netns list")?;
    let exists = |name: &str| known.lines().any(|line| line.split_whitespace().next() == Some(name));
    for namespace in names.iter().filter(|name| exists(name)) {
        for process in processes_of(&said("ip", &format!("netns pids {namespace}"))?) {
            process.kill()?;
        }
        ip(&format!("netns del {namespace}"))?;
    }
    // The namespace's end takes its links with it, a moment later; this one stands here.
    if Path::new("/sys/class/net").join(prefix).exists()
        && let Err(error) = ip(&format!("link del {prefix}"))
        && Path::new("/sys/class/net").join(prefix).exists()
    {
        return Err(error);
    }
    Ok(())
}

fn ip(arguments: &str) -> Result<(), LiveError> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &str) -> Result<(), LiveError> {
    output(program, arguments).map(|_| ())
}

fn said(program: &str, arguments: &str) -> Result<String, LiveError> {
    Ok(String::from_utf8_lossy(&output(program, arguments)?.stdout).into_owned())
}

fn output(program: &str, arguments: &str) -> Result<Output, LiveError> {
    let what = || LiveError::system(format!("run `{program} {arguments}`"));
    let output = Command::new(program).args(arguments.split(' ')).output().map_err(what())?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
    Err(what()(std::io::Error::other(said)))
}
