//! What people ask of an execution, and the events that this becomes.

use jiff::Timestamp;
use scheduler_engine::Execution;
use scheduler_engine::event::{Event, StageIndex, Told};
use scheduler_engine::plan::TaskKind;
use serde_json::Value;
use shared_model::{ExecutionId, Object, Status};
use tokio::sync::oneshot;

use super::{ControlError, restart};
use crate::view;

/// Something asked of an execution.
pub(crate) struct Request {
    /// Which execution.
    pub(crate) execution: ExecutionId,
    /// Who asks.
    pub(crate) by: String,
    /// What.
    pub(crate) ask: Ask,
    /// Answered once it is stored.
    pub(crate) reply: oneshot::Sender<Result<(), ControlError>>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    /// To end.
    Cancel {
        /// Why.
        reason: String,
        /// Whether at once, whatever workers do.
        force: bool,
    },
    /// To begin nothing any more.
    Pause,
    /// To go on.
    Resume,
    /// To begin a stage, and what follows it, again.
    Restart {
        /// The stage's id in Gate's JSON, or its `refId`.
        stage_id: String,
        /// Whether because an execution that it waits for begins again: it waits for that one.
        with_child: bool,
    },
    /// To merge fields into a stage's context.
    Patch {
        /// The stage's id in Gate's JSON, or its `refId`.
        stage_id: String,
        /// The fields.
        patch: Object,
        /// The roles of whoever asks, where they are known.
        roles: Option<Vec<String>>,
    },
}

/// What a request comes to: a stage whose context takes a patch, and an event, where there is one.
pub(crate) struct Resolved {
    /// The stage and the fields that its context takes.
    pub(crate) patch: Option<(StageIndex, Object)>,
    /// What the engine is told.
    pub(crate) event: Option<Event>,
    /// Who patches it, with the roles that they have, where these are known.
    pub(crate) roles: Option<(String, Vec<String>)>,
}

/// Refuses to change a judgment for somebody of whom it is known that they have none of the roles that
/// it wants: not to answer it, not to skip it, and not to make it want others.
///
/// # Errors
/// [`ControlError::RoleMissing`].
pub(crate) fn check_roles(
    context: &Object,
    roles: Option<&(String, Vec<String>)>,
) -> Result<(), ControlError> {
    let Some((who, roles)) = roles else { return Ok(()) };
    let listed = ["requiredJudgmentRoles", "selectedStageRoles"].into_iter();
    let listed = listed.filter_map(|key| context.get(key)?.as_array()).flatten();
    let wanted: Vec<String> = listed.filter_map(Value::as_str).map(str::to_owned).collect();
    let has = |wanted: &String| roles.iter().any(|role| role.eq_ignore_ascii_case(wanted));
    if wanted.is_empty() || wanted.iter().any(has) {
        return Ok(());
    }
    Err(ControlError::RoleMissing { who: who.clone(), wanted })
}

/// Finds out what a request means for an execution.
///
/// # Errors
/// [`ControlError`] if it means nothing there.
pub(crate) fn resolve(
    execution: &Execution,
    ask: &Ask,
    by: &str,
    at: Timestamp,
) -> Result<Resolved, ControlError> {
    if let Ask::Restart { stage_id, with_child } = ask {
        let stage = found(execution, stage_id)?;
        if *with_child && !execution.status().is_complete() {
            let why = "the execution that waits for it has not ended".to_owned();
            return Err(ControlError::Conflict { why });
        }
        let skips = Object::from_iter([(restart::SKIPS_CHILD.to_owned(), true.into())]);
        let patch = with_child.then_some((stage, skips));
        let event = Some(Event::RestartRequested { stage, by: by.to_owned(), at });
        return Ok(Resolved { patch, event, roles: None });
    }
    if execution.status().is_complete() {
        let status = execution.status();
        return Err(ControlError::Conflict { why: format!("the execution has ended ({status})") });
    }
    match ask {
        Ask::Cancel { reason, force } => {
            let (by, reason) = (by.to_owned(), reason.clone());
            let event = match force {
                true => Event::ForceCancelRequested { by, reason, at },
                false => Event::CancelRequested { by, reason, at },
            };
            Ok(Resolved { patch: None, event: Some(event), roles: None })
        }
        Ask::Pause => {
            let event = Some(Event::PauseRequested { by: by.to_owned(), at });
            Ok(Resolved { patch: None, event, roles: None })
        }
        // Who runs already is not resumed, which is what was asked for.
        Ask::Resume => {
            let is_held = execution.status() == Status::Paused;
            let event = is_held.then(|| Event::ResumeRequested { by: by.to_owned(), at });
            Ok(Resolved { patch: None, event, roles: None })
        }
        // Resolved above: it may be asked of what has ended, too.
        Ask::Restart { .. } => Ok(Resolved { patch: None, event: None, roles: None }),
        Ask::Patch { stage_id, patch, roles } => {
            let resolved = resolve_patch(execution, stage_id, patch, by, at)?;
            Ok(Resolved { roles: roles.clone().map(|roles| (by.to_owned(), roles)), ..resolved })
        }
    }
}

fn found(execution: &Execution, stage_id: &str) -> Result<StageIndex, ControlError> {
    let stage =
        view::find_stage(execution, stage_id).filter(|stage| !execution.stage(*stage).is_removed());
    stage.ok_or_else(|| ControlError::NotFound { what: format!("stage `{stage_id}`") })
}

/// What a person skips by hand; a wait is ended with `skipRemainingWait` instead, as in Orca.
fn skipped(
    execution: &Execution,
    stage: StageIndex,
    patch: &Object,
    by: &str,
    at: Timestamp,
) -> Option<Event> {
    let asked = patch.get("manualSkip") == Some(&Value::Bool(true));
    let found = execution.stage(stage);
    let task = found.current_task().map(|task| &found.task(task).kind);
    let waits = matches!(task, Some(TaskKind::Wait { .. }));
    let runs = found.status() == Status::Running && !waits;
    (asked && runs).then(|| Event::SkipRequested { stage, by: by.to_owned(), at })
}

fn resolve_patch(
    execution: &Execution,
    stage_id: &str,
    patch: &Object,
    by: &str,
    at: Timestamp,
) -> Result<Resolved, ControlError> {
    let stage = found(execution, stage_id)?;
    let status = execution.stage(stage).status();
    if status.is_complete() {
        return Err(ControlError::Conflict { why: format!("the stage has ended ({status})") });
    }
    let event = match outcome(execution, stage, patch)? {
        Some(told) => Some(Event::OutcomeTold { stage, told, by: by.to_owned(), at }),
        None => match skipped(execution, stage, patch, by, at) {
            Some(skip) => Some(skip),
            None => stage_event(stage, patch, by, at)?,
        },
    };
    let mut patch = patch.clone();
    patch.insert("lastModifiedBy".into(), by.into());
    Ok(Resolved { patch: Some((stage, patch)), event, roles: None })
}

/// What a patch says of work whose outcome is unknown; `None` where nobody asked.
fn outcome(
    execution: &Execution,
    stage: StageIndex,
    patch: &Object,
) -> Result<Option<Told>, ControlError> {
    let Some(told) = patch.get("outcome") else { return Ok(None) };
    if !execution.stage(stage).waits_for_outcome() {
        return Ok(None);
    }
    match told.as_str() {
        Some("done") => Ok(Some(Told::Done)),
        Some("repeat") => Ok(Some(Told::Repeat)),
        Some("fail") => Ok(Some(Told::Fail)),
        _ => Err(ControlError::Invalid {
            why: format!("outcome is {told}; send \"done\", \"repeat\" or \"fail\""),
        }),
    }
}

fn stage_event(
    stage: StageIndex,
    patch: &Object,
    by: &str,
    at: Timestamp,
) -> Result<Option<Event>, ControlError> {
    let by = by.to_owned();
    if let Some(judgment) = patch.get("judgmentStatus") {
        let proceed = match judgment.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("continue") => true,
            Some("stop") => false,
            _ => return Err(bad_judgment(judgment)),
        };
        return Ok(Some(Event::Judged { stage, proceed, by, at }));
    }
    let skip = patch.get("skipRemainingWait").is_some_and(|skip| skip == &Value::Bool(true));
    Ok(skip.then_some(Event::WaitEnded { stage, by, at }))
}

fn bad_judgment(found: &Value) -> ControlError {
    ControlError::Invalid {
        why: format!("judgmentStatus is {found}; send \"continue\" or \"stop\""),
    }
}
