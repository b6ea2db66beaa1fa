//! Metrics over HTTP: what they say is true, and there are no more of them after more executions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::exposition::{Family, Series, read};
use super::scene::{Scene, ended, pipeline, quick, start};
use crate::dev::Dev;
use crate::http;
use crate::process::wait_for;

/// Executions of one round.
const ROUND: usize = 25;

fn scrape(dev: &Dev) -> BTreeMap<String, Family> {
    let (status, head, body) = ask(dev, "");
    assert_eq!(status, 200, "{body}");
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    read(&body)
}

fn ask(dev: &Dev, headers: &str) -> (u16, String, String) {
    http::send_with(&dev.address, "GET", "/metrics", headers, "").unwrap()
}

/// The sum over all series of a name that have these labels.
fn value(metrics: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |(series, found): &&Series| {
        let has = |label: &(&str, &str)| {
            found.iter().any(|(key, value)| (key.as_str(), value.as_str()) == *label)
        };
        *series == name && labels.iter().all(has)
    };
    let all = metrics.values().flat_map(|family| &family.series);
    all.filter(|(series, _)| has(series)).map(|(_, value)| value).sum()
}

/// Executions with names that occur once, and one helm.
fn use_it(dev: &Dev, round: usize) {
    let quick = (0..ROUND).map(|n| start(dev, "", &quick(&format!("app{round}x{n}"))));
    let ids: Vec<String> = quick.chain([start(dev, "", &pipeline("release"))]).collect();
    for id in &ids {
        assert_eq!(ended(dev, id)["status"], "SUCCEEDED");
    }
    for path in ["/nowhere", &format!("/made-up/{round}"), "/health"] {
        dev.send("GET", path, &serde_json::Value::Null).unwrap();
    }
}

#[test]
fn metrics_are_true_and_bounded() {
    let scene = Scene::new();
    let dev = scene.start(&[], &[]);
    use_it(&dev, 1);
    scrape(&dev);
    let before = scrape(&dev);
    use_it(&dev, 2);
    let after = wait_for("free slots", || {
        let metrics = scrape(&dev);
        (value(&metrics, "capstan_worker_slots_used", &[]) == 0.0).then_some(metrics)
    });
    let keys = |metrics: &BTreeMap<String, Family>| -> BTreeSet<Series> {
        metrics.values().flat_map(|family| family.series.keys().cloned()).collect()
    };
    assert_eq!(keys(&before), keys(&after), "more executions made more series");
    println!("{} series after {} executions", keys(&after).len(), 2 * (ROUND + 1));

    let all = (2 * (ROUND + 1)) as f64;
    let count = |name: &str, labels: &[(&str, &str)]| value(&after, name, labels);
    assert_eq!(count("capstan_executions_started_total", &[]), all);
    let done = ("status", "SUCCEEDED");
    assert_eq!(count("capstan_execution_duration_seconds_count", &[done]), all);
    assert_eq!(count("capstan_executions_unfinished", &[]), 0.0);
    let waits = [("stage_type", "wait"), done];
    assert_eq!(count("capstan_stage_duration_seconds_count", &waits), 2.0);
    let baked = [("capability", "bake.helm"), ("outcome", "succeeded")];
    assert_eq!(count("capstan_attempt_duration_seconds_count", &baked), 2.0);
    let starts = [("method", "POST"), ("route", "/pipelines/start"), ("status_class", "2xx")];
    assert_eq!(count("capstan_http_request_duration_seconds_count", &starts), all);
    let lost = [("route", "none"), ("status_class", "4xx")];
    assert_eq!(count("capstan_http_request_duration_seconds_count", &lost), 4.0);
    assert_eq!(count("capstan_queue_ready", &[("capability", "bake.helm")]), 0.0);
    assert_eq!(count("capstan_worker_slots", &[]), 8.0);
    for name in [
        "capstan_journal_append_duration_seconds_count",
        "capstan_scheduler_turn_duration_seconds_count",
        "capstan_worker_heartbeats_total",
        "capstan_blob_written_bytes_total",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(count(name, &[]) > 0.0, "{name}");
    }
}

#[test]
fn a_scrape_is_quick_and_comes_as_open_metrics_too() {
    let scene = Scene::new();
    let dev = scene.start(&[], &[]);
    use_it(&dev, 1);
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        scrape(&dev);
        took.push(began.elapsed());
    }
    took.sort();
    println!("a scrape takes {:?}, reading it strictly included", took[took.len() / 2]);
    let (_, head, body) = ask(&dev, "Accept: application/openmetrics-text; version=1.0.0\r\n");
    assert!(head.to_lowercase().contains("application/openmetrics-text"), "{head}");
    assert!(body.ends_with("\n# EOF\n"), "{body}");
}
