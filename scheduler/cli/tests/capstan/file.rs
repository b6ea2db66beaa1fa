//! Documents for the binary to read.

use std::path::{Path, PathBuf};

/// A file with a text.
pub(crate) fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}
