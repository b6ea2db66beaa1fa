//! JSON Schema of the stage's own fields. Expressions may stand for any text.

use serde_json::{Value, json};

pub(super) fn schema() -> Value {
    let text = || json!({"type": "string"});
    let flag = || json!({"type": ["boolean", "string"]});
    let codes = |what: &str| json!({"type": ["array", "null"], "items": {"type": ["integer", "string"]}, "description": what});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "url": {"type": "string", "description": "whom to ask"},
            "method": {"type": "string", "description": "POST unless it says otherwise"},
            "payload": {"description": "the body: JSON, or a text as it is"},
            "customHeaders": {"type": ["object", "null"]},
            "idempotent": {"type": ["boolean", "string"],
                "description": "the target knows a repetition by its header Idempotency-Key"},
            "failFastStatusCodes": codes("fail at once; [504] unless it says otherwise"),
            "webhookRetryStatusCodes": codes("asked again, beside 429 and 5xx"),
            "waitForCompletion": flag(),
            "monitorOnly": flag(),
            "statusUrlResolution": {"enum": ["getMethod", "locationHeader", "webhookResponse"]},
            "statusUrlJsonPath": text(),
            "statusEndpoint": text(),
            "waitBeforeMonitor": {"type": ["integer", "string"], "description": "seconds"},
            "statusJsonPath": text(),
            "progressJsonPath": text(),
            "successStatuses": {"type": "string", "description": "separated by commas, in any case"},
            "canceledStatuses": text(),
            "terminalStatuses": text(),
            "retryStatusCodes": codes("looked at again, beside 429 and 5xx"),
            "retries": {"type": ["object", "null"],
                "description": "by status code: {\"404\": {\"maxAttempts\": 3}}"},
            "signalCancellation": flag(),
            "cancelEndpoint": text(),
            "cancelMethod": text(),
            "cancelPayload": {},
            "expectedArtifacts": {"type": ["array", "null"]},
        },
    })
}
