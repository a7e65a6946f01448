//! Sectors of disks within frames.
//!
//! ```text
//!  disk (4 bytes) │ first sector (8 bytes) │ sectors of 4 KiB, one after another
//! ```
//!
//! Integers have their little end first.

use std::io::Read;

use super::ProtocolError;
use super::frame::{self, Kind};
use crate::disk::{CHUNK, SECTOR};

/// Bytes before the sectors.
const NUMBERS: usize = 12;

/// Makes the frame of sectors `bytes` of a disk, from sector `from` on.
pub(crate) fn blocks(frame: &mut Vec<u8>, disk: u32, from: u64, bytes: &[u8]) {
    assert!(bytes.len() <= CHUNK * SECTOR && bytes.len().is_multiple_of(SECTOR));
    frame::begin(frame);
    frame.extend_from_slice(&disk.to_le_bytes());
    frame.extend_from_slice(&from.to_le_bytes());
    frame.extend_from_slice(bytes);
    frame::finish(frame, Kind::Blocks);
}

/// Makes the frame that ends what was sent up to barrier `number`.
pub(crate) fn barrier(frame: &mut Vec<u8>, number: u64) {
    frame::begin(frame);
    frame.extend_from_slice(&number.to_le_bytes());
    frame::finish(frame, Kind::Barrier);
}

/// What a frame of a stream of sectors says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrived<'a> {
    /// Sectors of a disk.
    Blocks { disk: u32, from: u64, bytes: &'a [u8] },
    /// All up to this barrier has come.
    Barrier(u64),
}

/// Reads the next frame into `body`, which is used again.
///
/// # Errors
///
/// [`ProtocolError`] where the connection fails, or what comes are no sectors.
pub(crate) fn read<'a>(
    reader: &mut impl Read,
    peer: &str,
    body: &'a mut Vec<u8>,
) -> Result<Arrived<'a>, ProtocolError> {
    let malformed = |reason: &str| ProtocolError::Malformed(reason.to_string());
    match frame::read(reader, peer, body)? {
        Kind::Blocks => {
            let (numbers, bytes) =
                body.split_at_checked(NUMBERS).ok_or_else(|| malformed("sectors without numbers"))?;
            let (disk, from) = numbers.split_at(4);
            if bytes.is_empty() || !bytes.len().is_multiple_of(SECTOR) || bytes.len() > CHUNK * SECTOR {
                return Err(malformed("no whole sectors, or too many"));
            }
            let disk = u32::from_le_bytes(disk.try_into().map_err(|_| malformed("no disk"))?);
            let from = u64::from_le_bytes(from.try_into().map_err(|_| malformed("no sector"))?);
            Ok(Arrived::Blocks { disk, from, bytes })
        }
        Kind::Barrier => {
            let number = body.as_slice().try_into().map_err(|_| malformed("a barrier of another length"))?;
            Ok(Arrived::Barrier(u64::from_le_bytes(number)))
        }
        kind => Err(ProtocolError::Unexpected(format!("a frame of kind {kind:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_and_barriers_arrive_as_they_were_sent() {
        let (mut stream, mut frame) = (Vec::new(), Vec::new());
        let bytes = vec![7; 2 * SECTOR];
        blocks(&mut frame, 3, 1 << 33, &bytes);
        stream.extend_from_slice(&frame);
        barrier(&mut frame, 9);
        stream.extend_from_slice(&frame);
        let (mut reader, mut body) = (stream.as_slice(), Vec::new());
        let arrived = read(&mut reader, "a", &mut body).expect("sectors");
        assert_eq!(arrived, Arrived::Blocks { disk: 3, from: 1 << 33, bytes: &bytes });
        assert_eq!(read(&mut reader, "a", &mut body).expect("a barrier"), Arrived::Barrier(9));
    }

    #[test]
    fn sectors_that_are_none_are_refused() {
        for length in [0, 4, 12, 13, 12 + SECTOR - 1] {
            let mut frame = Vec::new();
            frame::begin(&mut frame);
            frame.resize(frame::HEAD + length, 1);
            frame::finish(&mut frame, Kind::Blocks);
            let mut body = Vec::new();
            let refused = read(&mut frame.as_slice(), "a", &mut body);
            assert!(matches!(refused, Err(ProtocolError::Malformed(_))), "{length} bytes: {refused:?}");
        }
    }
}
