use futures::future::join_all;
use serde_json::json;
use shared_model::Status;

use super::{append, bodies, history, is_refused, load, store, unfinished};
use crate::conformance::Subject;
use crate::conformance::samples::{awkward, body, creation, entry, head, id, stage, step};
use crate::journal::{Append, Appended, Head, Journal, Kind, RunningMax, Stored};

pub(super) async fn the_first_append_creates(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    assert_eq!(journal.load(&id("e")).await.expect("loading"), None);
    assert_eq!(store(&*journal, creation("e")).await, 1);
    assert_eq!(load(&*journal, "e").await.version, 1);
    assert_eq!(journal.load(&id("f")).await.expect("loading"), None);
}

pub(super) async fn everything_reads_back_as_it_was_stored(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    for (number, head) in [
        head(Status::Running),
        Head { pipeline_config_id: None, start_time: None, ..head(Status::NotStarted) },
    ]
    .into_iter()
    .enumerate()
    {
        let execution = format!("e{number}");
        store(&*journal, Append { head: head.clone(), ..creation(&execution) }).await;
        let created = creation(&execution);
        let expected = Stored {
            version: 1,
            head,
            document: awkward(),
            stages: created.stages.iter().map(|stage| stage.state.clone()).collect(),
        };
        let stored = load(&*journal, &execution).await;
        assert_eq!(stored, expected);
        assert_eq!(stored.document.to_string(), awkward().to_string(), "keys keep their order");
        let read = bodies(&*journal, &execution, &[]).await;
        assert_eq!(read, [body("first"), body("second")]);
        assert_eq!(history(&*journal, &execution).await, [(1, entry("created"))]);
    }
}

pub(super) async fn versions_count_up_from_one(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    store(&*journal, creation("e")).await;
    for version in 1..6 {
        assert_eq!(store(&*journal, step("e", version)).await, version + 1);
        let stored = load(&*journal, "e").await;
        assert_eq!((stored.version, stored.head), (version + 1, step("e", version).head));
    }
}

pub(super) async fn a_conflict_changes_nothing(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    store(&*journal, creation("e")).await;
    store(&*journal, step("e", 1)).await;
    let before = load(&*journal, "e").await;
    for expected in [0, 1, 3, 1000] {
        let changed = Append {
            expected,
            head: head(Status::Terminal),
            document: Some(json!("changed")),
            stages: vec![stage(0, "changed"), stage(2, "more")],
            history: vec![entry("changed")],
            ..creation("e")
        };
        assert_eq!(append(&*journal, vec![changed]).await, [Appended::Conflict { found: 2 }]);
    }
    assert_eq!(load(&*journal, "e").await, before);
    assert_eq!(bodies(&*journal, "e", &[]).await, [body("first"), body("second")]);
    assert_eq!(history(&*journal, "e").await, [(1, entry("created"))]);
    let none = append(&*journal, vec![step("unknown", 1)]).await;
    assert_eq!(none, [Appended::Conflict { found: 0 }]);
    assert_eq!(journal.load(&id("unknown")).await.expect("loading"), None);
}

pub(super) async fn creating_twice_is_a_conflict(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    store(&*journal, creation("e")).await;
    let again = append(&*journal, vec![creation("e")]).await;
    assert_eq!(again, [Appended::Conflict { found: 1 }]);
    assert_eq!(load(&*journal, "e").await.version, 1);
}

pub(super) async fn a_conflict_touches_no_other_of_the_batch(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    append(&*journal, vec![creation("a"), creation("b"), creation("c")]).await;
    let batch = vec![step("a", 1), step("b", 7), step("c", 1), creation("d"), creation("a")];
    let expected = [
        Appended::Stored(2),
        Appended::Conflict { found: 1 },
        Appended::Stored(2),
        Appended::Stored(1),
        Appended::Conflict { found: 2 },
    ];
    assert_eq!(append(&*journal, batch).await, expected);
    for (execution, version) in [("a", 2), ("b", 1), ("c", 2), ("d", 1)] {
        assert_eq!(load(&*journal, execution).await.version, version, "{execution}");
    }
}

pub(super) async fn what_is_stored_with_another_shares_its_conflict(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    append(&*journal, vec![creation("a"), creation("b")]).await;
    let with = |id: &str, parent: &str| Append {
        with: Some(crate::conformance::samples::id(parent)),
        ..creation(id)
    };
    // The parent, its child, and the child's child.
    let batch =
        vec![step("a", 7), with("aa", "a"), with("aaa", "aa"), step("b", 1), with("bb", "b")];
    let expected = [
        Appended::Conflict { found: 1 },
        Appended::Conflict { found: 0 },
        Appended::Conflict { found: 0 },
        Appended::Stored(2),
        Appended::Stored(1),
    ];
    assert_eq!(append(&*journal, batch).await, expected);
    assert_eq!(unfinished(&*journal, None, 10).await, ["a", "b", "bb"]);
    // Who is not in the batch is not in the way.
    assert_eq!(append(&*journal, vec![with("c", "a")]).await, [Appended::Stored(1)]);
}

pub(super) async fn there_is_room_for_so_many(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let waiting = |id: &str, pipeline: &str| Append {
        head: Head { pipeline_config_id: Some(pipeline.into()), ..head(Status::NotStarted) },
        ..creation(id)
    };
    let turn = |id: &str, pipeline: &str, expected, status| Append {
        head: Head { pipeline_config_id: Some(pipeline.into()), ..head(status) },
        running_max: Some(2),
        ..step(id, expected)
    };
    let start = |id: &str, pipeline: &str| turn(id, pipeline, 1, Status::Running);
    let all = ["a", "b", "c", "d"].map(|id| waiting(id, "p")).into_iter();
    append(&*journal, all.chain([waiting("x", "other")]).collect()).await;
    let batch = vec![start("a", "p"), start("b", "p"), start("c", "p"), start("x", "other")];
    let (stored, full) = (Appended::Stored(2), Appended::Conflict { found: 1 });
    assert_eq!(
        append(&*journal, batch).await,
        [stored.clone(), stored.clone(), full.clone(), stored.clone()]
    );
    assert_eq!(append(&*journal, vec![start("c", "p")]).await[0], full);
    // Who has room keeps it, paused or not, and goes on.
    let goes_on = vec![turn("a", "p", 2, Status::Paused), start("c", "p")];
    assert_eq!(append(&*journal, goes_on).await, [Appended::Stored(3), full.clone()]);
    // What ends makes room, also for what comes in the same transaction.
    let ends = vec![turn("b", "p", 2, Status::Succeeded), start("c", "p"), start("d", "p")];
    assert_eq!(append(&*journal, ends).await, [Appended::Stored(3), stored, full]);
    // Who asks for nothing is not kept.
    let free = Append { running_max: None, ..start("d", "p") };
    assert_eq!(append(&*journal, vec![free]).await, [Appended::Stored(2)]);
}

pub(super) async fn there_is_room_for_so_many_of_an_application_and_of_all(
    subject: Subject<dyn Journal>,
) {
    let journal = subject.port;
    let of = |application: &str, status| Head {
        application: application.into(),
        pipeline_config_id: None,
        ..head(status)
    };
    let beyond = RunningMax { of_application: Some(2), of_all: Some(3) };
    let start = |id: &str, application: &str| Append {
        head: of(application, Status::Running),
        running_max_beyond: beyond,
        ..step(id, 1)
    };
    let applications = [
        ("a", "shop"),
        ("b", "SHOP"),
        ("c", "Shop"),
        ("d", "bank"),
        ("e", "bank"),
        ("task", "shop"),
    ];
    let waiting = applications.map(|(id, application)| Append {
        head: of(application, Status::NotStarted),
        ..creation(id)
    });
    append(&*journal, waiting.into()).await;
    let (stored, full) = (Appended::Stored(2), Appended::Conflict { found: 1 });
    // A task takes no room, and needs none.
    let task = Head { kind: Kind::Task, ..of("shop", Status::Running) };
    let task = Append { head: task, ..start("task", "shop") };
    assert_eq!(append(&*journal, vec![task]).await, std::slice::from_ref(&stored));
    let batch =
        vec![start("a", "shop"), start("b", "SHOP"), start("c", "Shop"), start("d", "bank")];
    let answers = append(&*journal, batch).await;
    assert_eq!(answers, [stored.clone(), stored.clone(), full.clone(), stored.clone()]);
    let late = vec![start("e", "bank")];
    assert_eq!(
        append(&*journal, late.clone()).await,
        std::slice::from_ref(&full),
        "three of all run"
    );
    let ends = Append { head: of("shop", Status::Canceled), ..step("a", 2) };
    assert_eq!(append(&*journal, vec![ends]).await, [Appended::Stored(3)]);
    assert_eq!(append(&*journal, late).await, std::slice::from_ref(&stored));
    assert_eq!(append(&*journal, vec![start("c", "Shop")]).await, [full]);
    // Who asks for nothing is not kept, but counts.
    let free = Append { running_max_beyond: RunningMax::default(), ..start("c", "Shop") };
    assert_eq!(append(&*journal, vec![free]).await, [stored]);
}

pub(super) async fn of_several_at_once_so_many_get_room(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let ids: Vec<String> = (0..12).map(|number| format!("e{number}")).collect();
    let waiting = |id: &String| Append { head: head(Status::NotStarted), ..creation(id) };
    append(&*journal, ids.iter().map(waiting).collect()).await;
    let start = |id: &String| journal.append(vec![Append { running_max: Some(3), ..step(id, 1) }]);
    let answers = join_all(ids.iter().map(start)).await;
    let is_stored = |answer: &Result<Vec<Appended>, _>| {
        answer.as_ref().expect("appending") == &[Appended::Stored(2)]
    };
    assert_eq!(answers.iter().filter(|answer| is_stored(answer)).count(), 3);
    let ids: Vec<String> = (0..12).map(|number| format!("f{number}")).collect();
    append(&*journal, ids.iter().map(waiting).collect()).await;
    let beyond = RunningMax { of_application: None, of_all: Some(5) };
    let start =
        |id: &String| journal.append(vec![Append { running_max_beyond: beyond, ..step(id, 1) }]);
    let answers = join_all(ids.iter().map(start)).await;
    assert_eq!(answers.iter().filter(|answer| is_stored(answer)).count(), 2);
}

pub(super) async fn appends_to_one_execution_follow_each_other_in_a_batch(
    subject: Subject<dyn Journal>,
) {
    let journal = subject.port;
    let second = Append {
        stages: vec![stage(1, "changed"), stage(2, "third")],
        history: vec![entry("two"), entry("three")],
        ..step("e", 1)
    };
    let third =
        Append { history: vec![entry("four")], stages: vec![stage(2, "again")], ..step("e", 2) };
    let answers = append(&*journal, vec![creation("e"), second, step("e", 1), third.clone()]).await;
    let expected = [
        Appended::Stored(1),
        Appended::Stored(2),
        Appended::Conflict { found: 2 },
        Appended::Stored(3),
    ];
    assert_eq!(answers, expected);
    let stored = load(&*journal, "e").await;
    assert_eq!((stored.version, stored.head), (3, third.head));
    let read = bodies(&*journal, "e", &[]).await;
    assert_eq!(read, [body("first"), body("changed"), body("again")]);
    let texts = ["created", "two", "three", "four"];
    let numbered: Vec<_> = (1..).zip(texts.map(entry)).collect();
    assert_eq!(history(&*journal, "e").await, numbered);
}

pub(super) async fn of_several_at_once_one_is_stored(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    store(&*journal, creation("e")).await;
    for version in 1..6 {
        let appends = (0..12).map(|number| {
            let text = format!("by {number} after {version}");
            let one = Append { history: vec![entry(&text)], ..step("e", version) };
            journal.append(vec![one])
        });
        let answers = join_all(appends).await;
        let mut winners = Vec::new();
        for (number, answer) in answers.into_iter().enumerate() {
            match answer.expect("appending").as_slice() {
                [Appended::Stored(stored)] => winners.push((number, *stored)),
                [Appended::Conflict { found }] => assert_eq!(*found, version + 1),
                other => panic!("one append was answered by {other:?}"),
            }
        }
        let [(winner, stored)] = winners[..] else { panic!("stored: {winners:?}") };
        assert_eq!(stored, version + 1);
        let last = history(&*journal, "e").await.pop().expect("it has history").1;
        assert_eq!(last.text, format!("by {winner} after {version}"));
    }
}

pub(super) async fn many_at_once_are_all_stored_and_read(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let one = |number: usize| {
        let journal = &journal;
        async move {
            let execution = format!("e{number}");
            store(&**journal, creation(&execution)).await;
            for version in 1..8 {
                let changed = Append {
                    stages: vec![stage(1, &format!("{version}"))],
                    history: vec![entry("step")],
                    ..step(&execution, version)
                };
                assert_eq!(store(&**journal, changed).await, version + 1);
                assert_eq!(load(&**journal, &execution).await.version, version + 1);
                let read = bodies(&**journal, &execution, &[1]).await;
                assert_eq!(read, [body(&format!("{version}"))], "what is acknowledged is read");
            }
        }
    };
    join_all((0..70).map(one)).await;
    for number in 0..70 {
        assert_eq!(history(&*journal, &format!("e{number}")).await.len(), 8);
    }
}

pub(super) async fn what_could_not_be_loaded_is_refused_with_its_batch(
    subject: Subject<dyn Journal>,
) {
    let journal = subject.port;
    store(&*journal, creation("e")).await;
    let undocumented = Append { document: None, ..creation("f") };
    let gap = Append { stages: vec![stage(3, "there is no 2")], ..step("e", 1) };
    for refused in [undocumented, gap] {
        let answer = journal.append(vec![creation("g"), refused, step("e", 1)]).await;
        assert!(is_refused(&answer), "{answer:?}");
        assert_eq!(load(&*journal, "e").await.version, 1);
        for execution in ["f", "g"] {
            assert_eq!(journal.load(&id(execution)).await.expect("loading"), None);
        }
    }
    assert_eq!(store(&*journal, step("e", 1)).await, 2, "others are not held up by that");
}

pub(super) async fn an_empty_batch_is_answered(subject: Subject<dyn Journal>) {
    assert_eq!(append(&*subject.port, Vec::new()).await, []);
}
