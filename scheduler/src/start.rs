//! From a document to an execution that is ready to be stored.

use jiff::Timestamp;
use scheduler_engine::command::Command;
use scheduler_engine::{Execution, artifact_match, graph};
use serde_json::{Value, json};
use shared_model::{
    Artifact, ExecutionId, ExpectedArtifact, Limits, Object, Pipeline, Problem, Severity, parse,
};
use shared_ports::PortError;
use shared_ports::journal::{Kind, Query, StageBody};
use shared_runtime::telemetry::TraceContext;

use crate::Registry;
use crate::control::{Changes, Content, ControlError, Expressions, Label, Loaded, TRACE_CALLER};
use crate::library::LibraryError;

mod literals;
mod rule;
mod warnings;

/// What somebody wants to be run.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// The pipeline document, or a start body: the document with a `trigger`.
    pub document: Value,
    /// Parameters beside those of the document's trigger; these win.
    pub parameters: Object,
    /// Who wants it.
    pub user: String,
    /// The document's text, so that problems can name lines.
    pub source: Option<String>,
    /// The execution's id, if the caller brings one.
    pub id: Option<ExecutionId>,
    /// In which trace the caller stands, if in one.
    pub trace: Option<TraceContext>,
    /// Whether a stage of another execution starts it: a required parameter that it does not give is
    /// absent then, as in Orca.
    pub is_child: bool,
    /// Whether these are operations that somebody asked for outside of a pipeline.
    pub is_orchestration: bool,
}

/// Why an execution was not submitted. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The document is refused; the list is complete and holds warnings too.
    #[error("the pipeline was refused: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused {
        /// Everything that is wrong with it.
        problems: Vec<Problem>,
    },
    /// An execution of that id exists.
    #[error("an execution with the id `{0}` exists already; send another id or none")]
    Exists(ExecutionId),
    /// Too many executions have not ended.
    #[error(
        "{unfinished} executions have not ended, which is as many as may be \
         (executions_unfinished_max); try again when some have"
    )]
    TooMany {
        /// How many there are.
        unfinished: usize,
    },
    /// Too many executions of one application have not ended.
    #[error(
        "{unfinished} executions of the application `{application}` have not ended, which is as many as \
         one may have (executions_unfinished_per_application_max); try again when some have"
    )]
    TooManyOfApplication {
        /// Of which.
        application: String,
        /// How many there are.
        unfinished: usize,
    },
    /// The store or the broker failed, or the scheduler is stopping.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The store failed.
    #[error("the execution was not stored")]
    Port(#[from] PortError),
}

impl From<LibraryError> for SubmitError {
    fn from(error: LibraryError) -> Self {
        match error {
            LibraryError::Invalid { problems } => Self::Refused { problems },
            LibraryError::Port(error) => Self::Port(error),
            LibraryError::NotFound { .. } | LibraryError::Conflict { .. } => {
                let hint = "look at what is saved, and try again";
                let problem =
                    Problem::error("template-unknown", "/template", error.to_string(), hint);
                Self::Refused { problems: vec![problem] }
            }
        }
    }
}

/// An execution that is ready to be stored.
pub(crate) struct Submission {
    pub(crate) loaded: Loaded,
    pub(crate) changes: Changes,
    pub(crate) commands: Vec<Command>,
}

/// Everything that is wrong with a document, with lines where the text is given.
pub fn check(
    document: &Value,
    source: Option<&str>,
    registry: &Registry,
    limits: &Limits,
) -> Vec<Problem> {
    let Some(pipeline) = Pipeline::from_value(document.clone()) else {
        return vec![Problem::error(
            "pipeline-not-an-object",
            "",
            "a pipeline is a JSON object with an application, a name and stages",
            "see the examples",
        )];
    };
    let (_, mut problems) = graph::graph(&pipeline, limits);
    problems.extend(warnings::of(&pipeline, registry));
    problems.extend(literals::of(&pipeline));
    problems.sort_by_key(|problem| problem.severity);
    let line = |problem: &Problem| parse::line_of(source?, &problem.pointer);
    problems
        .into_iter()
        .map(|problem| {
            let line = line(&problem);
            problem.at_line(line)
        })
        .collect()
}

/// A pipeline that is switched off may be checked, but not started.
fn disabled(pipeline: &Pipeline) -> Option<Problem> {
    pipeline.is_disabled().then(|| {
        Problem::error(
            "pipeline-disabled",
            "/disabled",
            "the pipeline is disabled",
            "remove `disabled`, or set it to false",
        )
    })
}

/// Which earlier executions' artifacts a document asks for; `None` if it asks for none.
pub(crate) fn prior_query(start: &Start) -> Option<Query> {
    let pipeline = Pipeline::from_value(start.document.clone())?;
    let asks = pipeline.expected_artifacts().iter().any(ExpectedArtifact::use_prior);
    asks.then(|| Query {
        kind: Some(Kind::Pipeline),
        application: Some(pipeline.application().to_owned()),
        pipeline_config_ids: pipeline.config_id().map(str::to_owned).into_iter().collect(),
        name: Some(pipeline.name().to_owned()),
        limit: 1,
        ..Query::default()
    })
}

/// Makes an execution of a document.
///
/// # Errors
/// [`SubmitError::Refused`] with everything that is wrong.
pub(crate) fn prepare(
    id: &ExecutionId,
    start: Start,
    prior: &[Artifact],
    registry: &Registry,
    limits: &Limits,
    now: Timestamp,
) -> Result<Submission, SubmitError> {
    let problems = check(&start.document, start.source.as_deref(), registry, limits);
    let refused = |problems: Vec<Problem>| SubmitError::Refused { problems };
    let Some(pipeline) = Pipeline::from_value(start.document.clone()) else {
        return Err(refused(problems));
    };
    let mut problems = problems;
    problems.extend(disabled(&pipeline));
    let line =
        |pointer: &str| start.source.as_deref().and_then(|text| parse::line_of(text, pointer));
    let trigger = match trigger(&pipeline, &start, prior) {
        Ok(trigger) => trigger,
        Err(found) => {
            problems.extend(found.into_iter().map(|problem| {
                let line = line(&problem.pointer);
                problem.at_line(line)
            }));
            Value::Null
        }
    };
    let (graph, _) = graph::graph(&pipeline, limits);
    let failed = problems.iter().any(|problem| problem.severity == Severity::Error);
    let Some(graph) = graph.filter(|_| !failed) else { return Err(refused(problems)) };
    let rule = rule::of(&pipeline, start.is_orchestration);
    let document = document(id, &pipeline, trigger, &start, now);
    let (document, bodies) = Expressions::default().at_start(document, &pipeline, now);
    let (engine, step) = Execution::submit_under(id.clone(), &graph, limits, rule, now);
    Ok(submission(id, &pipeline, engine, step, document, bodies, now, &problems))
}

#[expect(
    clippy::too_many_arguments,
    reason = "one caller; each part is made in its own step there"
)]
fn submission(
    id: &ExecutionId,
    pipeline: &Pipeline,
    engine: Execution,
    step: scheduler_engine::Step,
    document: Value,
    bodies: Vec<StageBody>,
    now: Timestamp,
    problems: &[Problem],
) -> Submission {
    let mut changes = Changes { stepped: true, ..Changes::default() };
    changes.bodies.extend((0..).zip(&bodies).map(|(index, _)| index));
    changes.history = problems.iter().map(|problem| warnings::entry(problem, now)).collect();
    changes.touched.extend(step.touched);
    let text =
        |key: &str, own: &str| document.get(key).and_then(Value::as_str).unwrap_or(own).to_owned();
    let is_task = document.get("type").is_some_and(|kind| kind == "ORCHESTRATION");
    let label = Label {
        kind: if is_task { Kind::Task } else { Kind::Pipeline },
        application: text("application", pipeline.application()),
        name: text("name", pipeline.name()),
        pipeline_config_id: pipeline.config_id().map(str::to_owned),
        build_time: now,
    };
    let content = Some(Content::new(document, bodies));
    let loaded = Loaded { id: id.clone(), version: 0, engine, label, content };
    Submission { loaded, changes, commands: step.commands }
}

/// The trigger of a start: what the document's own says, with parameters and artifacts resolved
/// (reference §2.2, §2.4, §2.5).
fn trigger(pipeline: &Pipeline, start: &Start, prior: &[Artifact]) -> Result<Value, Vec<Problem>> {
    let own = pipeline.raw.get("trigger").and_then(Value::as_object).cloned();
    let mut trigger = own.unwrap_or_default();
    // An empty text says nothing either.
    trigger.retain(|key, value| !(["type", "user"].contains(&key.as_str()) && value == ""));
    let mut default = |key: &str, value: Value| {
        trigger.entry(key.to_owned()).or_insert(value);
    };
    default("type", "manual".into());
    let user = if start.user.is_empty() { "[anonymous]" } else { &start.user };
    default("user", user.into());
    for (key, empty) in [
        ("artifacts", json!([])),
        ("notifications", json!([])),
        ("rebake", json!(false)),
        ("dryRun", json!(false)),
        ("strategy", json!(false)),
    ] {
        default(key, empty);
    }
    let parameters = parameters(pipeline, &trigger, start);
    let artifacts = artifacts(pipeline, &trigger, prior);
    match (parameters, artifacts) {
        (Ok(parameters), Ok(resolved)) => {
            trigger.insert("parameters".into(), Value::Object(parameters));
            insert_artifacts(&mut trigger, resolved);
            Ok(Value::Object(trigger))
        }
        (parameters, artifacts) => {
            let mut problems = parameters.err().unwrap_or_default();
            problems.extend(artifacts.err());
            Err(problems)
        }
    }
}

fn insert_artifacts(trigger: &mut Object, resolved: artifact_match::Resolved) {
    let objects = |list: Vec<Object>| Value::Array(list.into_iter().map(Value::Object).collect());
    let artifacts = resolved.artifacts.into_iter().map(|artifact| artifact.0).collect();
    let expected: Vec<Object> = resolved.expected.into_iter().map(|expected| expected.0).collect();
    trigger.insert("artifacts".into(), objects(artifacts));
    trigger.insert("expectedArtifacts".into(), objects(expected.clone()));
    trigger.insert("resolvedExpectedArtifacts".into(), objects(expected));
}

/// Effective parameters: given ones, else defaults; every missing required one is a problem. One that
/// is given as null is dropped, and its default with it (reference §4.9).
fn parameters(
    pipeline: &Pipeline,
    trigger: &Object,
    start: &Start,
) -> Result<Object, Vec<Problem>> {
    let own = trigger.get("parameters").and_then(Value::as_object).cloned();
    let mut values = own.unwrap_or_default();
    values.extend(start.parameters.iter().map(|(key, value)| (key.clone(), value.clone())));
    let mut problems = Vec::new();
    for (index, parameter) in pipeline.parameters().into_iter().enumerate() {
        let name = parameter.name();
        match (values.get(name), parameter.default()) {
            (Some(value), None) if value.is_null() && parameter.is_required() => {
                problems.push(missing(index, name));
            }
            (Some(_), _) => {}
            (None, Some(default)) => drop(values.insert(name.to_owned(), default.clone())),
            (None, None) if parameter.is_required() => problems.push(missing(index, name)),
            (None, None) => {}
        }
    }
    values.retain(|_, value| !value.is_null());
    problems.retain(|_| !start.is_child);
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

fn missing(index: usize, name: &str) -> Problem {
    Problem::error(
        "parameter-missing",
        format!("/parameterConfig/{index}"),
        format!("Required parameter {name} is missing"),
        format!("give it with --parameter {name}=VALUE"),
    )
}

fn artifacts(
    pipeline: &Pipeline,
    trigger: &Object,
    prior: &[Artifact],
) -> Result<artifact_match::Resolved, Problem> {
    let list = trigger.get("artifacts").and_then(Value::as_array);
    let received: Vec<Artifact> =
        list.into_iter().flatten().filter_map(Value::as_object).cloned().map(Artifact).collect();
    let asked = trigger.get("expectedArtifactIds").and_then(Value::as_array);
    let asked: Vec<&str> = asked.into_iter().flatten().filter_map(Value::as_str).collect();
    let expected = pipeline.expected_artifacts();
    artifact_match::resolve_at_start(&expected, &asked, &received, prior).map_err(|error| {
        Problem::error(
            "artifact-unmatched",
            "/expectedArtifacts",
            error.to_string(),
            "send the artifact with the trigger, or give the expected artifact a default",
        )
    })
}

/// The execution's document (reference §4.5) without what changes: status, times, contexts.
fn document(
    id: &ExecutionId,
    pipeline: &Pipeline,
    trigger: Value,
    start: &Start,
    now: Timestamp,
) -> Value {
    const KEPT: [&str; 17] = [
        "application",
        "name",
        "description",
        "limitConcurrent",
        "maxConcurrentExecutions",
        "keepWaitingPipelines",
        "notifications",
        "expectedArtifacts",
        "parameterConfig",
        "initialConfig",
        "systemNotifications",
        "spelEvaluator",
        "templateVariables",
        "source",
        "origin",
        "startTimeExpiry",
        "tags",
    ];
    let mut document = Object::new();
    let kind = if start.is_orchestration { "ORCHESTRATION" } else { "PIPELINE" };
    document.insert("type".into(), kind.into());
    document.insert("id".into(), id.as_str().into());
    for key in KEPT {
        if let Some(value) = pipeline.raw.get(key) {
            document.insert(key.into(), value.clone());
        }
    }
    if let Some(config) = pipeline.config_id() {
        document.insert("pipelineConfigId".into(), config.into());
    }
    document.insert("buildTime".into(), now.as_millisecond().into());
    let user = if start.user.is_empty() { "anonymous" } else { &start.user };
    document.insert("authentication".into(), json!({ "user": user, "allowedAccounts": [] }));
    document.insert("trigger".into(), trigger);
    if let Some(caller) = start.trace {
        document.insert(TRACE_CALLER.into(), caller.to_string().into());
    }
    Value::Object(document)
}

#[cfg(test)]
mod tests;
