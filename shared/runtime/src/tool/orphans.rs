//! What a killed guard left behind.
//!
//! The lock of a run folder is shared with the tool and all that it starts. So whoever holds it
//! while the guard that took it is gone belongs to a run that nobody owns any more, and is ended.
//! That a process holds this very lock is proof of its descent, which a noted pid would not be.

/// Ends the processes that hold the lock at `lock` if the guard that took it is gone.
#[cfg(target_os = "linux")]
pub(crate) fn end(lock: &std::path::Path) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let holders = linux::holders(lock);
    // A guard is the process that took the lock itself.
    if holders.iter().any(|holder| holder.pid == holder.taken_by) {
        return;
    }
    for holder in holders {
        tracing::warn!(pid = holder.pid, "ending what a killed run left behind");
        let _gone = kill(Pid::from_raw(holder.pid), Signal::SIGKILL);
    }
}

/// Elsewhere it cannot be told who holds a lock: the wait for it ends in an error that says so.
#[cfg(not(target_os = "linux"))]
pub(crate) fn end(_: &std::path::Path) {}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    /// A process that has the lock's file open, and the lock with it.
    pub(super) struct Holder {
        pub(super) pid: i32,
        pub(super) taken_by: i32,
    }

    pub(super) fn holders(lock: &Path) -> Vec<Holder> {
        let (Ok(lock), Ok(processes)) = (std::fs::metadata(lock), std::fs::read_dir("/proc"))
        else {
            return Vec::new();
        };
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid| Some(Holder { pid, taken_by: taken_by(pid, &lock)? })).collect()
    }

    /// By whom the lock was taken that `pid` holds, if it does.
    fn taken_by(pid: i32, lock: &Metadata) -> Option<i32> {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        files.flatten().find_map(|file| {
            let open = std::fs::metadata(file.path()).ok()?;
            if (open.dev(), open.ino()) != (lock.dev(), lock.ino()) {
                return None;
            }
            let number = file.file_name();
            let info = format!("/proc/{pid}/fdinfo/{}", number.to_str()?);
            lock_owner(&std::fs::read_to_string(info).ok()?)
        })
    }

    /// Reads `lock: 1: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF` (proc(5)): one who merely waits
    /// for the lock has the file open but no such line.
    fn lock_owner(info: &str) -> Option<i32> {
        let lock = info.lines().find_map(|line| line.strip_prefix("lock:"))?;
        let mut words = lock.split_whitespace().skip_while(|word| *word != "FLOCK").skip(3);
        words.next()?.parse().ok()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_owner_of_a_lock_is_read() {
            let info = "pos:\t0\nflags:\t0100001\nmnt_id:\t29\nino:\t7\n\
                        lock:\t1: FLOCK  ADVISORY  WRITE 4711 fe:01:7 0 EOF\n";
            assert_eq!(lock_owner(info), Some(4711));
            assert_eq!(lock_owner("pos:\t0\nflags:\t0100001\n"), None);
        }

        #[test]
        fn who_holds_is_told_from_who_waits() {
            use nix::fcntl::{Flock, FlockArg};
            let file = tempfile::NamedTempFile::new().unwrap();
            assert!(holders(file.path()).is_empty());
            let open = std::fs::File::open(file.path()).unwrap();
            let held = Flock::lock(open, FlockArg::LockExclusive).unwrap();
            let us = i32::try_from(std::process::id()).unwrap();
            let found: Vec<(i32, i32)> =
                holders(file.path()).iter().map(|holder| (holder.pid, holder.taken_by)).collect();
            assert_eq!(found, [(us, us)]);
            drop(held);
            assert!(holders(file.path()).is_empty());
        }
    }
}
