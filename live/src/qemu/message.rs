//! One line of QMP, as bytes from a process that need not be trusted.
//!
//! Only what is used is read; whatever else stands in a message is left alone, so that newer versions
//! of QEMU may say more.

use serde_json::Value;
use thiserror::Error;

/// A longer line is no message: the longest real one, the schema, has a quarter of a mebibyte.
pub const LONGEST_LINE: usize = 4 << 20;

/// What QEMU says.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The first line of a connection.
    Greeting {
        /// Such as 7, 2, 22.
        version: [u64; 3],
    },
    /// A command's answer.
    Answer {
        /// The number that the command was given.
        id: Option<u64>,
        /// What it returned, or QEMU's words for what was wrong.
        result: Result<Value, String>,
    },
    /// Something happened.
    Event(Event),
}

/// Something happened in QEMU.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Such as `STOP`.
    pub name: String,
    /// What belongs to it; `Null` where nothing does.
    pub data: Value,
    /// When, in nanoseconds since 1970 by the clock of QEMU's host; `None` where QEMU could not tell.
    pub unix_nanos: Option<u64>,
}

impl Event {
    /// A text of its data, such as `status` of MIGRATION.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.data.get(field)?.as_str()
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadLine {
    /// It is no JSON.
    #[error("QEMU sent what is no JSON: {0}")]
    Json(String),
    /// It is JSON, and no message of QMP.
    #[error("QEMU sent JSON that is no message: {0}")]
    Shape(String),
}

/// Reads one line, its end not included.
///
/// # Errors
///
/// [`BadLine`], with the beginning of what was sent.
pub fn parse(line: &[u8]) -> Result<Message, BadLine> {
    let value: Value = serde_json::from_slice(line).map_err(|error| BadLine::Json(error.to_string()))?;
    if let Some(name) = value.get("event").and_then(Value::as_str) {
        return Ok(Message::Event(event(name, &value)));
    }
    if let Some(greeting) = value.get("QMP") {
        return Ok(Message::Greeting { version: version(greeting) });
    }
    let id = value.get("id").and_then(Value::as_u64);
    if let Some(returned) = value.get("return") {
        return Ok(Message::Answer { id, result: Ok(returned.clone()) });
    }
    if let Some(error) = value.get("error") {
        let words = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given");
        return Ok(Message::Answer { id, result: Err(words.to_string()) });
    }
    Err(BadLine::Shape(beginning(&value.to_string())))
}

fn event(name: &str, value: &Value) -> Event {
    let timestamp = value.get("timestamp");
    let part = |field| timestamp.and_then(|time| time.get(field)).and_then(Value::as_u64);
    let unix_nanos = part("seconds").zip(part("microseconds")).and_then(|(seconds, micros)| {
        seconds.checked_mul(1_000_000_000)?.checked_add(micros.checked_mul(1_000)?)
    });
    Event { name: name.to_string(), data: value.get("data").cloned().unwrap_or(Value::Null), unix_nanos }
}

fn version(greeting: &Value) -> [u64; 3] {
    let part = |field| greeting.pointer(&format!("/version/qemu/{field}")).and_then(Value::as_u64);
    ["major", "minor", "micro"].map(|field| part(field).unwrap_or(0))
}

fn beginning(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_greeting_an_answer_an_error_and_an_event_are_read() {
        let greeting =
            br#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}}}"#;
        assert_eq!(parse(greeting), Ok(Message::Greeting { version: [7, 2, 22] }));
        let answer = parse(br#"{"return": {"running": true}, "id": 3}"#).unwrap();
        let running = serde_json::json!({"running": true});
        assert_eq!(answer, Message::Answer { id: Some(3), result: Ok(running) });
        let error = parse(br#"{"error": {"class": "GenericError", "desc": "no such thing"}}"#).unwrap();
        assert_eq!(error, Message::Answer { id: None, result: Err("no such thing".into()) });
        let event = br#"{"timestamp": {"seconds": 2, "microseconds": 5}, "event": "MIGRATION", "data": {"status": "active"}}"#;
        let Ok(Message::Event(event)) = parse(event) else { panic!("no event") };
        assert_eq!((event.text("status"), event.unix_nanos), (Some("active"), Some(2_000_005_000)));
    }

    #[test]
    fn a_time_that_cannot_be_is_no_time() {
        // QEMU writes -1 where its clock failed.
        for seconds in ["-1", "18446744073709551615", "\"x\"", "1.5"] {
            let line = format!(r#"{{"event":"STOP","timestamp":{{"seconds":{seconds},"microseconds":1}}}}"#);
            let Ok(Message::Event(event)) = parse(line.as_bytes()) else { panic!("no event") };
            assert_eq!(event.unix_nanos, None, "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn nothing_that_looks_like_qmp_makes_the_reader_panic(
            key in "QMP|event|return|error|id|data|timestamp",
            other in "QMP|event|return|error|id|version|timestamp",
            value in "[\\[\\]{}\",:0-9a-z.-]{0,40}",
        ) {
            let _ = parse(format!(r#"{{"{key}": {value}, "{other}": {{"{key}": {value}}}}}"#).as_bytes());
            let _ = parse(format!(r#"{{"{key}": "{other}", "{other}": 1}}"#).as_bytes());
        }
    }
}
