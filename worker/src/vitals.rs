//! How the machine does.

use std::sync::{Mutex, PoisonError};

use shared_ports::leases::Vitals;
use sysinfo::{Pid, ProcessesToUpdate, System};

/// Reads vitals; keeps what the next reading is compared with.
pub(crate) struct Monitor {
    /// `None` where the machine cannot be asked.
    system: Mutex<Option<System>>,
}

impl Monitor {
    pub(crate) fn new() -> Self {
        Self { system: Mutex::new(System::new().ok()) }
    }

    /// The vitals since the last reading.
    pub(crate) fn read(&self) -> Vitals {
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(system) = system.as_mut() else { return Vitals::default() };
        system.refresh_cpu_usage();
        system.refresh_memory();
        let me = Pid::from_u32(std::process::id());
        system.refresh_processes(ProcessesToUpdate::Some(&[me]), false);
        let total = system.total_memory().max(1);
        Vitals {
            cpu: system.global_cpu_usage() / 100.0,
            memory: system.used_memory() as f32 / total as f32,
            resident_bytes: system.process(me).map_or(0, sysinfo::Process::memory),
        }
    }
}
