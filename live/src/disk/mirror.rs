//! Where a disk's writes go too, while it is copied and until the guest uses the copy.
//!
//! All disks of a migration share one connection, so that what happened first arrives first. A write is not
//! acknowledged one by one: where the copy cannot keep up, the guest waits to hand it over. That all of it
//! is there is asked for by a barrier.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{DiskPlace, SECTOR, full_or};
use crate::connection::{Connection, Cutter};
use crate::error::LiveError;
use crate::protocol::blocks;
use crate::sync::lock;

/// A copy of a disk, being made.
#[derive(Debug)]
pub(crate) enum Target {
    /// On this host.
    File {
        /// The copy.
        file: File,
        /// Where it is.
        path: PathBuf,
        /// As the ledger knows it.
        place: DiskPlace,
    },
    /// On another.
    Stream(Arc<BlockStream>),
}

/// Sectors on their way to another host, in the order in which they were written here.
pub(crate) struct BlockStream {
    /// Held by who sends, for as long as the other side takes.
    connection: Mutex<(Connection, Vec<u8>)>,
    cutter: Cutter,
}

impl std::fmt::Debug for BlockStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlockStream")
    }
}

impl BlockStream {
    /// Goes over this connection.
    ///
    /// # Errors
    ///
    /// [`LiveError::System`] where the system has no more handles.
    pub(crate) fn over(connection: Connection) -> Result<BlockStream, LiveError> {
        let cutter = connection.cutter()?;
        Ok(BlockStream { connection: Mutex::new((connection, Vec::new())), cutter })
    }

    fn send(&self, disk: u32, from: usize, bytes: &[u8]) -> Result<(), LiveError> {
        let (connection, frame) = &mut *lock(&self.connection);
        blocks::blocks(frame, disk, from as u64, bytes);
        connection.write_all(frame).map_err(LiveError::system("send what is written to a disk"))
    }

    /// Ends the connection: the other side is told.
    pub(crate) fn cut(&self) {
        self.cutter.cut();
    }

    /// Ends all that was sent so far with this barrier.
    pub(crate) fn barrier(&self, number: u64) -> Result<(), LiveError> {
        let (connection, frame) = &mut *lock(&self.connection);
        blocks::barrier(frame, number);
        let sent = connection.write_all(frame).and_then(|()| connection.flush());
        sent.map_err(LiveError::system("send what is written to a disk"))
    }
}

/// A disk's writes go there too.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) target: Target,
    /// Why it is no copy any more: the guest goes on without it.
    pub(super) broken: Option<String>,
}

impl Mirror {
    pub(super) fn new(target: Target) -> Mirror {
        Mirror { target, broken: None }
    }

    /// Writes what the guest has written; the bytes that went there.
    pub(super) fn write(&mut self, disk: u32, from: usize, bytes: &[u8]) -> u64 {
        if self.broken.is_some() {
            return 0;
        }
        match self.target.write(disk, from, bytes) {
            Ok(()) => bytes.len() as u64,
            Err(error) => {
                tracing::warn!(%error, disk, "the copy of a disk is given up");
                self.broken = Some(error.to_string());
                0
            }
        }
    }
}

impl Target {
    /// Makes an empty copy on this host at `path`, where no file may be.
    pub(crate) fn file(place: DiskPlace, path: &Path) -> Result<Target, LiveError> {
        let made = File::options().read(true).write(true).create_new(true).open(path);
        let file = made.map_err(full_or("make", &place.on, path))?;
        Ok(Target::File { file, path: path.to_path_buf(), place })
    }

    /// Writes sectors from `from` on.
    pub(super) fn write(&self, disk: u32, from: usize, bytes: &[u8]) -> Result<(), LiveError> {
        match self {
            Target::File { file, path, place } => {
                let written = file.write_all_at(bytes, (from * SECTOR) as u64);
                written.map_err(full_or("write", &place.on, path))
            }
            Target::Stream(stream) => stream.send(disk, from, bytes),
        }
    }
}
