//! Helm, and values for the chart.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use shared_testkit::env;

use crate::ended::{Ended, run};

/// Servers that somebody else runs.
pub(crate) const EXTERNAL: &[&str] = &["secrets.existingSecret=servers", "blobs.url=s3://bucket"];
/// Servers that the chart brings.
pub(crate) const BUNDLED: &[&str] = &[
    "bundled.enabled=true",
    "bundled.postgresql.image=postgres:15",
    "bundled.rabbitmq.image=rabbitmq:3.10",
    "bundled.redis.image=redis:7.0",
    "bundled.minio.image=minio:2026",
];
/// Everything that an operator's kinds are needed for.
pub(crate) const OPERATED: &[&str] = &[
    "monitoring.serviceMonitor.enabled=true",
    "monitoring.serviceMonitor.tokenSecret.name=scrape",
    "monitoring.prometheusRule.enabled=true",
    "monitoring.dashboard.enabled=true",
    "poolDefaults.autoscaling.kind=keda",
];

/// Schedulers that say how many workers are wanted, and workers that say whether they are busy.
pub(crate) const SCALED: &[&str] = &[
    "externalMetrics.enabled=true",
    "externalMetrics.clientCA=authority",
    "poolDefaults.autoscaling.kind=hpa",
    "poolDefaults.podDeletionCost=true",
];

pub(crate) fn packaging() -> PathBuf {
    env::checkout().join("scheduler/packaging")
}

pub(crate) fn chart() -> PathBuf {
    packaging().join("chart")
}

/// A command of a helm about the chart, with values.
pub(crate) fn helm(program: &Path, words: &[&str], values: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env("HELM_PLUGINS", "/nonexistent").args(words).arg(chart());
    for value in values {
        command.args(["--set", value]);
    }
    command
}

/// What it renders as the release `r` in the namespace `ns`.
pub(crate) fn template(words: &[&str], values: &[&str]) -> Ended {
    let words = [&["template", "r", "--namespace", "ns"], words].concat();
    run(&mut helm(&env::helm4(), &words, values))
}

/// The same as objects.
#[track_caller]
pub(crate) fn objects(words: &[&str], values: &[&str]) -> Vec<Value> {
    let ended = template(words, values);
    ended.expect(0, &[]);
    let parts = ended.out.split("\n---\n").map(|part| part.trim_start_matches("---\n"));
    let objects = parts.map(|part| serde_saphyr::from_str::<Value>(part).unwrap());
    objects.filter(|object| !object.is_null()).collect()
}

/// Those of a kind.
pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}
