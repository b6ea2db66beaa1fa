//! Lists cost what they show, and show what they say.

use std::time::Instant;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use shared_model::Status;
use shared_ports::journal::{Append, Head, Kind, RunningMax, StageRow};

use super::*;

/// Executions that were run in the two applications which are compared.
const FEW: u32 = 100;
const MANY: u32 = 20_000;
/// Times that each list is asked for; the median counts.
const ROUNDS: usize = 15;
/// How much longer a list of many may take, on a machine that does other things beside.
const RATIO_MAX: f64 = 4.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_many_costs_what_one_of_few_does() {
    let scene = Scene::new().await;
    run_before(&scene, "few", FEW, |n| format!("p{}", n % 5)).await;
    run_before(&scene, "many", MANY, |n| format!("p{}", n % 5)).await;
    for path in [
        "/applications/APP/pipelines?expand=false&limit=5",
        "/applications/APP/pipelines?limit=2&statuses=RUNNING,SUSPENDED,PAUSED,NOT_STARTED",
        "/applications/APP/executions/search?size=20",
        "/applications/APP/executions/search?size=20&statuses=TERMINAL,CANCELED&reverse=true",
        "/applications/APP/executions/search?size=20&pipelineName=p3",
        "/executions?pipelineConfigIds=APP-p1&limit=20",
    ] {
        let few = median(&scene, &path.replace("APP", "few")).await;
        let many = median(&scene, &path.replace("APP", "many")).await;
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        println!("{path}: {few:.2?} of {FEW}, {many:.2?} of {MANY}: {ratio:.2} times");
        assert!(ratio < RATIO_MAX, "{path}: {few:?} of {FEW}, {many:?} of {MANY}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the machine's own clock")]
async fn median(scene: &Scene, path: &str) -> std::time::Duration {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let reply = scene.send("GET", path, "").await;
        times.push(began.elapsed());
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    times.sort();
    times[ROUNDS / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_ran_long_ago_is_listed_beside_a_busy_one() {
    let scene = Scene::new().await;
    run_before(&scene, "app", 3, |_| "seldom".to_owned()).await;
    run_before(&scene, "app", 700, |_| "often".to_owned()).await;
    let listed = scene.send("GET", "/applications/app/pipelines?limit=2&expand=false", "").await;
    let listed = listed.json();
    let names: Vec<_> =
        listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["often", "often", "seldom", "seldom"]);
    let path = "/applications/app/pipelines?pipelineNameFilter=SELD&limit=9";
    assert_eq!(scene.send("GET", path, "").await.json().as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_and_tasks_are_in_none() {
    let scene = Scene::new().await;
    run_before(&scene, "app", 25, |n| format!("p{n}")).await;
    let document = json!({"application": "app", "name": "task", "stages": []});
    let task = Start { document, is_orchestration: true, ..Start::default() };
    scene.scheduler.submit(task).await.unwrap();
    let names = async |query: &str| {
        let path = format!("/applications/app/executions/search?size=10&{query}");
        let page = scene.send("GET", &path, "").await.json();
        let names = page.as_array().unwrap().iter();
        names.map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (first, last) = (names("startIndex=0").await, names("startIndex=20").await);
    assert_eq!((first.len(), first[0].as_str(), first[9].as_str()), (10, "p24", "p15"));
    assert_eq!(last, ["p4", "p3", "p2", "p1", "p0"]);
    assert_eq!(names("reverse=true").await[..2], ["p0", "p1"]);
    assert_eq!(names("triggerTypes=manual&startIndex=24").await, ["p0"]);
    assert!(names("triggerTypes=cron").await.is_empty());
    let far = "/applications/app/executions/search?startIndex=4000000000&size=500";
    assert!(scene.send("GET", far, "").await.is_error(400, "invalid-request"));
    let far = format!("{far}&triggerTypes=cron");
    assert!(scene.send("GET", &far, "").await.is_error(400, "invalid-request"));
}

/// Executions that have ended, each later than the one before: as many rows as real ones.
async fn run_before(scene: &Scene, application: &str, count: u32, name: fn(u32) -> String) {
    let journal = &scene.scheduler.ports().journal;
    let stored = journal.load(&scene.id).await.unwrap().unwrap();
    let began = match application {
        "app" => scene.scheduler.ports().clock.now(),
        _ => Timestamp::UNIX_EPOCH,
    };
    for numbers in (0..count).collect::<Vec<_>>().chunks(500) {
        let batch = numbers.iter().map(|number| {
            let name = name(*number);
            let document = json!({
                "type": "PIPELINE", "application": application, "name": name,
                "id": format!("{application}-{name}-{number}"),
                "buildTime": 0, "authentication": {"user": "anonymous", "allowedAccounts": []},
                "trigger": {"type": "manual"}, "stages": stored.document["stages"],
            });
            let stage = |(index, state): (u32, &Bytes)| StageRow {
                index,
                state: state.clone(),
                body: Some(Default::default()),
            };
            Append {
                execution: ExecutionId::new(format!("{application}-{name}-{number}")),
                expected: 0,
                head: Head {
                    kind: Kind::Pipeline,
                    application: application.to_owned(),
                    pipeline_config_id: Some(format!("{application}-{name}")),
                    status: if number % 9 == 0 { Status::Terminal } else { Status::Succeeded },
                    build_time: began + SignedDuration::from_secs(i64::from(*number)),
                    start_time: Some(began),
                    end_time: Some(began),
                    state: stored.head.state.clone(),
                    name,
                },
                document: Some(document),
                stages: (0..).zip(&stored.stages).map(stage).collect(),
                with: None,
                running_max: None,
                running_max_beyond: RunningMax::default(),
                history: Vec::new(),
            }
        });
        journal.append(batch.collect()).await.unwrap();
    }
}
