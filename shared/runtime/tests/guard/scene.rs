//! What the tests of tools share.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use shared_runtime::tool::{Finished, GuardCommand, LineSink, Stream};
use shared_runtime::{Opened, ToolError, ToolRun, Tools};
use tokio_util::sync::CancellationToken;

/// The example `runtime-guard`, which `cargo test` builds beside the tests.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().nth(2).unwrap().join("examples/runtime-guard");
    assert!(binary.is_file(), "{} is not built: run all of `cargo test`", binary.display());
    binary
}

#[derive(Default)]
pub(crate) struct Lines(pub(crate) Mutex<Vec<(Stream, String)>>);

#[async_trait]
impl LineSink for Lines {
    async fn line(&self, stream: Stream, text: &str) {
        self.0.lock().unwrap().push((stream, text.to_owned()));
    }
}

impl Lines {
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, text)| text.clone()).collect()
    }
}

pub(crate) fn tools(runs: &Path) -> Tools {
    let guard = GuardCommand { program: binary(), args: vec!["guard".into()] };
    Tools::new(guard, runs, "/usr/bin:/bin".into()).unwrap()
}

pub(crate) fn shell(script: &str) -> ToolRun {
    ToolRun {
        program: "sh".into(),
        hint: "install a shell".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("GREETING".into(), "hello".into())],
        stdout_is_log: false,
        timeout: Duration::from_secs(30),
    }
}

pub(crate) async fn run(tools: &Tools, key: &str, run: &ToolRun) -> Result<Finished, ToolError> {
    run_with(tools, key, run, &Lines::default(), &CancellationToken::new()).await
}

pub(crate) async fn run_with(
    tools: &Tools,
    key: &str,
    run: &ToolRun,
    lines: &Lines,
    cancel: &CancellationToken,
) -> Result<Finished, ToolError> {
    match tools.open(key, cancel).await? {
        Opened::Finished(finished) => Ok(finished),
        Opened::Fresh(fresh) => fresh.start(run, lines, cancel).await,
    }
}

pub(crate) fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until a script has written a whole line to `file`.
pub(crate) fn line_of(file: &Path) -> String {
    wait_for(|| std::fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n')));
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

pub(crate) fn wait_for(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited 30 s in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}
