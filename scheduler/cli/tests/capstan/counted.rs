//! What is seen from outside of a process that is killed: the charts it baked, what it left behind.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use shared_testkit::env;

use crate::file::file;

/// A helm that notes in `bakes` the release, `shop` or `shop-…`, of each run that finished.
pub(crate) fn counting_helm(folder: &Path) -> PathBuf {
    let script = format!(
        "#!/bin/sh\n'{}' \"$@\"\ncode=$?\n\
         for word; do case $word in shop|shop-*) echo \"$word\" >> '{}';; esac; done\nexit $code\n",
        env::helm3().display(),
        folder.join("bakes").display()
    );
    let path = file(folder, "helm", &script);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

/// Whether a process has the data folder in its command line, or works in it.
pub(crate) fn is_used(data: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes.into_iter().any(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let works_in = std::fs::read_link(process.path().join("cwd")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(data) || works_in.starts_with(data)
    })
}
