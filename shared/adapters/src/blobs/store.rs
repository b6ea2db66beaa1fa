use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use rand::Rng;
use shared_ports::{BlobRef, PortError};

use super::{checked, failed, name_of, too_long};
use crate::folder::{make_private, sync_folder};

const INCOMING: &str = "incoming";
/// What lies unfinished in a shared folder for longer than this was left by a process that died.
const INCOMING_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How often it is noted that a blob is put again.
const NOTED_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Blobs by content hash, each written beside its place, synced and then renamed into it, so that
/// it is whole or not there.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    blob_bytes_max: u64,
    /// What the names of our unfinished files begin with: others may write beside us.
    ours: u64,
    incoming: AtomicU64,
    /// Held while a blob gets its name or loses it: what `put` found there must not be taken away
    /// before it has answered.
    naming: Mutex<()>,
}

impl Store {
    /// `is_shared` is whether other processes may use the folder now.
    pub(super) fn open(folder: &Path, blob_bytes_max: u64, is_shared: bool) -> io::Result<Self> {
        let incoming = folder.join(INCOMING);
        make_private(&incoming)?;
        // Left by a process that died while it wrote.
        for left in fs::read_dir(&incoming)? {
            let left = left?;
            if !is_shared || is_old(&left) {
                gone_is_fine(fs::remove_file(left.path()))?;
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            blob_bytes_max,
            ours: rand::rng().random(),
            incoming: AtomicU64::new(0),
            naming: Mutex::default(),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn put(&self, bytes: &Bytes) -> Result<BlobRef, PortError> {
        let name = name_of(bytes);
        if name.bytes > self.blob_bytes_max {
            return Err(too_long(&name, self.blob_bytes_max));
        }
        let place = self.place(&name)?;
        self.put_at(&place, bytes).map_err(|error| failed(error, "storing a blob", &place))?;
        Ok(name)
    }

    pub(super) fn get(&self, blob: &BlobRef) -> Result<Bytes, PortError> {
        let place = self.place(blob)?;
        let refused = |why: &str| PortError::Refused {
            doing: format!("reading blob {} (`{}`)", blob.sha256, place.display()),
            why: why.to_owned(),
        };
        let bytes = match fs::read(&place) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(refused("it is not stored; it was removed, or never put here"));
            }
            Err(error) => return Err(failed(error, "reading a blob", &place)),
        };
        if name_of(&bytes) == *blob {
            return Ok(bytes);
        }
        Err(refused("the file is damaged, it no longer has that content; put back a copy of it"))
    }

    pub(super) fn remove(&self, blobs: &[BlobRef]) -> Result<(), PortError> {
        for blob in blobs {
            let place = self.place(blob)?;
            let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
            match fs::remove_file(&place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(error, "removing a blob", &place));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// The names of blobs that were last put before `unused_since`.
    pub(super) fn older(&self, unused_since: SystemTime) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for folder in folders(&self.folder)? {
            if folder.ends_with(INCOMING) {
                continue;
            }
            for blob in fs::read_dir(&folder)? {
                let blob = blob?;
                let is_older = |about: fs::Metadata| Ok(about.modified()? < unused_since);
                if blob.metadata().and_then(is_older).unwrap_or(false) {
                    found.extend(blob.file_name().into_string());
                }
            }
        }
        Ok(found)
    }

    /// Removes blobs that were last put before `unused_since`, but for those that are in use; the number
    /// and the bytes of what stays.
    pub(super) fn sweep(
        &self,
        unused_since: SystemTime,
        in_use: &BTreeSet<String>,
    ) -> io::Result<(u64, u64)> {
        let (mut count, mut bytes) = (0, 0);
        for folder in folders(&self.folder)? {
            if folder.ends_with(INCOMING) {
                continue;
            }
            for blob in fs::read_dir(&folder)? {
                let place = blob?.path();
                let name = place.file_name().and_then(|name| name.to_str());
                let is_used = name.is_some_and(|name| in_use.contains(name));
                let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
                // What another process removed meanwhile is gone.
                let Ok(about) = fs::metadata(&place) else { continue };
                if !is_used && about.modified()? < unused_since {
                    gone_is_fine(fs::remove_file(&place))?;
                } else {
                    count += 1;
                    bytes += about.len();
                }
            }
        }
        Ok((count, bytes))
    }

    /// Where a blob lies; its name is checked because it may come from a document.
    fn place(&self, blob: &BlobRef) -> Result<PathBuf, PortError> {
        checked(blob)?;
        Ok(self.folder.join(&blob.sha256[..2]).join(&blob.sha256))
    }

    fn put_at(&self, place: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = place.parent().unwrap_or(&self.folder);
        if !folder.is_dir() {
            make_private(folder)?;
            sync_folder(&self.folder)?;
        }
        let number = self.incoming.fetch_add(1, Ordering::Relaxed);
        let incoming = format!("{:016x}-{number}", self.ours);
        let incoming = self.folder.join(INCOMING).join(incoming);
        let is_there = || fs::read(place).is_ok_and(|stored| stored == bytes);
        if !is_there() {
            write_synced(&incoming, bytes).inspect_err(|_| drop(fs::remove_file(&incoming)))?;
        }
        let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        if incoming.exists() {
            fs::rename(&incoming, place).inspect_err(|_| drop(fs::remove_file(&incoming)))?;
        } else if !is_there() {
            // Removed since we looked.
            write_synced(&incoming, bytes).inspect_err(|_| drop(fs::remove_file(&incoming)))?;
            fs::rename(&incoming, place)?;
        } else if is_older_than(&fs::metadata(place)?, NOTED_EVERY) {
            // It is used again: that is noted, so that no sweep takes it away.
            let (now, kept) = (TimeSpec::UTIME_NOW, UtimensatFlags::FollowSymlink);
            utimensat(AT_FDCWD, place, &now, &now, kept)?;
        }
        // Also when it was there: whoever put it may not have come so far yet.
        sync_folder(folder)
    }
}

/// One whose age is not known is not.
fn is_old(left: &fs::DirEntry) -> bool {
    left.metadata().is_ok_and(|about| is_older_than(&about, INCOMING_AGE_MAX))
}

fn is_older_than(about: &fs::Metadata, age_max: Duration) -> bool {
    let age = about.modified().ok().and_then(|written| written.elapsed().ok());
    age.is_some_and(|age| age > age_max)
}

/// The folders in a folder.
pub(super) fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn gone_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
