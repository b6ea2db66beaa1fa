//! Execution windows: the stage that waits for one, before everything else that a stage plans
//! (scenarios H18).

use scheduler_engine::plan::{StagePlan, SyntheticPlan, TaskKind, TaskPlan};
use scheduler_engine::window::{STAGE_TYPE, SUSPEND, TIMEOUT, WINDOW, Window};
use serde_json::Value;
use shared_model::{Object, TaskError};
use shared_ports::journal::StageBody;
use xxhash_rust::xxh3::xxh3_64;

use super::evaluation::{Scene, Shell};
use super::planning::{Planned, settings, truth};

/// Keys that concern the stage alone, not the one that waits for its window.
const OWN: [&str; 3] = [STAGE_TYPE, "stageTimeoutMs", "alias"];

/// Puts the stage that waits in front of what a stage plans, where it has a window.
///
/// # Errors
/// [`TaskError`] for a window that makes no sense.
pub(super) fn before(mut planned: Planned, context: &Object) -> Result<Planned, TaskError> {
    if context.get(STAGE_TYPE).and_then(truth) != Some(true) {
        return Ok(planned);
    }
    Window::read(context)?;
    for body in &mut planned.bodies {
        body.context.retain(|key, _| ![STAGE_TYPE, WINDOW].contains(&key.as_str()));
    }
    let mut context = context.clone();
    context.retain(|key, _| !OWN.contains(&key.as_str()));
    planned.bodies.insert(0, StageBody { context, ..StageBody::default() });
    let (stage_type, name) = (STAGE_TYPE.to_owned(), STAGE_TYPE.to_owned());
    planned.plan.before.insert(0, SyntheticPlan { stage_type, name, after_previous: false });
    Ok(planned)
}

/// What the stage that waits consists of.
///
/// # Errors
/// [`TaskError`] for a window that makes no sense, or never opens.
pub(super) fn wait(
    shell: &Shell,
    scene: &Scene<'_>,
    context: &Object,
) -> Result<Planned, TaskError> {
    let window = Window::read(context)?;
    let trigger = scene.content.document.pointer("/trigger/type").and_then(Value::as_str);
    let is_manual = trigger == Some("manual");
    let until = window.opens(scene.at, shell.config.window_zone.rules(), chance(scene), is_manual);
    let until = until.ok_or_else(|| {
        TaskError::new("InvalidExecutionWindow", "the execution window never opens")
            .and(format!("give `{WINDOW}` days and hours that come"))
    })?;
    let tasks = vec![TaskPlan { name: SUSPEND.into(), kind: TaskKind::Wait { until } }];
    Ok(Planned {
        settings: settings(context, Some(TIMEOUT)),
        plan: StagePlan { tasks, ..StagePlan::default() },
        bodies: Vec::new(),
    })
}

/// The same for the same stage and moment, else by chance.
fn chance(scene: &Scene<'_>) -> u64 {
    let stage = scene.engine.stage(scene.stage).reference();
    xxh3_64(format!("{}/{stage}@{}", scene.engine.id(), scene.at).as_bytes())
}
