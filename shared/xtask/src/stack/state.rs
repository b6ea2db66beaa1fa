//! Where the background stack is remembered: a folder below the target folder.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use shared_testkit::deadline::Deadline;

use crate::workspace;

/// How long servers whose keeper was killed may take to die.
const DYING_MAX: Duration = Duration::from_secs(10);

/// The files of the background stack.
pub(crate) struct State {
    folder: PathBuf,
}

impl State {
    pub(crate) fn of_workspace() -> Result<Self> {
        Self::at(workspace::target_folder()?.join("stack"))
    }

    pub(crate) fn at(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Whether a keeper lives.
    pub(crate) fn is_kept(&self) -> Result<bool> {
        Ok(self.take()?.is_none())
    }

    /// The keeper's lock, if no other process has it; free again when dropped.
    pub(crate) fn take(&self) -> Result<Option<File>> {
        let path = self.folder.join("lock");
        let file =
            File::create(&path).with_context(|| format!("failed to open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("failed to lock {}", path.display()))
            }
        }
    }

    /// The living keeper's process id.
    pub(crate) fn keeper(&self) -> Result<Option<i32>> {
        if !self.is_kept()? {
            return Ok(None);
        }
        let path = self.folder.join("pid");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        Ok(Some(text.trim().parse()?))
    }

    pub(crate) fn write_keeper(&self, pid: u32) -> Result<()> {
        fs::write(self.folder.join("pid"), pid.to_string()).context("failed to note the process id")
    }

    /// The `KEY=value` lines; `None` until the servers are ready.
    pub(crate) fn addresses(&self) -> Option<String> {
        fs::read_to_string(self.folder.join("addresses")).ok()
    }

    /// Written whole or not at all.
    pub(crate) fn write_addresses(&self, text: &str) -> Result<()> {
        let part = self.folder.join("addresses.part");
        fs::write(&part, text)?;
        fs::rename(&part, self.folder.join("addresses")).context("failed to note the addresses")
    }

    /// Noted so that the data of a keeper that was killed is removed by the next one.
    pub(crate) fn write_data_folder(&self, data: &Path) -> Result<()> {
        let text = data.as_os_str().as_encoded_bytes();
        fs::write(self.folder.join("data-folder"), text).context("failed to note the data folder")
    }

    /// Forgets the addresses of the last keeper if it is gone: whoever waits for the next one must
    /// not take them for its.
    pub(crate) fn forget_addresses(&self) -> Result<()> {
        if let Some(_lock) = self.take()? {
            self.remove("addresses");
        }
        Ok(())
    }

    /// Forgets the last keeper, and removes what it left.
    pub(crate) fn clear(&self) -> Result<()> {
        self.remove("addresses");
        self.remove_data()?;
        self.remove("data-folder");
        Ok(())
    }

    /// A file that is not there is as good as a removed one.
    fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.folder.join(name));
    }

    fn remove_data(&self) -> Result<()> {
        let Ok(text) = fs::read_to_string(self.folder.join("data-folder")) else { return Ok(()) };
        let data = Path::new(&text);
        if !data.is_dir() {
            return Ok(());
        }
        // Servers of a keeper that was killed just now may still write there while they die: it has
        // to be gone when it is looked at again.
        let gone = Deadline::after(DYING_MAX).poll(|| match fs::remove_dir_all(data) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(())),
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
            Ok(()) | Err(_) => Ok(None),
        });
        let gone = gone.and_then(|gone| gone.ok_or_else(|| io::ErrorKind::TimedOut.into()));
        gone.with_context(|| format!("failed to remove {}", data.display()))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        text.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_is_up_as_long_as_the_lock_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::at(folder.path().join("stack")).unwrap();
        state.write_keeper(42).unwrap();
        let lock = state.take().unwrap().unwrap();
        assert_eq!(state.keeper().unwrap(), Some(42));
        drop(lock);
        assert_eq!(state.keeper().unwrap(), None);
    }

    #[test]
    fn the_data_of_a_killed_keeper_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("etcd")).unwrap();
        let state = State::at(folder.path().join("stack")).unwrap();
        state.write_data_folder(&data).unwrap();
        state.write_addresses("A=b\n").unwrap();
        state.clear().unwrap();
        assert!(!data.exists());
        assert_eq!(state.addresses(), None);
        state.clear().unwrap();
    }
}
