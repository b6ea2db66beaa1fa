use shared_model::{ExecutionId, Status};

use super::{append, store, unfinished};
use crate::PortError;
use crate::conformance::Subject;
use crate::conformance::samples::{Chance, creation, head, id, instant, step};
use crate::journal::{Append, Head, Journal, Kind, Query};

const STATUSES: [Status; 4] =
    [Status::Running, Status::Succeeded, Status::Terminal, Status::NotStarted];

pub(super) async fn unfinished_executions_are_listed_by_id(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let batch = ["c", "a", "b", "B", "d:1", "d-1"].map(creation);
    append(&*journal, batch.to_vec()).await;
    let all = ["B", "a", "b", "c", "d-1", "d:1"];
    assert_eq!(unfinished(&*journal, None, 10).await, all);
    assert_eq!(unfinished(&*journal, None, 2).await, all[..2]);
    assert_eq!(unfinished(&*journal, Some("a"), 2).await, all[2..4]);
    assert_eq!(unfinished(&*journal, Some("bb"), 10).await, all[3..]);
    assert_eq!(unfinished(&*journal, Some("d:1"), 10).await, [""; 0]);
}

pub(super) async fn unfinished_goes_by_status(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let all = [
        Status::NotStarted,
        Status::Running,
        Status::Paused,
        Status::Suspended,
        Status::Succeeded,
        Status::FailedContinue,
        Status::Terminal,
        Status::Canceled,
        Status::Redirect,
        Status::Stopped,
        Status::Skipped,
        Status::Buffered,
    ];
    for status in all {
        let one = Append { head: head(status), ..creation(status.name()) };
        store(&*journal, one).await;
    }
    let mut expected: Vec<&str> =
        all.iter().filter(|status| !status.is_complete()).map(|status| status.name()).collect();
    expected.sort_unstable();
    assert_eq!(unfinished(&*journal, None, 100).await, expected);
    // Ended and begun again.
    let moved = [(1, Status::Succeeded, false), (2, Status::Running, true)];
    for (version, status, is_listed) in moved {
        store(&*journal, Append { head: head(status), ..step("RUNNING", version) }).await;
        let listed = unfinished(&*journal, None, 100).await;
        assert_eq!(listed.contains(&"RUNNING".to_owned()), is_listed, "{status}");
    }
}

pub(super) async fn a_search_finds_what_its_query_says(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let stored = fill(&*journal).await;
    let (first, last) = (instant(2), instant(5));
    let text = |text: &str| Some(text.to_owned());
    let pipelines = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let all = Query { limit: 1000, ..Query::default() };
    let shop = Query { kind: Some(Kind::Pipeline), application: text("shop"), ..all.clone() };
    let queries = [
        all.clone(),
        Query { limit: 0, ..Query::default() },
        Query { application: text("shop"), ..all.clone() },
        Query { application: text("ÉTÉ"), ..all.clone() },
        Query { application: text("sho"), ..all.clone() },
        Query { name: text("release"), ..all.clone() },
        Query { name: text("Release"), ..all.clone() },
        Query { pipeline_config_ids: pipelines(&["p1"]), ..all.clone() },
        Query { pipeline_config_ids: pipelines(&["p0", "p2", "unknown"]), ..all.clone() },
        Query { statuses: vec![Status::Running], ..all.clone() },
        Query { statuses: vec![Status::Terminal, Status::Succeeded], ..all.clone() },
        Query { from: Some(first), ..all.clone() },
        Query { until: Some(last), ..all.clone() },
        Query { from: Some(first), until: Some(last), ..all.clone() },
        Query { from: Some(last), until: Some(first), ..all.clone() },
        Query { after: Some((instant(4), id("e17"))), ..all.clone() },
        Query { after: Some((instant(4), id("e17"))), oldest_first: true, ..all.clone() },
        Query { oldest_first: true, limit: 5, ..Query::default() },
        Query { kind: Some(Kind::Task), ..all.clone() },
        Query { kind: Some(Kind::Pipeline), ..all.clone() },
        Query { ids: vec![id("e3"), id("e50"), id("unknown")], ..all.clone() },
        Query { ids: vec![id("e3")], application: text("other"), ..all.clone() },
        Query { pipeline_config_ids: pipelines(&["p2", "p1"]), limit: 4, ..Query::default() },
        Query { statuses: vec![Status::Running, Status::Terminal], limit: 6, ..Query::default() },
        Query { of_each: Some(2), ..shop.clone() },
        Query {
            of_each: Some(1),
            statuses: vec![Status::Running, Status::Terminal],
            ..shop.clone()
        },
        Query { of_each: Some(2), after: Some((instant(4), id("e17"))), ..shop.clone() },
        Query { of_each: Some(3), oldest_first: true, limit: 4, ..shop.clone() },
        Query { of_each: Some(0), ..shop },
        Query {
            ids: Vec::new(),
            kind: Some(Kind::Pipeline),
            oldest_first: false,
            of_each: None,
            application: text("SHOP"),
            pipeline_config_ids: pipelines(&["p0", "p1"]),
            name: text("release"),
            statuses: vec![Status::Running, Status::NotStarted],
            from: Some(instant(1)),
            until: Some(instant(6)),
            after: Some((instant(5), id("e50"))),
            limit: 3,
        },
    ];
    for query in queries {
        let found = journal.search(&query).await.expect("searching");
        assert_eq!(found, wanted(&stored, &query), "{query:?}");
    }
}

pub(super) async fn some_of_each_pipeline_are_asked_for_by_application(
    subject: Subject<dyn Journal>,
) {
    let journal = subject.port;
    store(&*journal, creation("e")).await;
    let each = Query { of_each: Some(1), limit: 10, ..Query::default() };
    let (kind, application) = (Some(Kind::Pipeline), Some("shop".to_owned()));
    for query in
        [each.clone(), Query { kind, ..each.clone() }, Query { application, ..each.clone() }]
    {
        let answer = journal.search(&query).await;
        assert!(matches!(answer, Err(PortError::Refused { .. })), "{query:?}: {answer:?}");
    }
}

pub(super) async fn a_search_is_read_in_pages(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let stored = fill(&*journal).await;
    let mut query = Query { limit: 7, ..Query::default() };
    let mut read = Vec::new();
    // Sixty by seven are nine pages; the tenth is empty.
    for _ in 0..10 {
        let page = journal.search(&query).await.expect("searching");
        assert!(page.len() <= 7);
        query.after = page.last().map(|(last, head)| (head.build_time, last.clone()));
        read.extend(page);
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(read, wanted(&stored, &Query { limit: 1000, ..Query::default() }));
}

pub(super) async fn a_search_goes_by_what_was_stored_last(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    store(&*journal, creation("e")).await;
    let changed = Head {
        application: "Tea".to_owned(),
        name: "brew".to_owned(),
        pipeline_config_id: Some("p9".to_owned()),
        build_time: instant(99),
        end_time: Some(instant(100)),
        ..head(Status::Succeeded)
    };
    store(&*journal, Append { head: changed.clone(), ..step("e", 1) }).await;
    let all = Query { limit: 10, ..Query::default() };
    let before = [
        Query { application: Some("shop".to_owned()), ..all.clone() },
        Query { name: Some("release".to_owned()), ..all.clone() },
        Query { pipeline_config_ids: vec!["pipeline-1".to_owned()], ..all.clone() },
        Query { statuses: vec![Status::Running], ..all.clone() },
        Query { until: Some(instant(50)), ..all.clone() },
    ];
    for query in before {
        assert_eq!(journal.search(&query).await.expect("searching"), [], "{query:?}");
    }
    let after = [
        Query { application: Some("tea".to_owned()), ..all.clone() },
        Query { name: Some("brew".to_owned()), ..all.clone() },
        Query { pipeline_config_ids: vec!["p9".to_owned()], ..all.clone() },
        Query { statuses: vec![Status::Succeeded], ..all.clone() },
        Query { from: Some(instant(50)), ..all },
    ];
    for query in after {
        let found = journal.search(&query).await.expect("searching");
        assert_eq!(found, [(id("e"), changed.clone())], "{query:?}");
    }
}

/// Stores executions of every sort, several of the same instant.
async fn fill(journal: &dyn Journal) -> Vec<(ExecutionId, Head)> {
    let mut chance = Chance::new(3);
    let mut pick = |from: &[&str]| {
        let at = usize::try_from(chance.below(from.len() as u64)).unwrap_or_default();
        from[at].to_owned()
    };
    let mut stored = Vec::new();
    for number in 0..60 {
        let status = STATUSES[number % STATUSES.len()];
        let head = Head {
            application: pick(&["Shop", "shop", "SHOP", "shopping", "Été", "été"]),
            kind: if number % 7 == 0 { Kind::Task } else { Kind::Pipeline },
            name: pick(&["release", "Release", "roll back"]),
            pipeline_config_id: Some(pick(&["p0", "p1", "p2", ""])).filter(|id| !id.is_empty()),
            build_time: instant(pick(&["0", "2", "3", "4", "5", "6"]).parse().unwrap_or_default()),
            ..head(status)
        };
        let execution = format!("e{number}");
        store(journal, Append { head: head.clone(), ..creation(&execution) }).await;
        stored.push((id(&execution), head));
    }
    stored
}

/// What a query must find, by looking at everything.
fn wanted(stored: &[(ExecutionId, Head)], query: &Query) -> Vec<(ExecutionId, Head)> {
    let mut wanted: Vec<_> =
        stored.iter().filter(|(id, head)| is_wanted(id, head, query)).cloned().collect();
    wanted.sort_by(|(a_id, a), (b_id, b)| (b.build_time, b_id).cmp(&(a.build_time, a_id)));
    if query.oldest_first {
        wanted.reverse();
    }
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    wanted.retain(|(_, head)| {
        let pipeline = head.pipeline_config_id.clone().unwrap_or(head.name.clone());
        let count = counts.entry(pipeline).or_default();
        *count += 1;
        query.of_each.is_none_or(|most| *count <= most)
    });
    wanted.truncate(query.limit as usize);
    wanted
}

fn is_wanted(id: &ExecutionId, head: &Head, query: &Query) -> bool {
    let application = query.application.as_ref();
    let pipelines = &query.pipeline_config_ids;
    let is_beyond = |(time, after): &(_, ExecutionId)| match query.oldest_first {
        true => (head.build_time, id) > (*time, after),
        false => (head.build_time, id) < (*time, after),
    };
    (query.ids.is_empty() || query.ids.contains(id))
        && query.kind.is_none_or(|kind| kind == head.kind)
        && application.is_none_or(|name| name.to_lowercase() == head.application.to_lowercase())
        && (pipelines.is_empty()
            || head.pipeline_config_id.as_ref().is_some_and(|of| pipelines.contains(of)))
        && query.name.as_ref().is_none_or(|name| *name == head.name)
        && (query.statuses.is_empty() || query.statuses.contains(&head.status))
        && query.from.is_none_or(|from| head.build_time >= from)
        && query.until.is_none_or(|until| head.build_time < until)
        && query.after.as_ref().is_none_or(is_beyond)
}
