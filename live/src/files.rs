//! Files that are whole or absent, also after the power was cut.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::LiveError;

/// A file of state larger than this is none of ours.
const MOST_BYTES: u64 = 16 << 20;

/// Replaces the file at `path` by `value` as JSON. When it returns, that is on disk.
///
/// # Errors
///
/// [`LiveError::System`]; the file is as before then, or as wanted.
pub(crate) fn replace(path: &Path, value: &impl Serialize) -> Result<(), LiveError> {
    let failed = || LiveError::file("write", path);
    let text = serde_json::to_vec_pretty(value).map_err(std::io::Error::from).map_err(failed())?;
    let beside = path.with_extension("new");
    let mut file = File::create(&beside).map_err(failed())?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed())?;
    fs::rename(&beside, path).map_err(failed())?;
    sync_directory(path)
}

/// Removes the file at `path`, where there is one. When it returns, that is on disk.
///
/// # Errors
///
/// [`LiveError::System`].
pub(crate) fn remove(path: &Path) -> Result<(), LiveError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LiveError::file("remove", path)(error))
        }
        _ => sync_directory(path),
    }
}

fn sync_directory(path: &Path) -> Result<(), LiveError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(LiveError::file("write", directory))
}

/// Reads what [`replace`] wrote.
///
/// # Errors
///
/// [`LiveError`] where it cannot be read, or is something else.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, LiveError> {
    let failed = || LiveError::file("read", path);
    let stored = |reason: String| LiveError::Stored { path: path.display().to_string(), line: 1, reason };
    let length = fs::metadata(path).map_err(failed())?.len();
    if length > MOST_BYTES {
        return Err(stored(format!("it has {length} bytes, which is more than any state of ours")));
    }
    let text = fs::read(path).map_err(failed())?;
    serde_json::from_slice(&text).map_err(|error| stored(error.to_string()))
}
