//! What the chart tells Prometheus and Grafana.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use shared_testkit::env;

use crate::ended::run;
use crate::file::file;
use crate::helm::{EXTERNAL, OPERATED, chart, objects, of_kind};

/// What the chart's own rules record.
const RECORDED: &str = "capstan_pool_slot_demand";

/// The names of the table in the README of `shared/runtime`, which a test there holds against the code.
fn emitted() -> BTreeSet<String> {
    let table = std::fs::read_to_string(env::checkout().join("shared/runtime/README.md")).unwrap();
    let mut names = BTreeSet::new();
    for row in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_end_matches('`'));
        let (Some(name), Some(kind)) = (cells.next(), cells.next()) else { continue };
        names.insert(name.to_owned());
        if kind == "histogram" {
            names.extend(["_bucket", "_count", "_sum"].map(|end| format!("{name}{end}")));
        }
    }
    names
}

/// The names of ours in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words =
        text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let is_ours = |word: &&str| word.starts_with("capstan_") || word.starts_with("process_");
    words.filter(is_ours).map(str::to_owned).collect()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(chart().join(name)).unwrap()
}

#[test]
fn every_metric_that_is_asked_for_is_one_of_ours() {
    let emitted = emitted();
    assert!(emitted.contains("capstan_stage_duration_seconds_bucket"), "{emitted:?}");
    let operated = objects(&[], &[EXTERNAL, OPERATED].concat());
    let scaled = of_kind(&operated, "ScaledObject")[0].to_string();
    for text in [read("monitoring/alerts.yaml"), read("monitoring/dashboard.json"), scaled] {
        let named = named(&text);
        assert!(!named.is_empty());
        let unknown: Vec<_> = named.difference(&emitted).collect();
        assert!(unknown.is_empty(), "nothing emits {unknown:?}");
    }
    let adapter = named(&read("examples/prometheus-adapter.yaml"));
    assert_eq!(adapter, BTreeSet::from([RECORDED.to_owned()]));
}

#[test]
fn promtool_takes_the_rules() {
    let check = |path: &str| run(Command::new("promtool").args(["check", "rules", path]));
    check(chart().join("monitoring/alerts.yaml").to_str().unwrap()).expect(0, &[]);
    let operated = objects(&[], &[EXTERNAL, OPERATED].concat());
    let rule = &of_kind(&operated, "PrometheusRule")[0]["spec"];
    assert!(rule.to_string().contains(RECORDED), "{rule}");
    let folder = tempfile::tempdir().unwrap();
    let rendered = file(folder.path(), "rules.yaml", &rule.to_string());
    check(rendered.to_str().unwrap()).expect(0, &[]);
    // It would say so.
    let broken =
        json!({ "groups": [{ "name": "g", "rules": [{ "alert": "A", "expr": "sum(" }] }] });
    let broken = file(folder.path(), "broken.yaml", &broken.to_string());
    assert_ne!(check(broken.to_str().unwrap()).code, Some(0));
}

#[test]
fn the_demand_of_a_pool_is_what_waits_and_what_runs() {
    let operated = objects(&[], &[EXTERNAL, OPERATED].concat());
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "rules.yaml", &of_kind(&operated, "PrometheusRule")[0]["spec"].to_string());
    let series = |series: &str, values: &str| json!({ "series": series, "values": values });
    let ready = |pod: &str| {
        format!("capstan_queue_ready{{namespace=\"ns\",capability=\"c\",pod=\"{pod}\"}}")
    };
    let used = |pod: &str| format!("capstan_worker_slots_used{{namespace=\"ns\",pod=\"{pod}\"}}");
    let result = format!("{RECORDED}{{namespace=\"ns\",pool=\"general\"}}");
    let test = json!({
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": [
                // Both schedulers tell of the same queue.
                series(&ready("s-1"), "0 10"), series(&ready("s-2"), "0 10"),
                series(&used("r-capstan-worker-general-5d9c-a"), "0 3"),
                series(&used("r-capstan-worker-general-5d9c-b"), "0 4"),
                series(&used("other"), "0 100"),
                // Of a pool whose name begins like that of this one.
                series(&used("r-capstan-worker-general-large-5d9c-a"), "0 100"),
            ],
            "promql_expr_test": [
                { "expr": RECORDED, "eval_time": "1m", "exp_samples": [{ "labels": result, "value": 17 }] },
            ],
        }],
    });
    let test = file(folder.path(), "test.yaml", &test.to_string());
    run(Command::new("promtool").args(["test", "rules"]).arg(test)).expect(0, &[]);
}

#[test]
fn alerts_come_and_go_again() {
    let test = env::checkout().join("scheduler/cli/tests/chart/alerts.test.yaml");
    run(Command::new("promtool").args(["test", "rules"]).arg(test)).expect(0, &[]);
}

#[test]
fn every_panel_of_the_dashboard_asks_the_chosen_source() {
    let dashboard: Value = serde_json::from_str(&read("monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let targets = panel["targets"].as_array();
        assert_eq!(targets.is_some(), panel["type"] != "row", "{panel}");
        for target in targets.into_iter().flatten() {
            let asked =
                target["datasource"]["uid"].as_str().or(panel["datasource"]["uid"].as_str());
            assert_eq!(asked, Some("${datasource}"), "{target}");
            assert!(target["expr"].as_str().unwrap().contains("$namespace"), "{target}");
        }
    }
}
