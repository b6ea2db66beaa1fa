//! Bodies of artifacts lie in blobs, once each: whoever sees them pays for references.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use jiff::Timestamp;
use loadtest::embedded::{STAGE_TYPE, run_one};
use loadtest::graphs::Shape;
use serde_json::{Value, json};
use shared_adapters::open::{Config, open};
use shared_ports::Ports;

const ARTIFACTS: usize = 300;
const STAGES: usize = 200;
/// Length of each body, as it stands in a document.
const BODY_BYTES: usize = 8 * 1024;
/// What a reference costs in a row, with the artifact around it, at most.
const REFERENCE_BYTES_MAX: usize = 400;

/// An artifact whose body is as long as that, and its own.
fn artifact(number: usize) -> Value {
    let body = format!("{number:06}").repeat(BODY_BYTES / 6 + 1);
    json!({
        "type": "embedded/base64", "name": format!("a{number}"), "version": "1",
        "reference": body[..BODY_BYTES],
    })
}

fn pipeline() -> Value {
    let mut pipeline = Shape::Chain.pipeline(STAGES, STAGE_TYPE);
    let artifacts: Vec<Value> = (0..ARTIFACTS).map(artifact).collect();
    pipeline["trigger"] = json!({ "type": "manual", "artifacts": artifacts });
    pipeline
}

/// Bytes of rows, and of blobs.
async fn stored(ports: &Ports) -> (usize, usize) {
    let rows = ports.journal.size().await.unwrap().bytes;
    let blobs = ports.blobs.sweep(Timestamp::UNIX_EPOCH).await.unwrap().blob_bytes;
    (rows as usize, blobs as usize)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_artifacts_seen_by_two_hundred_stages_cost_their_references() {
    let folder = tempfile::tempdir().unwrap();
    let (ports, guard) = open(&Config::embedded(folder.path())).await.unwrap();
    let (rows_before, _) = stored(&ports).await;
    let ended = run_one(pipeline(), 8, ports.clone()).await.unwrap();
    // Whoever looks sees all of it.
    let artifacts = ended["trigger"]["artifacts"].as_array().unwrap();
    assert_eq!(artifacts.len(), ARTIFACTS);
    assert_eq!(artifacts[7], artifact(7));
    let (rows, blobs) = stored(&ports).await;
    let bodies = ARTIFACTS * BODY_BYTES;
    let references = ARTIFACTS * REFERENCE_BYTES_MAX;
    let rows_used = rows - rows_before;
    println!("rows {rows_used} bytes, blobs {blobs}; bodies {bodies}, references {references}");
    // The stages' own rows and history stand beside the references.
    assert!(rows_used < references + STAGES * 4_000, "{rows_used}");
    assert!((bodies..bodies + 2 * references).contains(&blobs), "{blobs}");
    // What is there is not stored again, whoever sees it.
    run_one(pipeline(), 8, ports.clone()).await.unwrap();
    let (rows_then, blobs_then) = stored(&ports).await;
    println!("another one: rows {}, blobs {}", rows_then - rows, blobs_then - blobs);
    assert!(blobs_then - blobs < references, "{}", blobs_then - blobs);
    assert!(rows_then - rows < references + STAGES * 4_000);
    guard.close().await.unwrap();
}
