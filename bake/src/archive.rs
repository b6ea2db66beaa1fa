//! Chart archives (tar, gzip), unpacked within limits.
//!
//! Only files and folders are taken, with paths that stay where they are put: no links, no devices,
//! nothing absolute, no `..`. Modes, owners and times are not.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};
use tokio_util::sync::CancellationToken;

use crate::input::is_no_space;
use crate::{InputError, Limits};

/// An archive this small may unpack to anything within the other limits: a few bytes of empty
/// files are no bomb.
const RATIO_EXEMPT_BYTES: u64 = 1024 * 1024;

/// Unpacks `packed`, which is `packed_bytes` long, into `to`, which is there and empty.
pub(crate) fn unpack(
    packed: impl Read,
    packed_bytes: u64,
    name: &str,
    to: &Path,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<(), InputError> {
    // What the stream unpacks to counts, not what its entries say: headers can be a bomb as well.
    let by_ratio = packed_bytes.saturating_mul(limits.archive_ratio_max).max(RATIO_EXEMPT_BYTES);
    let by_size = limits.chart_bytes_max.saturating_mul(2);
    let left = by_ratio.min(by_size);
    let stream = Counted { inner: MultiGzDecoder::new(packed), left, is_spent: false };
    let mut unpacking = Unpacking { name, to, limits, cancel, entries: 0, bytes: 0 };
    let mut archive = Archive::new(stream);
    let done = unpacking.all(&mut archive);
    if archive.into_inner().is_spent {
        return Err(spent(name, limits, by_ratio <= by_size));
    }
    done
}

fn spent(name: &str, limits: &Limits, by_ratio: bool) -> InputError {
    let path = name.to_owned();
    if by_ratio {
        return InputError::Ratio { path, ratio_max: limits.archive_ratio_max };
    }
    let bytes_max = limits.chart_bytes_max;
    InputError::TooLarge { path, bytes_max, limit: "chart_bytes_max" }
}

struct Unpacking<'a> {
    name: &'a str,
    to: &'a Path,
    limits: &'a Limits,
    cancel: &'a CancellationToken,
    entries: u64,
    bytes: u64,
}

impl Unpacking<'_> {
    fn all<R: Read>(&mut self, archive: &mut Archive<R>) -> Result<(), InputError> {
        for entry in archive.entries().map_err(|error| self.broken(&error))? {
            let entry = entry.map_err(|error| self.broken(&error))?;
            self.entries += 1;
            if self.entries > self.limits.chart_entries_max {
                let entries_max = self.limits.chart_entries_max;
                return Err(InputError::TooMany { path: self.name.to_owned(), entries_max });
            }
            if self.cancel.is_cancelled() {
                return Err(InputError::Cancelled);
            }
            self.entry(entry)?;
        }
        if self.entries == 0 {
            return Err(self.broken(&io::Error::other("it holds nothing")));
        }
        Ok(())
    }

    fn entry<R: Read>(&mut self, entry: Entry<'_, R>) -> Result<(), InputError> {
        let written = entry.path().map_err(|error| self.broken(&error))?.into_owned();
        let shown = format!("{}: {}", self.name, written.display());
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let path = inside(&written)
            .ok_or_else(|| InputError::Outside { path: shown.clone(), root: self.name.into() })?;
        let to = self.to.join(&path);
        if kind.is_dir() {
            return folder(&to).map_err(InputError::io(&shown));
        }
        if !kind.is_file() {
            return Err(InputError::Special { path: shown });
        }
        self.file(entry, &to, &shown)
    }

    fn file<R: Read>(
        &mut self,
        entry: Entry<'_, R>,
        to: &Path,
        shown: &str,
    ) -> Result<(), InputError> {
        let io = |error| InputError::io(shown)(error);
        let bytes_max = self.limits.chart_bytes_max;
        to.parent().map_or(Ok(()), folder).map_err(io)?;
        // A second entry of the same path is refused: which of both counts depends on who reads.
        let mut file = OpenOptions::new().write(true).create_new(true).open(to).map_err(io)?;
        let mut limited = entry.take(bytes_max - self.bytes + 1);
        let copied = io::copy(&mut limited, &mut file);
        self.bytes += copied.map_err(|error| self.broken(&error))?;
        if self.bytes > bytes_max {
            let path = self.name.to_owned();
            return Err(InputError::TooLarge { path, bytes_max, limit: "chart_bytes_max" });
        }
        Ok(())
    }

    fn broken(&self, error: &io::Error) -> InputError {
        if is_no_space(error) {
            return InputError::NoSpace;
        }
        InputError::NoArchive { path: self.name.to_owned(), why: error.to_string() }
    }
}

fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)
}

/// The path without what means nothing; `None` if it is absolute or goes up.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

/// Ends in an error once more was read than may be.
struct Counted<R> {
    inner: R,
    left: u64,
    is_spent: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                self.is_spent = true;
                return Err(io::Error::other("it unpacks to too much"));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
