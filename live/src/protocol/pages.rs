//! Batches of pages within frames.
//!
//! ```text
//!  count (4 bytes) │ count page numbers (4 bytes each) │ contents: pages in this order
//! ```
//!
//! Contents are absent in a frame of zeros, and compressed as one in frames of LZ4 and Zstandard. Integers
//! have their little end first.

use std::io::Read;

use sim_core::PAGE_SIZE;

use super::frame::{self, Kind};
use super::{Compression, ProtocolError};

/// Pages in a batch: 256 KiB, sixteen TLS records.
pub const MOST_IN_BATCH: usize = 64;

/// Numbers of zero pages in a frame; they are small.
pub const MOST_ZEROS: usize = 16_384;

const PAGE: usize = PAGE_SIZE as usize;

/// Makes frames of pages; its buffers are used again.
pub struct Encoder {
    compression: Compression,
    frame: Vec<u8>,
}

impl Encoder {
    /// An encoder that compresses so.
    pub fn new(compression: Compression) -> Encoder {
        Encoder { compression, frame: Vec::new() }
    }

    /// Whether pages go as they are.
    pub fn sends_as_they_are(&self) -> bool {
        self.compression == Compression::None
    }

    /// The frame of pages with these contents, one after another.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::Malformed`] where the compressor fails.
    pub fn pages(&mut self, numbers: &[u32], contents: &[u8]) -> Result<&[u8], ProtocolError> {
        assert!(numbers.len() <= MOST_IN_BATCH && contents.len() == numbers.len() * PAGE);
        self.numbers(numbers);
        let kind = match self.compression {
            Compression::None => {
                self.frame.extend_from_slice(contents);
                Kind::Plain
            }
            Compression::Lz4 => {
                self.frame.extend_from_slice(&lz4_flex::block::compress(contents));
                Kind::Lz4
            }
            Compression::Zstd => {
                let packed = zstd::bulk::compress(contents, 1);
                self.frame
                    .extend_from_slice(&packed.map_err(|error| ProtocolError::Malformed(error.to_string()))?);
                Kind::Zstd
            }
        };
        frame::finish(&mut self.frame, kind);
        Ok(&self.frame)
    }

    /// The frame of pages as they are, without their contents: these are to be sent after it, one after another.
    pub fn announcement(&mut self, numbers: &[u32]) -> &[u8] {
        assert!(numbers.len() <= MOST_IN_BATCH);
        self.numbers(numbers);
        frame::finish_before(&mut self.frame, Kind::Plain, numbers.len() * PAGE);
        &self.frame
    }

    /// The frame that names pages of zeros.
    pub fn zeros(&mut self, numbers: &[u32]) -> &[u8] {
        assert!(numbers.len() <= MOST_ZEROS);
        self.numbers(numbers);
        frame::finish(&mut self.frame, Kind::Zeros);
        &self.frame
    }

    /// The frame that ends what was sent up to barrier `number`.
    pub fn barrier(&mut self, number: u64) -> &[u8] {
        frame::begin(&mut self.frame);
        self.frame.extend_from_slice(&number.to_le_bytes());
        frame::finish(&mut self.frame, Kind::Barrier);
        &self.frame
    }

    fn numbers(&mut self, numbers: &[u32]) {
        frame::begin(&mut self.frame);
        self.frame.extend_from_slice(&(numbers.len() as u32).to_le_bytes());
        for number in numbers {
            self.frame.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// What a frame of a page stream says.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrived<'a> {
    /// Pages and their contents, one after another.
    Pages {
        /// Which pages.
        numbers: Vec<u32>,
        /// Their contents.
        contents: &'a [u8],
    },
    /// Pages whose contents come next, one after another.
    Announced {
        /// Which pages.
        numbers: Vec<u32>,
    },
    /// Pages that are all zeros.
    Zeros {
        /// Which pages.
        numbers: Vec<u32>,
    },
    /// All up to this barrier has come.
    Barrier(u64),
}

/// Reads frames of pages; its buffers are used again.
#[derive(Default)]
pub struct Decoder {
    body: Vec<u8>,
    unpacked: Vec<u8>,
}

impl Decoder {
    /// Reads the next frame.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`] where the connection fails, or what comes is no frame of pages.
    pub fn read(&mut self, reader: &mut impl Read, peer: &str) -> Result<Arrived<'_>, ProtocolError> {
        let kind = frame::read(reader, peer, &mut self.body)?;
        parse(kind, &self.body, &mut self.unpacked)
    }

    /// Reads the next frame; of pages as they are only up to their contents, which the caller is to read.
    ///
    /// # Errors
    ///
    /// As [`Decoder::read`].
    pub fn read_ahead(&mut self, reader: &mut impl Read, peer: &str) -> Result<Arrived<'_>, ProtocolError> {
        let (kind, length) = frame::read_head(reader, peer)?;
        if kind != Kind::Plain {
            frame::read_body(reader, peer, length, &mut self.body)?;
            return parse(kind, &self.body, &mut self.unpacked);
        }
        let malformed = || ProtocolError::Malformed(format!("pages in {length} bytes"));
        // A count, then for each page its number and its content.
        let count = length.checked_sub(4).ok_or_else(malformed)? / (4 + PAGE);
        let announced = 4 + 4 * count;
        frame::read_body(reader, peer, announced, &mut self.body)?;
        let (said, numbers) = self.body.split_first_chunk().ok_or_else(malformed)?;
        let fits = count <= MOST_IN_BATCH && announced + count * PAGE == length;
        if u32::from_le_bytes(*said) as usize != count || !fits {
            return Err(malformed());
        }
        Ok(Arrived::Announced { numbers: page_numbers(numbers) })
    }
}

fn page_numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

/// What a frame's body says; `unpacked` is room for contents that were compressed.
///
/// # Errors
///
/// [`ProtocolError`] where it is no frame of pages.
pub fn parse<'a>(
    kind: Kind,
    body: &'a [u8],
    unpacked: &'a mut Vec<u8>,
) -> Result<Arrived<'a>, ProtocolError> {
    let malformed = |what: &str| ProtocolError::Malformed(what.into());
    if kind == Kind::Barrier {
        let number = body.try_into().map_err(|_| malformed("a barrier without a number"))?;
        return Ok(Arrived::Barrier(u64::from_le_bytes(number)));
    }
    let (count, rest) = body.split_first_chunk().ok_or_else(|| malformed("pages without a count"))?;
    let count = u32::from_le_bytes(*count) as usize;
    let most = if kind == Kind::Zeros { MOST_ZEROS } else { MOST_IN_BATCH };
    if count > most || rest.len() < count * 4 {
        return Err(ProtocolError::Malformed(format!("{count} pages in {} bytes", rest.len())));
    }
    let (numbers, contents) = rest.split_at(count * 4);
    let numbers = page_numbers(numbers);
    let contents = match kind {
        Kind::Plain => contents,
        Kind::Zeros if contents.is_empty() => return Ok(Arrived::Zeros { numbers }),
        Kind::Lz4 | Kind::Zstd => {
            unpack(kind, contents, count * PAGE, unpacked)?;
            unpacked
        }
        Kind::Zeros | Kind::Control | Kind::Barrier | Kind::Blocks | Kind::Missing | Kind::Wanted => {
            return Err(ProtocolError::Unexpected(format!("a frame of kind {kind:?}")));
        }
    };
    if contents.len() != count * PAGE {
        return Err(ProtocolError::Malformed(format!("{count} pages of {} bytes", contents.len())));
    }
    Ok(Arrived::Pages { numbers, contents })
}

/// Unpacks what must come to `length` bytes.
fn unpack(kind: Kind, packed: &[u8], length: usize, unpacked: &mut Vec<u8>) -> Result<(), ProtocolError> {
    unpacked.clear();
    unpacked.resize(length, 0);
    let written = match kind {
        Kind::Lz4 => lz4_flex::block::decompress_into(packed, unpacked).map_err(|error| error.to_string()),
        _ => zstd::bulk::decompress_to_buffer(packed, &mut unpacked[..]).map_err(|error| error.to_string()),
    };
    let written = written.map_err(ProtocolError::Malformed)?;
    unpacked.truncate(written);
    Ok(())
}
