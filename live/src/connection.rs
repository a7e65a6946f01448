//! Connections between agents: TCP, mutual TLS, bounded waiting.

mod read_ahead;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection, StreamOwned};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::read_ahead::ReadAhead;
use crate::error::LiveError;
use crate::identity::ANY_AGENT;
use crate::protocol::{self, Encryption, Hello, ProtocolError, Purpose, Reply, Request, VERSION, frame};
use crate::tls::{Credentials, is_for};

/// An agent that takes long says so at least this often.
pub const HEARTBEAT: Duration = Duration::from_millis(500);

/// A side that says nothing for so long, where it should, is gone.
pub const SILENCE: Duration = Duration::from_secs(10);

/// Connecting, and the first words, take no longer.
pub const OPENING: Duration = Duration::from_secs(5);

/// Large enough for a link of 10 Gbit/s in a building, and small enough that little memory is sent
/// long before it arrives.
const PAGE_BUFFER: usize = 256 << 10;

enum Stream {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, ReadAhead>>),
    Server(Box<StreamOwned<ServerConnection, ReadAhead>>),
}

/// A connection to an agent, or of an agent to one who commands it.
pub struct Connection {
    stream: Stream,
    socket: TcpStream,
    /// The other side's name or, until it is known, its address.
    pub peer: String,
}

impl Connection {
    /// Connects to the agent at `address` for control.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where nobody answers there, or one who is not known or of another version.
    pub fn control(address: &str, credentials: &Credentials) -> Result<Connection, LiveError> {
        let mut connection = Connection::client(address, credentials)?;
        connection.greet(credentials.name(), Purpose::Control)?;
        match connection.receive()? {
            Reply::Welcome { version: VERSION, name } => connection.peer = name,
            Reply::Welcome { version, name } => {
                return Err(ProtocolError::Version { peer: name, theirs: version }.into());
            }
            Reply::Refused { reason } => {
                return Err(LiveError::Declined { agent: connection.peer, reason });
            }
            other => return Err(ProtocolError::Unexpected(format!("{other:?}")).into()),
        }
        connection.patience(SILENCE)?;
        Ok(connection)
    }

    /// Connects to the agent at `address` to send pages.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where nobody answers there, or one who is not known.
    pub fn pages(
        address: &str,
        credentials: &Credentials,
        encryption: Encryption,
        purpose: Purpose,
    ) -> Result<Connection, LiveError> {
        let mut connection = match encryption {
            Encryption::Tls => Connection::client(address, credentials)?,
            Encryption::None => {
                let socket = connect(address)?;
                Connection::over(Stream::Plain(clone(&socket, address)?), socket, address)
            }
        };
        connection.greet(credentials.name(), purpose)?;
        connection.patience(SILENCE)?;
        Ok(connection)
    }

    fn client(address: &str, credentials: &Credentials) -> Result<Connection, LiveError> {
        let socket = connect(address)?;
        let name = ServerName::try_from(ANY_AGENT).map_err(|error| LiveError::Identity {
            what: format!("connect to {address}"),
            reason: error.to_string(),
        })?;
        let mut tls = ClientConnection::new(credentials.client(), name).map_err(|error| {
            LiveError::Identity { what: format!("connect to {address}"), reason: error.to_string() }
        })?;
        tls.set_buffer_limit(Some(PAGE_BUFFER));
        let stream = StreamOwned::new(tls, ReadAhead::of(clone(&socket, address)?));
        Ok(Connection::over(Stream::Client(Box::new(stream)), socket, address))
    }

    /// Takes in a connection that came to an agent: its purpose, and who has it.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it comes from one who is not known, or does not say what it is for.
    pub fn accept(socket: TcpStream, credentials: &Credentials) -> Result<(Connection, Hello), LiveError> {
        let peer = socket.peer_addr().map_or("a stranger".to_string(), |address| address.to_string());
        prepare(&socket, &peer)?;
        let mut first = [0];
        socket.peek(&mut first).map_err(LiveError::system("read what comes first"))?;
        let plain = first[0] == b'M';
        let stream = if plain {
            Stream::Plain(clone(&socket, &peer)?)
        } else {
            let tls = ServerConnection::new(credentials.server()).map_err(|error| LiveError::Identity {
                what: format!("accept {peer}"),
                reason: error.to_string(),
            })?;
            Stream::Server(Box::new(StreamOwned::new(tls, ReadAhead::of(clone(&socket, &peer)?))))
        };
        let mut connection = Connection::over(stream, socket, &peer);
        let hello: Hello = connection.receive()?;
        connection.check(&hello)?;
        connection.peer.clone_from(&hello.name);
        connection.check_version(&hello, credentials)?;
        connection.patience(SILENCE)?;
        Ok((connection, hello))
    }

    /// Whether one who said so may go on: control goes over TLS only, and by the name in the certificate.
    fn check(&mut self, hello: &Hello) -> Result<(), LiveError> {
        match (&self.stream, &hello.purpose) {
            (Stream::Plain(_), Purpose::Pages { .. } | Purpose::Disks { .. } | Purpose::Faults { .. }) => {
                Ok(())
            }
            (Stream::Server(stream), _) => {
                let certificates = stream.conn.peer_certificates().unwrap_or_default();
                if certificates.first().is_some_and(|first| is_for(first, &hello.name)) {
                    return Ok(());
                }
                let reason = format!("its certificate is not for `{}`", hello.name);
                Err(LiveError::Identity { what: format!("trust {}", self.peer), reason })
            }
            _ => Err(ProtocolError::Unexpected("control without encryption".into()).into()),
        }
    }

    /// Whether one who may go on speaks this version; one who commands is told which this is, by which it knows better
    /// than by a connection that ends.
    fn check_version(&mut self, hello: &Hello, credentials: &Credentials) -> Result<(), LiveError> {
        if hello.version == VERSION {
            return Ok(());
        }
        if hello.purpose == Purpose::Control {
            self.send(&Reply::Welcome { version: VERSION, name: credentials.name().to_string() })?;
        }
        Err(ProtocolError::Version { peer: hello.name.clone(), theirs: hello.version }.into())
    }

    fn over(stream: Stream, socket: TcpStream, peer: &str) -> Connection {
        Connection { stream, socket, peer: peer.to_string() }
    }

    fn greet(&mut self, name: &str, purpose: Purpose) -> Result<(), LiveError> {
        let hello = Hello { version: VERSION, name: name.to_string(), purpose };
        Ok(self.send(&hello)?)
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`] where the connection fails.
    pub fn send(&mut self, message: &impl Serialize) -> Result<(), ProtocolError> {
        let peer = self.peer.clone();
        frame::write_message(self, &peer, message)
    }

    /// Waits for a message, no longer than [`SILENCE`].
    ///
    /// # Errors
    ///
    /// [`ProtocolError`] where none comes, or something else.
    pub fn receive<M: DeserializeOwned>(&mut self) -> Result<M, ProtocolError> {
        let peer = self.peer.clone();
        frame::read_message(self, &peer)
    }

    /// Asks, and waits for the answer; while heartbeats come, as long as it takes.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the connection fails, or the answer is [`Reply::Refused`].
    pub fn ask(&mut self, request: &Request) -> Result<Reply, LiveError> {
        self.send(request)?;
        self.answer()
    }

    /// Waits for the answer to what was asked; while heartbeats come, as long as it takes.
    ///
    /// # Errors
    ///
    /// As [`Connection::ask`].
    pub fn answer(&mut self) -> Result<Reply, LiveError> {
        loop {
            match self.receive()? {
                Reply::Heartbeat => {}
                Reply::Refused { reason } => {
                    return Err(LiveError::Declined { agent: self.peer.clone(), reason });
                }
                Reply::Full { storage, reason } => return Err(LiveError::Full { storage, reason }),
                Reply::InDoubt { guest, reason } => return Err(LiveError::InDoubt { guest, reason }),
                reply => return Ok(reply),
            }
        }
    }

    /// Asks for something that is answered by [`Reply::Done`].
    ///
    /// # Errors
    ///
    /// As [`Connection::ask`], and where the answer is another.
    pub fn order(&mut self, request: &Request) -> Result<(), LiveError> {
        match self.ask(request)? {
            Reply::Done => Ok(()),
            other => Err(ProtocolError::Unexpected(format!("{other:?}")).into()),
        }
    }

    /// The socket, where what goes over it is not encrypted and so can go to and from memory as it is.
    pub fn unencrypted(&self) -> Option<&TcpStream> {
        match &self.stream {
            Stream::Plain(socket) => Some(socket),
            Stream::Client(_) | Stream::Server(_) => None,
        }
    }

    /// How long to wait for what should come.
    ///
    /// # Errors
    ///
    /// [`LiveError::System`] where the socket is gone.
    pub fn patience(&self, patience: Duration) -> Result<(), LiveError> {
        self.socket.set_read_timeout(Some(patience)).map_err(LiveError::system("set a time limit"))
    }

    /// A handle by which another thread can cut the connection.
    ///
    /// # Errors
    ///
    /// [`LiveError::System`] where the system has no more handles.
    pub fn cutter(&self) -> Result<Cutter, LiveError> {
        Ok(Cutter(clone(&self.socket, &self.peer)?))
    }
}

/// Cuts a connection from another thread.
pub struct Cutter(TcpStream);

impl Cutter {
    /// Ends the connection: whoever waits at either end is told.
    pub fn cut(&self) {
        // One that has ended needs no cutting.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Client(stream) => stream.read(buffer),
            Stream::Server(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write(buffer),
            Stream::Client(stream) => stream.write(buffer),
            Stream::Server(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.flush(),
            Stream::Client(stream) => stream.flush(),
            Stream::Server(stream) => stream.flush(),
        }
    }
}

fn connect(address: &str) -> Result<TcpStream, LiveError> {
    let cannot = || LiveError::system(format!("connect to an agent at {address}"));
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
    for resolved in address.to_socket_addrs().map_err(cannot())? {
        match TcpStream::connect_timeout(&resolved, OPENING) {
            Ok(socket) => {
                prepare(&socket, address)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(cannot()(last))
}

fn prepare(socket: &TcpStream, peer: &str) -> Result<(), LiveError> {
    let limits = socket
        .set_read_timeout(Some(OPENING))
        .and_then(|()| socket.set_write_timeout(Some(SILENCE)))
        .and_then(|()| socket.set_nodelay(true));
    limits.map_err(LiveError::system(format!("talk to {peer}")))
}

fn clone(socket: &TcpStream, peer: &str) -> Result<TcpStream, LiveError> {
    socket.try_clone().map_err(LiveError::system(format!("talk to {peer}")))
}

/// Whether a read ended by its time limit, rather than by the connection's end.
pub(crate) fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Answers a request that was not carried out.
pub(crate) fn refused(error: &LiveError) -> Reply {
    let reason = match error {
        LiveError::Full { storage, reason } => {
            return Reply::Full { storage: storage.clone(), reason: reason.clone() };
        }
        LiveError::InDoubt { guest, reason } => {
            return Reply::InDoubt { guest: guest.clone(), reason: reason.clone() };
        }
        LiveError::Declined { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    protocol::Reply::Refused { reason }
}
