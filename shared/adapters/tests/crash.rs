//! A process that appends is killed, again and again, at moments chosen by chance; whatever it was
//! promised is there when the folder is opened again, and nothing half-done.
//!
//! The process is this test binary itself, told by an environment variable to run the one test
//! that appends, in that folder and without end.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and its child tells by printing"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use shared_adapters::{Config, SystemClock, open};
use shared_model::{ExecutionId, Status};
use shared_ports::documents::{Change, Changed};
use shared_ports::journal::{
    Append, Appended, Head, HistoryEntry, Kind, RunningMax, StageBody, StageRow,
};
use shared_ports::{Clock, LogName, Ports};

const FOLDER: &str = "CAPSTAN_TEST_APPEND_IN";
const KILLS: u64 = 60;
/// Appenders at once, each with an execution, a document and a log of its own.
const APPENDERS: usize = 8;
/// Appends of each appender when nobody kills it.
const APPENDS: u64 = 20;

#[tokio::test]
async fn appenders_are_promised_what_they_print() {
    match std::env::var_os(FOLDER) {
        // Killed sooner or later, by the test below.
        Some(folder) => append_from_all(folder, u64::MAX).await,
        None => {
            let folder = tempfile::tempdir().unwrap();
            append_from_all(folder.path().into(), APPENDS).await;
            let promised = (0..APPENDERS).map(|number| (number, APPENDS)).collect();
            check(folder.path(), &promised).await;
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut promised = BTreeMap::<usize, u64>::new();
    let mut acknowledged = 0;
    for round in 0..KILLS {
        let before = promised.values().sum::<u64>();
        run_and_kill(folder.path(), round, &mut promised).await;
        acknowledged += promised.values().sum::<u64>() - before;
        check(folder.path(), &promised).await;
    }
    assert!(acknowledged > KILLS * 10, "only {acknowledged} appends in {KILLS} rounds");
}

/// Lets a child append for a while chosen by the round, every fifth no longer than it takes to
/// start, and kills it. Everything that it printed was promised.
async fn run_and_kill(folder: &Path, round: u64, promised: &mut BTreeMap<usize, u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "appenders_are_promised_what_they_print", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let chance = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    if !round.is_multiple_of(5) {
        for line in lines.by_ref().take(usize::try_from(chance % 200).unwrap()) {
            note(&line.unwrap(), promised);
        }
    }
    SystemClock::default().sleep(Duration::from_micros(chance % 20_000)).await;
    kill(&mut child);
    for line in lines {
        note(&line.unwrap(), promised);
    }
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success(), "it ended before it was killed");
}

/// Remembers a line `promised <appender> <version>`; the test harness prints others.
fn note(line: &str, promised: &mut BTreeMap<usize, u64>) {
    let mut words = line.split_whitespace();
    if words.next() != Some("promised") {
        return;
    }
    let (appender, version) = (words.next().unwrap(), words.next().unwrap());
    promised.insert(appender.parse().unwrap(), version.parse().unwrap());
}

/// Looks for everything that was promised, and for anything that is not whole.
async fn check(folder: &Path, promised: &BTreeMap<usize, u64>) {
    let (ports, guard) = open(&Config::embedded(folder)).await.unwrap();
    for appender in 0..APPENDERS {
        let expected = promised.get(&appender).copied().unwrap_or(0);
        let Some(stored) = ports.journal.load(&id(appender)).await.unwrap() else {
            assert_eq!(expected, 0, "appender {appender} lost everything");
            continue;
        };
        let version = stored.version;
        // One more may have been stored without having been acknowledged.
        assert!(
            (expected..=expected + 1).contains(&version),
            "{expected} promised, {version} kept"
        );
        assert_eq!(stored.head.state, state(version));
        assert_eq!(stored.stages, [state(version), state(version)]);
        let bodies = ports.journal.bodies(&id(appender), &[]).await.unwrap();
        assert_eq!(bodies, [body(version), body(version)]);
        let history = ports.journal.history(&id(appender), 0, u32::MAX).await.unwrap();
        assert_eq!(history.len() as u64, version);
        let document = ports.documents.get("pipeline", &appender.to_string()).await.unwrap();
        let document = document.map_or(0, |document| document.version);
        assert!((expected..=version).contains(&document), "document {document} of {version}");
        let log = ports.blobs.read(&log(appender), 0, usize::MAX).await.unwrap();
        let lines = String::from_utf8(log.to_vec()).unwrap();
        let whole: String = (1..=lines.lines().count() as u64).map(line).collect();
        assert_eq!(lines, whole, "lines that are whole, in order, once each");
        assert!((expected..=version).contains(&(lines.lines().count() as u64)));
    }
    guard.close().await.unwrap();
    check_integrity(folder).await;
}

async fn check_integrity(folder: &Path) {
    use sqlx::{ConnectOptions, Row};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.join("capstan.db"));
    let mut connection = options.connect().await.unwrap();
    for pragma in ["PRAGMA integrity_check", "PRAGMA foreign_key_check"] {
        let rows = sqlx::query(pragma).fetch_all(&mut connection).await.unwrap();
        let said: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(said.iter().all(|line| line == "ok"), "{pragma}: {said:?}");
    }
}

async fn append_from_all(folder: OsString, appends: u64) {
    let (ports, guard) = open(&Config::embedded(folder)).await.unwrap();
    let ports = Arc::new(ports);
    let appenders = (0..APPENDERS).map(|number| append_from(Arc::clone(&ports), number, appends));
    futures::future::join_all(appenders).await;
    guard.close().await.unwrap();
}

/// Appends to journal, documents and log, and prints what all three acknowledged. Goes on where
/// the one before was killed.
async fn append_from(ports: Arc<Ports>, appender: usize, appends: u64) {
    let stored = ports.journal.load(&id(appender)).await.unwrap();
    let first = stored.map_or(0, |stored| stored.version);
    catch_up(&ports, appender, first).await;
    if first > 0 {
        println!("promised {appender} {first}");
    }
    for expected in (first..).take(usize::try_from(appends).unwrap_or(usize::MAX)) {
        let answer = ports.journal.append(vec![append(appender, expected)]).await.unwrap();
        assert_eq!(answer, [Appended::Stored(expected + 1)]);
        catch_up(&ports, appender, expected + 1).await;
        println!("promised {appender} {}", expected + 1);
    }
}

/// Brings document and log to the journal's version.
async fn catch_up(ports: &Ports, appender: usize, version: u64) {
    let document = ports.documents.get("pipeline", &appender.to_string()).await.unwrap();
    for expected in document.map_or(0, |document| document.version)..version {
        let changed = ports.documents.change(change(appender, expected)).await.unwrap();
        assert_eq!(changed, Changed::Stored(expected + 1));
    }
    let read = ports.blobs.read(&log(appender), 0, usize::MAX).await.unwrap();
    let lines = read.iter().filter(|byte| **byte == b'\n').count() as u64;
    for number in lines + 1..=version {
        ports.blobs.append(&log(appender), Bytes::from(line(number))).await.unwrap();
    }
}

fn append(appender: usize, expected: u64) -> Append {
    let version = expected + 1;
    let stage = |index| StageRow { index, state: state(version), body: Some(body(version)) };
    Append {
        execution: id(appender),
        expected,
        head: Head {
            kind: Kind::Pipeline,
            application: "shop".to_owned(),
            name: "release".to_owned(),
            pipeline_config_id: None,
            status: Status::Running,
            build_time: Timestamp::UNIX_EPOCH,
            start_time: None,
            end_time: None,
            state: state(version),
        },
        document: Some(json!({ "version": version })),
        stages: vec![stage(0), stage(1)],
        with: None,
        running_max: None,
        running_max_beyond: RunningMax::default(),
        history: vec![HistoryEntry {
            at: Timestamp::UNIX_EPOCH,
            stage: None,
            kind: "appended".to_owned(),
            text: version.to_string(),
        }],
    }
}

fn change(appender: usize, expected: u64) -> Change {
    Change {
        kind: "pipeline".to_owned(),
        id: appender.to_string(),
        expected,
        body: Some(json!({ "version": expected + 1 })),
        by: "someone".to_owned(),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn id(appender: usize) -> ExecutionId {
    ExecutionId::new(format!("execution-{appender}"))
}

fn log(appender: usize) -> LogName {
    LogName { execution: format!("execution-{appender}"), stage: "1".to_owned() }
}

fn state(version: u64) -> Bytes {
    Bytes::from(format!("state of version {version}").repeat(10))
}

fn body(version: u64) -> StageBody {
    let mut body = StageBody::default();
    body.context.insert("version".to_owned(), json!(version));
    body.outputs.insert("text".to_owned(), json!("x".repeat(500)));
    body
}

fn line(number: u64) -> String {
    format!("line {number} {}\n", "-".repeat(100))
}
