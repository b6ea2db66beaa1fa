//! What the process takes of its machine, under the names that every Prometheus client uses. Read
//! when it is asked for; only where there is `/proc`.

use opentelemetry::metrics::Meter;

/// Ticks a second in `/proc/self/stat`: fixed for programs on Linux, whatever the kernel's own are.
const TICKS_PER_SECOND: f64 = 100.0;

/// Registers what is read at each scrape.
pub(super) fn register(meter: &Meter) {
    meter
        .f64_observable_counter("process.cpu")
        .with_unit("s")
        .with_description("Processor time that the process took.")
        .with_callback(|seen| observe(cpu_seconds(), |value| seen.observe(value, &[])))
        .build();
    meter
        .u64_observable_gauge("process.resident_memory")
        .with_unit("By")
        .with_description("Memory that the process holds.")
        .with_callback(|seen| observe(resident_bytes(), |value| seen.observe(value, &[])))
        .build();
    meter
        .u64_observable_gauge("process.open_fds")
        .with_description("File descriptors that are open.")
        .with_callback(|seen| observe(open_fds(), |value| seen.observe(value, &[])))
        .build();
    meter
        .u64_observable_gauge("process.max_fds")
        .with_description("File descriptors that may be open.")
        .with_callback(|seen| observe(max_fds(), |value| seen.observe(value, &[])))
        .build();
}

fn observe<T>(value: Option<T>, tell: impl FnOnce(T)) {
    if let Some(value) = value {
        tell(value);
    }
}

/// A field of `/proc/self/stat` behind the name, which may hold anything; counted from 3 (proc(5)).
fn stat(field: usize) -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    rest.split(' ').nth(field.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    Some((stat(14)? + stat(15)?) / TICKS_PER_SECOND)
}

fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

fn open_fds() -> Option<u64> {
    // One of them is that of the listing itself.
    Some((std::fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

fn max_fds() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
