//! How the machine does.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use shared_ports::leases::Vitals;
use sysinfo::{Disk, DiskRefreshKind, Disks, Pid, ProcessesToUpdate, System};

/// Reads vitals; keeps what the next reading is compared with.
pub(crate) struct Monitor(Mutex<Watched>);

/// Each is `None` where the machine cannot be asked.
struct Watched {
    system: Option<System>,
    /// The one that the tools write to.
    disk: Option<Disk>,
}

impl Monitor {
    /// `folder` is where the tools write.
    pub(crate) fn new(folder: &Path) -> Self {
        Self(Mutex::new(Watched { system: System::new().ok(), disk: disk_of(folder) }))
    }

    /// The vitals since the last reading.
    pub(crate) fn read(&self) -> Vitals {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let disk = watched.disk.as_mut().map_or(0.0, used_share);
        let load = System::load_average().map_or(0.0, |load| load.one as f32);
        let vitals = Vitals { load, disk, ..Vitals::default() };
        let Some(system) = watched.system.as_mut() else { return vitals };
        system.refresh_cpu_usage();
        system.refresh_memory();
        let me = Pid::from_u32(std::process::id());
        system.refresh_processes(ProcessesToUpdate::Some(&[me]), false);
        let total = system.total_memory().max(1);
        Vitals {
            cpu: system.global_cpu_usage() / 100.0,
            memory: system.used_memory() as f32 / total as f32,
            resident_bytes: system.process(me).map_or(0, sysinfo::Process::memory),
            ..vitals
        }
    }
}

/// The disk that a folder is on, and no other: a network disk that does not answer holds up whoever
/// asks about it.
fn disk_of(folder: &Path) -> Option<Disk> {
    let folder = folder.canonicalize().ok()?;
    let listed = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing()).ok()?;
    let all = Vec::<Disk>::from(listed).into_iter();
    let holding = all.filter(|disk| folder.starts_with(disk.mount_point()));
    holding.max_by_key(|disk| disk.mount_point().components().count())
}

fn used_share(disk: &mut Disk) -> f32 {
    disk.refresh_specifics(DiskRefreshKind::nothing().with_storage());
    let (total, free) = (disk.total_space(), disk.available_space());
    total.saturating_sub(free) as f32 / total.max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_of_a_folder_is_found_and_has_something_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let vitals = Monitor::new(folder.path()).read();
        assert!(vitals.disk > 0.0 && vitals.disk <= 1.0, "{vitals:?}");
        assert!(vitals.resident_bytes > 0 && vitals.memory > 0.0, "{vitals:?}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_on_no_disk() {
        let vitals = Monitor::new(Path::new("/nowhere/at/all")).read();
        assert!(vitals.disk == 0.0, "{vitals:?}");
    }
}
