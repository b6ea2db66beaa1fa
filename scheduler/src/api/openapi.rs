//! The description of the API (OpenAPI), made of the routes themselves.

mod errors;

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, header};
use serde_json::{Map, Value, json};

use crate::access::policy;

/// The document, as it is served.
static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

/// The description of every route, as text.
pub fn text() -> &'static str {
    &TEXT
}

/// Describes this API (OpenAPI 3.1).
#[utoipa::path(get, path = "/v1/openapi.json", tag = "probes", operation_id = "getOpenApi",
    responses((status = 200, description = "This document.", body = Object)))]
pub(super) async fn serve() -> ([(HeaderName, HeaderValue); 1], &'static str) {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text())
}

/// What the routes say of themselves, and what holds for all of them.
fn document() -> Value {
    let routes = serde_json::to_value(super::routes().into_openapi()).unwrap_or_default();
    let mut document = json!({
        "openapi": routes["openapi"], "info": info(), "servers": [{ "url": "/" }],
        "paths": routes["paths"], "components": routes["components"],
    });
    for (path, item) in object(&mut document["paths"]) {
        for (method, operation) in object(item) {
            operation["security"] = security(path);
            errors::complete(path, method, operation);
        }
    }
    // A trigger may be left out, which its handler cannot say of raw bytes.
    let start = &mut document["paths"]["/pipelines/{app}/{name}"]["post"];
    start["requestBody"]["required"] = false.into();
    for (name, schema) in errors::schemas() {
        document["components"]["schemas"][name] = schema;
    }
    document["components"]["responses"] = errors::components();
    document["components"]["securitySchemes"] = schemes();
    document["tags"] = tags();
    document
}

fn object(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flat_map(Map::iter_mut)
}

fn info() -> Value {
    json!({
        "title": "Capstan",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Gate's routes, and `/v1` for what Gate does not have. On loopback nobody needs a \
            token; anywhere else everybody does, probes excepted. A stage is named by its `id` or its \
            `refId`. An error has a stable `code`; one about a document lists everything that is wrong \
            with it in `errors`. Changes are sent as `application/json`.",
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    })
}

/// On loopback no token is needed, which is what the empty one says.
fn security(path: &str) -> Value {
    match policy::is_open(path) {
        true => json!([]),
        false => json!([{}, { "bearer": [] }, { "token": [] }]),
    }
}

fn schemes() -> Value {
    json!({
        "bearer": { "type": "http", "scheme": "bearer",
            "description": "A token of `capstan token create`." },
        "token": { "type": "apiKey", "in": "header", "name": "X-Spinnaker-Token",
            "description": "The same token, in Spinnaker's own header." },
    })
}

fn tags() -> Value {
    json!([
        { "name": "applications", "description": "Who owns what." },
        { "name": "credentials", "description": "Accounts that stages deploy to." },
        { "name": "executions", "description": "Runs of pipelines: look, follow, answer, end." },
        { "name": "fleet", "description": "Workers, and how many are wanted." },
        { "name": "pipelines", "description": "Saved pipelines, and their starts." },
        { "name": "probes", "description": "Whether it is there, and what it is." },
        { "name": "session", "description": "Who asks." },
        { "name": "tasks", "description": "Operations outside of pipelines." },
        { "name": "templates", "description": "What pipelines are made of." },
        { "name": "tokens", "description": "Who may ask." },
    ])
}
