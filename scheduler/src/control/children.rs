//! Executions that stages start and wait for: a child is stored in the transaction that ends the
//! task which starts it, under an id derived from its parent's stage run (D24), so that there is
//! never a second one.

use std::sync::Arc;

use jiff::Timestamp;
use scheduler_engine::Step;
use scheduler_engine::event::{Event, Outcome, StageIndex};
use scheduler_engine::native;
use serde_json::Value;
use shared_model::{ExecutionId, Object, StageRef, TaskAnswer, TaskError, TaskIndex};
use shared_ports::PortError;
use shared_ports::journal::{HistoryEntry, StageBody};
use uuid::Uuid;

use super::evaluation::{Done, Scene, Shell};
use super::loaded::Loaded;
use super::traces::Trace;
use super::turn::Work;
use super::{expressions, fold, inputs};
use crate::start::{self, Start, Submission, SubmitError};
use crate::{Library, LibraryError, view};

mod ended;
mod trigger;
mod watched;

pub(crate) use watched::Children;

/// Orca's word for who cancels a child.
const PARENT: &str = "parent pipeline";
/// Kind of the error of a stage whose pipeline cannot be started, as in Orca.
const NOT_STARTABLE: &str = "ConfigurationException";

/// The id of the execution that a run of a stage starts.
fn child_id(parent: &ExecutionId, stage: &StageRef, run: u32) -> ExecutionId {
    let name = format!("child of {parent}/{stage}/{run}");
    ExecutionId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string())
}

/// What starting a child came to: its id and its pipeline's name, and what is to be stored if it
/// is not yet.
struct Child {
    id: ExecutionId,
    name: String,
    submission: Option<Submission>,
}

impl Work {
    /// Carries out the task that starts another pipeline.
    ///
    /// # Errors
    /// [`PortError`] if something could not be read: the turn must be given up.
    pub(crate) async fn start_child(
        &mut self,
        shell: &Shell,
        stage: StageIndex,
        task: TaskIndex,
        at: Timestamp,
    ) -> Result<Option<Step>, PortError> {
        self.loaded.content(&*shell.ports.journal).await?;
        let Loaded { engine, content: Some(content), .. } = &self.loaded else { return Ok(None) };
        let scene = Scene { engine, content, stage, at };
        let mut body = content.body(stage);
        shell.expressions.evaluate_body(&scene, &mut body);
        let found = prepare(shell, &scene, &body).await?;
        let (answer, child) = match found {
            Ok(child) => (answer(&child), Some(child)),
            Err(error) => (TaskAnswer::terminal(error), None),
        };
        fold::answer(&mut body, task, native::START_PIPELINE, &answer, at);
        let failed = expressions::failed(&body.context);
        let done = done(stage, task, fold::outcome(&answer), failed, body, at);
        let step = self.take(done);
        if let (Some(_), Some(child)) = (&step, child) {
            self.note_child(stage, &child, at);
            self.children.extend(child.submission);
        }
        Ok(step)
    }

    fn note_child(&mut self, stage: StageIndex, child: &Child, at: Timestamp) {
        let reference = self.loaded.engine.stage(stage).reference().to_string();
        let text = format!("it started execution {} of pipeline `{}`", child.id, child.name);
        let kind = "child-started".to_owned();
        self.changes.history.push(HistoryEntry { at, stage: Some(reference), kind, text });
    }

    /// Notes which execution a stage waits for; one that names none fails at once.
    ///
    /// # Errors
    /// [`PortError`] if the stage's context cannot be read.
    pub(crate) async fn watch_child(
        &mut self,
        shell: &Shell,
        stage: StageIndex,
        at: Timestamp,
    ) -> Result<Option<Step>, PortError> {
        let body = self.body(&*shell.ports.journal, stage).await?;
        if let Some(child) = named(&body.context) {
            self.watches.push((stage, child));
            return Ok(None);
        }
        let error = TaskError::new(
            "IllegalArgumentException",
            "no pipeline execution ids to monitor: the stage's `executionId` is no text",
        );
        Ok(self.child_failed(stage, body, &error, at))
    }

    /// Notes which execution is to be cancelled.
    ///
    /// # Errors
    /// [`PortError`] if the stage's context cannot be read.
    pub(crate) async fn cancel_child(
        &mut self,
        shell: &Shell,
        stage: StageIndex,
    ) -> Result<(), PortError> {
        let body = self.body(&*shell.ports.journal, stage).await?;
        self.cancels.extend(named(&body.context));
        Ok(())
    }

    fn child_failed(
        &mut self,
        stage: StageIndex,
        mut body: StageBody,
        error: &TaskError,
        at: Timestamp,
    ) -> Option<Step> {
        let task = self.loaded.engine.stage(stage).current_task()?;
        fold::exception(&mut body, native::MONITOR_PIPELINE, error, false, at);
        let outcome = Outcome::Failed { retry: shared_model::Retry::Never };
        let failed = expressions::failed(&body.context);
        self.take(done(stage, task, outcome, failed, body, at))
    }

    /// Folds the end of the execution that a stage waits for into the stage. `Ok(false)` if it has
    /// not ended.
    ///
    /// # Errors
    /// [`PortError`] if something could not be read: the turn must be given up.
    pub(crate) async fn child_ended(
        &mut self,
        shell: &Shell,
        stage: StageIndex,
        child: &ExecutionId,
        at: Timestamp,
    ) -> Result<bool, PortError> {
        let Some(task) = self.loaded.engine.stage(stage).current_task() else { return Ok(true) };
        let found =
            view::load(&*shell.ports.journal, child, &shell.config.limits, view::Detail::Full)
                .await?;
        let body = self.body(&*shell.ports.journal, stage).await?;
        let Some(found) = found else {
            let why = format!("execution `{child}`, which the stage waits for, does not exist");
            let error = TaskError::new("ExecutionNotFoundException", why);
            let step = self.child_failed(stage, body, &error, at);
            self.go_on(shell, step, at).await?;
            return Ok(true);
        };
        let Some(end) = ended::of(&found) else { return Ok(false) };
        let (outcome, body) = end.into_stage(body);
        let failed = expressions::failed(&body.context);
        let step = self.take(done(stage, task, outcome, failed, body, at));
        self.go_on(shell, step, at).await?;
        Ok(true)
    }
}

fn done(
    stage: StageIndex,
    task: TaskIndex,
    outcome: Outcome,
    expressions_failed: bool,
    body: StageBody,
    at: Timestamp,
) -> Done {
    let event = Event::NativeFinished { stage, task, outcome, expressions_failed, at };
    Done { event, bodies: vec![(stage, body)], planned: Vec::new() }
}

/// The execution that a stage's context names.
fn named(context: &Object) -> Option<ExecutionId> {
    let id = context.get("executionId").and_then(Value::as_str)?;
    (!id.is_empty()).then(|| ExecutionId::new(id))
}

fn answer(child: &Child) -> TaskAnswer {
    let mut result = shared_model::TaskResult::default();
    result.context.insert("executionId".into(), child.id.as_str().into());
    result.context.insert("executionName".into(), child.name.as_str().into());
    TaskAnswer::Succeeded { result }
}

/// Makes the execution that a stage asks for.
///
/// # Errors
/// The inner [`TaskError`] if it cannot be made; [`PortError`] if something could not be read.
async fn prepare(
    shell: &Shell,
    scene: &Scene<'_>,
    body: &StageBody,
) -> Result<Result<Child, TaskError>, PortError> {
    let stage = scene.engine.stage(scene.stage);
    let id = child_id(scene.engine.id(), stage.reference(), stage.run());
    if let Some(stored) = shell.ports.journal.load(&id).await? {
        return Ok(Ok(Child { id, name: stored.head.name, submission: None }));
    }
    let config = match find(shell, scene, &body.context).await? {
        Ok(config) => config,
        Err(error) => return Ok(Err(error)),
    };
    let name = config.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let document = trigger::with(config, scene, body);
    let library =
        Library::new(&shell.ports, Arc::clone(&shell.registry), shell.config.limits.clone());
    let document = match library.expanded(Value::Object(document)).await {
        Ok(document) => document,
        Err(LibraryError::Port(error)) => return Err(error),
        Err(error) => return Ok(Err(TaskError::new(NOT_STARTABLE, error.to_string()))),
    };
    let start = Start {
        document,
        user: user(scene),
        id: Some(id.clone()),
        is_child: true,
        trace: Trace::below(scene.engine.id(), &scene.content.document, stage),
        ..Start::default()
    };
    let prior = match start::prior_query(&start) {
        Some(query) => view::artifacts_of_newest(&*shell.ports.journal, &query).await?,
        None => Vec::new(),
    };
    let limits = &shell.config.limits;
    let made = start::prepare(&id, start, &prior, &shell.registry, limits, scene.at);
    Ok(made.map_err(|error| not_started(&name, &error)).map(|mut submission| {
        submission.changes.history.insert(0, started_by(scene));
        Child { id, name, submission: Some(submission) }
    }))
}

fn started_by(scene: &Scene<'_>) -> HistoryEntry {
    let (parent, name) = (scene.engine.id(), scene.content.name(scene.engine, scene.stage));
    let text = format!("stage `{name}` of execution {parent} started it");
    HistoryEntry { at: scene.at, stage: None, kind: "started-by".into(), text }
}

fn not_started(name: &str, error: &SubmitError) -> TaskError {
    let first = format!("the pipeline `{name}` was not started");
    match error {
        SubmitError::Refused { problems } => {
            problems.iter().fold(TaskError::new(NOT_STARTABLE, first), |error, problem| {
                error.and(problem.to_string())
            })
        }
        SubmitError::Exists(_)
        | SubmitError::TooMany { .. }
        | SubmitError::TooManyOfApplication { .. }
        | SubmitError::Control(_)
        | SubmitError::Port(_) => TaskError::new(NOT_STARTABLE, first).and(error.to_string()),
    }
}

/// The saved pipeline that a stage names by its id.
async fn find(
    shell: &Shell,
    scene: &Scene<'_>,
    context: &Object,
) -> Result<Result<Object, TaskError>, PortError> {
    if let Err(error) = trigger::refuse_unsupported(scene.content, context, &shell.config.limits) {
        return Ok(Err(error));
    }
    let text = |key: &str| context.get(key).and_then(Value::as_str);
    let own = scene.content.document.get("application").and_then(Value::as_str);
    let application = text("pipelineApplication").or(text("application")).or(own);
    let (application, id) = (application.unwrap_or_default(), text("pipeline"));
    let library =
        Library::new(&shell.ports, Arc::clone(&shell.registry), shell.config.limits.clone());
    let found = match id {
        Some(id) => library.pipeline(application, id).await.map_err(port)?,
        None => None,
    };
    let has_id = |found: &Object| found.get("id").and_then(Value::as_str) == id;
    Ok(match found {
        Some(found) if !has_id(&found) => Err(by_name(id.unwrap_or_default(), &found)),
        Some(found) if found.get("disabled") == Some(&Value::Bool(true)) => {
            Err(TaskError::new(NOT_STARTABLE, "The referenced pipeline is disabled")
                .and("save it without `disabled`, or name another one"))
        }
        Some(found) => Ok(found),
        None => {
            let why = format!(
                "The referenced pipeline cannot be located ({})",
                context.get("pipeline").unwrap_or(&Value::Null)
            );
            let help = format!(
                "`pipeline` is to be the id of a saved pipeline of application `{application}`"
            );
            Err(TaskError::new(NOT_STARTABLE, why).and(help))
        }
    })
}

fn by_name(name: &str, found: &Object) -> TaskError {
    let id = found.get("id").and_then(Value::as_str).unwrap_or_default();
    TaskError::new(
        NOT_STARTABLE,
        format!("The referenced pipeline cannot be located ({name}): that is a name"),
    )
    .and(format!("write its id, `{id}`, into `pipeline`"))
}

fn port(error: LibraryError) -> PortError {
    match error {
        LibraryError::Port(error) => error,
        LibraryError::Invalid { .. }
        | LibraryError::Conflict { .. }
        | LibraryError::NotFound { .. } => {
            PortError::Refused { doing: "reading a saved pipeline".into(), why: error.to_string() }
        }
    }
}

/// As whom the child runs: as the stage that starts it.
fn user(scene: &Scene<'_>) -> String {
    let user = inputs::acting_user(scene.engine, scene.content, scene.stage);
    if user == "anonymous" { String::new() } else { user }
}
