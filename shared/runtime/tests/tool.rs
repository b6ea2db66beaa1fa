//! Tools under a guard: results are found again, nothing is run twice, nothing is left behind.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use shared_runtime::tool::{Finished, LineSink, ToolError, ToolRun, Tools};
use tokio_util::sync::CancellationToken;

const BINARY: &str = env!("CARGO_BIN_EXE_runtime-guard");

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

#[async_trait]
impl LineSink for Lines {
    async fn line(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

fn tools(runs: &Path) -> Tools {
    Tools {
        guard: (PathBuf::from(BINARY), vec!["guard".into()]),
        runs: runs.to_owned(),
        path: "/usr/bin:/bin".into(),
    }
}

fn shell(key: &str, script: &str) -> ToolRun {
    ToolRun {
        effect_key: key.into(),
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("GREETING".into(), "hello".into())],
        folder: "/".into(),
        stdout_is_log: false,
        timeout: Duration::from_secs(30),
    }
}

async fn run(tools: &Tools, run: &ToolRun) -> Result<Finished, ToolError> {
    tools.run(run, &Lines::default(), &CancellationToken::new()).await
}

#[tokio::test]
async fn a_second_run_under_the_same_key_finds_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let tools = tools(folder.path());
    let count = folder.path().join("count");
    let script = format!("echo once >> {}; echo $GREETING; exit 3", count.display());
    let first = run(&tools, &shell("k", &script)).await.unwrap();
    let second = run(&tools, &shell("k", &script)).await.unwrap();
    assert_eq!((first.ending.code, first.found), (Some(3), false));
    assert_eq!((second.ending.code, second.found), (Some(3), true));
    assert_eq!(std::fs::read_to_string(second.stdout).unwrap(), "hello\n");
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "once\n");
    run(&tools, &shell("another", &script)).await.unwrap();
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "once\nonce\n");
}

#[tokio::test]
async fn lines_arrive_while_it_runs_and_errors_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let lines = Lines::default();
    let script = "echo one >&2; printf 'no end' >&2; exit 1";
    let done = tools(folder.path())
        .run(&shell("k", script), &lines, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(*lines.0.lock().unwrap(), ["one", "no end"]);
    assert_eq!(done.errors, ["one", "no end"]);
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let absent = ToolRun { program: "no-such-tool".into(), ..shell("k", "") };
    let error = run(&tools(folder.path()), &absent).await.unwrap_err().to_string();
    assert!(error.starts_with("`no-such-tool` was not found on the PATH (/usr/bin:/bin)"));
}

#[tokio::test]
async fn cancel_ends_the_whole_group_and_leaves_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let tools = tools(folder.path());
    let pid = folder.path().join("pid");
    let script = format!("sleep 50 & echo $! > {}; trap '' TERM; wait; sleep 50", pid.display());
    let cancel = CancellationToken::new();
    let order = shell("k", &script);
    let started = Instant::now();
    let ending = async {
        while !pid.exists() {
            assert!(started.elapsed() < Duration::from_secs(20), "the tool never started");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
    };
    let lines = Lines::default();
    let (done, ()) = tokio::join!(tools.run(&order, &lines, &cancel), ending);
    assert!(matches!(done, Err(ToolError::Cancelled { .. })), "{done:?}");
    assert!(started.elapsed() < Duration::from_secs(20));
    let pid = std::fs::read_to_string(pid).unwrap();
    wait_for(|| !alive(pid.trim()));
    assert!(!tools.run_folder("k").join("result").exists());
}

#[tokio::test]
async fn a_tool_that_takes_too_long_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let slow = ToolRun { timeout: Duration::from_millis(200), ..shell("k", "sleep 50") };
    let error = run(&tools(folder.path()), &slow).await.unwrap_err();
    assert!(matches!(error, ToolError::TimedOut { .. }), "{error}");
}

/// The promise that everything else stands on: kill -9 at any moment, start again, and a run that
/// finished was not repeated, and none is left running.
#[test]
fn a_killed_parent_leaves_no_process_and_no_finished_run_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let (started, finished) = (folder.path().join("started"), folder.path().join("finished"));
    let (mut runs, mut killed_early) = (0, 0);
    for seed in 0..25_u64 {
        let key = format!("key-{seed}");
        let script = format!(
            "echo $$ >> {}; sleep 0.1; echo {key} >> {}",
            started.display(),
            finished.display()
        );
        let mut parent = start_parent(folder.path(), &key, &script);
        std::thread::sleep(Duration::from_millis(seed * 7));
        killed_early += u32::from(parent.try_wait().unwrap().is_none());
        parent.kill().unwrap();
        parent.wait().unwrap();
        let code = start_parent(folder.path(), &key, &script).wait().unwrap().code();
        assert_eq!(code, Some(0), "seed {seed}");
        runs += 1;
    }
    assert!(killed_early >= 10, "only {killed_early} of 25 were killed while they ran");
    let done = std::fs::read_to_string(&finished).unwrap();
    assert_eq!(done.lines().count(), runs, "a finished run was repeated:\n{done}");
    for pid in std::fs::read_to_string(&started).unwrap().lines() {
        wait_for(|| !alive(pid));
    }
}

#[test]
fn a_tool_that_never_ends_goes_when_its_parent_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("echo $$ > {}; sleep 300", pid.display());
    let mut parent = start_parent(folder.path(), "k", &script);
    wait_for(|| std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')));
    parent.kill().unwrap();
    parent.wait().unwrap();
    let pid = std::fs::read_to_string(pid).unwrap();
    wait_for(|| !alive(pid.trim()));
}

fn start_parent(runs: &Path, key: &str, script: &str) -> Child {
    Command::new(BINARY)
        .args(["parent", &runs.to_string_lossy(), key, script])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn wait_for(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited 30 s in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}
