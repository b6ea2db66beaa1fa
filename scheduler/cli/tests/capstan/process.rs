//! Runs the binary as a user does.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// The binary, without the variables that would change what it does.
pub(crate) fn capstan() -> Command {
    program(env!("CARGO_BIN_EXE_capstan"))
}

/// The same of another version's binary.
pub(crate) fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    for name in [
        "KUBECONFIG",
        "CAPSTAN_ALLOW_URLS",
        "CAPSTAN_CONFIG",
        "CAPSTAN_DATA_DIR",
        "CAPSTAN_ARTIFACTS_ROOT",
        "CAPSTAN_HELM",
        "CAPSTAN_LOG",
        "CAPSTAN_PACKER",
        "CAPSTAN_LOG_FORMAT",
        "CAPSTAN_PORT",
        "CAPSTAN_RECIPES",
        "CAPSTAN_SERVER",
        "CAPSTAN_TOKEN",
        "CAPSTAN_TOKEN_FILE",
        "CAPSTAN_USER",
        "DOCKER_HOST",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ] {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

/// Ends a process at once.
pub(crate) fn kill(pid: u32) {
    let _gone = Command::new("kill").args(["-9", &pid.to_string()]).status();
}

/// Waits until something is there.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "waited {LIMIT:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
