//! Which pages are missing, and which of them a guest waits for, within frames.
//!
//! ```text
//!  missing:  first word (4 bytes) │ words of 64 pages each, a bit for each page
//!  wanted:   page numbers (4 bytes each)
//! ```
//!
//! A set of missing pages is told in as many frames as it takes, and a barrier. Integers have their little end first.

use std::io::{Read, Write};

use super::ProtocolError;
use super::frame::{self, Kind};
use crate::bitmap::Bitmap;

/// Words in a frame: half a million pages.
const MOST_WORDS: usize = 8192;

/// Pages that are asked for at a time.
pub(crate) const MOST_WANTED: usize = 64;

/// Tells a set of missing pages.
///
/// # Errors
///
/// [`ProtocolError`] where the connection fails.
pub(crate) fn tell(writer: &mut impl Write, peer: &str, missing: &Bitmap) -> Result<(), ProtocolError> {
    let mut frame = Vec::new();
    for (index, words) in missing.words().chunks(MOST_WORDS).enumerate() {
        frame::begin(&mut frame);
        frame.extend_from_slice(&((index * MOST_WORDS) as u32).to_le_bytes());
        words.iter().for_each(|word| frame.extend_from_slice(&word.to_le_bytes()));
        frame::finish(&mut frame, Kind::Missing);
        put(writer, peer, &frame)?;
    }
    end(writer, peer)
}

/// Ends what was told, or all that there is to ask.
///
/// # Errors
///
/// [`ProtocolError`] where the connection fails.
pub(crate) fn end(writer: &mut impl Write, peer: &str) -> Result<(), ProtocolError> {
    let mut frame = Vec::new();
    frame::begin(&mut frame);
    frame.extend_from_slice(&0_u64.to_le_bytes());
    frame::finish(&mut frame, Kind::Barrier);
    put(writer, peer, &frame)
}

/// Asks for pages.
///
/// # Errors
///
/// [`ProtocolError`] where the connection fails.
pub(crate) fn ask(writer: &mut impl Write, peer: &str, pages: &[u32]) -> Result<(), ProtocolError> {
    assert!(pages.len() <= MOST_WANTED);
    let mut frame = Vec::new();
    frame::begin(&mut frame);
    pages.iter().for_each(|page| frame.extend_from_slice(&page.to_le_bytes()));
    frame::finish(&mut frame, Kind::Wanted);
    put(writer, peer, &frame)
}

fn put(writer: &mut impl Write, peer: &str, frame: &[u8]) -> Result<(), ProtocolError> {
    let written = writer.write_all(frame).and_then(|()| writer.flush());
    written.map_err(|source| ProtocolError::Lost { peer: peer.into(), source })
}

/// Reads what [`tell`] told, of a memory of so many pages.
///
/// # Errors
///
/// [`ProtocolError`] where the connection fails, or what comes is no such set.
pub(crate) fn hear(reader: &mut impl Read, peer: &str, pages: usize) -> Result<Bitmap, ProtocolError> {
    let mut missing = Bitmap::none(pages);
    let mut body = Vec::new();
    // No more frames than such a set takes, and the barrier.
    for _ in 0..pages.div_ceil(64).div_ceil(MOST_WORDS) + 1 {
        match frame::read(reader, peer, &mut body)? {
            Kind::Barrier => return Ok(missing),
            Kind::Missing => take_words(&mut missing, &body)?,
            kind => return Err(ProtocolError::Unexpected(format!("a frame of kind {kind:?}"))),
        }
    }
    Err(ProtocolError::Malformed("a set of missing pages that does not end".into()))
}

fn take_words(missing: &mut Bitmap, body: &[u8]) -> Result<(), ProtocolError> {
    let malformed = || ProtocolError::Malformed("missing pages of another memory".into());
    let (first, words) = body.split_first_chunk().ok_or_else(malformed)?;
    let first = u32::from_le_bytes(*first) as usize;
    for (index, word) in words.chunks(8).enumerate() {
        let bits = u64::from_le_bytes(word.try_into().map_err(|_| malformed())?);
        if !missing.insert_word(first + index, bits) {
            return Err(malformed());
        }
    }
    Ok(())
}

/// The pages that are asked for next; `None` when nothing more is.
///
/// # Errors
///
/// [`ProtocolError`] where the connection fails, or what comes asks for nothing.
pub(crate) fn wanted(reader: &mut impl Read, peer: &str) -> Result<Option<Vec<u32>>, ProtocolError> {
    let mut body = Vec::new();
    match frame::read(reader, peer, &mut body)? {
        Kind::Barrier => Ok(None),
        Kind::Wanted if body.len().is_multiple_of(4) => {
            let pages =
                body.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
            Ok(Some(pages.collect()))
        }
        kind => Err(ProtocolError::Unexpected(format!("a frame of kind {kind:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_wanted_pages_arrive_as_they_were_sent() {
        let mut missing = Bitmap::none(1_000_003);
        missing.insert(3, 7);
        missing.insert(999_990, 1_000_003);
        let mut stream = Vec::new();
        tell(&mut stream, "b", &missing).expect("told");
        ask(&mut stream, "b", &[1, 7]).expect("asked");
        end(&mut stream, "b").expect("ended");
        let mut reader = stream.as_slice();
        assert_eq!(hear(&mut reader, "a", 1_000_003).expect("heard"), missing);
        assert_eq!(wanted(&mut reader, "a").expect("asked"), Some(vec![1, 7]));
        assert_eq!(wanted(&mut reader, "a").expect("ended"), None);
        let short = hear(&mut stream.as_slice(), "a", 999_999);
        assert!(matches!(short, Err(ProtocolError::Malformed(_))), "pages that there are not: {short:?}");
    }
}
