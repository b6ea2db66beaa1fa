//! Files under the artifact root. Nothing outside is read, whatever links say (D25).

use std::fs::{File, OpenOptions, Permissions};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use tokio_util::sync::CancellationToken;

use crate::{InputError, Limits};

/// Never part of a chart, and often larger than all of it.
const SKIPPED: &str = ".git";
/// How deep folders may nest.
const DEPTH_MAX: usize = 64;

/// The real path of `reference`, a path relative to `root` or inside it, and the real `root`.
pub(crate) fn resolve(root: &Path, reference: &str) -> Result<(PathBuf, PathBuf), InputError> {
    let given = root;
    let root = given.canonicalize().map_err(InputError::io(&root.to_string_lossy()))?;
    let outside = || InputError::Outside { path: reference.to_owned(), root: root.clone() };
    // Said before anything is looked up, so that the answer tells nothing of what is there.
    let mut depth = 0_usize;
    for part in Path::new(reference).components() {
        match part {
            std::path::Component::Normal(_) => depth += 1,
            std::path::Component::ParentDir => depth = depth.checked_sub(1).ok_or_else(outside)?,
            std::path::Component::CurDir
            | std::path::Component::RootDir
            | std::path::Component::Prefix(_) => {}
        }
    }
    let is_below = |root: &Path| Path::new(reference).starts_with(root);
    if Path::new(reference).is_absolute() && !is_below(given) && !is_below(&root) {
        return Err(outside());
    }
    let path = root.join(reference).canonicalize().map_err(InputError::io(reference))?;
    if path.starts_with(&root) { Ok((path, root)) } else { Err(outside()) }
}

/// The bytes of a file at a real path.
pub(crate) fn read(
    path: &Path,
    name: &str,
    bytes_max: u64,
    limit: &'static str,
) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    let mut file = open(path, name)?.take(bytes_max + 1);
    file.read_to_end(&mut bytes).map_err(InputError::io(name))?;
    if bytes.len() as u64 > bytes_max {
        return Err(InputError::TooLarge { path: name.to_owned(), bytes_max, limit });
    }
    Ok(bytes)
}

/// Opens a file at a real path: if a link took its place meanwhile, it is not followed, and a pipe
/// does not make us wait.
pub(crate) fn open(path: &Path, name: &str) -> Result<File, InputError> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file = file.map_err(InputError::io(name))?;
    if !file.metadata().map_err(InputError::io(name))?.is_file() {
        return Err(InputError::Special { path: name.to_owned() });
    }
    Ok(file)
}

/// Copies the folder at the real path `from` to `to`, which is there and empty. Links are followed
/// as long as they stay inside `root`.
pub(crate) fn copy_folder(
    from: &Path,
    root: &Path,
    to: &Path,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<(), InputError> {
    let name = from.strip_prefix(root).unwrap_or(from).to_string_lossy().into_owned();
    let to = to.canonicalize().map_err(InputError::io(&name))?;
    let mut copy = Copy { root, to: &to, name, limits, cancel, entries: 0, bytes: 0 };
    copy.folder(from, &to, 0)
}

struct Copy<'a> {
    root: &'a Path,
    to: &'a Path,
    name: String,
    limits: &'a Limits,
    cancel: &'a CancellationToken,
    entries: u64,
    bytes: u64,
}

impl Copy<'_> {
    fn folder(&mut self, from: &Path, to: &Path, depth: usize) -> Result<(), InputError> {
        if depth > DEPTH_MAX {
            return Err(self.too_many());
        }
        let name = self.shown(from);
        for entry in std::fs::read_dir(from).map_err(InputError::io(&name))? {
            let entry = entry.map_err(InputError::io(&name))?;
            // A root that holds the data folder must not be copied into itself.
            if entry.file_name() != SKIPPED && !self.to.starts_with(entry.path()) {
                self.entry(&entry.path(), &to.join(entry.file_name()), depth)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, from: &Path, to: &Path, depth: usize) -> Result<(), InputError> {
        self.entries += 1;
        if self.entries > self.limits.chart_entries_max {
            return Err(self.too_many());
        }
        if self.cancel.is_cancelled() {
            return Err(InputError::Cancelled);
        }
        let name = self.shown(from);
        let real = from.canonicalize().map_err(InputError::io(&name))?;
        if !real.starts_with(self.root) || self.to.starts_with(&real) {
            return Err(InputError::Outside { path: name, root: self.root.to_owned() });
        }
        let kind = std::fs::symlink_metadata(&real).map_err(InputError::io(&name))?.file_type();
        if kind.is_dir() {
            std::fs::create_dir(to).map_err(InputError::io(&name))?;
            return self.folder(&real, to, depth + 1);
        }
        self.file(&real, to, &name)
    }

    fn file(&mut self, from: &Path, to: &Path, name: &str) -> Result<(), InputError> {
        let bytes_max = self.limits.chart_bytes_max;
        let mut limited = open(from, name)?.take(bytes_max - self.bytes + 1);
        let mut copy = File::create(to).map_err(InputError::io(name))?;
        self.bytes += std::io::copy(&mut limited, &mut copy).map_err(InputError::io(name))?;
        // What may be run stays so, and what only its owner may read; we have to read it ourselves.
        let mode = limited.get_ref().metadata().map_err(InputError::io(name))?.permissions().mode();
        let mode = Permissions::from_mode(mode & 0o777 | 0o600);
        copy.set_permissions(mode).map_err(InputError::io(name))?;
        if self.bytes > bytes_max {
            let path = self.name.clone();
            return Err(InputError::TooLarge { path, bytes_max, limit: "chart_bytes_max" });
        }
        Ok(())
    }

    fn too_many(&self) -> InputError {
        let entries_max = self.limits.chart_entries_max;
        InputError::TooMany { path: self.name.clone(), entries_max }
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(self.root).unwrap_or(path).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests;
