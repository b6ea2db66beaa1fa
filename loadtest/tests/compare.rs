//! Ours beside the floor, for a few seconds: that both do what they were given, and what is told of it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The program that ships, which is built beside ours wherever the whole workspace is.
fn compare(folder: &Path, more: &[&str]) -> Output {
    let own = env!("CARGO_BIN_EXE_capstan-loadtest");
    let program = Path::new(own).with_file_name("capstan");
    assert!(program.exists(), "no {}; build the workspace first", program.display());
    // PostgreSQL may run as another user, who has to get in.
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(own);
    command.args(["compare", "--rounds", "1", "--duration-seconds", "2", "--program"]);
    command.arg(program).args(more).arg("--data-dir").arg(folder.join("compare"));
    command.arg("--json").arg(folder.join("figures.json")).output().unwrap()
}

#[test]
fn ours_and_the_floor_do_all_that_they_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let output = compare(folder.path(), &["--peers", "floor"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let figures = std::fs::read_to_string(folder.path().join("figures.json")).unwrap();
    let figures: Value = serde_json::from_str(&figures).unwrap();
    assert!(figures["machine"]["cores"].as_u64() >= Some(1), "{figures:#}");
    assert!(figures["ours"]["versions"]["postgres"].is_string(), "{figures:#}");
    let floor = &figures["beside"]["floor"];
    assert!(floor["about"]["versions"]["rabbitmq"].is_string(), "{figures:#}");
    let ratios = [
        ("chain10", "stages/s"),
        ("chain10", "CPU µs/stage"),
        ("chain10, one at a time", "stage to next, ms, p50"),
        ("noop1", "request to end, ms, p50"),
        ("fan100", "request to join, ms, p50"),
    ];
    for (workload, figure) in ratios {
        let told = &floor["workloads"][workload];
        let ratio = &told["ratios"][figure]["ours by theirs"]["middle"];
        assert!(ratio.as_f64() > Some(0.0), "{workload}, {figure}: {told:#}");
        for side in ["ours", "theirs"] {
            let verified = &told[side][0]["verified"]["executions"];
            assert!(verified.as_u64() > Some(0), "{workload}: {told:#}");
        }
    }
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("floor") && table.contains("stages/s"), "{table}");
}
