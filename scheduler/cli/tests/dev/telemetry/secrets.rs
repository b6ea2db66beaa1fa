//! What looks secret leaves the process nowhere: not in spans, not in metrics, not in logs.

use serde_json::json;

use super::collector::{Collector, Manner};
use super::scene::{Scene, ended, start};
use crate::http;

const PARAMETER: &str = "hunter2-in-a-parameter";
const HEADER: &str = "hunter2-in-a-header";

#[test]
fn secrets_stay_where_they_are() {
    let (scene, collector) = (Scene::new(), Collector::start(Manner::Takes));
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("CAPSTAN_LOG", "debug,hyper=info"),
    ];
    let dev = scene.start(&["--log-format", "json"], &variables);
    let document = json!({
        "application": "shop", "name": "leak", "parameterConfig": [{"name": "dbPassword"}],
        "trigger": {"parameters": {"dbPassword": PARAMETER}},
        "stages": [
            {"refId": "1", "type": "evaluateVariables", "name": "Keep",
             "variables": [{"key": "a", "value": "${parameters.dbPassword}"}]},
            {"refId": "2", "requisiteStageRefIds": ["1"], "type": "bakeManifest", "name": "Fail",
             "templateRenderer": "${parameters.dbPassword}", "outputName": "x",
             "inputArtifacts": [{"artifact": {"type": "local/file", "reference": "chart"}}],
             "expectedArtifacts":
                [{"id": "m", "matchArtifact": {"type": "embedded/base64", "name": "x"}}]},
        ],
    });
    let headers = format!("X-Api-Key: {HEADER}\r\nCookie: session={HEADER}\r\n");
    let id = start(&dev, &headers, &document);
    let execution = ended(&dev, &id);
    assert_eq!(execution["status"], "TERMINAL");
    let error = execution["stages"][1]["context"]["exception"]["details"]["errors"].to_string();
    assert!(error.contains(PARAMETER), "the failure has to repeat it to prove anything: {error}");
    collector.wait_for("RUN leak");
    let (_, _, metrics) = http::send_with(&dev.address, "GET", "/metrics", "", "").unwrap();
    let spans = String::from_utf8_lossy(&collector.bytes()).into_owned();
    for (what, text) in [("logs", dev.said()), ("metrics", metrics), ("spans", spans)] {
        assert!(text.contains("capstan") && text.len() > 500, "there are {what}");
        for secret in [PARAMETER, HEADER] {
            assert!(!text.contains(secret), "{secret} in the {what}: {text}");
        }
    }
}
