//! A disk while it moves: mirrored, copied chunk by chunk, switched over or let be.

use std::sync::atomic::Ordering;

use super::mirror::{Mirror, Target};
use super::{CHUNK, COURTESY, Disk, Inner, SECTOR};
use crate::error::LiveError;
use crate::sync::lock;

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copied {
    /// So many bytes more; there is more to come.
    Some(u64),
    /// So many bytes more, which were the last.
    All(u64),
}

impl Disk {
    /// From now on all writes go to `target` too.
    pub(crate) fn begin_mirror(&self, target: Target) {
        lock(&self.inner).mirror = Some(Mirror::new(target));
    }

    /// Copies the next sectors from the file to where the writes go, from sector `at` on, which is moved on.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the copy cannot be written any more, or the disk cannot be read or is damaged.
    pub(crate) fn copy_chunk(&self, at: &mut usize) -> Result<Copied, LiveError> {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // Locks are not fair: who waits for the disk would be kept waiting until it is copied.
            std::thread::sleep(COURTESY);
        }
        let (from, sectors) = (*at, self.spec.sectors());
        let count = (sectors - from).min(CHUNK);
        let mut inner = lock(&self.inner);
        let Inner { contents, mirror, wrong, .. } = &mut *inner;
        let before = wrong.len();
        let bytes = contents.look_at(from, count, wrong);
        if let Some(damage) = wrong.get(before) {
            return Err(LiveError::Declined { agent: "this host".into(), reason: damage.clone() });
        }
        let Some(mirror) = mirror else {
            return Err(LiveError::system("copy a disk")(std::io::Error::other("it has no copy")));
        };
        if let Some(reason) = &mirror.broken {
            return Err(LiveError::system("copy a disk")(std::io::Error::other(reason.clone())));
        }
        mirror.target.write(self.number, from, bytes)?;
        *at += count;
        let copied = (count * SECTOR) as u64;
        Ok(if *at == sectors { Copied::All(copied) } else { Copied::Some(copied) })
    }

    /// Why the copy is none any more, where it is so.
    pub(crate) fn mirror_problem(&self) -> Option<String> {
        lock(&self.inner).mirror.as_ref()?.broken.clone()
    }

    /// Has a copy on this host on disk.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it cannot be written, or is no copy any more.
    pub(crate) fn sync_copy(&self) -> Result<(), LiveError> {
        let inner = lock(&self.inner);
        match inner.mirror.as_ref() {
            Some(Mirror { broken: Some(reason), .. }) => {
                Err(LiveError::system("copy a disk")(std::io::Error::other(reason.clone())))
            }
            Some(Mirror { target: Target::File { file, path, .. }, .. }) => {
                file.sync_all().map_err(LiveError::file("write", path))
            }
            _ => Ok(()),
        }
    }

    /// Uses its copy on this host from now on; writes go there only.
    pub(crate) fn switch_over(&self) {
        let mut inner = lock(&self.inner);
        if let Some(Mirror { target: Target::File { file, path, place }, broken: None }) = inner.mirror.take()
        {
            inner.contents.change_file(file, place.on.clone(), path.clone());
            inner.path = path;
            *lock(&self.place) = place;
        }
    }

    /// Writes go to one file only; what the guest wrote to both since the move began.
    pub(crate) fn end_mirror(&self) -> u64 {
        let mut inner = lock(&self.inner);
        inner.mirror = None;
        std::mem::take(&mut inner.mirrored)
    }
}
