//! Tools under a guard: what they get, what comes of them, and how they are ended.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]
#![expect(clippy::disallowed_methods, reason = "real processes need real time")]

#[path = "guard/scene.rs"]
mod scene;

use std::sync::Arc;
use std::time::{Duration, Instant};

use scene::{Lines, is_alive, line_of, run, run_with, shell, tools, wait_for};
use shared_runtime::tool::{Limits, Stream};
use shared_runtime::{Opened, ToolError, ToolRun, Tools};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_second_run_under_the_same_key_finds_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let tools = tools(folder.path());
    let count = folder.path().join("count");
    let script = format!("echo once >> {}; echo $GREETING; echo why >&2; exit 3", count.display());
    let first = run(&tools, "k", &shell(&script)).await.unwrap();
    let second = run(&tools, "k", &shell(&script)).await.unwrap();
    assert_eq!((first.code, first.found), (3, false));
    assert_eq!((second.code, second.found), (3, true));
    assert_eq!((&second.errors[..], &second.stdout), (&first.errors[..], &first.stdout));
    assert_eq!(std::fs::read_to_string(second.stdout).unwrap(), "hello\n");
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "once\n");
    run(&tools, "another", &shell(&script)).await.unwrap();
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "once\nonce\n");
}

#[tokio::test]
async fn what_it_needs_is_in_its_own_folder_and_gone_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let tools = tools(folder.path());
    let Opened::Fresh(fresh) = tools.open("k", &CancellationToken::new()).await.unwrap() else {
        panic!("nothing ran before");
    };
    let work = fresh.folder().to_owned();
    std::fs::write(work.join("input"), "from outside").unwrap();
    let cancel = CancellationToken::new();
    let done = fresh.start(&shell("pwd; cat input"), &Lines::default(), &cancel).await.unwrap();
    let printed = std::fs::read_to_string(done.stdout).unwrap();
    assert_eq!(printed, format!("{}\nfrom outside", work.display()));
    assert!(!work.exists());
}

#[tokio::test]
async fn its_environment_is_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let env = ToolRun { program: "env".into(), args: vec![], ..shell("") };
    let done = run(&tools(folder.path()), "k", &env).await.unwrap();
    let mut variables: Vec<String> =
        std::fs::read_to_string(done.stdout).unwrap().lines().map(str::to_owned).collect();
    variables.sort();
    assert_eq!(variables, ["GREETING=hello", "PATH=/usr/bin:/bin"]);
}

#[tokio::test]
async fn arguments_are_no_shell_words() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["--", "--help", "exec", "$HOME; `id` && 'x' *", "two\nlines", ""];
    let args = [&["<%s>\n"], &words[..]].concat().into_iter().map(str::to_owned).collect();
    let printf = ToolRun { program: "printf".into(), args, ..shell("") };
    let done = run(&tools(folder.path()), "k", &printf).await.unwrap();
    let expected = words.map(|word| format!("<{word}>\n")).concat();
    assert_eq!(std::fs::read_to_string(done.stdout).unwrap(), expected);
}

#[tokio::test]
async fn lines_arrive_while_it_runs_and_errors_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, go) = (Arc::new(Lines::default()), folder.path().join("go"));
    let script = format!(
        "echo one >&2; while [ ! -e {} ]; do sleep 0.02; done; printf 'no end' >&2; exit 1",
        go.display()
    );
    let (tools, cancel, run) = (tools(folder.path()), CancellationToken::new(), shell(&script));
    let watching = async {
        while lines.texts().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        std::fs::write(&go, "").unwrap();
    };
    let (done, ()) = tokio::join!(run_with(&tools, "k", &run, &lines, &cancel), watching);
    assert_eq!(lines.texts(), ["one", "no end"]);
    assert_eq!(done.unwrap().errors, ["one", "no end"]);
}

#[tokio::test]
async fn stdout_goes_to_the_log_only_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (tools, cancel) = (tools(folder.path()), CancellationToken::new());
    for (key, stdout_is_log, expected) in
        [("result", false, vec![]), ("log", true, vec![(Stream::Stdout, "out".to_owned())])]
    {
        let lines = Lines::default();
        let run = ToolRun { stdout_is_log, ..shell("echo out") };
        let done = run_with(&tools, key, &run, &lines, &cancel).await.unwrap();
        assert_eq!(std::fs::read_to_string(done.stdout).unwrap(), "out\n");
        assert_eq!(*lines.0.lock().unwrap(), expected);
    }
}

#[tokio::test]
async fn a_long_log_is_cut_and_says_so_and_the_tool_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut tools = tools(folder.path());
    tools.limits.log_bytes_max = 1_000;
    let (lines, cancel) = (Lines::default(), CancellationToken::new());
    let script = "i=0; while [ $i -lt 20000 ]; do echo 0123456789 >&2; i=$((i+1)); done; echo end";
    let done = run_with(&tools, "k", &shell(script), &lines, &cancel).await.unwrap();
    let note = "the log of this tool ends here: it reached 1000 bytes (log_bytes_max)";
    assert_eq!(lines.texts().last().unwrap(), note);
    assert_eq!(lines.texts().len(), 92);
    assert_eq!(std::fs::read_to_string(done.stdout).unwrap(), "end\n");
    let kept = std::fs::metadata(tools.run_folder("k").join("stderr")).unwrap().len();
    assert!(kept < 1_200, "{kept}");
}

#[tokio::test]
async fn a_result_that_is_too_large_is_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let mut tools = tools(folder.path());
    tools.limits.stdout_bytes_max = 100_000;
    let error = run(&tools, "k", &shell("yes")).await.unwrap_err();
    assert!(matches!(error, ToolError::TooMuchOutput { bytes_max: 100_000, .. }), "{error}");
    let exact = shell("head -c 100000 /dev/zero");
    let done = run(&tools, "exact", &exact).await.unwrap();
    assert_eq!(std::fs::metadata(done.stdout).unwrap().len(), 100_000);
    let above = shell("head -c 100001 /dev/zero");
    let error = run(&tools, "above", &above).await.unwrap_err();
    assert!(matches!(error, ToolError::TooMuchOutput { .. }), "{error}");
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let absent = ToolRun { program: "no-such-tool".into(), ..shell("") };
    let error = run(&tools(folder.path()), "k", &absent).await.unwrap_err().to_string();
    let expected = "`no-such-tool` was not found on the PATH (/usr/bin:/bin); install a shell";
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_tool_that_the_system_cannot_run_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "#!/no/such/interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&broken, mode).unwrap();
    let tools = tools(&folder.path().join("runs"));
    let absent = ToolRun { program: broken.to_string_lossy().into_owned(), ..shell("") };
    let error = run(&tools, "k", &absent).await.unwrap_err();
    assert!(
        matches!(&error, ToolError::Failed { why, .. } if why.contains("os error 2")),
        "{error}"
    );
    assert!(!tools.run_folder("k").join("result").exists());
}

#[tokio::test]
async fn a_tool_that_somebody_else_kills_did_not_end_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let tools = tools(folder.path());
    let error = run(&tools, "k", &shell("kill -9 $$")).await.unwrap_err();
    assert!(matches!(error, ToolError::Killed { signal: 9, .. }), "{error}");
    assert!(!run(&tools, "k", &shell("true")).await.unwrap().found);
}

#[tokio::test]
async fn cancel_ends_the_whole_group_and_leaves_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let tools = quick(folder.path());
    let pids = folder.path().join("pids");
    let script = format!("trap '' TERM; sleep 50 & echo $! > {}; sleep 50", pids.display());
    let (cancel, started) = (CancellationToken::new(), Instant::now());
    let ending = async {
        while !pids.exists() {
            assert!(started.elapsed() < Duration::from_secs(20), "the tool never started");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    };
    let (run, lines) = (shell(&script), Lines::default());
    let (done, ()) = tokio::join!(run_with(&tools, "k", &run, &lines, &cancel), ending);
    assert!(matches!(done, Err(ToolError::Cancelled { .. })), "{done:?}");
    assert!(started.elapsed() < Duration::from_secs(20));
    let pid = line_of(&pids);
    wait_for(|| !is_alive(&pid));
    assert!(!tools.run_folder("k").join("result").exists());
}

#[tokio::test]
async fn a_run_that_follows_one_that_did_not_end_by_itself_knows() {
    let folder = tempfile::tempdir().unwrap();
    let (tools, cancel) = (tools(folder.path()), CancellationToken::new());
    let Opened::Fresh(first) = tools.open("k", &cancel).await.unwrap() else { panic!("found") };
    assert!(!first.is_again());
    let killed = first.start(&shell("kill -9 $$"), &Lines::default(), &cancel).await;
    assert!(matches!(killed, Err(ToolError::Killed { .. })), "{killed:?}");
    let Opened::Fresh(second) = tools.open("k", &cancel).await.unwrap() else { panic!("found") };
    assert!(second.is_again());
}

#[tokio::test]
async fn what_is_cancelled_before_it_begins_does_not_begin() {
    let folder = tempfile::tempdir().unwrap();
    let (tools, ran) = (tools(folder.path()), folder.path().join("ran"));
    let script = shell(&format!("sleep 0.5; echo > {}", ran.display()));
    let lines = Lines::default();
    for key in 0..10 {
        let (key, cancel) = (format!("opened-{key}"), CancellationToken::new());
        let Opened::Fresh(fresh) = tools.open(&key, &cancel).await.unwrap() else {
            panic!("fresh")
        };
        cancel.cancel();
        let error = fresh.start(&script, &lines, &cancel).await.unwrap_err();
        assert!(matches!(error, ToolError::Cancelled { .. }), "{error}");
        let error = run_with(&tools, "not opened", &script, &lines, &cancel).await.unwrap_err();
        assert!(matches!(error, ToolError::Cancelled { .. }), "{error}");
    }
    assert!(!ran.exists());
}

#[tokio::test]
async fn a_tool_that_ends_well_when_asked_to_end_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (tools, up) = (tools(folder.path()), folder.path().join("up"));
    let script = format!(
        "trap 'echo done; exit 0' TERM; echo > {}; while :; do sleep 0.02; done",
        up.display()
    );
    let cancel = CancellationToken::new();
    let ending = async {
        while !up.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    };
    let (run_it, lines) = (shell(&script), Lines::default());
    let (done, ()) = tokio::join!(run_with(&tools, "k", &run_it, &lines, &cancel), ending);
    assert_eq!(std::fs::read_to_string(done.unwrap().stdout).unwrap(), "done\n");
    assert!(run(&tools, "k", &run_it).await.unwrap().found);
}

#[tokio::test]
async fn a_tool_that_takes_too_long_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let slow = ToolRun { timeout: Duration::from_millis(200), ..shell("sleep 50") };
    let error = run(&tools(folder.path()), "k", &slow).await.unwrap_err();
    assert!(matches!(error, ToolError::TimedOut { .. }), "{error}");
}

/// A daemon leaves its group and its session on purpose; it ends all the same.
#[tokio::test]
async fn what_left_the_group_ends_with_the_tool() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!(
        "setsid sh -c 'echo $$ > {}; exec sleep 300' >/dev/null 2>&1 & while [ ! -s {} ]; do sleep 0.02; done",
        pids.display(),
        pids.display()
    );
    let done = run(&tools(folder.path()), "k", &shell(&script)).await.unwrap();
    assert_eq!(done.code, 0);
    assert!(!is_alive(&line_of(&pids)));
}

#[tokio::test]
async fn a_run_that_is_held_is_waited_for_within_limits_and_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let mut tools = quick(folder.path());
    let cancel = CancellationToken::new();
    let Opened::Fresh(held) = tools.open("k", &cancel).await.unwrap() else { panic!("fresh") };
    tools.limits.takeover_grace = Duration::ZERO;
    let error = tools.open("k", &cancel).await.err().unwrap();
    assert!(matches!(error, ToolError::Busy { .. }), "{error}");
    tools.limits.takeover_grace = Duration::from_secs(60);
    let soon = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
    };
    let (cancelled, ()) = tokio::join!(tools.open("k", &cancel), soon);
    let error = cancelled.err().unwrap();
    assert!(matches!(error, ToolError::Cancelled { .. }), "{error}");
    drop(held);
    assert!(matches!(tools.open("k", &CancellationToken::new()).await, Ok(Opened::Fresh(_))));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = run(&tools(&file.join("runs")), "k", &shell("true")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("run folder cannot be taken"), "{text}");
}

#[tokio::test]
async fn a_guard_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut tools = tools(folder.path());
    tools.guard.program = "/no/such/guard".into();
    let error = run(&tools, "k", &shell("true")).await.unwrap_err().to_string();
    assert!(error.starts_with("failed to run `/no/such/guard (the guard)`"), "{error}");
}

fn quick(runs: &std::path::Path) -> Tools {
    let kill_grace = Duration::from_millis(300);
    let limits = Limits { finish_grace: kill_grace, kill_grace, ..Limits::default() };
    Tools { limits, ..tools(runs) }
}
