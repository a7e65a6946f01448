//! A client of QEMU's machine protocol: JSON lines over a unix socket.
//!
//! A thread reads; commands wait for the answer with their number, and events go into one inbox that
//! several machines can share, in the order in which they came. So no event is lost between a command and
//! its answer, and who waits for two machines waits at one place.
//!
//! The thread ends when the connection does: [`Qmp`] shuts it when dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::QemuError;
use super::message::{self, Event, LONGEST_LINE, Message};

/// How long a command may take. Commands of QMP start work rather than do it; what takes longest here is
/// `cont` after disks were mirrored.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Messages that come before a greeting, at most: what QEMU keeps for who does not read is a few seconds of events.
const MOST_LEFT_OVER: usize = 1000;

/// How long a socket that is not there yet is looked for.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Which of the machines of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where the guest runs at first.
    Source,
    /// Where it is to run.
    Destination,
}

/// What came from a machine by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// Something happened there.
    Event(Event),
    /// Its connection has ended, or was ended for what it sent.
    Closed(String),
}

/// Where notices are put.
pub type Notices = Sender<(Side, Notice)>;

/// A connection to one QEMU.
#[derive(Debug)]
pub struct Qmp {
    who: String,
    stream: UnixStream,
    answers: Receiver<(u64, Result<Value, String>)>,
    reader: Option<JoinHandle<()>>,
    next: u64,
    version: [u64; 3],
}

impl Qmp {
    /// Connects to the socket at `path`, which may appear a little later, and leaves the greeting mode. What
    /// happens there goes to `notices` as from `side`; `who` names the machine in errors.
    ///
    /// # Errors
    ///
    /// Where nobody listens there in time, or who does is not QEMU.
    pub fn connect(path: &Path, side: Side, who: &str, notices: Notices) -> Result<Qmp, QemuError> {
        let stream = connect(path).map_err(|source| QemuError::File { path: path.into(), source })?;
        Qmp::over(stream, side, who, notices)
    }

    /// The same over a stream that is there already.
    ///
    /// # Errors
    ///
    /// Where the other end does not speak QMP.
    pub fn over(stream: UnixStream, side: Side, who: &str, notices: Notices) -> Result<Qmp, QemuError> {
        let gone = |words: String| QemuError::Gone { who: who.into(), words };
        let io = |error: std::io::Error| gone(error.to_string());
        stream.set_read_timeout(Some(CONNECT_WITHIN)).map_err(io)?;
        stream.set_write_timeout(Some(ANSWER_WITHIN)).map_err(io)?;
        let mut lines = BufReader::new(stream.try_clone().map_err(io)?);
        let version = greeting(&mut lines).map_err(gone)?;
        stream.set_read_timeout(None).map_err(io)?;
        let (tell, answers) = channel();
        let reader = std::thread::spawn(move || {
            let words = read_all(&mut lines, side, &tell, &notices);
            // Nobody listens any more: then nobody need be told.
            let _ = notices.send((side, Notice::Closed(words)));
        });
        let mut qmp = Qmp { who: who.into(), stream, answers, reader: Some(reader), next: 1, version };
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// QEMU's version, such as 7, 2, 22.
    pub fn version(&self) -> [u64; 3] {
        self.version
    }

    /// Has a command done; what it returned.
    ///
    /// # Errors
    ///
    /// Where QEMU refuses it, does not answer in time, or is gone.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QemuError> {
        let id = self.next;
        self.next += 1;
        let mut line = json!({"execute": command, "arguments": arguments, "id": id}).to_string();
        line.push('\n');
        let gone = |who: &str, words: String| QemuError::Gone { who: who.into(), words };
        self.stream.write_all(line.as_bytes()).map_err(|error| gone(&self.who, error.to_string()))?;
        let until = Instant::now() + ANSWER_WITHIN;
        loop {
            match self.answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((answered, result)) if answered == id => {
                    return result.map_err(|words| QemuError::Refused {
                        who: self.who.clone(),
                        command: command.into(),
                        words,
                    });
                }
                // The late answer to a command that was given up.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    let (who, command) = (self.who.clone(), command.into());
                    return Err(QemuError::Silent { who, command, seconds: ANSWER_WITHIN.as_secs() });
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(gone(
                        &self.who,
                        format!("its connection ended before it answered `{command}`"),
                    ));
                }
            }
        }
    }

    /// A line of the human monitor, and its answer.
    ///
    /// # Errors
    ///
    /// As [`Qmp::execute`].
    pub fn monitor(&mut self, line: &str) -> Result<String, QemuError> {
        let answer = self.execute("human-monitor-command", json!({"command-line": line}))?;
        match answer {
            Value::String(text) => Ok(text),
            other => Err(self.unexpected(line, &other)),
        }
    }

    /// The run state, such as `running` or `postmigrate`.
    ///
    /// # Errors
    ///
    /// As [`Qmp::execute`].
    pub fn run_state(&mut self) -> Result<String, QemuError> {
        let answer = self.execute("query-status", json!({}))?;
        match answer.get("status").and_then(Value::as_str) {
            Some(status) => Ok(status.to_string()),
            None => Err(self.unexpected("query-status", &answer)),
        }
    }

    /// The error that an answer is not what it should be.
    pub fn unexpected(&self, command: &str, answer: &Value) -> QemuError {
        let answer = answer.to_string().chars().take(300).collect();
        QemuError::Unexpected { who: self.who.clone(), command: command.into(), answer }
    }
}

impl Drop for Qmp {
    fn drop(&mut self) {
        self.close();
    }
}

impl Qmp {
    /// Ends the connection.
    pub(super) fn close(&mut self) {
        // Where it is closed already there is nothing to shut.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn connect(path: &Path) -> std::io::Result<UnixStream> {
    let until = Instant::now() + CONNECT_WITHIN;
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// QEMU's version. What comes before the greeting was meant for who was connected before, and not taken any more:
/// QEMU keeps it for the next one.
fn greeting(lines: &mut impl BufRead) -> Result<[u64; 3], String> {
    for _ in 0..MOST_LEFT_OVER {
        match read(lines)? {
            Some(Message::Greeting { version }) => return Ok(version),
            Some(Message::Event(_) | Message::Answer { .. }) => {}
            None => return Err("its connection ended before a greeting of QMP".into()),
        }
    }
    Err(format!("its first {MOST_LEFT_OVER} messages had no greeting of QMP among them"))
}

/// Reads until the connection ends; why it ended.
fn read_all(
    lines: &mut impl BufRead,
    side: Side,
    answers: &Sender<(u64, Result<Value, String>)>,
    notices: &Notices,
) -> String {
    loop {
        match read(lines) {
            // A machine that nobody listens to is still read, so that it does not stand still.
            Ok(Some(Message::Event(event))) => drop(notices.send((side, Notice::Event(event)))),
            Ok(Some(Message::Answer { id: Some(id), result })) => drop(answers.send((id, result))),
            // No command of ours: QEMU's complaint about what was no command.
            Ok(Some(Message::Answer { id: None, .. } | Message::Greeting { .. })) => {}
            Ok(None) => return "its connection ended".into(),
            Err(words) => return words,
        }
    }
}

/// The next line; `None` at the end.
fn read(lines: &mut impl BufRead) -> Result<Option<Message>, String> {
    let mut line = Vec::new();
    let most = LONGEST_LINE as u64 + 1;
    lines.by_ref().take(most).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => message::parse(&line).map(Some).map_err(|error| error.to_string()),
        Some(_) if line.len() >= LONGEST_LINE => {
            Err(format!("it sent a line of more than {LONGEST_LINE} bytes"))
        }
        Some(_) => Err("its connection ended within a line".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREETING: &str = "{\"QMP\":{\"version\":{\"qemu\":{\"major\":7,\"minor\":2,\"micro\":0}}}}\n";

    /// A machine that says the lines of `script`, one after each command that it is told.
    fn machine(script: Vec<String>) -> (UnixStream, JoinHandle<()>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || {
            let mut lines = BufReader::new(theirs.try_clone().unwrap());
            let mut theirs = theirs;
            theirs.write_all(GREETING.as_bytes()).unwrap();
            for answer in script {
                let mut line = String::new();
                if lines.read_line(&mut line).unwrap() == 0 {
                    return;
                }
                let id = serde_json::from_str::<Value>(&line).unwrap()["id"].to_string();
                let _ = theirs.write_all(answer.replace("ID", &id).as_bytes());
            }
        });
        (ours, thread)
    }

    fn ready() -> String {
        "{\"return\":{},\"id\":ID}\n".into()
    }

    #[test]
    fn events_between_a_command_and_its_answer_are_kept_in_their_order() {
        let answer = "{\"event\":\"STOP\"}\n{\"return\":5,\"id\":ID}\n{\"event\":\"RESUME\"}\n";
        let (stream, thread) = machine(vec![ready(), answer.into()]);
        let (tell, notices) = channel();
        let mut qmp = Qmp::over(stream, Side::Source, "test", tell).unwrap();
        assert_eq!(qmp.version(), [7, 2, 0]);
        assert_eq!(qmp.execute("x", json!({})).unwrap(), json!(5));
        thread.join().unwrap();
        let got: Vec<_> = notices.iter().take(3).collect();
        let names = got.iter().map(|(side, notice)| {
            assert_eq!(*side, Side::Source);
            match notice {
                Notice::Event(event) => event.name.as_str(),
                Notice::Closed(_) => "closed",
            }
        });
        assert_eq!(names.collect::<Vec<_>>(), ["STOP", "RESUME", "closed"]);
    }

    #[test]
    fn an_answer_that_comes_too_late_is_not_taken_for_another() {
        let answers = "{\"return\":\"old\",\"id\":999}\n{\"return\":\"new\",\"id\":ID}\n";
        let (stream, _thread) = machine(vec![ready(), answers.into()]);
        let mut qmp = Qmp::over(stream, Side::Source, "test", channel().0).unwrap();
        assert_eq!(qmp.execute("x", json!({})).unwrap(), json!("new"));
    }

    #[test]
    fn what_was_left_over_for_another_before_the_greeting_is_passed_over() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let left = "{\"event\":\"MIGRATION\",\"data\":{\"status\":\"postcopy-active\"}}\n{\"return\":\"old\",\"id\":1}\n";
        theirs.write_all([left, GREETING, "{\"return\":{},\"id\":1}\n"].concat().as_bytes()).unwrap();
        let (tell, notices) = channel();
        assert_eq!(Qmp::over(ours, Side::Source, "test", tell).unwrap().version(), [7, 2, 0]);
        drop(theirs);
        assert!(notices.iter().all(|(_, notice)| matches!(notice, Notice::Closed(_))), "it was not for us");

        let mut chatter = BufReader::new(std::io::Cursor::new("{\"event\":\"STOP\"}\n".repeat(2000)));
        assert!(greeting(&mut chatter).unwrap_err().contains("no greeting"));
    }

    #[test]
    fn what_is_no_qmp_is_an_error_that_names_the_machine() {
        let (stream, _thread) = machine(vec![ready(), "nonsense\n".into()]);
        let (tell, notices) = channel();
        let mut qmp = Qmp::over(stream, Side::Destination, "the other one", tell).unwrap();
        let error = qmp.execute("x", json!({})).unwrap_err().to_string();
        assert!(error.contains("the other one"), "{error}");
        let closed = notices.iter().find_map(|(_, notice)| match notice {
            Notice::Closed(words) => Some(words),
            Notice::Event(_) => None,
        });
        assert!(closed.unwrap().contains("no JSON"));
    }

    #[test]
    fn a_line_without_end_is_cut_off() {
        let mut endless = BufReader::new(std::io::repeat(b'x'));
        assert!(read(&mut endless).unwrap_err().contains("more than"));
        let mut torn = BufReader::new(&b"{\"return\":{}}"[..]);
        assert!(read(&mut torn).unwrap_err().contains("within a line"));
    }
}
