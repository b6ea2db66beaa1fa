//! Appends per second to the journal: with 1, 8 and 64 callers of one each, and in batches of 1, 16
//! and 256 of one caller. In SQLite; and in PostgreSQL, where `POSTGRES_URL` names an empty database
//! that may be written to.
//!
//! `cargo run -p shared-adapters --profile dist --example appends [FOLDER]`: the folder decides
//! which disk is measured; without one it is the system's folder for temporary files.
#![expect(clippy::print_stdout, reason = "prints what it measures")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use shared_adapters::{Config, Distributed, Embedded, Postgres, SystemClock, open};
use shared_model::{ExecutionId, Status};
use shared_ports::Clock;
use shared_ports::journal::{
    Append, Appended, Head, HistoryEntry, Journal, Kind, RunningMax, StageBody, StageRow,
};

/// How long each number of callers is measured, and how long it runs before that.
const MEASURED: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(1);
/// Appends per execution: about those of a pipeline of ten stages of one task.
const APPENDS: u64 = 30;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    println!("disk: {:.0} synced writes of 4 KiB per second", syncs_per_second(folder.path())?);
    let sqlite = measure("SQLite", &Config::embedded(folder.path().join("data"))).await?;
    if let Some(url) = std::env::var_os("POSTGRES_URL").and_then(|url| url.into_string().ok()) {
        let local = Embedded::new(folder.path().join("local"));
        let config = Config::Distributed(Distributed {
            store: Postgres::new(url),
            amqp: None,
            redis: None,
            blobs: None,
            local,
        });
        let postgres = measure("PostgreSQL", &config).await?;
        for ((what, sqlite), (_, postgres)) in sqlite.iter().zip(&postgres) {
            println!("{what}: PostgreSQL stores {:.2} times what SQLite does", postgres / sqlite);
        }
    }
    Ok(())
}

/// Appends per second of each way to append.
async fn measure(name: &str, config: &Config) -> anyhow::Result<Vec<(String, f64)>> {
    let (ports, guard) = open(config).await?;
    let mut found = Vec::new();
    for (callers, batch) in [(1, 1), (8, 1), (64, 1), (1, 16), (1, 256)] {
        let journal = &ports.journal;
        let all = (0..callers).map(|caller| append(Arc::clone(journal), batch, caller));
        let mut took = futures::future::try_join_all(all).await?.concat();
        took.sort_unstable();
        let per_second = took.len() as f64 * batch as f64 / MEASURED.as_secs_f64();
        let (median, slow) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        let what = format!("{callers:3} callers, batches of {batch:3}");
        println!(
            "{name:10} {what}: {per_second:7.0} appends per second, p50 {median:9.3?}, p99 {slow:9.3?}"
        );
        found.push((what, per_second));
    }
    guard.close().await?;
    Ok(found)
}

/// Appends one after the other, execution after execution; says how long each took.
async fn append(
    journal: Arc<dyn Journal>,
    batch: u64,
    caller: u64,
) -> anyhow::Result<Vec<Duration>> {
    let clock = SystemClock::default();
    let mut took = Vec::new();
    for number in 0u64.. {
        let name = |of: u64| format!("{}-{caller}-{number}-{of}", clock.new_id());
        let executions: Vec<_> = (0..batch).map(|of| ExecutionId::new(name(of))).collect();
        for expected in 0..APPENDS {
            let begun = clock.elapsed();
            let appends = executions.iter().map(|execution| step(execution, expected)).collect();
            let answers = journal.append(appends).await?;
            let stored = |answer: &Appended| *answer == Appended::Stored(expected + 1);
            anyhow::ensure!(answers.iter().all(stored), "{answers:?}");
            if begun >= WARM_UP {
                took.push(clock.elapsed() - begun);
            }
            if begun >= WARM_UP + MEASURED {
                return Ok(took);
            }
        }
    }
    Ok(took)
}

/// What an engine writes of one event: the head, one stage of ten with its body, a line of history.
fn step(execution: &ExecutionId, expected: u64) -> Append {
    let state = Bytes::from(vec![7; 60]);
    let mut body = StageBody::default();
    body.context.insert("waitTime".to_owned(), json!(expected));
    body.outputs.insert("text".to_owned(), json!("x".repeat(200)));
    let index = u32::try_from(expected % 10).unwrap_or_default();
    let stages = match expected {
        0 => (0..10).map(|index| StageRow { index, state: state.clone(), body: None }).collect(),
        _ => vec![StageRow { index, state: state.clone(), body: Some(body) }],
    };
    Append {
        execution: execution.clone(),
        expected,
        head: Head {
            kind: Kind::Pipeline,
            application: "shop".to_owned(),
            name: "release".to_owned(),
            pipeline_config_id: Some("pipeline-1".to_owned()),
            status: if expected + 1 == APPENDS { Status::Succeeded } else { Status::Running },
            build_time: Timestamp::UNIX_EPOCH,
            start_time: None,
            end_time: None,
            state: Bytes::from(vec![7; 200]),
        },
        document: (expected == 0).then(|| json!({"stages": ["x".repeat(2000)]})),
        stages,
        with: None,
        running_max: None,
        running_max_beyond: RunningMax::default(),
        history: vec![HistoryEntry {
            at: Timestamp::UNIX_EPOCH,
            stage: Some(index.to_string()),
            kind: "task-finished".to_owned(),
            text: "the task succeeded".to_owned(),
        }],
    }
}

/// What the disk gives to one who syncs every write: the most that a single caller can have.
fn syncs_per_second(folder: &Path) -> anyhow::Result<f64> {
    use std::io::Write;
    let mut file = std::fs::File::create(folder.join("probe"))?;
    let clock = SystemClock::default();
    let mut count = 0;
    while clock.elapsed() < Duration::from_secs(1) {
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / clock.elapsed().as_secs_f64())
}
