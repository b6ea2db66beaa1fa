//! File systems of a test's own; needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system; unmounted when dropped.
pub(crate) struct Mounted {
    pub(crate) place: PathBuf,
    _above: TempDir,
}

impl Mounted {
    pub(crate) fn tmpfs(size: &str) -> Self {
        Self::by(&[&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]])
    }

    /// Calls `mount` with each of these and the place, one after the other.
    pub(crate) fn by(calls: &[&[&str]]) -> Self {
        let above = tempfile::tempdir().unwrap();
        let place = above.path().join("mounted");
        std::fs::create_dir(&place).unwrap();
        let mounted = Self { place, _above: above };
        for call in calls {
            run("mount", &[call, &[text(&mounted.place)][..]].concat());
        }
        mounted
    }

    /// Writes a file until there is no room for another byte.
    pub(crate) fn fill(&self, ballast: &Path) {
        use std::io::Write;
        let mut file = std::fs::File::options().create(true).append(true).open(ballast).unwrap();
        for block in [64 * 1024, 1024, 1] {
            let block = vec![0; block];
            while file.write(&block).is_ok_and(|written| written > 0) {}
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["--lazy", text(&self.place)]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?} (needs root): {error}");
}
