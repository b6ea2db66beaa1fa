//! The data folder: made for its owner alone, held by one process at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use shared_ports::PortError;

use crate::open::OpenError;

const LOCK_FILE: &str = "capstan.lock";
/// Below this much room a failed write is put down to a full disk.
const ROOM_BYTES_MIN: u64 = 64 * 1024;

/// A data folder that this process holds, until the last clone of the `Arc` around it is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    /// Locked as long as it is open; the kernel unlocks it however the process ends.
    _lock: File,
}

impl DataFolder {
    /// Creates the folder if need be, and locks it.
    pub(crate) fn hold(path: &Path) -> Result<Self, OpenError> {
        make_private(path).map_err(|error| OpenError::of_io(error, path, "creating it"))?;
        check_owner(path)?;
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Makes everything that was created in it, and itself, survive a crash of the machine.
    pub(crate) fn sync(&self) -> io::Result<()> {
        sync_folder(&self.path)?;
        sync_folder(&self.path.join(".."))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Creates a folder, and those above it, for the owner alone; one that is there stays as it is.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the names in a folder survive a crash of the machine.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Refuses what is to be done in a folder without room.
pub(crate) fn room(folder: &Path, doing: &str) -> Result<(), PortError> {
    if is_full(folder) {
        return Err(PortError::Full { doing: format!("{doing} in `{}`", folder.display()) });
    }
    Ok(())
}

/// Whether the file system has no room worth mentioning; false if it cannot be asked.
pub(crate) fn is_full(path: &Path) -> bool {
    nix::sys::statvfs::statvfs(path).is_ok_and(|vfs| {
        let room_bytes = vfs.blocks_available() * vfs.fragment_size();
        room_bytes < ROOM_BYTES_MIN
    })
}

/// A folder of somebody else is refused even where the rights would do, as they do for root: files
/// of ours in it would lock its owner out of their own data.
fn check_owner(path: &Path) -> Result<(), OpenError> {
    let about = fs::metadata(path).map_err(|error| OpenError::of_io(error, path, "reading it"))?;
    let (owner, me) = (about.uid(), nix::unistd::geteuid().as_raw());
    if owner == me {
        return Ok(());
    }
    Err(OpenError::OfAnother { folder: path.to_owned(), owner, me })
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let failed = |error| OpenError::of_io(error, folder, "writing its lock file");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join(LOCK_FILE))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            sign(&mut file).map_err(failed)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            Err(OpenError::InUse { folder: folder.to_owned(), pid: signed(&mut file) })
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Writes our process id into the lock file, for the message that another process gives.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn signed(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
