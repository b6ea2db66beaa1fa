//! `capstan store`: a backup of a server that is in use, and what becomes of it after a crash.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "capstan/dev.rs"]
mod dev;
#[path = "capstan/ended.rs"]
mod ended;
#[path = "capstan/http.rs"]
mod http;
#[path = "capstan/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use dev::Dev;
use ended::{Ended, run};
use process::{capstan, wait_for};
use serde_json::{Value, json};
use shared_testkit::http_server::{Asked, HttpServer, Reply};

/// Executions that are begun before the backup, and as many while it is made.
const EXECUTIONS: usize = 25;

fn store(words: &[&str], file: &Path, data: &Path) -> Ended {
    run(capstan().arg("store").args(words).arg(file).arg("--data-dir").arg(data))
}

/// A webhook whose requests bear keys, then a judgment, then another webhook.
fn pipeline(target: &HttpServer) -> Value {
    let webhook = |reference: &str, after: &[&str]| {
        let url = target.url(&format!("/{reference}/${{execution.id}}"));
        json!({"refId": reference, "type": "webhook", "name": reference, "idempotent": true,
               "requisiteStageRefIds": after, "url": url})
    };
    json!({"application": "backups", "name": "p", "id": "p", "stages": [
        webhook("before", &[]),
        {"refId": "2", "type": "manualJudgment", "name": "ask", "requisiteStageRefIds": ["before"]},
        webhook("behind", &["2"]),
    ]})
}

fn start(dev: &Dev) -> String {
    let (status, answer) = dev.send("POST", "/pipelines/backups/p", &json!({})).unwrap();
    assert_eq!(status, 202, "{answer}");
    answer["ref"].as_str().unwrap().to_owned()
}

fn started(folder: &Path) -> Dev {
    Dev::start_with(folder, |command| {
        command.args(["--allow-url", "127.0.0.1"]);
    })
}

#[test]
fn a_backup_under_load_is_restored_and_everything_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("backup"));
    let target = HttpServer::start(|_| Reply::json(200, &json!({}))).unwrap();
    let dev = started(folder.path());
    let (status, answer) = dev.send("POST", "/pipelines", &pipeline(&target)).unwrap();
    assert_eq!(status, 200, "{answer}");
    let before: Vec<String> = (0..EXECUTIONS).map(|_| start(&dev)).collect();
    let meanwhile = Mutex::new(Vec::new());
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..EXECUTIONS {
                meanwhile.lock().unwrap().push(start(&dev));
            }
        });
        wait_for("some load", || (meanwhile.lock().unwrap().len() > 3).then_some(()));
        store(&["backup", "-o", "json"], &file, &data).expect(0, &[]);
    });
    println!("the backup under load took {:?}", began.elapsed());
    let checked = run(capstan().args(["store", "check", "-o", "json"]).arg(&file));
    checked.expect(0, &[]);
    let checked: Value = serde_json::from_str(&checked.out).unwrap();
    assert!(checked["executions"].as_u64().unwrap() >= EXECUTIONS as u64, "{checked}");
    run(capstan().args(["store", "check", "--data-dir"]).arg(&data)).expect(0, &[]);
    store(&["restore"], &file, &data).expect(2, &["is in use by process"]);

    // `kill -9`, and the disk is lost.
    dev.kill_after(Duration::ZERO).join().unwrap();
    drop(dev);
    store(&["restore"], &file, &data).expect(2, &["is not empty", "restore into a new"]);
    std::fs::remove_dir_all(&data).unwrap();
    store(&["restore"], &file, &data).expect(0, &[]);
    let dev = started(folder.path());
    assert!(dev.said().contains("executions of before go on"), "{}", dev.said());
    let known = dev.get("/executions?pipelineConfigIds=p&limit=1000");
    let known: BTreeSet<String> = known
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    for path in &before {
        assert!(known.contains(path.rsplit('/').next().unwrap()), "{path} was begun before");
    }
    println!("{} of {} executions are in it", known.len(), 2 * EXECUTIONS);
    let mut left: Vec<String> = known.iter().cloned().collect();
    wait_for("the end of every execution", || {
        left.retain(|id| {
            let found = dev.get(&format!("/pipelines/{id}"));
            if found["waitingFor"][0]["kind"] == "judgment" {
                let patch = format!("/pipelines/{id}/stages/2");
                dev.send("PATCH", &patch, &json!({"judgmentStatus": "continue"})).unwrap();
            }
            assert_ne!(found["status"], "TERMINAL", "{found:#}");
            found["endTime"].is_null()
        });
        left.is_empty().then_some(())
    });
    for id in &known {
        assert_eq!(dev.get(&format!("/pipelines/{id}"))["status"], "SUCCEEDED", "{id}");
        for stage in ["before", "behind"] {
            let path = format!("/{stage}/{id}");
            let asked = target.asked().into_iter().filter(|asked| asked.path == path);
            let key = |asked: Asked| asked.header("idempotency-key").map(str::to_owned);
            let keys: BTreeSet<Option<String>> = asked.map(key).collect();
            assert!(keys.len() == 1 && !keys.contains(&None), "{stage} {id}: {keys:?}");
        }
    }
}

#[test]
fn what_is_no_backup_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("backup"));
    store(&["backup"], &file, &data).expect(2, &["there is no store in data folder"]);
    assert!(!data.exists() && !file.exists());
    store(&["restore"], &file, &data).expect(2, &["backup", "No such file"]);
    std::fs::write(&file, "text").unwrap();
    store(&["restore"], &file, &data).expect(2, &["is no backup of capstan"]);
    run(capstan().args(["store", "check"]).arg(&file)).expect(2, &["is no backup of capstan"]);
    assert!(!data.exists(), "nothing was made");
    let dev = Dev::start(folder.path());
    store(&["backup"], &file, &data).expect(0, &[]);
    assert_eq!(dev.end("-TERM"), Some(0));
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let other = folder.path().join("other");
    store(&["restore"], &file, &other).expect(2, &["is damaged", "use another one"]);
    assert!(!other.exists(), "nothing was made");
}
