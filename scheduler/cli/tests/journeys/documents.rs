//! The pipelines that the journeys run.

use serde_json::{Value, json};

/// Succeeds at once; its parameter is in the stage's outputs.
pub(crate) fn greet() -> Value {
    json!({
        "application": "shop", "name": "greet it's",
        "parameterConfig": [{ "name": "who", "required": true }],
        "stages": [{
            "refId": "1", "type": "evaluateVariables", "name": "Say",
            "variables": [{ "key": "greeting", "value": "hello ${parameters.who}" }],
        }],
    })
}

/// Waits for a person.
pub(crate) fn ask() -> Value {
    json!({
        "application": "shop", "name": "ask",
        "stages": [
            { "refId": "1", "type": "manualJudgment", "name": "Really?",
              "instructions": "Look first", "judgmentInputs": [{ "value": "blue" }] },
            { "refId": "2", "requisiteStageRefIds": ["1"], "type": "evaluateVariables",
              "name": "Keep", "variables": [{ "key": "done", "value": "yes" }] },
        ],
    })
}

/// Writes a log.
pub(crate) fn bake() -> Value {
    let chart = json!({ "type": "local/file", "name": "chart", "reference": "chart" });
    json!({
        "application": "shop", "name": "bake",
        "stages": [{
            "refId": "1", "type": "bakeManifest", "name": "Bake", "templateRenderer": "HELM3",
            "outputName": "shop", "inputArtifacts": [{ "artifact": chart }],
            "expectedArtifacts":
                [{ "id": "m", "matchArtifact": { "type": "embedded/base64", "name": "shop" } }],
        }],
    })
}
