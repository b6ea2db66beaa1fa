//! Logs as JSON, line by line.

use serde_json::{Map, Value};

use super::scene::{Scene, ended, pipeline, start, wait_until_at_work};

/// Every line that was said, each a whole object with what every line has.
#[track_caller]
fn lines(said: &str) -> Vec<Map<String, Value>> {
    let read = |line: &str| -> Map<String, Value> {
        let object: Map<String, Value> =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["time", "level", "target", "message"] {
            assert!(object[key].is_string(), "{key} in {line}");
        }
        object
    };
    said.lines().map(read).collect()
}

#[test]
fn everything_that_is_said_is_json() {
    let scene = Scene::new();
    let words = ["--log-format", "json"];
    scene.hold();
    let dev = scene.start(&words, &[]);
    let id = start(&dev, "", &pipeline("release"));
    wait_until_at_work(&scene, &dev, &id);
    assert_eq!(dev.end("-9"), None);
    let dev = scene.start(&words, &[("CAPSTAN_LOG", "debug")]);
    scene.let_go();
    assert_eq!(ended(&dev, &id)["status"], "SUCCEEDED");
    let said = dev.said();
    assert_eq!(dev.end("-TERM"), Some(0));
    let lines = lines(&said);
    let of = |message: &str| {
        let found = lines.iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("no `{message}` in {said}")).clone()
    };
    let lost = of("a worker was lost; its attempt is given out again");
    assert_eq!((&lost["execution.id"], &lost["stage.ref"]), (&id.clone().into(), &"3".into()));
    assert_eq!(lost["attempt"], 1);
    let stage = of("a stage ended SUCCEEDED");
    assert_eq!(
        (&stage["execution.id"], &stage["stage.name"]),
        (&id.clone().into(), &"Bake".into())
    );
    let ended = of("an execution ended SUCCEEDED");
    assert_eq!((&ended["level"], &ended["pipeline"]), (&"INFO".into(), &"release".into()));
}

#[test]
fn people_read_what_happens_and_no_more() {
    let scene = Scene::new();
    let dev = scene.start(&[], &[]);
    let id = start(&dev, "", &pipeline("release"));
    ended(&dev, &id);
    let said = dev.said();
    for part in ["INFO", "an execution began", "a stage ended SUCCEEDED", &id] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!said.contains("WARN") && !said.contains("DEBUG"), "{said}");
}
