//! What is followed, through a killed server and a user who leaves.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use crate::documents::{ask, bake};
use crate::ended::ended;
use crate::process::wait_for;
use crate::server::Server;

/// Starts a bake whose helm holds; its id.
fn holding(server: &Server) -> String {
    server.file("hold", "");
    server.save(&bake());
    server.out(&["pipeline", "execute", "-a", "shop", "bake"]).trim().to_owned()
}

/// A watch of a judgment that has been asked.
fn watch(server: &Server) -> (String, Child, Lines<BufReader<ChildStderr>>) {
    server.save(&ask());
    let id = server.out(&["pipeline", "execute", "-a", "shop", "ask"]).trim().to_owned();
    let mut command = server.command(&["execution", "watch", &id]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    until(&mut lines, "Really? began");
    until(&mut lines, "--continue");
    (id, child, lines)
}

/// Reads on until a line holds this.
fn until(lines: &mut Lines<impl BufRead>, part: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for line in lines {
        seen.push(line.unwrap());
        if seen.last().unwrap().contains(part) {
            return seen;
        }
    }
    panic!("`{part}` is missing in {seen:#?}");
}

#[test]
fn a_watch_outlives_the_server_and_repeats_nothing() {
    let mut server = Server::start();
    let (id, child, mut lines) = watch(&server);
    server.kill();
    until(&mut lines, "trying again");
    server.kill_and_start();
    server.out(&["execution", "judge", &id, "--continue"]);
    let after = until(&mut lines, "ask: SUCCEEDED");
    for gone in ["the execution began", "Really? began", "waits for a judgment"] {
        assert!(!after.iter().any(|line| line.contains(gone)), "{after:#?}");
    }
    assert_eq!(ended(child).code, Some(0));
}

#[test]
fn who_leaves_a_watch_leaves_the_execution_alone() {
    let server = Server::start();
    let (id, child, mut lines) = watch(&server);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    until(&mut lines, &format!("capstan execution cancel {id}"));
    assert_eq!(ended(child).code, Some(130));
    assert_eq!(server.json(&["execution", "get", &id])["status"], "RUNNING");
}

#[test]
fn logs_are_followed_while_they_are_written() {
    let server = Server::start();
    let id = holding(&server);
    let mut followers = [&["Bake"][..], &[]].map(|stage| {
        let mut command = server.command(&["execution", "logs", &id, "--follow"]);
        command.args(stage).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    });
    for (_, lines) in &mut followers {
        until(lines, "Z one");
    }
    std::fs::remove_file(server.folder.path().join("hold")).unwrap();
    for (child, mut lines) in followers {
        until(&mut lines, "Z two");
        assert_eq!(ended(child).code, Some(0));
    }
    server.run(&["execution", "watch", &id]).expect(0, &["bake: SUCCEEDED"]);
}

#[test]
fn a_cancel_reaches_a_running_tool_within_two_seconds() {
    let server = Server::start();
    let id = holding(&server);
    let log = || server.out(&["execution", "logs", &id]);
    wait_for("the tool", || log().contains("Z one").then_some(()));
    let began = Instant::now();
    server.run(&["execution", "cancel", &id]).expect(0, &["is being cancelled"]);
    server.run(&["execution", "watch", &id]).expect(1, &["bake: CANCELED"]);
    let ended = began.elapsed();
    println!("cancelled, and ended after {ended:?}");
    assert!(ended < Duration::from_secs(10), "{ended:?}");
    assert!(!log().contains("Z two"), "it was ended in the middle");
}
