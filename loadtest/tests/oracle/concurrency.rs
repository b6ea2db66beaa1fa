//! Cases with several executions of one pipeline.

use std::sync::Arc;
use std::time::Duration;

use loadtest::sim::SimClock;
use scheduler::{Config, Scheduler, Start};
use serde_json::{Map, Value};
use shared_model::ExecutionId;
use shared_runtime::Supervisor;

use crate::case::{self, Case};
use crate::orca::{QUEUE_LEN_MAX, STOP_LIMIT, execution};

/// The fields of an execution that such a case is about.
const FIELDS: [&str; 6] = [
    "status",
    "canceledBy",
    "cancellationReason",
    "limitConcurrent",
    "keepWaitingPipelines",
    "maxConcurrentExecutions",
];

#[tokio::test(start_paused = true)]
async fn executions_of_one_pipeline_wait_for_each_other_as_orcas_do() {
    let cases = case::all().into_iter().filter(|case| case.category == "concurrency");
    let mut count = 0;
    for case in cases {
        let ports = shared_adapters::memory::ports(Arc::new(SimClock::begin()), QUEUE_LEN_MAX);
        let supervisor = Supervisor::new();
        let scheduler = Scheduler::start(Config::default(), ports, Vec::new(), &supervisor);
        play(&scheduler.await.unwrap(), &case).await;
        supervisor.shut_down(STOP_LIMIT).await;
        count += 1;
    }
    assert!(count > 0, "there is no such case");
    println!("{count} cases agree");
}

async fn play(scheduler: &Scheduler, case: &Case) {
    let mut ids: Vec<ExecutionId> = Vec::new();
    for step in &case.steps {
        if step.starts_with("POST /orchestrate (") {
            let start = Start { document: case.pipeline.clone(), ..Start::default() };
            ids.push(scheduler.submit(start).await.unwrap());
        } else if let Some(seconds) = step.strip_prefix("sleep ") {
            let seconds = seconds.trim_end_matches('s').trim().parse().unwrap();
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        } else if step.starts_with("PATCH skipRemainingWait") {
            expect(scheduler, case, "statuses_while_first_runs", &ids).await;
            skip(scheduler, &ids[0]).await;
        } else if step.starts_with("skip the wait of each further") {
            expect(scheduler, case, "statuses_after_first_ended", &ids).await;
            skip_all(scheduler, &ids).await;
        } else {
            assert!(step.starts_with("wait until execution is terminal"), "{step}");
            until(scheduler, &ids[0], "SUCCEEDED").await;
        }
    }
    for (number, id) in ids.iter().enumerate() {
        let wanted = &case.observed["executions"][format!("exec{}", number + 1)];
        let found = execution(scheduler, id).await;
        for field in FIELDS.into_iter().filter(|field| !wanted.is_null() || *field == "status") {
            assert_eq!(found[field], wanted[field], "{}: {field} of {found:#}", case.id);
        }
    }
}

async fn expect(scheduler: &Scheduler, case: &Case, when: &str, ids: &[ExecutionId]) {
    let mut found = Vec::new();
    for id in ids {
        let one = execution(scheduler, id).await;
        let waits = one["waitingFor"][0]["kind"] == "slot";
        assert_eq!(waits, one["status"] == "NOT_STARTED", "it says what it waits for: {one:#}");
        found.push(one["status"].clone());
    }
    assert_eq!(Value::Array(found), case.observed[when], "{}: {when}", case.id);
}

async fn skip(scheduler: &Scheduler, id: &ExecutionId) {
    let patch = Map::from_iter([("skipRemainingWait".to_owned(), true.into())]);
    scheduler.patch_stage(id, "1", patch, "").await.unwrap();
}

async fn skip_all(scheduler: &Scheduler, ids: &[ExecutionId]) {
    for id in ids {
        let found = execution(scheduler, id).await;
        if found["endTime"].is_null() {
            until(scheduler, id, "RUNNING").await;
            skip(scheduler, id).await;
            until(scheduler, id, "SUCCEEDED").await;
        }
    }
}

async fn until(scheduler: &Scheduler, id: &ExecutionId, status: &str) {
    let reached = async {
        while execution(scheduler, id).await["status"] != status {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3_600), reached).await.unwrap();
}
