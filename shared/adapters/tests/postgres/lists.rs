//! Lists cost what they show, however much was ever run: counted by the server, not guessed from
//! plans.

use jiff::Timestamp;
use shared_adapters::SystemClock;
use shared_model::Status;
use shared_ports::Clock;
use shared_ports::journal::{Kind, Outlived, Query};

use crate::scene::{Database, Store, id};

const EXECUTIONS: u64 = 30_000;

#[tokio::test]
async fn no_list_reads_more_than_it_shows() {
    let database = Database::new();
    Store::open(&database.url()).await.close().await;
    fill(&database);
    database.sql("SELECT pg_stat_reset()");
    let store = Store::open(&database.url()).await;
    let mut shown = 0;
    for query in lists() {
        let found = store.ports.journal.search(&query).await.unwrap();
        assert!(!found.is_empty(), "{query:?}");
        shown += found.len() as u64;
    }
    let unfinished = store.ports.journal.unfinished(Some(&id("e00100")), 10).await.unwrap();
    assert_eq!(unfinished.len(), 10);
    let listed = store.ports.documents.list("pipeline", "d12", None, 10).await.unwrap();
    assert_eq!(listed.len(), 10);
    store.ports.journal.load(&id("e00100")).await.unwrap().unwrap();
    store.ports.journal.bodies(&id("e00100"), &[0]).await.unwrap();
    assert_eq!(store.ports.journal.history(&id("e00100"), 0, 10).await.unwrap().len(), 1);
    assert_eq!(retained(&store).await, [10, 10]);
    // A session tells what it counted when it ends.
    store.close().await;
    let tables = database.sql(
        "SELECT relname || ' ' || seq_scan || ' ' || coalesce(idx_tup_fetch, 0) \
         FROM pg_stat_user_tables WHERE relname <> '_sqlx_migrations' ORDER BY relname",
    );
    let mut fetched_in_all = 0;
    for line in tables.lines() {
        let mut words = line.split(' ');
        let table = words.next().unwrap();
        let numbers: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
        let [scans, fetched] = numbers[..] else { panic!("{line}") };
        assert_eq!(scans, 0, "{table} was read from one end to the other: {tables}");
        fetched_in_all += fetched;
    }
    assert!(fetched_in_all >= shown, "nothing was counted: {tables}");
    // Lists of several pipelines or statuses read some of each.
    assert!(fetched_in_all < 5_000, "{shown} shown, and read: {tables}");
}

/// What retention asks: every line in turn, and what of the first is too old.
async fn retained(store: &Store) -> [usize; 2] {
    let journal = &store.ports.journal;
    let (mut lines, mut last) = (0, None);
    while let Some(line) = journal.next_line(Kind::Pipeline, last.as_ref()).await.unwrap() {
        lines += 1;
        last = Some(line);
    }
    assert_eq!(lines, 20);
    let until = Timestamp::from_second(20_000).unwrap();
    let outlived = Outlived { kept: 1_000, until, limit: 10 };
    let found = journal.outlived(&last.unwrap(), &outlived).await.unwrap();
    let removed = journal.removed(until, 10).await.unwrap();
    [found.len(), removed.len()]
}

/// Executions that were run in the two applications which are compared.
const FEW: u32 = 100;
const MANY: u32 = 100_000;
/// Times that each list is asked for; the median counts.
const ROUNDS: usize = 25;
/// How much longer a list of many may take, on a machine that does other things beside.
const RATIO_MAX: f64 = 4.0;

#[tokio::test]
async fn a_list_of_many_takes_what_one_of_few_does() {
    let database = Database::new();
    Store::open(&database.url()).await.close().await;
    for (application, count) in [("few", FEW), ("many", MANY)] {
        database.sql(&ended(application, count));
    }
    database.sql("ANALYZE");
    let store = Store::open(&database.url()).await;
    let size = store.ports.journal.size().await.unwrap();
    println!("{} executions, {} bytes", size.executions, size.bytes);
    for (what, query) in compared() {
        let few = median(&store, "few", &query).await;
        let many = median(&store, "many", &query).await;
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        println!("{what}: {few:.2?} of {FEW}, {many:.2?} of {MANY}: {ratio:.2} times");
        assert!(ratio < RATIO_MAX, "{what}: {few:?} of {FEW}, {many:?} of {MANY}");
    }
    store.close().await;
}

fn compared() -> Vec<(&'static str, Query)> {
    let all = Query { kind: Some(Kind::Pipeline), limit: 20, ..Query::default() };
    let ended = vec![Status::Terminal, Status::Succeeded];
    vec![
        ("the newest", all.clone()),
        ("the newest of each pipeline", Query { of_each: Some(5), ..all.clone() }),
        ("of two statuses", Query { statuses: ended, ..all.clone() }),
        ("the oldest of a name", Query { name: Some("p3".into()), oldest_first: true, ..all }),
    ]
}

async fn median(store: &Store, application: &str, query: &Query) -> std::time::Duration {
    let query = Query { application: Some(application.to_owned()), ..query.clone() };
    let clock = SystemClock::default();
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = clock.elapsed();
        let found = store.ports.journal.search(&query).await.unwrap();
        times.push(clock.elapsed() - began);
        assert!(found.len() >= 18, "{found:?}");
    }
    times.sort();
    times[ROUNDS / 2]
}

/// Executions of five pipelines of an application, all of which have ended.
fn ended(application: &str, count: u32) -> String {
    format!(
        "INSERT INTO execution SELECT '{application}' || lpad(n::text, 6, '0'), 1, 1, 1, 0, \
         '{application}', '{application}', 'p' || n % 5, '{application}-p' || n % 5, \
         CASE WHEN n % 9 = 0 THEN 'TERMINAL' ELSE 'SUCCEEDED' END, 1, n * 1000000000::bigint, \
         NULL, NULL, '\\x00' FROM generate_series(0, {last}) AS n",
        last = count - 1
    )
}

fn lists() -> Vec<Query> {
    let all = Query { kind: Some(Kind::Pipeline), limit: 10, ..Query::default() };
    let shop = Query { application: Some("Shop1".to_owned()), ..all.clone() };
    let pipelines = |ids: &[&str]| Query {
        pipeline_config_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..all.clone()
    };
    let after = Some((Timestamp::from_second(15_000).unwrap(), id("e15000")));
    let name = Some("release".to_owned());
    let (running, two) = (vec![Status::Running], vec![Status::Running, Status::Succeeded]);
    vec![
        all.clone(),
        Query { oldest_first: true, ..all.clone() },
        Query { kind: None, ..all.clone() },
        Query { after: after.clone(), ..all.clone() },
        Query { from: Some(Timestamp::UNIX_EPOCH), ..all.clone() },
        Query { ids: vec![id("e00007"), id("e20000")], ..all.clone() },
        shop.clone(),
        Query { kind: None, ..shop.clone() },
        Query { after: after.clone(), ..shop.clone() },
        Query { statuses: running.clone(), ..shop.clone() },
        Query { statuses: two.clone(), ..shop.clone() },
        Query { statuses: two.clone(), after, ..shop.clone() },
        Query { name: name.clone(), ..shop.clone() },
        Query { statuses: running.clone(), ..all.clone() },
        Query { statuses: two.clone(), ..all.clone() },
        Query { name, ..all.clone() },
        pipelines(&["p1"]),
        pipelines(&["p1", "p2"]),
        Query { kind: None, ..pipelines(&["p1"]) },
        Query { statuses: running, ..pipelines(&["p1"]) },
        Query { statuses: two.clone(), ..pipelines(&["p1", "p2"]) },
        Query { of_each: Some(2), ..shop.clone() },
        Query { of_each: Some(2), statuses: two, ..shop },
    ]
}

/// Executions of ten applications and twenty pipelines, one of a hundred still running.
fn fill(database: &Database) {
    let last = EXECUTIONS - 1;
    database.sql(&format!(
        "INSERT INTO execution SELECT 'e' || lpad(n::text, 5, '0'), 1, 1, 1, 0, 'Shop' || n % 10, \
         'shop' || n % 10, 'release', 'p' || n % 20, \
         CASE WHEN n % 100 IN (1, 2) THEN 'RUNNING' ELSE 'SUCCEEDED' END, \
         CASE WHEN n % 100 IN (1, 2) THEN 0 ELSE 1 END, n * 1000000000::bigint, NULL, NULL, '\\x00' \
         FROM generate_series(0, {last}) AS n; \
         INSERT INTO execution_document SELECT id, '{{}}' FROM execution; \
         INSERT INTO stage SELECT id, 0, '\\x00' FROM execution; \
         INSERT INTO stage_body SELECT id, 0, '{{}}' FROM execution; \
         INSERT INTO history SELECT id, 1, 0, NULL, 'k', 'm' FROM execution; \
         INSERT INTO removed SELECT 'gone' || n, n * 1000000000::bigint \
         FROM generate_series(0, {last}) AS n; \
         INSERT INTO document SELECT 'pipeline', 'd' || n, 1, '{{}}', 0, 'x' \
         FROM generate_series(0, {last}) AS n; \
         ANALYZE"
    ));
}
