//! What an expression comes to in an execution, asked by people who write one.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use scheduler_expression::{Context, Limits, evaluate, stage_root, variables as one_by_one};
use serde::Deserialize;
use serde_json::{Value, json};
use shared_model::{ExecutionId, Object};

use super::super::State;
use super::super::error::ApiError;
use super::super::request::{self, Answer, json, list, reference};
use super::super::schema::Evaluation;

/// Length of an expression, in bytes: a query is no place for more.
const EXPRESSION_BYTES_MAX: usize = 10_000;
/// Variables that are evaluated at once.
const VARIABLES_MAX: usize = 1_000;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Asked {
    /// The text, in which `${…}` is evaluated.
    expression: String,
}

#[derive(Deserialize, Default, utoipa::IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Seen {
    /// The `refId`s of the stages whose outputs are seen, with commas between them.
    requisite_stage_ref_ids: String,
}

/// Evaluates a text as the execution sees it.
#[utoipa::path(get, path = "/pipelines/{id}/evaluateExpression", tag = "executions",
    operation_id = "evaluateExpressionForExecution",
    params(("id" = String, Path, description = "The execution's id."), Asked),
    responses(
        (status = 200, description = "What it comes to, and what failed.", body = Evaluation),
        (status = 404, description = "There is none of that id.")))]
pub(in super::super) async fn expression(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(Asked { expression }): Query<Asked>,
) -> Answer<Json<Value>> {
    let execution = request::execution(&state, &ExecutionId::new(id)).await?;
    evaluated(&state, &execution, None, expression)
}

/// Evaluates a text as a stage sees it.
#[utoipa::path(get, path = "/pipelines/{id}/{stage}/evaluateExpression", tag = "executions",
    operation_id = "evaluateExpressionForExecutionAtStage",
    params(
        ("id" = String, Path, description = "The execution's id."),
        ("stage" = String, Path, description = "The stage's `id` or `refId`."),
        Asked),
    responses(
        (status = 200, description = "What it comes to, and what failed.", body = Evaluation),
        (status = 404, description = "There is no such execution, or no such stage in it.")))]
pub(in super::super) async fn expression_of_stage(
    Shared(state): Shared<State>,
    Path((id, stage)): Path<(String, String)>,
    Query(Asked { expression }): Query<Asked>,
) -> Answer<Json<Value>> {
    let execution = request::execution(&state, &ExecutionId::new(id)).await?;
    let stage = reference(&execution, &stage)?;
    evaluated(&state, &execution, Some(&stage), expression)
}

fn evaluated(
    state: &State,
    execution: &Value,
    stage: Option<&str>,
    expression: String,
) -> Answer<Json<Value>> {
    if expression.len() > EXPRESSION_BYTES_MAX {
        let why = format!("it is longer than {EXPRESSION_BYTES_MAX} bytes (expression_bytes_max)");
        return Err(ApiError::invalid(why));
    }
    let (execution, limits) =
        (execution.as_object().cloned().unwrap_or_default(), Limits::default());
    let root = stage_root(&execution, stage);
    let now = state.scheduler.ports().clock.now();
    let context = Context::new(&root, Some(&execution), stage, now, &limits);
    let found = evaluate(&expression.into(), &context, &std::collections::BTreeSet::new());
    Ok(Json(json!({ "result": found.value, "detail": found.summary.to_json() })))
}

/// Evaluates variables one after another, as a stage `evaluateVariables` behind some stages would.
#[utoipa::path(post, path = "/pipelines/{id}/evaluateVariables", tag = "executions",
    operation_id = "evaluateVariables",
    request_body(content = serde_json::Value, description = "A list of `key` and `value`."),
    params(("id" = String, Path, description = "The execution's id."), Seen),
    responses(
        (status = 200, description = "What they come to, and what failed.", body = Evaluation),
        (status = 404, description = "There is no such execution, or no such stage in it.")))]
pub(in super::super) async fn variables(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Query(Seen { requisite_stage_ref_ids }): Query<Seen>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let asked = json(&body)?;
    let asked = asked.as_array().filter(|asked| asked.len() <= VARIABLES_MAX);
    let asked = asked.ok_or_else(|| {
        let why =
            format!("the body is no list of at most {VARIABLES_MAX} variables (variables_max)");
        ApiError::invalid(why)
    })?;
    let execution = request::execution(&state, &ExecutionId::new(id)).await?;
    let mut root = Object::new();
    for stage in list(&requisite_stage_ref_ids) {
        let stage = reference(&execution, &stage)?;
        let execution = execution.as_object().cloned().unwrap_or_default();
        for (key, value) in stage_root(&execution, Some(&stage)) {
            root.entry(key).or_insert(value);
        }
    }
    let (execution, limits) =
        (execution.as_object().cloned().unwrap_or_default(), Limits::default());
    if root.is_empty() {
        root = stage_root(&execution, None);
    }
    let now = state.scheduler.ports().clock.now();
    let context = Context::new(&root, Some(&execution), None, now, &limits);
    let (made, summary) = one_by_one(asked, &context);
    Ok(Json(json!({ "result": made, "detail": summary.to_json() })))
}
