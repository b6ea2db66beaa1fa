//! Secrets by reference: read on the worker that uses them, and nowhere to be found after that.

use std::path::Path;

use serde_json::json;
use shared_testkit::http_server::{HttpServer, Reply};

use crate::ended::run;
use crate::file::file;
use crate::role::command;
use crate::server::Server;

const TOKEN: &str = "t0ken-of-the-target-1234567890";
const REFERENCE: &str = "secret://file/hook#token";

#[test]
fn a_secret_is_sent_and_nowhere_kept() {
    let server = Server::without_workers(Vec::new(), |settings, folder| {
        std::fs::create_dir_all(folder.join("secrets/hook")).unwrap();
        file(&folder.join("secrets/hook"), "token", &format!("{TOKEN}\n"));
        settings["worker"]["secrets"] = json!({ "folder": folder.join("secrets") });
    })
    .with_workers();
    // A target that tells whatever it was told.
    let target = HttpServer::start(|asked| {
        let said = asked.header("authorization").unwrap_or_default();
        Reply::json(200, &json!({ "said": said, "body": asked.body }))
    })
    .unwrap();
    server.save(&json!({
        "application": "shop", "name": "hook",
        "parameterConfig": [{ "name": "text" }],
        "stages": [{
            "refId": "1", "type": "webhook", "name": "Hook", "url": target.url("/hook"),
            "customHeaders": { "Authorization": format!("Bearer {REFERENCE}") },
            "payload": { "own": [REFERENCE], "made": "${parameters.text}" },
        }],
    }));
    let text = format!("text={REFERENCE}");
    let id = server.out(&["pipeline", "execute", "-a", "shop", "hook", "-p", &text]);
    let id = id.trim();
    server.run(&["execution", "watch", id]).expect(0, &["hook: SUCCEEDED"]);
    let asked = target.asked().remove(0);
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    // What somebody else sends must not choose which secret goes where.
    assert_eq!(asked.body, json!({ "own": [TOKEN], "made": REFERENCE }).to_string());
    let execution = server.out(&["execution", "get", id, "-o", "json"]);
    assert!(execution.contains(REFERENCE) && execution.contains("Bearer ***"), "{execution}");
    let logs = server.out(&["execution", "logs", id, "Hook"]);
    for (what, said) in [("the execution", &execution), ("its logs", &logs)] {
        assert!(!said.contains(TOKEN), "{what}: {said}");
    }
    found_nowhere(&server.folder.path().join("data"));
    let hex: String = TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect();
    let tables = server
        .scene
        .sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename");
    for table in tables.lines() {
        let rows = server.scene.sql(&format!("SELECT t::text FROM \"{table}\" t"));
        assert!(!rows.contains(TOKEN) && !rows.contains(&hex), "in the table {table}");
    }
}

/// In no file below a folder: neither what processes said, nor logs and blobs.
fn found_nowhere(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found_nowhere(&path);
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(TOKEN.len()).any(|some| some == TOKEN.as_bytes());
            assert!(!found, "{} has it", path.display());
        }
    }
}

#[test]
fn a_reference_that_no_worker_can_read_says_what_to_do() {
    let server = Server::start();
    let target = HttpServer::start(|_| Reply::text(200, "done")).unwrap();
    server.save(&json!({
        "application": "shop", "name": "hook",
        "stages": [{
            "refId": "1", "type": "webhook", "name": "Hook", "url": target.url("/hook"),
            "customHeaders": { "Authorization": REFERENCE },
        }],
    }));
    let id = server.out(&["pipeline", "execute", "-a", "shop", "hook"]);
    let watched = server.run(&["execution", "watch", id.trim()]);
    let parts = ["hook: TERMINAL", "customHeaders.Authorization", REFERENCE, "worker.secrets"];
    watched.expect(1, &parts);
    assert!(target.asked().is_empty());
    let settings = server.folder.path().join("data/settings.yaml");
    let mut worker = command("worker", &settings);
    worker.args(["--set", "worker.secrets.folder=/no/such/folder"]);
    run(&mut worker).expect(2, &["/no/such/folder", "worker.secrets.folder"]);
}
