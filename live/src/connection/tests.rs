//! Peers of another version: each side says who the other is, which version it speaks, and what to do.

#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;
use crate::identity::Authority;

fn credentials() -> [Credentials; 2] {
    let authority = Authority::new().unwrap();
    ["a", "operator"].map(|name| Credentials::new(&authority.issue(name).unwrap()).unwrap())
}

/// Takes one connection, and does with it what `then` says.
fn agent(
    credentials: &Credentials,
    then: impl FnOnce(Result<(Connection, Hello), LiveError>) + Send + 'static,
) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, own) = (listener.local_addr().unwrap().to_string(), credentials.clone());
    let thread = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        then(Connection::accept(socket, &own));
    });
    (address, thread)
}

#[test]
fn an_agent_of_another_version_is_refused_by_name() {
    let [a, operator] = credentials();
    let (address, thread) = agent(&a, |accepted| {
        let (mut connection, _) = accepted.unwrap();
        connection.send(&Reply::Welcome { version: VERSION - 1, name: "a".into() }).unwrap();
    });
    let told = Connection::control(&address, &operator).err().unwrap().to_string();
    thread.join().unwrap();
    let theirs = VERSION - 1;
    let expected =
        format!("a speaks version {theirs} of the protocol, this is version {VERSION}; install the same");
    assert!(told.starts_with(&expected), "{told}");
}

/// It knows then what it talks to, and is not only cut off.
#[test]
fn one_who_commands_in_another_version_is_told_which_this_is() {
    let [a, operator] = credentials();
    let (address, thread) = agent(&a, |accepted| {
        let told = accepted.err().unwrap().to_string();
        assert!(told.starts_with("operator speaks version 2 of the protocol"), "{told}");
    });
    let mut connection = Connection::client(&address, &operator).unwrap();
    connection.send(&Hello { version: 2, name: "operator".into(), purpose: Purpose::Control }).unwrap();
    let answer: Reply = connection.receive().unwrap();
    assert_eq!(answer, Reply::Welcome { version: VERSION, name: "a".into() });
    thread.join().unwrap();
}
