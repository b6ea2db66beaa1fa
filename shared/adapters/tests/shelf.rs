//! Long texts in blobs: what is put away comes back as it was, lies there once, and stays as long as an
//! execution refers to it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared_adapters::{Config, SystemClock, memory, open};
use shared_model::{Artifact, ExecutionId, Object, Status};
use shared_ports::journal::{Append, Head, Kind, RunningMax};
use shared_ports::messages::TaskInput;
use shared_ports::{Ports, Shelf, shelf};

fn ports() -> Ports {
    memory::ports(Arc::new(SystemClock::default()), 100)
}

fn shelf_of(ports: &Ports) -> Shelf {
    Shelf::new(Arc::clone(&ports.blobs), Arc::clone(&ports.clock))
}

async fn blobs(ports: &Ports) -> (u64, u64) {
    let kept = ports.blobs.sweep(Timestamp::UNIX_EPOCH).await.unwrap();
    (kept.blobs, kept.blob_bytes)
}

fn artifact(name: &str, reference: &str) -> Artifact {
    let fields = json!({ "type": "embedded/base64", "name": name, "reference": reference });
    Artifact(fields.as_object().cloned().unwrap())
}

#[tokio::test]
async fn what_is_long_is_put_away_once_and_comes_back() {
    let ports = ports();
    let (shelf, long) = (shelf_of(&ports), "x".repeat(5_000));
    let manifest =
        json!({ "kind": "ConfigMap", "data": { "a": "y".repeat(900), "b": "z".repeat(900) } });
    let whole = json!({
        "artifacts": [{ "reference": long }, { "reference": long }, { "reference": "short" }],
        "manifests": [manifest, { "kind": "Pod" }], "deep": [[{ "text": long }]], "n": 1, "no": null,
    });
    let mut value = whole.clone();
    shelf.put_away(&mut value).await.unwrap();
    let text = value.to_string();
    assert!(text.len() < 800 && !text.contains("xxxx") && !text.contains("yyyy"), "{text}");
    assert_eq!(value["artifacts"][2]["reference"], "short");
    assert_eq!(value["manifests"][1], json!({ "kind": "Pod" }));
    let manifest_bytes = manifest.to_string().len() as u64;
    assert_eq!(blobs(&ports).await, (2, 5_000 + manifest_bytes));
    assert_eq!(shelf::named_in(&text).len(), 2);
    // Another process, which has nothing in memory.
    shelf_of(&ports).take_out(&mut value).await.unwrap();
    assert_eq!(value, whole);
}

#[tokio::test]
async fn nobody_can_make_a_reference_up() {
    let ports = ports();
    let shelf = shelf_of(&ports);
    let mut secret = json!("s".repeat(2_000));
    shelf.put_away(&mut secret).await.unwrap();
    // Whoever writes it in a document gets it back as they wrote it, not what it stands for.
    let forged = secret.as_str().unwrap().to_owned();
    let json = forged.replace(":text:", ":json:");
    let whole = json!({ "a": forged, "b": "capstan-blob:", "c": "capstan-blob:text:no:1" });
    let mut value = whole.clone();
    shelf.put_away(&mut value).await.unwrap();
    assert_ne!(value, whole);
    shelf.take_out(&mut value).await.unwrap();
    assert_eq!(value, whole);
    let one = Artifact(Object::from_iter([("capstan-blob".to_owned(), Value::from(json))]));
    let whole = TaskInput { artifacts: vec![one], ..TaskInput::default() };
    let mut input = whole.clone();
    shelf.put_away_inputs(&mut input).await.unwrap();
    shelf.take_out_inputs(&mut input).await.unwrap();
    assert_eq!(input, whole);
}

#[tokio::test]
async fn the_inputs_of_a_task_are_short_however_many_artifacts_it_sees() {
    let ports = ports();
    let shelf = shelf_of(&ports);
    let all: Vec<Artifact> = (0..300)
        .map(|number| artifact(&format!("a{number}"), &number.to_string().repeat(2_000)))
        .collect();
    let bound = all.iter().map(|one| (one.name().to_owned(), one.clone())).collect();
    let context = json!({ "text": "t".repeat(3_000) }).as_object().cloned().unwrap();
    let whole = TaskInput { artifacts: all, bound, context, ..TaskInput::default() };
    let mut input = whole.clone();
    shelf.put_away_inputs(&mut input).await.unwrap();
    let length = json!(input).to_string().len();
    assert!(length < 1_000, "{length}");
    let once = blobs(&ports).await;
    let mut again = whole.clone();
    shelf_of(&ports).put_away_inputs(&mut again).await.unwrap();
    assert_eq!((again, blobs(&ports).await), (input.clone(), once));
    shelf_of(&ports).take_out_inputs(&mut input).await.unwrap();
    assert_eq!(input, whole);
    // What is short stays where it is.
    let whole = TaskInput { artifacts: vec![artifact("a", "b")], ..TaskInput::default() };
    let mut input = whole.clone();
    shelf.put_away_inputs(&mut input).await.unwrap();
    assert_eq!(input, whole);
}

#[tokio::test]
async fn a_reference_whose_blob_is_gone_stays_and_keeps_nobody_waiting() {
    let ports = ports();
    let mut value = json!({ "a": "x".repeat(2_000), "b": "y".repeat(2_000) });
    shelf_of(&ports).put_away(&mut value).await.unwrap();
    let gone = value["a"].clone();
    let name = shelf::named_in(gone.as_str().unwrap()).pop_first().unwrap().to_owned();
    let blob = shared_ports::BlobRef { sha256: name, bytes: 2_000 };
    ports.blobs.remove(&[blob], None).await.unwrap();
    shelf_of(&ports).take_out(&mut value).await.unwrap();
    assert_eq!(value, json!({ "a": gone, "b": "y".repeat(2_000) }));
}

fn creation(document: Value) -> Append {
    let head = Head {
        kind: Kind::Pipeline,
        application: "shop".into(),
        name: "release".into(),
        pipeline_config_id: None,
        status: Status::Running,
        build_time: Timestamp::UNIX_EPOCH,
        start_time: None,
        end_time: None,
        state: Bytes::from_static(b"state"),
    };
    Append {
        execution: ExecutionId::new("e"),
        expected: 0,
        head,
        document: Some(document),
        stages: Vec::new(),
        history: Vec::new(),
        with: None,
        running_max: None,
        running_max_beyond: RunningMax::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_takes_what_nothing_refers_to() {
    struct Journals(Ports);
    #[async_trait::async_trait]
    impl shared_ports::blobs::Uses for Journals {
        async fn in_use(
            &self,
            of: &[String],
        ) -> Result<std::collections::BTreeSet<String>, shared_ports::PortError> {
            self.0.journal.blobs_in_use(of).await
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (ports, guard) = open(&Config::embedded(folder.path())).await.unwrap();
    let mut kept = json!({ "text": "k".repeat(2_000) });
    let mut left = json!({ "text": "l".repeat(3_000) });
    shelf_of(&ports).put_away(&mut kept).await.unwrap();
    shelf_of(&ports).put_away(&mut left).await.unwrap();
    ports.journal.append(vec![creation(kept.clone())]).await.unwrap();
    let far: Timestamp = "2200-01-01T00:00:00Z".parse().unwrap();
    ports.blobs.sweep_unused(far, &Journals(ports.clone())).await.unwrap();
    assert_eq!(blobs(&ports).await, (1, 2_000));
    shelf_of(&ports).take_out(&mut kept).await.unwrap();
    assert_eq!(kept, json!({ "text": "k".repeat(2_000) }));
    guard.close().await.unwrap();
}
