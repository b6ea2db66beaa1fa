//! One execution is one trace, from the call to the tool, whatever dies in between.

use serde_json::json;

use super::collector::{Collector, Manner, Seen, expect_one_trace, one};
use super::scene::{Scene, ended, pipeline, quick, start, wait_until_at_work};
use crate::process::wait_for;

const CALLER_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_SPAN: &str = "00f067aa0ba902b7";

#[test]
fn an_execution_is_one_trace_from_the_call_to_the_tool() {
    let (scene, collector) = (Scene::new(), Collector::start(Manner::Takes));
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_SERVICE_NAME", "cd"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let dev = scene.start(&[], &variables);
    let header = format!("traceparent: 00-{CALLER_TRACE}-{CALLER_SPAN}-01\r\n");
    let id = start(&dev, &header, &pipeline("release"));
    assert_eq!(ended(&dev, &id)["status"], "SUCCEEDED");
    let spans = collector.wait_for("RUN release");
    expect_one_trace(&spans, CALLER_SPAN);

    let call = one(&spans, "POST /pipelines/start");
    assert_eq!((call.trace.as_str(), call.parent.as_str()), (CALLER_TRACE, CALLER_SPAN));
    let execution = one(&spans, "RUN release");
    assert_eq!(execution.parent, call.id);
    for (name, value) in [
        ("cicd.pipeline.action.name", "RUN"),
        ("cicd.pipeline.name", "release"),
        ("cicd.pipeline.run.id", &id),
        ("cicd.pipeline.result", "success"),
    ] {
        assert_eq!(execution.get(name), value, "{name}");
    }
    for (name, reference) in [("Pause", "1"), ("Say", "2"), ("Bake", "3")] {
        let stage = one(&spans, name);
        assert_eq!(stage.parent, execution.id, "{name}");
        assert_eq!(stage.get("cicd.pipeline.task.name"), name);
        assert_eq!(stage.get("capstan.stage.ref"), reference);
        assert_eq!(stage.get("cicd.pipeline.task.run.result"), "success");
    }
    let attempts: Vec<&Seen> =
        spans.iter().filter(|span| span.parent == one(&spans, "Bake").id).collect();
    let helm = one(&spans, "run helm");
    let attempt = attempts.iter().find(|attempt| attempt.id == helm.parent);
    let attempt = attempt.unwrap_or_else(|| panic!("helm ran below none of {attempts:#?}"));
    assert_eq!(attempt.get("capstan.attempt.number"), "1");
    assert_eq!(attempt.get("capstan.attempt.outcome"), "succeeded");
    assert_eq!(helm.get("process.exit.code"), "0");
    assert_eq!(spans.len(), 5 + attempts.len() + 1, "{spans:#?}");

    assert_eq!(collector.resource("service.name").as_deref(), Some("cd"));
    assert_eq!(collector.resource("deployment.environment.name").as_deref(), Some("test"));
}

#[test]
fn a_trace_survives_the_process_that_began_it() {
    let (scene, collector) = (Scene::new(), Collector::start(Manner::Takes));
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
    scene.hold();
    let dev = scene.start(&[], &variables);
    let id = start(&dev, "", &pipeline("release"));
    wait_until_at_work(&scene, &dev, &id);
    collector.wait_for("Say");
    assert_eq!(dev.end("-9"), None);
    let dev = scene.start(&[], &variables);
    // The guard ends the first helm; it is run again.
    wait_for("a second helm", || {
        let begun = std::fs::read_to_string(scene.place("begun")).unwrap();
        (begun.lines().count() == 2).then_some(())
    });
    scene.let_go();
    assert_eq!(ended(&dev, &id)["status"], "SUCCEEDED");
    let spans = collector.wait_for("RUN release");
    expect_one_trace(&spans, "");
    let bake = one(&spans, "Bake");
    let attempts = |outcome: &str| {
        let below = spans.iter().filter(|span| span.parent == bake.id);
        below.filter(|span| span.get("capstan.attempt.outcome") == outcome).count()
    };
    assert_eq!((attempts("lost"), attempts("succeeded")), (1, 1), "{spans:#?}");
    assert_eq!(one(&spans, "run helm").get("process.exit.code"), "0");
}

#[test]
fn a_pipeline_that_a_stage_starts_stands_below_the_stage() {
    let (scene, collector) = (Scene::new(), Collector::start(Manner::Takes));
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
    let dev = scene.start(&[], &variables);
    let mut child = quick("child");
    child["id"] = "the-child".into();
    assert_eq!(dev.send("POST", "/pipelines", &child).unwrap().0, 200);
    let parent = json!({
        "application": "shop", "name": "parent",
        "stages": [{"refId": "1", "type": "pipeline", "name": "Start it",
                    "application": "child", "pipeline": "the-child", "waitForCompletion": true}],
    });
    let id = start(&dev, "", &parent);
    assert_eq!(ended(&dev, &id)["status"], "SUCCEEDED");
    let spans = collector.wait_for("RUN parent");
    let (stage, child) = (one(&spans, "Start it"), one(&spans, "RUN child"));
    assert_eq!((&child.parent, &child.trace), (&stage.id, &stage.trace));
}

#[test]
fn what_a_caller_does_not_want_recorded_is_not() {
    let (scene, collector) = (Scene::new(), Collector::start(Manner::Takes));
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
    let dev = scene.start(&[], &variables);
    let header = format!("traceparent: 00-{CALLER_TRACE}-{CALLER_SPAN}-00\r\n");
    let quiet = start(&dev, &header, &pipeline("quiet"));
    ended(&dev, &quiet);
    let loud = start(&dev, "", &pipeline("loud"));
    ended(&dev, &loud);
    let spans = collector.wait_for("RUN loud");
    expect_one_trace(&spans, "");
    assert!(spans.iter().all(|span| span.trace != CALLER_TRACE), "{spans:#?}");
}

#[test]
fn what_waits_is_sent_before_the_end() {
    let (scene, collector) = (Scene::new(), Collector::start(Manner::Takes));
    let dev = scene.start(
        &[],
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
        ],
    );
    let id = start(&dev, "", &pipeline("release"));
    ended(&dev, &id);
    assert_eq!(dev.end("-TERM"), Some(0));
    wait_for("the spans", || (!collector.spans().is_empty()).then_some(()));
    expect_one_trace(&collector.wait_for("RUN release"), "");
}
