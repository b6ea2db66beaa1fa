//! What people bring, and what the engine makes of it: open objects, of which the known fields are
//! described. They travel as JSON; nothing here is ever made.

#![expect(dead_code, reason = "shapes for the description of the API")]

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared_model::Object;
use utoipa::ToSchema;

/// The attributes of an application. Every field is kept as it was written.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in super::super) struct Attributes {
    name: String,
    /// Whose it is.
    email: Option<Value>,
    /// Names of providers, with commas between them.
    cloud_providers: Option<Value>,
    /// When it was made, in milliseconds since 1970, as text.
    create_ts: Option<Value>,
    /// When it was saved last, the same way.
    update_ts: Option<Value>,
    last_modified_by: Option<Value>,
}

/// A pipeline to be saved. Every field is kept as it was written.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "application": "shop", "name": "release", "parameterConfig": [{"name": "tag"}],
    "stages": [
        {"refId": "1", "type": "manualJudgment", "name": "Ask"},
        {"refId": "2", "type": "wait", "waitTime": 1, "requisiteStageRefIds": ["1"]},
    ],
}))]
pub(in super::super) struct NewPipeline {
    /// Its application, which is made if there is none: 1 to 250 letters, digits, `-`, `_` and `.`.
    #[schema(min_length = 1)]
    application: String,
    /// Its name, the only one of it within the application.
    #[schema(min_length = 1)]
    name: String,
    /// Its id; without one it is a new pipeline.
    id: Option<Value>,
    /// Whether it cannot be started.
    disabled: Option<Value>,
    /// Its stages, each with a `refId`, a `type` and the fields of that type.
    stages: Option<Value>,
    /// Its parameters: `name`, `default`, `required`, `options` …
    parameter_config: Option<Value>,
    /// Artifacts that it expects to be triggered with.
    expected_artifacts: Option<Value>,
    /// What starts it.
    triggers: Option<Value>,
    /// The `updateTs` that was read; `staleCheck` compares it.
    update_ts: Option<Value>,
}

/// A saved pipeline.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in super::super) struct Pipeline {
    id: String,
    application: String,
    name: String,
    /// When it was saved, in milliseconds since 1970, as text.
    update_ts: String,
    last_modified_by: String,
    /// Whether it cannot be started.
    disabled: Option<Value>,
    /// Its stages, each with a `refId`, a `type` and the fields of that type.
    stages: Option<Value>,
    /// Its parameters.
    parameter_config: Option<Value>,
    /// Artifacts that it expects to be triggered with.
    expected_artifacts: Option<Value>,
    /// What starts it.
    triggers: Option<Value>,
}

/// A pipeline to be run once, with its trigger.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "application": "shop", "name": "once", "trigger": {"parameters": {"tag": "1"}},
    "stages": [{"refId": "1", "type": "wait", "waitTime": 0}],
}))]
pub(in super::super) struct StartedPipeline {
    /// Whose it is.
    application: Option<Value>,
    name: Option<Value>,
    /// Its stages, each with a `refId`, a `type` and the fields of that type.
    stages: Option<Value>,
    /// With what it is started.
    trigger: Option<Value>,
}

/// With what a pipeline is started.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"parameters": {"tag": "1"}}))]
pub(in super::super) struct Trigger {
    /// `manual` unless said.
    #[schema(rename = "type")]
    kind: Option<Value>,
    /// The pipeline's parameters by name.
    parameters: Option<Value>,
    /// What it is started with.
    artifacts: Option<Value>,
    /// The same once more inside: `{"trigger": {…}}` is understood too.
    trigger: Option<Value>,
}

/// Fields for a stage's context.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"judgmentStatus": "continue"}))]
pub(in super::super) struct StagePatch {
    /// Of a judgment: `continue` or `stop`.
    judgment_status: Option<Value>,
    /// What else was chosen.
    judgment_input: Option<Value>,
    /// Ends a wait.
    skip_remaining_wait: Option<Value>,
    /// Of work that nobody knows the end of: `done`, `repeat` or `fail`. `repeat` does it twice if what
    /// was lost comes to its end after all: a worker that was but paused, a target that still works.
    outcome: Option<Value>,
}

/// Where an execution, a stage or a task stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Status {
    NotStarted,
    Running,
    Paused,
    Suspended,
    Succeeded,
    FailedContinue,
    Terminal,
    Canceled,
    Redirect,
    Stopped,
    Skipped,
    Buffered,
}

/// An execution. Times are in milliseconds since 1970.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in super::super) struct Execution {
    id: String,
    /// `PIPELINE` or `ORCHESTRATION`.
    #[schema(rename = "type")]
    kind: String,
    application: Option<Value>,
    name: Option<Value>,
    /// The saved pipeline that it runs.
    pipeline_config_id: Option<Value>,
    status: Status,
    build_time: i64,
    #[schema(required)]
    start_time: Option<i64>,
    #[schema(required)]
    end_time: Option<i64>,
    canceled: bool,
    /// Who ended it.
    canceled_by: Option<String>,
    cancellation_reason: Option<String>,
    /// Who started it.
    authentication: Object,
    trigger: Object,
    stages: Vec<Stage>,
    waiting_for: Vec<Waiting>,
}

/// A stage of an execution.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Stage {
    id: String,
    ref_id: String,
    #[schema(rename = "type")]
    kind: Option<Value>,
    name: Option<Value>,
    status: Status,
    #[schema(required)]
    start_time: Option<i64>,
    #[schema(required)]
    end_time: Option<i64>,
    context: Object,
    outputs: Object,
    tasks: Vec<Step>,
    requisite_stage_ref_ids: Vec<String>,
    /// The stage that this one was planned for.
    parent_stage_id: Option<String>,
    /// `STAGE_BEFORE` or `STAGE_AFTER`.
    synthetic_stage_owner: Option<String>,
}

/// A task of a stage.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Step {
    id: String,
    name: String,
    implementing_class: String,
    status: Status,
    #[schema(required)]
    start_time: Option<i64>,
    #[schema(required)]
    end_time: Option<i64>,
    stage_start: bool,
    stage_end: bool,
    loop_start: bool,
    loop_end: bool,
}

/// What an execution waits for.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Waiting {
    /// The `refId` of the stage; absent where the execution as a whole waits.
    stage: Option<String>,
    stage_id: Option<String>,
    /// `judgment`, `wait`, `worker`, `slot` …
    kind: String,
    #[schema(required)]
    since: Option<Timestamp>,
    #[schema(required)]
    until: Option<Timestamp>,
    /// What to do about it.
    unblock: Option<Value>,
    /// What a worker must be able to do, where one is waited for.
    capability: Option<String>,
}

/// Operations to be carried out.
#[derive(ToSchema)]
#[schema(example = json!({
    "application": "shop", "description": "Create Application: shop",
    "job": [{"type": "createApplication", "application": {"name": "shop", "email": "a@example.org"}}],
}))]
pub(in super::super) struct Operations {
    /// Whose they are.
    application: Option<Value>,
    /// What they are for.
    description: Option<Value>,
    /// Each with its `type` and the fields of that type.
    #[schema(min_items = 1)]
    job: Vec<Value>,
}

/// A task: what became of operations. Times are in milliseconds since 1970.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in super::super) struct Job {
    id: String,
    name: Option<Value>,
    application: Option<Value>,
    status: Status,
    build_time: i64,
    #[schema(required)]
    start_time: Option<i64>,
    #[schema(required)]
    end_time: Option<i64>,
    /// What it left, and under `exception` why it failed.
    variables: Vec<Variable>,
    steps: Vec<Step>,
    /// The execution behind it, where there is one.
    execution: Option<Execution>,
}

/// What a task left.
#[derive(ToSchema)]
struct Variable {
    key: String,
    #[schema(required)]
    value: Option<Value>,
}

/// One thing that is wrong with a document.
#[derive(ToSchema)]
pub(super) struct Problem {
    severity: Severity,
    /// A stable name of the rule, e.g. `stage-cycle`.
    code: String,
    /// A JSON pointer (RFC 6901) to the place.
    pointer: String,
    /// The line of the text, from 1.
    line: Option<u32>,
    /// What is wrong, and why.
    message: String,
    /// What to do about it.
    hint: String,
}

/// Whether a problem refuses the document.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Error,
    Warning,
}

/// A template of pipelines, version 2. Every field is kept as it was written.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "schema": "v2", "id": "waiter", "metadata": {"name": "Waiter"},
    "variables": [{"name": "seconds", "type": "int", "defaultValue": 1}],
    "pipeline": {"stages": [
        {"refId": "1", "type": "wait", "waitTime": "${ templateVariables.seconds }"},
    ]},
}))]
pub(in super::super) struct Template {
    /// 1 to 200 letters, digits, `-`, `_` and `.`.
    id: Option<String>,
    /// `v2`.
    schema: String,
    /// Its `name`, `description`, `owner` and `scopes`.
    metadata: Value,
    /// Its variables: `name`, `type`, `defaultValue`, `nullable` …
    variables: Option<Value>,
    /// The pipeline that it makes.
    pipeline: Value,
    /// Its tag.
    tag: Option<String>,
    /// The SHA-256 of what it says.
    digest: Option<String>,
}

/// How a template was saved.
#[derive(ToSchema)]
pub(in super::super) struct SavedTemplate {
    /// `SUCCEEDED`.
    status: String,
    id: String,
    tag: Option<String>,
    /// The SHA-256 of what it says.
    digest: String,
}

/// What expressions come to.
#[derive(ToSchema)]
pub(in super::super) struct Evaluation {
    /// The value; a text that failed is as it was.
    result: Value,
    /// What failed, by expression.
    detail: Value,
}
