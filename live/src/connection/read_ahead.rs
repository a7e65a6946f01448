//! A socket under TLS that is read in large pieces.

use std::io::{self, BufReader, IoSlice, Read, Write};
use std::net::TcpStream;

/// Four TLS records. The library itself asks the system for 4 KiB at a time, of records of 16 KiB.
const AHEAD: usize = 64 << 10;

/// A socket that is read ahead, and written to as it is.
pub(super) struct ReadAhead(BufReader<TcpStream>);

impl ReadAhead {
    /// Reads ahead on `socket`, on which nobody else reads any more.
    pub(super) fn of(socket: TcpStream) -> ReadAhead {
        ReadAhead(BufReader::with_capacity(AHEAD, socket))
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for ReadAhead {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.get_mut().write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}
