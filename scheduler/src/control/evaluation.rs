//! What the engine asks to be evaluated: stages that are about to start, and tasks that need no
//! worker. Pure computation on what is stored; its results are stored with the event (D13).

use std::sync::Arc;

use jiff::Timestamp;
use scheduler_engine::Execution;
use scheduler_engine::command::Evaluate;
use scheduler_engine::event::{Event, StageIndex, StageStart};
use scheduler_engine::native;
use scheduler_engine::plan::{TaskKind, TaskPlan};
use serde_json::{Value, json};
use shared_model::{Object, TaskAnswer, TaskError, TaskIndex, TaskResult};
use shared_ports::journal::StageBody;
use shared_ports::{Ports, Shelf};

use super::expressions::{self, Expressions};
use super::loaded::Content;
use super::reach::Reach;
use super::reports::Receiving;
use super::writes::Writes;
use super::{Config, Scheduler, fold, planning};
use crate::Registry;
use crate::fleet::Counted;

/// What the loop works with.
pub(crate) struct Shell {
    pub(crate) ports: Ports,
    pub(crate) config: Arc<Config>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) expressions: Expressions,
    /// How many shards there are.
    pub(crate) shards: u16,
    /// What is asked of workers here.
    pub(crate) counted: Arc<Counted>,
    /// Which workers reach which accounts.
    pub(crate) reach: Arc<Reach>,
    /// Where long texts lie.
    pub(crate) shelf: Arc<Shelf>,
    /// What is written that not every version reads.
    pub(crate) writes: Writes,
    /// Where workers send their reports to.
    pub(crate) receiving: Receiving,
}

impl Shell {
    pub(crate) fn new(handle: &Scheduler, shards: u16) -> Self {
        Self {
            ports: handle.ports.clone(),
            config: Arc::clone(&handle.config),
            registry: Arc::clone(&handle.registry),
            expressions: Expressions::default(),
            shards,
            counted: Arc::clone(&handle.fleet.counted),
            reach: Arc::new(Reach::new(handle.config.sharing.is_some())),
            shelf: Arc::clone(&handle.shelf),
            writes: handle.writes.clone(),
            receiving: Receiving::default(),
        }
    }
}

/// What an evaluation came to: an event for the engine and the bodies to store with it.
pub(crate) struct Done {
    /// For the engine.
    pub(crate) event: Event,
    /// Stages whose bodies changed.
    pub(crate) bodies: Vec<(StageIndex, StageBody)>,
    /// Bodies of the synthetic stages that the event plans, in their order.
    pub(crate) planned: Vec<StageBody>,
}

/// One stage within its execution.
pub(crate) struct Scene<'a> {
    /// The engine's state.
    pub(crate) engine: &'a Execution,
    /// Document and bodies.
    pub(crate) content: &'a Content,
    /// The stage.
    pub(crate) stage: StageIndex,
    /// Now.
    pub(crate) at: Timestamp,
}

/// Evaluates what the engine asked for.
pub(crate) fn evaluate(shell: &Shell, scene: &Scene<'_>, what: Evaluate) -> Done {
    match what {
        Evaluate::Start => start(shell, scene),
        Evaluate::Native(task) => native(shell, scene, task),
        // Stage types that plan after or on failure of themselves: none announces it yet.
        Evaluate::After | Evaluate::OnFailure => Done {
            event: Event::Planned {
                stage: scene.stage,
                on_failure: what == Evaluate::OnFailure,
                planned: Ok(Vec::new()),
                at: scene.at,
            },
            bodies: Vec::new(),
            planned: Vec::new(),
        },
    }
}

fn start(shell: &Shell, scene: &Scene<'_>) -> Done {
    let (stage, at) = (scene.stage, scene.at);
    let mut body = scene.content.body(stage);
    if !shell.expressions.is_enabled(scene, &body) {
        let event = Event::Evaluated { stage, start: StageStart::Skip, at };
        return Done { event, bodies: Vec::new(), planned: Vec::new() };
    }
    shell.expressions.evaluate_body(scene, &mut body);
    let is_skipped = body.context.get("manualSkip") == Some(&Value::Bool(true));
    if is_skipped || has_expired(&body.context, at) {
        let event = Event::Evaluated { stage, start: StageStart::Skip, at };
        return Done { event, bodies: Vec::new(), planned: Vec::new() };
    }
    let stage_type = scene.content.stage_type(scene.engine, stage);
    match planning::plan(shell, scene, &stage_type, &body.context) {
        Ok(planned) => {
            let asks = |task: &TaskPlan| task.kind == TaskKind::Judgment;
            if planned.plan.tasks.iter().any(asks) && !body.context.contains_key("notifications") {
                fold::patch(&mut body, &Object::from_iter([("notifications".into(), json!([]))]));
            }
            let start = StageStart::Run {
                settings: planned.settings,
                plan: planned.plan,
                expressions_failed: expressions::failed(&body.context),
            };
            let event = Event::Evaluated { stage, start, at };
            Done { event, bodies: vec![(stage, body)], planned: planned.bodies }
        }
        Err(error) => {
            let name = scene.content.name(scene.engine, stage);
            let operation = match error.kind == planning::NO_SUCH_TYPE {
                true => format!("{name}:ConstructAfterStages"),
                false => name,
            };
            fold::exception(&mut body, &operation, &error, false, at);
            let failed = Object::from_iter([("beforeStagePlanningFailed".to_owned(), true.into())]);
            fold::patch(&mut body, &failed);
            let start = StageStart::Fail { started: error.kind != planning::NO_SUCH_TYPE };
            let event = Event::Evaluated { stage, start, at };
            Done { event, bodies: vec![(stage, body)], planned: Vec::new() }
        }
    }
}

/// Whether it is too late for a stage to begin (scenarios H17).
fn has_expired(context: &Object, at: Timestamp) -> bool {
    let expiry = match context.get("startTimeExpiry") {
        Some(Value::Number(millis)) => millis.as_i64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    };
    expiry.is_some_and(|expiry| expiry <= at.as_millisecond())
}

fn native(shell: &Shell, scene: &Scene<'_>, task: TaskIndex) -> Done {
    let (stage, at) = (scene.stage, scene.at);
    let mut body = scene.content.body(stage);
    shell.expressions.evaluate_body(scene, &mut body);
    let name = scene.engine.stage(stage).task(task).name.clone();
    let answer = native_answer(shell, scene, &name, &body);
    fold::answer(&mut body, task, &name, &answer, at);
    let event = Event::NativeFinished {
        stage,
        task,
        outcome: fold::outcome(&answer),
        expressions_failed: expressions::failed(&body.context),
        at,
    };
    Done { event, bodies: vec![(stage, body)], planned: Vec::new() }
}

fn native_answer(shell: &Shell, scene: &Scene<'_>, name: &str, body: &StageBody) -> TaskAnswer {
    match name {
        native::EVALUATE_VARIABLES => shell.expressions.variables(body),
        native::CHECK_PRECONDITION => shell.expressions.precondition(scene, body),
        planning::BIND_ARTIFACTS => bind_artifacts(body),
        _ => native::answer(name, &body.context).unwrap_or_else(|| {
            TaskAnswer::terminal(TaskError::new(
                "NoSuchTask",
                format!("no task `{name}` is known here: it was planned by another version"),
            ))
        }),
    }
}

/// Binds what the stage made to what its document expects (Orca's `bindProducedArtifacts`).
fn bind_artifacts(body: &StageBody) -> TaskAnswer {
    let expected = planning::expected_artifacts(&body.context);
    let produced = super::inputs::own_artifacts(&body.outputs);
    match scheduler_engine::artifact_match::bind_produced(&expected, &produced) {
        Ok(resolved) => {
            let list = resolved.into_iter().map(|found| Value::Object(found.0));
            let outputs = Object::from_iter([(
                "resolvedExpectedArtifacts".to_owned(),
                list.collect::<Vec<_>>().into(),
            )]);
            TaskAnswer::Succeeded { result: TaskResult { outputs, ..TaskResult::default() } }
        }
        Err(error) => {
            TaskAnswer::terminal(TaskError::new("ArtifactResolutionException", error.to_string()))
        }
    }
}
