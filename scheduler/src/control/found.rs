//! Artifacts of another pipeline's newest execution (Orca's `findArtifactFromExecution`).

use jiff::Timestamp;
use scheduler_engine::Step;
use scheduler_engine::artifact_match::resolve_each;
use scheduler_engine::event::{Event, StageIndex};
use scheduler_engine::native;
use serde_json::Value;
use shared_model::{
    ExpectedArtifact, Object, Status, TaskAnswer, TaskError, TaskIndex, TaskResult,
};
use shared_ports::PortError;
use shared_ports::journal::{Kind, Query};

use super::evaluation::{Done, Scene, Shell};
use super::loaded::Loaded;
use super::turn::Work;
use super::{expressions, fold, planning};
use crate::view;

/// Orca's kind of the error of artifacts that are not there.
const NOT_RESOLVED: &str = "ArtifactResolutionException";

impl Work {
    /// Carries out the task that looks for artifacts of another execution.
    ///
    /// # Errors
    /// [`PortError`] if something could not be read: the turn must be given up.
    pub(crate) async fn find_artifacts(
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
        let answer = look(shell, &body.context, &self.loaded.label.application).await?;
        fold::answer(&mut body, task, native::FIND_ARTIFACTS, &answer, at);
        let event = Event::NativeFinished {
            stage,
            task,
            outcome: fold::outcome(&answer),
            expressions_failed: expressions::failed(&body.context),
            at,
        };
        let bodies = vec![(stage, body)];
        Ok(self.take(Done { event, bodies, planned: Vec::new() }))
    }
}

async fn look(shell: &Shell, context: &Object, own: &str) -> Result<TaskAnswer, PortError> {
    let text = |key: &str| context.get(key).and_then(Value::as_str).unwrap_or_default();
    let expected = expected(context);
    if text("pipeline").is_empty() || expected.is_empty() {
        let why = "`pipeline` or `expectedArtifacts` is missing";
        let help = "name the pipeline's id, and what is to be found";
        return Ok(TaskAnswer::terminal(TaskError::new("InvalidStage", why).and(help)));
    }
    let application = Some(text("application")).filter(|name| !name.is_empty()).unwrap_or(own);
    let query = Query {
        kind: Some(Kind::Pipeline),
        application: Some(application.to_owned()),
        pipeline_config_ids: vec![text("pipeline").to_owned()],
        statuses: statuses(context.get("executionOptions")),
        limit: 1,
        ..Query::default()
    };
    let artifacts = view::artifacts_of_newest(&*shell.ports.journal, &query).await?;
    Ok(match resolve_each(&expected, &artifacts, &[], true) {
        Ok(resolved) => TaskAnswer::Succeeded { result: result(resolved) },
        Err(error) => TaskAnswer::terminal(TaskError::new(NOT_RESOLVED, error.to_string())),
    })
}

fn expected(context: &Object) -> Vec<ExpectedArtifact> {
    let mut all = planning::expected_artifacts(context);
    let single = context.get("expectedArtifact").and_then(Value::as_object).cloned();
    all.extend(single.map(ExpectedArtifact));
    all
}

/// How the execution may stand; however it may where nothing is said.
fn statuses(options: Option<&Value>) -> Vec<Status> {
    let wanted = |key: &str| options.is_some_and(|options| options[key] == true);
    [
        ("successful", Status::Succeeded),
        ("running", Status::Running),
        ("terminal", Status::Terminal),
    ]
    .into_iter()
    .filter_map(|(key, status)| wanted(key).then_some(status))
    .collect()
}

fn result(resolved: Vec<ExpectedArtifact>) -> TaskResult {
    let artifacts = resolved.iter().filter_map(ExpectedArtifact::bound).collect();
    let resolved: Vec<Value> = resolved.into_iter().map(|one| Value::Object(one.0)).collect();
    let outputs = Object::from_iter([("resolvedExpectedArtifacts".to_owned(), resolved.into())]);
    TaskResult { outputs, artifacts, ..TaskResult::default() }
}
