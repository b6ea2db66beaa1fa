use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

/// Records something with every instrument.
fn touch_all() {
    let second = Duration::from_secs(1);
    let metrics = metrics();
    metrics.execution_started();
    metrics.executions_removed(1);
    metrics.store_size(1, 2, [3, 4, 5]);
    metrics.execution_finished("SUCCEEDED", second);
    metrics.at_hand(1, 2);
    metrics.stage_finished("wait", "SUCCEEDED", second);
    metrics.attempt_finished("bake", "succeeded", second);
    metrics.attempt_retried();
    metrics.attempt_taken_over();
    metrics.attempt_handed_over();
    metrics.turn(1, second);
    metrics.journal_appended(true, second);
    metrics.queue_ready("bake", 3);
    let asked = Asked { ready: 3, running: 1, oldest_wait: second, wanted: 1 };
    metrics.asked("bake", &asked);
    metrics.pool("default", 1, 2);
    metrics.slots(8, 1);
    metrics.heartbeat(true);
    metrics.blob_written(1);
    metrics.blob_read(1);
    metrics.http("GET", "/health", "2xx", second);
    metrics.spans_exported(1);
    metrics.spans_dropped(1);
    drop(metrics.stream());
}

/// Name, kind and labels of every family that is recorded.
fn recorded() -> BTreeSet<[String; 3]> {
    let labels = |family: &prometheus::proto::MetricFamily| {
        let pairs = family.get_metric().iter().flat_map(|metric| metric.get_label());
        let names: BTreeSet<String> = pairs.map(|pair| pair.name().to_owned()).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    };
    let kind = |family: &prometheus::proto::MetricFamily| {
        format!("{:?}", family.get_field_type()).to_lowercase()
    };
    let families = metrics().registry.gather();
    families.iter().map(|family| [family.name().to_owned(), kind(family), labels(family)]).collect()
}

/// The table of metrics in the README.
fn documented() -> BTreeSet<[String; 3]> {
    let rows = include_str!("../../README.md").lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let name = cells.next()?.trim().trim_end_matches('`');
        let is_ours = name.starts_with("capstan_") || name.starts_with("process_");
        let (kind, labels) = (cells.next()?.trim(), cells.next()?.replace('`', ""));
        is_ours.then(|| [name.to_owned(), kind.to_owned(), labels.trim().to_owned()])
    });
    rows.collect()
}

#[test]
fn every_metric_stands_in_the_table_as_it_is() {
    touch_all();
    assert_eq!(recorded(), documented());
}

#[test]
fn every_name_says_its_unit() {
    touch_all();
    for [name, kind, _] in recorded() {
        let is_base = name.ends_with("_seconds") || name.ends_with("_bytes");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        assert!(!name.contains("duration") || is_base, "{name}");
    }
}

#[test]
fn open_metrics_names_the_family_of_a_counter_and_ends() {
    touch_all();
    let text = metrics().open_metrics();
    assert!(text.contains("# TYPE capstan_executions_started counter\n"));
    assert!(text.contains("\ncapstan_executions_started_total "));
    assert!(text.ends_with("\n# EOF\n"));
}
