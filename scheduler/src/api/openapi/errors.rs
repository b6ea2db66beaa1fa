//! Errors in the description: which ones a route may answer, and the shape that its place gives them.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::api::schema::{ProblemDetails, SpringError};

/// What any route may answer.
const ANY: [(u16, &str); 8] = [
    (400, "The request makes no sense; the message says why."),
    (401, "A token is needed, or this one is none."),
    (403, "The token does not reach so far, or the request is one of another origin's page."),
    (429, "Too much is asked for; `Retry-After` says when to ask again."),
    (500, "The store refused something. It is logged, and it is our fault."),
    (503, "The store or the scheduler is not there for now."),
    (504, "It took too long."),
    (507, "The store is full."),
];
/// What a route that changes something may answer, too.
const CHANGES: (u16, &str) = (415, "Changes need the header `Content-Type: application/json`.");
/// What a route with a body may answer, too.
const BODY: (u16, &str) = (413, "The body is larger than 2 MiB.");

/// Gives the errors of an operation their shape, and adds those that any may answer.
pub(super) fn complete(path: &str, method: &str, operation: &mut Value) {
    let shape = shape(path);
    let mut more: Vec<u16> = ANY.iter().map(|(status, _)| *status).collect();
    more.extend((method != "get").then_some(CHANGES.0));
    more.extend(operation.get("requestBody").map(|_| BODY.0));
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    let own = responses.iter_mut().filter(|(status, _)| status.as_str() >= "400");
    for (_, response) in own.filter(|(_, response)| response.get("content").is_none()) {
        response["content"] = content(shape);
    }
    for status in more {
        let reference = json!({ "$ref": format!("#/components/responses/{shape}{status}") });
        responses.entry(status.to_string()).or_insert(reference);
    }
    responses.sort_keys();
}

/// The errors that any route may answer, once in each shape.
pub(super) fn components() -> Value {
    let all = || ANY.into_iter().chain([CHANGES, BODY]);
    let named = ["Problem", "Spring"].into_iter().flat_map(|shape| {
        all().map(move |(status, why)| (format!("{shape}{status}"), response(shape, status, why)))
    });
    Value::Object(Map::from_iter(named))
}

fn response(shape: &str, status: u16, why: &str) -> Value {
    let mut response = json!({ "description": why });
    let header = |name: &str, why: &str, kind: &str| json!({ name: { "description": why, "schema": { "type": kind } } });
    match status {
        401 => response["headers"] = header("WWW-Authenticate", "`Bearer`", "string"),
        429 => response["headers"] = header("Retry-After", "In how many seconds.", "integer"),
        _ => {}
    }
    response["content"] = content(shape);
    response
}

fn shape(path: &str) -> &'static str {
    if path.starts_with("/v1/") { "Problem" } else { "Spring" }
}

fn content(shape: &str) -> Value {
    let (kind, schema) = match shape {
        "Problem" => ("application/problem+json", ProblemDetails::name()),
        _ => ("application/json", SpringError::name()),
    };
    json!({ kind: { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}

/// The schemas of errors, which no route names itself.
pub(super) fn schemas() -> [(String, Value); 2] {
    let schema = |schema| serde_json::to_value(schema).unwrap_or_default();
    [
        (ProblemDetails::name().into(), schema(ProblemDetails::schema())),
        (SpringError::name().into(), schema(SpringError::schema())),
    ]
}
