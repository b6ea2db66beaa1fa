//! Executions, stages and triggers: objects with known properties, each of which has a value even where
//! the document says nothing.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::{Result, Run};
use crate::Error;
use crate::scope::{stages_of, text};
use crate::value::Val;

type Object = Map<String, Value>;

/// What a property is where the document does not have it.
#[derive(Clone, Copy)]
enum Default {
    Null,
    False,
    Zero,
    List,
    Map,
    Text(&'static str),
}

type Properties = &'static [(Default, &'static [&'static str])];

const EXECUTION: Properties = &[
    (Default::Text("PIPELINE"), &["type"]),
    (Default::False, &["canceled", "limitConcurrent", "keepWaitingPipelines"]),
    (Default::Zero, &["maxConcurrentExecutions"]),
    (Default::List, &["notifications", "systemNotifications"]),
    (Default::Map, &["initialConfig"]),
    (Default::Null, &["id", "rootId", "application", "name", "description", "origin", "source"]),
    (Default::Null, &["buildTime", "startTime", "endTime", "startTimeExpiry"]),
    (Default::Null, &["canceledBy", "cancellationReason", "paused", "authentication"]),
    (Default::Null, &["pipelineConfigId", "spelEvaluator", "templateVariables", "partition"]),
];
const STAGE: Properties = &[
    (Default::List, &["tasks", "requisiteStageRefIds"]),
    (Default::Map, &["outputs"]),
    (Default::Null, &["id", "refId", "type", "name", "parentStageId", "syntheticStageOwner"]),
    (Default::Null, &["startTime", "endTime", "startTimeExpiry", "scheduledTime"]),
];
const TRIGGER: Properties = &[
    (Default::Text("none"), &["type"]),
    (Default::Text("[anonymous]"), &["user"]),
    (Default::Null, &["correlationId"]),
    (Default::Map, &["parameters"]),
    (Default::List, &["artifacts", "notifications", "resolvedExpectedArtifacts"]),
    (Default::False, &["rebake", "dryRun", "strategy"]),
];

/// Triggers of a kind have more; the kind goes by what they have, in this order (reference §2.5).
const KINDS: [(&[&str], &[&str]); 4] = [
    (&["account", "repository", "tag"], &["account", "repository", "tag"]),
    (
        &["master", "job", "buildNumber"],
        &["master", "job", "buildNumber", "propertyFile", "buildInfo", "properties"],
    ),
    (
        &["parentExecution"],
        &["parentExecution", "parentPipelineId", "parentPipelineStageId", "parentPipelineName"],
    ),
    (
        &["source", "project", "branch", "slug", "hash"],
        &["source", "project", "branch", "slug", "hash", "action"],
    ),
];

fn default_of(properties: Properties, name: &str) -> Option<Default> {
    properties.iter().find(|(_, names)| names.contains(&name)).map(|(default, _)| *default)
}

impl<'a> Run<'a> {
    pub(super) fn trigger_property(&mut self, trigger: &'a Object, name: &str) -> Result<Val<'a>> {
        let has = |keys: &[&str]| keys.iter().all(|key| trigger.contains_key(*key));
        let kind = KINDS.iter().find(|(keys, _)| has(keys));
        match default_of(TRIGGER, name) {
            Some(default) => self.field(trigger, name, default),
            None if kind.is_some_and(|(_, names)| names.contains(&name)) => {
                self.field(trigger, name, Default::Null)
            }
            None => Err(Error::no_property(name, "a trigger")),
        }
    }

    pub(super) fn execution_property(
        &mut self,
        execution: &'a Object,
        name: &str,
    ) -> Result<Val<'a>> {
        match name {
            "stages" => {
                let stages = stages_of(execution).into_iter().map(Val::Stage);
                self.make(Val::list(stages.collect()))
            }
            "trigger" => {
                let trigger = execution.get("trigger").and_then(Value::as_object);
                Ok(trigger.map_or(Val::Null, Val::Trigger))
            }
            "status" => Ok(status(execution)),
            _ => match default_of(EXECUTION, name) {
                Some(default) => self.field(execution, name, default),
                None => Err(Error::no_property(name, "an execution")),
            },
        }
    }

    pub(super) fn stage_property(&mut self, stage: &'a Object, name: &str) -> Result<Val<'a>> {
        match name {
            "status" => Ok(status(stage)),
            "context" => self.stage_context(stage),
            "hasSucceeded" => Ok(Val::Bool(text(stage, "status") == "SUCCEEDED")),
            "hasFailed" => Ok(Val::Bool(text(stage, "status") == "TERMINAL")),
            "execution" => Ok(self.context.execution.map_or(Val::Null, Val::Execution)),
            "parent" => self.parent(stage).map(Val::Stage).ok_or_else(|| Error::on_null("parent")),
            "topLevelStage" => Ok(Val::Stage(self.top_level(stage))),
            _ => match default_of(STAGE, name) {
                Some(default) => self.field(stage, name, default),
                None => Err(Error::no_property(name, "a stage")),
            },
        }
    }

    /// A method that finds a stage in an execution; `None` if there is no such method.
    ///
    /// # Errors
    /// [`Error::Evaluate`] if there is no such stage.
    pub(crate) fn stage_of_execution(
        &self,
        execution: &'a Object,
        method: &str,
        wanted: &str,
    ) -> Result<Option<Val<'a>>> {
        let key = match method {
            "namedStage" => "type",
            "stageById" => "id",
            "stageByRef" => "refId",
            _ => return Ok(None),
        };
        let mut stages = stages_of(execution).into_iter();
        let found = stages.find(|stage| text(stage, key) == wanted);
        let none = || Error::Evaluate(format!("No stage with {key} {wanted} exists"));
        found.map(|stage| Some(Val::Stage(stage))).ok_or_else(none)
    }

    fn parent(&self, stage: &Object) -> Option<&'a Object> {
        self.context.stage_of(stage.get("parentStageId")?.as_str()?)
    }

    /// The stage that a synthetic one belongs to in the end; itself, if it is none.
    fn top_level(&self, stage: &'a Object) -> &'a Object {
        let mut top = stage;
        // As many steps as there are stages: a document may go round in circles.
        for _ in 0..self.context.stages().len() {
            top = self.parent(top).unwrap_or(top);
        }
        top
    }

    fn field(&mut self, object: &'a Object, name: &str, default: Default) -> Result<Val<'a>> {
        match object.get(name).filter(|value| !value.is_null()) {
            Some(value) => self.json(value, false),
            None => Ok(default.value()),
        }
    }

    /// A stage's context; behind its own keys stand its own and its ancestors' outputs.
    fn stage_context(&mut self, stage: &'a Object) -> Result<Val<'a>> {
        let mut entries = crate::value::Entries::new();
        let own = stage.get("context").and_then(Value::as_object);
        let line = self.context.line_of(stage);
        let outputs = line.into_iter().filter_map(|stage| stage.get("outputs")?.as_object());
        for object in own.into_iter().chain(outputs) {
            for (key, value) in object {
                if !entries.contains_key(key) {
                    let value = self.json(value, false)?;
                    entries.insert(key.clone(), value);
                }
            }
        }
        self.make(Val::Map(Rc::new(entries)))
    }
}

impl Default {
    fn value<'a>(self) -> Val<'a> {
        match self {
            Self::Null => Val::Null,
            Self::False => Val::Bool(false),
            Self::Zero => Val::Int(0),
            Self::List => Val::list(Vec::new()),
            Self::Map => Val::Map(Rc::default()),
            Self::Text(text) => Val::text(text),
        }
    }
}

/// What has no status yet was not started.
fn status(object: &Object) -> Val<'static> {
    match text(object, "status") {
        "" => Val::Status(Rc::from("NOT_STARTED")),
        status => Val::Status(Rc::from(status)),
    }
}
