//! The folder of one run: who holds it, what is in it, how it is emptied and removed.
//!
//! `lock` is held by the guard for as long as it lives, and by the tool and whatever that started
//! for as long as any of them lives. `stdout` and `stderr` keep what it wrote, `work` is its working
//! folder and is gone once it ended, and `result` appears whole and only after it ended by itself.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, Flock, FlockArg, fcntl};

use super::orphans;
use super::protocol::{RECORD_VERSION, Record, Stream};

/// How often a lock that somebody else holds is tried again.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);
/// Every how many tries it is looked at who holds it.
const ROUNDS_PER_LOOK: u32 = 25;
const LOCK: &str = "lock";
const RESULT: &str = "result";
const WORK: &str = "work";

/// A run folder that we hold.
pub(crate) struct Held {
    path: PathBuf,
    lock: Flock<File>,
}

/// The working folder of the tool inside a run folder.
pub(crate) fn work(run: &Path) -> PathBuf {
    run.join(WORK)
}

/// The file that keeps what the tool wrote.
pub(crate) fn output(run: &Path, stream: Stream) -> PathBuf {
    run.join(stream.file())
}

/// Whether a disk or a quota is full.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Ends what a run left behind whose guard is gone.
pub(crate) fn end_orphans(run: &Path) {
    orphans::end(&run.join(LOCK));
}

/// The file by which the tool's process learns what to run.
pub(crate) fn image(run: &Path) -> PathBuf {
    run.join("image")
}

/// The file that says why the tool did not start.
pub(crate) fn not_started(run: &Path) -> PathBuf {
    run.join("not-started")
}

impl Held {
    /// Takes a run folder, which is made if need be; `None` if somebody else holds it.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        loop {
            // Ours alone: what a tool wrote may hold secrets.
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            let name = path.join(LOCK);
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&name);
            let file = match file {
                // Removed since we made it: an old run was swept away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
                Err((_, error)) => return Err(error.into()),
            };
            // The lock of a folder that was removed while we waited holds nobody back.
            if is_same_file(&lock, &name) {
                return Ok(Some(Self { path: path.to_owned(), lock }));
            }
        }
    }

    /// Takes it within `wait`; `None` if somebody else holds it for longer.
    pub(crate) async fn take(path: &Path, wait: Duration) -> io::Result<Option<Self>> {
        let try_again = async {
            for round in 0_u32.. {
                if let Some(held) = Self::try_take(path)? {
                    return Ok(held);
                }
                if round % ROUNDS_PER_LOOK == 0 {
                    orphans::end(&path.join(LOCK));
                }
                tokio::time::sleep(LOCK_INTERVAL).await;
            }
            Err(io::ErrorKind::TimedOut.into())
        };
        tokio::time::timeout(wait, try_again).await.ok().transpose()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets processes that we start hold the lock with us: the folder stays taken while any lives.
    pub(crate) fn share_with_children(&self) -> io::Result<()> {
        fcntl(&*self.lock, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(())
    }

    /// How the tool ended, if it did by itself.
    pub(crate) fn record(&self) -> Option<Record> {
        let record: Record =
            serde_json::from_slice(&std::fs::read(self.path.join(RESULT)).ok()?).ok()?;
        (record.v == RECORD_VERSION).then_some(record)
    }

    /// Removes what a run that did not end left behind, and makes the working folder; whether there
    /// was such a run.
    pub(crate) fn empty(&self) -> io::Result<bool> {
        let mut was_begun = false;
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name() == LOCK {
                continue;
            }
            was_begun = true;
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        std::fs::create_dir(work(&self.path))?;
        Ok(was_begun)
    }

    /// Writes down how the tool ended: whole or not at all, and after all that it stands for.
    pub(crate) fn write_record(&self, record: Record) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            File::open(output(&self.path, stream))?.sync_all()?;
        }
        let new = self.path.join("result.new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&record)?)?;
        file.sync_all()?;
        std::fs::rename(&new, self.path.join(RESULT))?;
        File::open(&self.path)?.sync_all()?;
        // The folder's own name must survive a power failure as well.
        self.path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    }

    /// Removes what only the tool needed; what cannot be removed goes when the run folder does.
    pub(crate) fn remove_work(&self) {
        let _left = std::fs::remove_file(image(&self.path));
        let _left = std::fs::remove_dir_all(work(&self.path));
    }
}

/// Removes run folders below `runs` that nobody holds and that nobody touched since `cutoff`; says
/// how many.
pub(crate) fn remove_before(runs: &Path, cutoff: SystemTime) -> io::Result<usize> {
    let mut removed = 0;
    let entries = match std::fs::read_dir(runs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || entry.metadata()?.modified()? >= cutoff {
            continue;
        }
        if let Some(held) = Held::try_take(&entry.path())? {
            std::fs::remove_dir_all(held.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn is_same_file(open: &File, name: &Path) -> bool {
    match (open.metadata(), std::fs::metadata(name)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_in_version_1() {
        let folder = tempfile::tempdir().unwrap();
        let held = Held::try_take(folder.path()).unwrap().unwrap();
        std::fs::write(folder.path().join(RESULT), r#"{"v":1,"code":3}"#).unwrap();
        assert_eq!(held.record(), Some(Record { v: 1, code: 3 }));
        assert_eq!(serde_json::to_string(&held.record()).unwrap(), r#"{"v":1,"code":3}"#);
    }

    #[test]
    fn a_record_that_is_cut_or_from_another_version_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let held = Held::try_take(folder.path()).unwrap().unwrap();
        for text in ["", r#"{"v":1,"co"#, r#"{"v":2,"code":0}"#] {
            std::fs::write(folder.path().join(RESULT), text).unwrap();
            assert_eq!(held.record(), None, "{text}");
        }
    }

    #[tokio::test]
    async fn a_folder_is_held_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let held = Held::try_take(folder.path()).unwrap().unwrap();
        assert!(Held::try_take(folder.path()).unwrap().is_none());
        assert!(Held::take(folder.path(), Duration::from_millis(60)).await.unwrap().is_none());
        drop(held);
        assert!(Held::take(folder.path(), Duration::from_millis(60)).await.unwrap().is_some());
    }

    #[test]
    fn emptying_keeps_the_lock_and_makes_a_working_folder() {
        let folder = tempfile::tempdir().unwrap();
        let held = Held::try_take(folder.path()).unwrap().unwrap();
        std::fs::create_dir_all(folder.path().join("work/deep")).unwrap();
        std::fs::write(folder.path().join("stdout"), "half").unwrap();
        assert!(held.empty().unwrap(), "a run was begun");
        assert!(!folder.path().join("stdout").exists());
        assert_eq!(std::fs::read_dir(work(folder.path())).unwrap().count(), 0);
        assert!(Held::try_take(folder.path()).unwrap().is_none());
    }

    #[test]
    fn only_old_folders_that_nobody_holds_are_removed() {
        let runs = tempfile::tempdir().unwrap();
        let held = Held::try_take(&runs.path().join("held")).unwrap().unwrap();
        drop(Held::try_take(&runs.path().join("free")).unwrap());
        let made = std::fs::metadata(runs.path().join("free")).unwrap().modified().unwrap();
        assert_eq!(remove_before(runs.path(), made - Duration::from_secs(1)).unwrap(), 0);
        assert_eq!(remove_before(runs.path(), made + Duration::from_secs(60)).unwrap(), 1);
        assert!(held.path().exists());
        assert!(!runs.path().join("free").exists());
        assert_eq!(remove_before(&runs.path().join("none"), made).unwrap(), 0);
    }
}
