//! What `capstan` tells whom: results to stdout, words to stderr, and commands that can be pasted.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "capstan/ended.rs"]
mod ended;
#[path = "capstan/file.rs"]
mod file;
#[path = "capstan/process.rs"]
mod process;
#[path = "told/settings.rs"]
mod settings;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ended::{Ended, ended, run};
use file::file;
use process::{capstan, kill, wait_for};

const QUICK: &str =
    r#"{"application":"a","name":"quick","stages":[{"refId":"1","type":"wait","waitTime":0}]}"#;
const SLOW: &str =
    r#"{"application":"a","name":"slow","stages":[{"refId":"1","type":"wait","waitTime":3}]}"#;

/// A document and a data folder, whose names a shell would take apart.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("it's the data")
    }

    fn command(&self, text: &str) -> Command {
        let document = file(self.folder.path(), "pipeline.json", text);
        let mut command = capstan();
        command.arg("run").arg(document).arg("--data-dir").arg(self.data());
        command
    }

    /// Runs a document until its first stage has begun, and ends it by a signal.
    fn stopped_by(&self, signal: &str, text: &str) -> Ended {
        let said = self.folder.path().join("said");
        let mut command = self.command(text);
        command.stdout(Stdio::null()).stderr(File::create(&said).unwrap());
        let mut child = command.spawn().unwrap();
        wait_for("the first stage", || {
            std::fs::read_to_string(&said).ok()?.contains(" wait began").then_some(())
        });
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        let code = child.wait().unwrap().code();
        Ended { code, out: String::new(), err: std::fs::read_to_string(&said).unwrap() }
    }
}

fn run_text(text: &str, more: &[&str]) -> Ended {
    run(Scene::new().command(text).args(more))
}

#[test]
fn a_run_goes_on_when_nobody_listens() {
    let scene = Scene::new();
    for gone in ["/dev/full", "/dev/null"] {
        let full = File::options().write(true).open(gone).unwrap();
        let status = scene.command(QUICK).stdout(Stdio::null()).stderr(full).status();
        assert_eq!(status.unwrap().code(), Some(0), "{gone}");
    }
    let mut child = scene.command(QUICK).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_result_that_reaches_nobody_is_no_success() {
    let scene = Scene::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = scene.command(QUICK);
    let child = command.args(["-o", "json"]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    ended(child).expect(1, &["cannot be written to stdout", "ended SUCCEEDED"]);
}

#[test]
fn what_happened_is_told_to_the_end_and_once() {
    for _ in 0..5 {
        let done = run_text(QUICK, &[]);
        for line in ["the execution began", "wait began", "wait ended", "the execution ended"] {
            assert_eq!(done.err.matches(line).count(), 1, "{line} in:\n{}", done.err);
        }
    }
}

#[test]
fn the_command_that_goes_on_can_be_pasted() {
    let scene = Scene::new();
    let stopped = scene.stopped_by("-INT", SLOW);
    stopped.expect(130, &["interrupted; everything up to here is kept"]);
    let pasted = stopped.err.lines().last().unwrap().trim();
    run(Command::new("sh").args(["-c", pasted])).expect(0, &["slow: SUCCEEDED"]);
}

#[test]
fn what_an_earlier_run_left_is_named() {
    let scene = Scene::new();
    let killed = scene.stopped_by("-KILL", SLOW);
    let id = killed.err.lines().find_map(|line| line.strip_prefix("execution ")).unwrap();
    let next = run(&mut scene.command(QUICK));
    next.expect(0, &["1 unfinished from earlier runs", id, "run --resume --data-dir"]);
    assert!(!run(&mut scene.command(QUICK)).err.contains("quick: TERMINAL"));
}

#[test]
fn resuming_where_nothing_is_makes_nothing() {
    let scene = Scene::new();
    run(capstan().args(["run", "--resume", "--data-dir"]).arg(scene.data()))
        .expect(2, &["there is no data folder", "--data-dir"]);
    assert!(!scene.data().exists());
}

#[test]
fn a_terminal_is_not_commanded_by_a_document() {
    let text = r#"{"application":"a","name":"p","stages":[
        {"refId":"1","type":"wait","requisiteStageRefIds":["\u001b[2J"]}]}"#;
    let done = run_text(text, &["-p", "\u{1b}[31m=1"]);
    done.expect(2, &["edges-lead-nowhere", r"\u{1b}[2J", r"\u{1b}[31m"]);
    assert!(!done.err.contains('\u{1b}'), "{}", done.err);
}

#[test]
fn a_mistyped_parameter_is_told() {
    let text = QUICK.replace("\"stages\"", r#""parameterConfig":[{"name":"tag"}],"stages""#);
    run_text(&text, &["-p", "tga=1"]).expect(0, &["parameter `tga`", "it declares tag"]);
    let done = run_text(&text, &["-p", "tag=1"]);
    assert!(!done.err.contains("parameter-undeclared"), "{}", done.err);
}

#[test]
fn a_document_without_stages_is_told() {
    let text = r#"{"application":"a","name":"p","stages":[]}"#;
    run_text(text, &[]).expect(1, &["pipeline-without-stages", "p: TERMINAL"]);
    let text = r#"{"application":"a","name":"p","stages":{}}"#;
    run_text(text, &[]).expect(2, &["stages-not-a-list", "/stages"]);
}

#[test]
fn unreadable_yaml_has_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let document =
        file(folder.path(), "p.yaml", "application: a\nstages:\n  - refId: 1\n   type: w\n");
    run(capstan().arg("validate").arg(document)).expect(2, &["document-unreadable", "p.yaml:4"]);
}

#[test]
fn a_judgment_that_stops_says_who_judged() {
    let text = r#"{"application":"a","name":"p","stages":[{"refId":"1","type":"manualJudgment",
        "name":"Ask","judgmentInputs":[{"value":"blue"}]}]}"#;
    let scene = Scene::new();
    let said = scene.folder.path().join("said");
    let mut command = scene.command(text);
    let mut child = command.stderr(File::create(&said).unwrap()).spawn().unwrap();
    let answer = wait_for("the judgment", || command_after("to go on", &said));
    let answer = answer.replace("continue", "stop");
    let sent = Command::new("sh").args(["-c", &format!("{answer} -s -o /dev/null")]).status();
    if !sent.unwrap().success() {
        kill(child.id());
    }
    let code = child.wait().unwrap().code();
    let err = std::fs::read_to_string(&said).unwrap();
    Ended { code, out: String::new(), err }
        .expect(1, &["\"judgmentInput\": blue", "anonymous judged that it stops here"]);
}

/// The line behind one that begins so, once both are there.
fn command_after(begin: &str, said: &Path) -> Option<String> {
    let said = std::fs::read_to_string(said).ok()?;
    let mut lines = said.lines().skip_while(|line| !line.starts_with(begin));
    let complete = said.ends_with('\n');
    lines.nth(1).filter(|_| complete).map(|line| line.trim().to_owned())
}

#[test]
fn a_helm_that_cannot_be_run_is_no_helm() {
    let scene = Scene::new();
    let script = file(scene.folder.path(), "helm", "#!/bin/sh\n");
    run(scene.command(QUICK).arg("--helm").arg(script)).expect(2, &["no program that may be run"]);
    run(scene.command(QUICK).args(["--helm", ""])).expect(2, &["--helm"]);
    assert!(!scene.data().exists());
}
