//! State files: whole or not there, changed by one at a time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::LocalError;

/// How often a lock that somebody else holds is tried again, and how many times.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);
const LOCK_TRIES: u32 = 1_500;

/// A lock, held until it is dropped or its holder dies.
pub(crate) type Lock = Flock<File>;

/// Makes a folder that is ours alone: what a service wrote may hold secrets.
pub(crate) fn make_folder(path: &Path) -> Result<(), LocalError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| LocalError::State { doing: "made", path: path.to_owned(), source })
}

/// Writes a file so that a reader sees the old content or the new, whatever dies meanwhile.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> Result<(), LocalError> {
    let failed = |source| LocalError::State { doing: "written", path: path.to_owned(), source };
    try_write(path, value).map_err(failed)
}

fn try_write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // One writer per file: whoever writes holds the lock of the folder.
    let temporary = path.with_extension("json.new");
    let options =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
    let mut file = options?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

/// Reads a file; `None` if it is not there.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LocalError> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|source| LocalError::State {
            doing: "read",
            path: path.to_owned(),
            source,
        })?,
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| LocalError::Broken { path: path.to_owned(), why: error.to_string() })
}

/// Takes a lock; `None` if somebody else holds it.
pub(crate) fn try_lock(path: &Path) -> io::Result<Option<Lock>> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

/// Takes a lock, waiting for whoever holds it; not on a thread that others wait for.
pub(crate) fn lock(path: &Path, what: &str) -> Result<Lock, LocalError> {
    let failed = |source| LocalError::State { doing: "locked", path: path.to_owned(), source };
    for _ in 0..LOCK_TRIES {
        if let Some(lock) = try_lock(path).map_err(failed)? {
            return Ok(lock);
        }
        thread::sleep(LOCK_INTERVAL);
    }
    Err(LocalError::Busy { what: what.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        assert!(read::<u32>(&path).unwrap().is_none());
        write(&path, &7).unwrap();
        write(&path, &8).unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), Some(8));
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(read::<u32>(&path), Err(LocalError::Broken { .. })));
    }

    #[test]
    fn a_lock_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = try_lock(&path).unwrap().unwrap();
        assert!(try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
    }
}
