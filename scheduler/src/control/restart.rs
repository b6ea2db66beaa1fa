//! What the contexts of stages hold when they begin again (reference §4.3).

use jiff::Timestamp;
use scheduler_engine::event::StageIndex;
use serde_json::{Value, json};
use shared_model::{ExecutionId, Object};
use shared_ports::journal::StageBody;
use shared_ports::{Journal, PortError};

use super::fold;
use super::turn::Work;

/// Orca's mark of a stage that begins again because its child does.
pub(super) const SKIPS_CHILD: &str = "_skipPipelineRestart";

/// What a run of a stage leaves in its context and the next one must not find, by type.
const LEFT_BEHIND: [(&str, &[&str]); 3] = [
    ("pipeline", &["executionId", "executionName", "status", "buildInfo"]),
    ("manualJudgment", &["judgmentStatus", "judgmentInput", "lastModifiedBy"]),
    ("webhook", &["webhook", "buildInfo"]),
];

/// A stage that begins again.
pub(super) struct Restart<'a> {
    /// Which.
    pub(super) stage: StageIndex,
    /// Who wants it.
    pub(super) by: &'a str,
    /// Whether it waits for the execution that it started before, which began again by itself.
    pub(super) keeps_child: bool,
}

impl Restart<'_> {
    /// The bodies of the stages that begin again with this one. Contexts and outputs otherwise stay.
    ///
    /// # Errors
    /// [`PortError`] if one cannot be read.
    pub(super) async fn bodies(
        &self,
        journal: &dyn Journal,
        work: &mut Work,
        at: Timestamp,
    ) -> Result<Vec<(StageIndex, StageBody)>, PortError> {
        let again = work.loaded.engine.restarts_with(self.stage);
        let top = work.loaded.engine.top_level(self.stage);
        let has_ended = work.loaded.engine.stage(top).status().is_complete();
        let content = work.loaded.content(journal).await?;
        let mut bodies: Vec<_> = again.iter().map(|index| (*index, content.body(*index))).collect();
        for (index, body) in &mut bodies {
            let written = content.document.pointer(&format!("/stages/{index}/type"));
            let child = body.context.get("executionId").cloned();
            forget(body, written.and_then(Value::as_str).unwrap_or_default());
            if *index == top && self.keeps_child {
                // What the builder of Orca's stage looks at, and takes away, when it begins again.
                body.context.remove(SKIPS_CHILD);
                body.context.extend(child.map(|id| ("executionId".to_owned(), id)));
            }
            if *index == top && has_ended {
                note(body, if self.by.is_empty() { "anonymous" } else { self.by }, at);
            }
        }
        Ok(bodies)
    }
}

fn forget(body: &mut StageBody, stage_type: &str) {
    body.checkpoints.clear();
    let left = LEFT_BEHIND.iter().filter(|(name, _)| *name == stage_type);
    for key in left.flat_map(|(_, keys)| *keys) {
        body.context.remove(*key);
    }
}

/// The execution that started one, and its stage that waits for it: both begin again with it (scenarios
/// H80).
pub(super) fn parent(execution: &Value) -> Option<(ExecutionId, String)> {
    let trigger = execution.get("trigger")?;
    let id = trigger.pointer("/parentExecution/id").and_then(Value::as_str)?;
    let stage = trigger.get("parentPipelineStageId").and_then(Value::as_str)?;
    Some((ExecutionId::new(id), stage.to_owned()))
}

/// Says who began it again; what went wrong before goes there, too.
fn note(body: &mut StageBody, by: &str, at: Timestamp) {
    let mut details = json!({ "restartedBy": by, "restartTime": at.as_millisecond() });
    if let Some(exception) = body.context.remove("exception") {
        details["previousException"] = exception;
    }
    fold::patch(body, &Object::from_iter([("restartDetails".to_owned(), details)]));
}
