//! The docker of the test stack, looked at from outside.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use shared_testkit::deadline::Deadline;
use shared_testkit::env;

/// What docker's client prints; it must succeed.
pub(crate) fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).env("DOCKER_HOST", env::docker_host()).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The containers that have something below `folder` mounted.
pub(crate) fn containers(folder: &Path) -> Vec<String> {
    let folder = folder.to_string_lossy().into_owned();
    let listed = docker(&["ps", "--all", "--no-trunc", "--format={{.ID}} {{.Mounts}}"]);
    let ours = listed.lines().filter(|line| line.contains(&folder));
    ours.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// The processes that work in `folder` or name it, without ourselves.
pub(crate) fn processes(folder: &Path) -> Vec<(i32, String)> {
    let name = folder.to_string_lossy().into_owned();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let all =
        all.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    all.filter(|(pid, _): &(i32, _)| pid.unsigned_abs() != std::process::id())
        .filter_map(|(pid, path)| {
            let line = std::fs::read(path.join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let works_in = std::fs::read_link(path.join("cwd")).unwrap_or_default();
            (!line.is_empty() && (line.contains(&name) || works_in.starts_with(folder)))
                .then_some((pid, line))
        })
        .collect()
}

/// Waits until `found` gives something.
pub(crate) fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::after(Duration::from_secs(60));
    let found = deadline.poll(|| Ok::<_, ()>(found())).unwrap();
    found.unwrap_or_else(|| panic!("waited in vain for {what}"))
}

/// The names that the registry knows an image by.
pub(crate) fn tags_in_registry(repository: &str) -> String {
    let registry = env::registry();
    let mut stream = TcpStream::connect(&registry).unwrap();
    let request = format!(
        "GET /v2/{repository}/tags/list HTTP/1.1\r\nHost: {registry}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
