//! Frames: eight bytes of head, then the body.
//!
//! ```text
//!  0   1   2     3   4 … 7               8 …
//!  'M' 'T' kind  0   length, little end  body
//! ```

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ProtocolError;

/// Bytes before the body.
pub const HEAD: usize = 8;

/// The most that a control frame holds.
pub const MOST_CONTROL: usize = 1 << 20;

/// The most that a frame of pages holds: a batch with its page numbers, and room for a compressor
/// that makes it larger.
pub const MOST_PAGES: usize = 320 << 10;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message as JSON.
    Control,
    /// Pages as they are.
    Plain,
    /// Numbers of pages that are all zeros.
    Zeros,
    /// Pages, by LZ4.
    Lz4,
    /// Pages, by Zstandard.
    Zstd,
    /// All pages up to here have been sent on this stream.
    Barrier,
    /// Sectors of a disk.
    Blocks,
    /// Which pages follow a guest in post-copy.
    Missing,
    /// Pages that a guest waits for.
    Wanted,
}

const KINDS: [(u8, Kind); 9] = [
    (1, Kind::Control),
    (2, Kind::Plain),
    (3, Kind::Zeros),
    (4, Kind::Lz4),
    (5, Kind::Zstd),
    (6, Kind::Barrier),
    (7, Kind::Blocks),
    (8, Kind::Missing),
    (9, Kind::Wanted),
];

impl Kind {
    fn code(self) -> u8 {
        match self {
            Kind::Control => 1,
            Kind::Plain => 2,
            Kind::Zeros => 3,
            Kind::Lz4 => 4,
            Kind::Zstd => 5,
            Kind::Barrier => 6,
            Kind::Blocks => 7,
            Kind::Missing => 8,
            Kind::Wanted => 9,
        }
    }

    /// The most bytes that a frame of this kind holds.
    pub const fn limit(self) -> usize {
        match self {
            Kind::Control => MOST_CONTROL,
            Kind::Plain | Kind::Zeros | Kind::Lz4 | Kind::Zstd | Kind::Blocks | Kind::Missing => MOST_PAGES,
            Kind::Barrier => 8,
            Kind::Wanted => 4 * super::missing::MOST_WANTED,
        }
    }
}

/// Reads one frame's body into `body`, in place of what was there, and gives its kind.
///
/// # Errors
///
/// [`ProtocolError`] where the connection fails, or what comes is no frame.
pub fn read(reader: &mut impl Read, peer: &str, body: &mut Vec<u8>) -> Result<Kind, ProtocolError> {
    let (kind, length) = read_head(reader, peer)?;
    read_body(reader, peer, length, body)?;
    Ok(kind)
}

/// Reads a frame's head: its kind, and how many bytes follow.
///
/// # Errors
///
/// As [`read`].
pub fn read_head(reader: &mut impl Read, peer: &str) -> Result<(Kind, usize), ProtocolError> {
    let mut head = [0; HEAD];
    let lost = |source: io::Error| ProtocolError::Lost { peer: peer.into(), source };
    reader.read_exact(&mut head).map_err(lost)?;
    parse_head(head)
}

/// Reads `length` bytes of a frame into `body`, in place of what was there.
///
/// # Errors
///
/// [`ProtocolError::Lost`] where the connection fails.
pub fn read_body(
    reader: &mut impl Read,
    peer: &str,
    length: usize,
    body: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    // What is there is overwritten: to clear it first would cost as much as to copy it.
    body.resize(length, 0);
    reader.read_exact(body).map_err(|source| ProtocolError::Lost { peer: peer.into(), source })
}

/// What a head says: the kind, and the body's length, which is within the kind's bound.
///
/// # Errors
///
/// [`ProtocolError`] where it is no head, or says too much.
pub fn parse_head(head: [u8; HEAD]) -> Result<(Kind, usize), ProtocolError> {
    let [b'M', b'T', code, 0, length @ ..] = head else {
        return Err(ProtocolError::NoFrame(format!("it begins with {head:02x?}")));
    };
    let kind = KINDS.iter().find(|(known, _)| *known == code).map(|(_, kind)| *kind);
    let kind = kind.ok_or_else(|| ProtocolError::NoFrame(format!("its kind is {code}")))?;
    let length = u32::from_le_bytes(length) as usize;
    if length > kind.limit() {
        return Err(ProtocolError::TooLong { length, limit: kind.limit() });
    }
    Ok((kind, length))
}

/// Puts a frame's head before what is appended to `frame` until [`finish`].
pub fn begin(frame: &mut Vec<u8>) {
    frame.clear();
    frame.resize(HEAD, 0);
}

/// Fills in the head of a frame that [`begin`] began.
///
/// # Panics
///
/// If the body is larger than its kind allows: the writer keeps to its own bounds.
pub fn finish(frame: &mut [u8], kind: Kind) {
    finish_before(frame, kind, 0);
}

/// As [`finish`], where `more` bytes of the body are sent after `frame`.
///
/// # Panics
///
/// As [`finish`].
pub fn finish_before(frame: &mut [u8], kind: Kind, more: usize) {
    let length = frame.len() - HEAD + more;
    assert!(length <= kind.limit(), "a frame of {length} bytes is too long for {kind:?}");
    frame[..4].copy_from_slice(&[b'M', b'T', kind.code(), 0]);
    frame[4..HEAD].copy_from_slice(&(length as u32).to_le_bytes());
}

/// Writes a message as a control frame.
///
/// # Errors
///
/// [`ProtocolError`] where the connection fails, or the message is larger than a frame.
pub fn write_message<M: Serialize>(
    writer: &mut impl Write,
    peer: &str,
    message: &M,
) -> Result<(), ProtocolError> {
    let mut frame = Vec::new();
    begin(&mut frame);
    serde_json::to_writer(&mut frame, message)
        .map_err(|error| ProtocolError::Malformed(error.to_string()))?;
    if frame.len() - HEAD > MOST_CONTROL {
        return Err(ProtocolError::TooLong { length: frame.len() - HEAD, limit: MOST_CONTROL });
    }
    finish(&mut frame, Kind::Control);
    writer
        .write_all(&frame)
        .and_then(|()| writer.flush())
        .map_err(|source| ProtocolError::Lost { peer: peer.into(), source })
}

/// Reads a control frame's message.
///
/// # Errors
///
/// [`ProtocolError`] where the connection fails, or what comes is no such message.
pub fn read_message<M: DeserializeOwned>(reader: &mut impl Read, peer: &str) -> Result<M, ProtocolError> {
    let mut body = Vec::new();
    match read(reader, peer, &mut body)? {
        Kind::Control => parse_message(&body),
        kind => Err(ProtocolError::Unexpected(format!("a frame of kind {kind:?}"))),
    }
}

/// A control frame's body as a message.
///
/// # Errors
///
/// [`ProtocolError::Malformed`] where it is none.
pub fn parse_message<M: DeserializeOwned>(body: &[u8]) -> Result<M, ProtocolError> {
    serde_json::from_slice(body).map_err(|error| ProtocolError::Malformed(error.to_string()))
}
