//! What the contexts of stages hold when they begin again (reference §4.3).

use jiff::Timestamp;
use scheduler_engine::event::StageIndex;
use serde_json::{Value, json};
use shared_model::Object;
use shared_ports::journal::StageBody;
use shared_ports::{Journal, PortError};

use super::fold;
use super::turn::Work;

/// What a run of a stage leaves in its context and the next one must not find, by type.
const LEFT_BEHIND: [(&str, &[&str]); 3] = [
    ("pipeline", &["executionId", "executionName", "status", "buildInfo"]),
    ("manualJudgment", &["judgmentStatus", "judgmentInput", "lastModifiedBy"]),
    ("webhook", &["webhook", "buildInfo"]),
];

/// The bodies of the stages that begin again with one of them. Contexts and outputs otherwise stay.
///
/// # Errors
/// [`PortError`] if one cannot be read.
pub(super) async fn bodies(
    journal: &dyn Journal,
    work: &mut Work,
    stage: StageIndex,
    by: &str,
    at: Timestamp,
) -> Result<Vec<(StageIndex, StageBody)>, PortError> {
    let again = work.loaded.engine.restarts_with(stage);
    let content = work.loaded.content(journal).await?;
    let mut bodies: Vec<_> = again.iter().map(|index| (*index, content.body(*index))).collect();
    for (index, body) in &mut bodies {
        let content = work.loaded.content(journal).await?;
        let written = content.document.pointer(&format!("/stages/{index}/type"));
        forget(body, written.and_then(Value::as_str).unwrap_or_default());
    }
    let by = if by.is_empty() { "anonymous" } else { by };
    let top = work.loaded.engine.top_level(stage);
    if let Some((_, body)) = bodies.iter_mut().find(|(index, _)| *index == top)
        && work.loaded.engine.stage(top).status().is_complete()
    {
        note(body, by, at);
    }
    Ok(bodies)
}

fn forget(body: &mut StageBody, stage_type: &str) {
    body.checkpoints.clear();
    let left = LEFT_BEHIND.iter().filter(|(name, _)| *name == stage_type);
    for key in left.flat_map(|(_, keys)| *keys) {
        body.context.remove(*key);
    }
}

/// Says who began it again; what went wrong before goes there, too.
fn note(body: &mut StageBody, by: &str, at: Timestamp) {
    let mut details = json!({ "restartedBy": by, "restartTime": at.as_millisecond() });
    if let Some(exception) = body.context.remove("exception") {
        details["previousException"] = exception;
    }
    fold::patch(body, &Object::from_iter([("restartDetails".to_owned(), details)]));
}
