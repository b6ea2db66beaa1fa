use futures::future::join_all;
use serde_json::json;
use shared_model::{ExecutionId, Status};

use super::{append, history, load, store, unfinished};
use crate::conformance::Subject;
use crate::conformance::samples::{creation, head, id, instant, stage, step};
use crate::journal::{Append, Appended, Head, Journal, Kind, Line, Outlived, Query, Size, Version};

async fn remove(journal: &dyn Journal, all: &[(&str, Version)]) -> Vec<bool> {
    let all: Vec<_> = all.iter().map(|(name, version)| (id(name), *version)).collect();
    journal.remove(&all, instant(100)).await.expect("removing")
}

async fn removed(journal: &dyn Journal, until: i64, limit: u32) -> Vec<String> {
    let found = journal.removed(instant(until), limit).await.expect("reading notes");
    found.iter().map(ToString::to_string).collect()
}

async fn size(journal: &dyn Journal) -> Size {
    journal.size().await.expect("measuring")
}

fn ended(execution: &str) -> Append {
    Append { head: head(Status::Succeeded), ..creation(execution) }
}

pub(super) async fn nothing_is_left_of_what_was_removed(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    append(&*journal, vec![ended("e"), ended("f")]).await;
    assert_eq!(size(&*journal).await.executions, 2);
    assert!(size(&*journal).await.bytes > 0);
    assert_eq!(remove(&*journal, &[("e", 1)]).await, [true]);
    assert_eq!(journal.load(&id("e")).await.expect("loading"), None);
    assert_eq!(history(&*journal, "e").await, []);
    assert!(journal.bodies(&id("e"), &[]).await.is_err());
    let all = Query { limit: 10, ..Query::default() };
    let found = journal.search(&all).await.expect("searching");
    assert_eq!(found.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["f"]);
    assert_eq!(size(&*journal).await.executions, 1);
    assert_eq!(load(&*journal, "f").await.version, 1, "another is as it was");
    assert_eq!(history(&*journal, "f").await.len(), 1);
}

pub(super) async fn blobs_are_in_use_as_long_as_an_execution_refers_to_them(
    subject: Subject<dyn Journal>,
) {
    let journal = subject.port;
    let names = ["a", "b", "c", "d"].map(|digit| digit.repeat(64));
    let text = |name: &str| json!(format!("capstan-blob:text:{name}:2000"));
    let in_use = async || {
        let found = journal.blobs_in_use(&names).await.expect("asking for blobs");
        names.iter().filter(|name| found.contains(*name)).map(|name| &name[..1]).collect::<String>()
    };
    let document = json!({ "trigger": { "artifacts": [{ "reference": text(&names[0]) }] } });
    let mut first = stage(0, "first");
    first.body.as_mut().expect("a body").outputs.insert("made".into(), text(&names[1]));
    let of = |id: &str| Append {
        document: Some(document.clone()),
        stages: vec![first.clone()],
        ..ended(id)
    };
    append(&*journal, vec![of("e"), of("f")]).await;
    assert_eq!(in_use().await, "ab");
    // Also what comes later, and what a row does not name any more as long as it is kept.
    let mut next = stage(0, "next");
    next.body.as_mut().expect("a body").context.insert("made".into(), text(&names[2]));
    let head = head(Status::Succeeded);
    store(&*journal, Append { stages: vec![next], head, ..step("e", 1) }).await;
    assert!(in_use().await.contains("abc"), "{}", in_use().await);
    assert_eq!(remove(&*journal, &[("f", 1)]).await, [true]);
    let found = in_use().await;
    assert!(found.contains('a') && found.contains('c'), "{found}");
    assert_eq!(remove(&*journal, &[("e", 2)]).await, [true]);
    assert_eq!(in_use().await, "");
}

pub(super) async fn only_what_has_ended_and_stands_so_is_removed(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    append(&*journal, vec![creation("running"), ended("again"), ended("ended")]).await;
    // It was begun again since somebody looked.
    store(&*journal, step("again", 1)).await;
    let asked = [("running", 1), ("again", 1), ("nobody", 1), ("ended", 2), ("ended", 1)];
    assert_eq!(remove(&*journal, &asked).await, [false, false, false, false, true]);
    assert_eq!(load(&*journal, "running").await.version, 1);
    assert_eq!(load(&*journal, "again").await.version, 2);
    assert_eq!(unfinished(&*journal, None, 10).await, ["again", "running"]);
    assert_eq!(remove(&*journal, &[]).await, [false; 0]);
    assert_eq!(removed(&*journal, 101, 10).await, ["ended"]);
}

pub(super) async fn what_was_removed_may_be_made_again(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    store(&*journal, ended("e")).await;
    assert_eq!(remove(&*journal, &[("e", 1)]).await, [true]);
    let late = append(&*journal, vec![step("e", 1)]).await;
    assert_eq!(late, [Appended::Conflict { found: 0 }], "what comes late makes nothing");
    store(&*journal, creation("e")).await;
    assert_eq!(load(&*journal, "e").await.stages.len(), 2);
    assert_eq!(history(&*journal, "e").await.len(), 1, "nothing of the old one");
}

pub(super) async fn what_was_removed_is_noted_until_that_is_taken_back(
    subject: Subject<dyn Journal>,
) {
    let journal = subject.port;
    append(&*journal, vec![ended("a"), ended("b"), ended("c")]).await;
    for (name, at) in [("b", 5), ("a", 7), ("c", 6)] {
        journal.remove(&[(id(name), 1)], instant(at)).await.expect("removing");
    }
    assert_eq!(removed(&*journal, 5, 10).await, [""; 0]);
    assert_eq!(removed(&*journal, 7, 10).await, ["b", "c"]);
    assert_eq!(removed(&*journal, 8, 2).await, ["b", "c"], "the oldest first");
    journal.cleared(&[id("b"), id("nobody")]).await.expect("taking back");
    assert_eq!(removed(&*journal, 8, 10).await, ["c", "a"]);
    journal.cleared(&[]).await.expect("taking back nothing");
}

pub(super) async fn of_several_who_remove_one_does(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let names: Vec<String> = (0..20).map(|number| format!("e{number:02}")).collect();
    append(&*journal, names.iter().map(|name| ended(name)).collect()).await;
    let mut all: Vec<(ExecutionId, Version)> = names.iter().map(|name| (id(name), 1)).collect();
    let forwards = all.clone();
    all.reverse();
    let answers = join_all((0..6).map(|number| {
        let some = if number % 2 == 0 { &all } else { &forwards };
        journal.remove(some, instant(1))
    }))
    .await;
    let count = |answer: &Vec<bool>| answer.iter().filter(|removed| **removed).count();
    let sum: usize = answers.iter().map(|answer| count(answer.as_ref().expect("removing"))).sum();
    assert_eq!(sum, 20, "each was removed once");
}

pub(super) async fn every_line_is_found_in_turn(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let of = |name: &str, kind, application: &str, pipeline: &str, config: Option<&str>| Append {
        head: Head {
            kind,
            application: application.to_owned(),
            name: pipeline.to_owned(),
            pipeline_config_id: config.map(str::to_owned),
            ..head(Status::Succeeded)
        },
        ..creation(name)
    };
    let (pipeline, task) = (Kind::Pipeline, Kind::Task);
    let all = vec![
        of("a", pipeline, "Shop", "release", Some("p1")),
        of("b", pipeline, "shop", "renamed", Some("p1")),
        of("c", pipeline, "shop", "release", None),
        of("d", pipeline, "bank", "release", None),
        of("e", task, "shop", "one thing", None),
        of("f", task, "Shop", "another", None),
        of("g", task, "zoo", "another", None),
    ];
    append(&*journal, all).await;
    let mut found = Vec::new();
    for kind in [pipeline, task] {
        let mut last = None;
        while let Some(line) = journal.next_line(kind, last.as_ref()).await.expect("a line") {
            assert_eq!(line.kind, kind);
            found.push((line.application.clone(), line.pipeline.clone().unwrap_or_default()));
            assert!(found.len() < 20, "it goes round and round: {found:?}");
            last = Some(line);
        }
    }
    found.sort();
    let expected =
        [("bank", "release"), ("shop", ""), ("shop", "p1"), ("shop", "release"), ("zoo", "")];
    let expected = expected.map(|(one, other)| (one.to_owned(), other.to_owned()));
    assert_eq!(found, expected);
}

pub(super) async fn the_newest_of_a_line_stay(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let at = |name: &str, seconds, status| Append {
        head: Head { build_time: instant(seconds), ..head(status) },
        ..creation(name)
    };
    let ended = Status::Succeeded;
    let mut all = vec![
        at("c", 3, Status::Terminal),
        at("a", 1, ended),
        at("running", 0, Status::Running),
        at("e", 5, ended),
        at("b", 2, Status::Canceled),
        at("d", 4, ended),
    ];
    let other = Head { pipeline_config_id: Some("p2".to_owned()), ..head(ended) };
    all.push(Append { head: Head { build_time: instant(0), ..other }, ..creation("other") });
    let task = Head { kind: Kind::Task, build_time: instant(0), ..head(ended) };
    all.push(Append { head: task.clone(), ..creation("task") });
    append(&*journal, all).await;
    let line = Line::of(&head(ended));
    let ask = async |line: &Line, kept, until, limit| {
        let outlived = Outlived { kept, until: instant(until), limit };
        let found = journal.outlived(line, &outlived).await.expect("looking for old ones");
        assert!(found.iter().all(|(_, version)| *version == 1));
        found.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ask(&line, 0, 100, 10).await, ["a", "b", "c", "d", "e"]);
    assert_eq!(ask(&line, 2, 100, 10).await, ["a", "b", "c"]);
    assert_eq!(ask(&line, 2, 100, 2).await, ["a", "b"]);
    assert_eq!(ask(&line, 2, 3, 10).await, ["a", "b"]);
    assert_eq!(ask(&line, 4, 3, 10).await, ["a"]);
    assert_eq!(ask(&line, 5, 100, 10).await, [""; 0]);
    assert_eq!(ask(&Line::of(&task), 0, 100, 10).await, ["task"]);
}
