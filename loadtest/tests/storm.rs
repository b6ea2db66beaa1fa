//! A slice of a storm over the real stack: a few kinds of accidents, nothing lost, nothing doubled, nothing
//! stuck; and that a guard that is switched off is missed.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The program that ships, which is built beside ours wherever the whole workspace is.
fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_capstan-loadtest")).with_file_name("capstan");
    assert!(program.exists(), "no {}; build the workspace first", program.display());
    program
}

struct Blown {
    output: Output,
    folder: tempfile::TempDir,
}

impl Blown {
    fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn figures(&self) -> Value {
        let text = std::fs::read_to_string(self.folder.path().join("figures.json"));
        serde_json::from_str(&text.unwrap_or_else(|_| panic!("{}", self.said()))).unwrap()
    }
}

fn storm(more: &[&str]) -> Blown {
    // PostgreSQL may run as another user, who has to get in.
    let folder = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_capstan-loadtest"));
    command.arg("storm").arg("--program").arg(program()).args(more);
    command.arg("--data-dir").arg(folder.path().join("storm"));
    command.arg("--json").arg(folder.path().join("figures.json"));
    Blown { output: command.output().unwrap(), folder }
}

#[test]
fn two_minutes_of_accidents_lose_and_double_nothing() {
    let faults = "F1,F2,F3,F7,F9,F10,F11,F13,F15,F16,F18";
    let blown = storm(&["--seed", "7", "--minutes", "2", "--faults", faults]);
    let figures = blown.figures();
    println!("{}", loadtest::table::of(&figures));
    assert!(blown.output.status.success(), "{}", blown.said());
    assert!(figures["figures"]["effects"].as_u64() > Some(100), "{figures:#}");
    assert!(figures["figures"]["accidents"].as_object().unwrap().len() > 2, "{figures:#}");
}

#[test]
fn without_the_same_key_for_each_attempt_effects_are_doubled() {
    let frozen = ["--faults", "F1,F2", "--minutes", "2", "--without", "effect-key"];
    let blown = storm(&frozen);
    let figures = blown.figures();
    let violations = figures["violations"].as_array().unwrap();
    let doubled = |one: &&Value| one.as_str().unwrap().contains("doubled");
    assert!(violations.iter().any(|one| doubled(&one)), "nobody missed it: {figures:#}");
    assert!(!blown.output.status.success());
    assert!(blown.said().contains("capstan-loadtest storm --seed 1 --round 0"), "{}", blown.said());
}
