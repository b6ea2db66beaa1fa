//! A process that logs, and is told to stop.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]
#![expect(clippy::disallowed_methods, reason = "real processes need real time")]

#[path = "guard/scene.rs"]
#[expect(dead_code, reason = "the tests of tools use the rest of it")]
mod scene;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn the_first_signal_lets_work_end_well() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut child, mut log) = serve("text", "info", 100);
        send(&child, signal);
        let mut rest = String::new();
        log.read_to_string(&mut rest).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(rest.contains("a second signal exits at once"), "{rest}");
        assert!(rest.contains("drained"), "{rest}");
    }
}

#[test]
fn the_second_signal_exits_at_once() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let (mut child, mut log) = serve("text", "info", 60_000);
        let began = Instant::now();
        send(&child, Signal::SIGTERM);
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{line}");
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn logs_are_json_on_request_and_never_on_stdout() {
    let (mut child, mut log) = serve("json", "info", 0);
    send(&child, Signal::SIGTERM);
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "INFO");
    assert!(child.wait().unwrap().success());
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "");
}

#[test]
fn a_level_that_cannot_be_read_is_named() {
    let refused = Command::new(scene::binary()).args(["serve", "text", "a=b=c", "0"]).output();
    let refused = refused.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.starts_with("`a=b=c` is not a log level"), "{said}");
}

/// A process whose first line, `up`, was read.
fn serve(format: &str, level: &str, drain_ms: u32) -> (Child, BufReader<ChildStderr>) {
    let mut child = Command::new(scene::binary())
        .args(["serve", format, level, &drain_ms.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert!(line.contains("up") && line.contains("42"), "{line}");
    (child, log)
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}
