//! Whether lists get slower with what was ever run: the same ones of two applications, over HTTP.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use scheduler::api::{self, ApiLimits};
use scheduler::{Config, Scheduler, Start};
use serde_json::{Value, json};
use shared_adapters::open;
use shared_adapters::{Distributed, Embedded, Postgres};
use shared_model::{ExecutionId, Status};
use shared_ports::Ports;
use shared_ports::journal::{Append, Head, Kind, RunningMax, StageRow, Stored};
use shared_runtime::Supervisor;
use tokio::net::TcpListener;

use crate::serve::http::Connection;

/// What is compared.
const LISTS: [(&str, &str); 6] = [
    ("newest of each pipeline", "/applications/APP/pipelines?expand=false&limit=5"),
    ("those that run", "/applications/APP/pipelines?limit=2&statuses=RUNNING,PAUSED,NOT_STARTED"),
    ("search", "/applications/APP/executions/search?size=20"),
    ("search by status", "/applications/APP/executions/search?size=10&statuses=TERMINAL,CANCELED"),
    ("search by name", "/applications/APP/executions/search?size=20&pipelineName=p3&reverse=true"),
    ("of a pipeline", "/executions?pipelineConfigIds=APP-p1&limit=20"),
];
/// Executions that are stored at once.
const BATCH: usize = 500;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// PostgreSQL; SQLite in the folder without it.
    pub store: Option<String>,
    /// Executions of one application.
    pub few: u32,
    /// Those of the other.
    pub many: u32,
    /// Times that each list is asked for.
    pub rounds: usize,
}

/// Measures: the median of each list of few and of many, in milliseconds, and how many times it is.
///
/// # Errors
/// What could not be started or stored, or an answer that is none.
pub async fn run(plan: &Plan, folder: &Path) -> Result<Value> {
    let config = match &plan.store {
        None => open::Config::embedded(folder),
        Some(url) => open::Config::Distributed(Distributed {
            store: Postgres::new(url),
            amqp: None,
            redis: None,
            blobs: None,
            local: Embedded::new(folder.to_owned()),
        }),
    };
    let (ports, guard) = open::open(&config).await?;
    let supervisor = Supervisor::new();
    let scheduler = Scheduler::start(Config::default(), ports, Vec::new(), &supervisor).await?;
    let sample = sample(&scheduler).await?;
    for (application, count) in [("few", plan.few), ("many", plan.many)] {
        fill(scheduler.ports(), &sample, application, count).await?;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = api::serve(scheduler, listener, ApiLimits::default(), &supervisor).await?;
    let rounds = plan.rounds.max(1);
    let measured = tokio::task::spawn_blocking(move || measure(&address.to_string(), rounds));
    let measured = measured.await?;
    supervisor.shut_down(Duration::from_secs(20)).await;
    guard.close().await?;
    measured
}

/// An execution that was begun, whose rows are those of the others.
async fn sample(scheduler: &Scheduler) -> Result<Stored> {
    let stages = json!([{"refId": "ask", "type": "manualJudgment", "name": "Ask"}]);
    let document = json!({"application": "sample", "name": "p", "stages": stages});
    let id = scheduler.submit(Start { document, ..Start::default() }).await?;
    let stored = scheduler.ports().journal.load(&id).await?;
    stored.context("what was submitted is not there")
}

async fn fill(ports: &Ports, sample: &Stored, application: &str, count: u32) -> Result<()> {
    let numbers: Vec<u32> = (0..count).collect();
    for some in numbers.chunks(BATCH) {
        let batch = some.iter().map(|number| ended(sample, application, *number));
        ports.journal.append(batch.collect()).await?;
    }
    Ok(())
}

fn ended(sample: &Stored, application: &str, number: u32) -> Append {
    let name = format!("p{}", number % 5);
    let id = format!("{application}-{number:07}");
    let mut document = sample.document.clone();
    document["id"] = id.clone().into();
    document["application"] = application.into();
    document["name"] = name.clone().into();
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number.into());
    let stage = |(index, state): (u32, &Bytes)| StageRow {
        index,
        state: state.clone(),
        body: Some(shared_ports::journal::StageBody::default()),
    };
    Append {
        execution: ExecutionId::new(id),
        expected: 0,
        head: Head {
            kind: Kind::Pipeline,
            application: application.to_owned(),
            pipeline_config_id: Some(format!("{application}-{name}")),
            name,
            status: if number.is_multiple_of(9) { Status::Terminal } else { Status::Succeeded },
            build_time: at,
            start_time: Some(at),
            end_time: Some(at),
            state: sample.head.state.clone(),
        },
        document: Some(document),
        stages: (0..).zip(&sample.stages).map(stage).collect(),
        history: Vec::new(),
        with: None,
        running_max: None,
        running_max_beyond: RunningMax::default(),
    }
}

fn measure(address: &str, rounds: usize) -> Result<Value> {
    let mut connection = Connection::open(address)?;
    let mut figures = serde_json::Map::new();
    for (name, path) in LISTS {
        let few = median(&mut connection, &path.replace("APP", "few"), rounds)?;
        let many = median(&mut connection, &path.replace("APP", "many"), rounds)?;
        let times = (many / few * 100.0).round() / 100.0;
        figures.insert(name.to_owned(), json!({"few, ms": few, "many, ms": many, "times": times}));
    }
    Ok(Value::Object(figures))
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the machine's own clock")]
fn median(connection: &mut Connection, path: &str, rounds: usize) -> Result<f64> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let began = Instant::now();
        let (status, body) = connection.send("GET", path, "")?;
        times.push(began.elapsed());
        ensure!(status == 200, "{path} answered {status}: {body}");
    }
    times.sort();
    Ok((times[rounds / 2].as_secs_f64() * 1e6).round() / 1e3)
}
