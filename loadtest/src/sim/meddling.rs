//! What else people do while a pipeline runs: pause it, skip and restart stages, end it by force, save its
//! child anew.

use std::time::Duration;

use scheduler::{ControlError, Scheduler};
use serde_json::{Map, Value, json};
use shared_model::ExecutionId;
use shared_ports::journal::Kind;

use super::World;
use super::chance::Chance;
use super::document::{Limit, Plan};
use super::users::{save_child, until_done};

/// Told apart from the seed's other dice, so that what else it tells stays as it was.
const DICE: u64 = 0x5ed5_71e6_0a1b_77c3;
/// The same, for who deletes.
const DELETE_DICE: u64 = 0xde1e_7e5e_ed0d_1ce5;
/// When every world begins, by the clock of windows: hours from midnight.
const BEGIN_HOUR: u64 = 16;

/// What is done to one execution, when, in seconds after it was submitted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meddling {
    /// And how long it is held.
    pause: Option<(u64, u64)>,
    /// And which stage is not to be waited for.
    skip: Option<(u64, usize)>,
    /// And which stage begins again, asked by how many at once.
    restart: Option<(u64, usize, u64)>,
    force_cancel: Option<u64>,
    save_child: Option<u64>,
    /// Which stage may begin only from that minute on.
    window: Option<(usize, u64)>,
}

impl Meddling {
    /// Half of the worlds are left alone.
    pub(crate) fn roll(seed: u64, n: u64, stages: usize, limit: Option<Limit>) -> Self {
        let chance = Chance::of(seed.rotate_left(17) ^ n ^ DICE);
        if Chance::of(seed ^ DICE).one_in(2) {
            return Self::default();
        }
        let when = || chance.between(0, 200);
        let stage = || usize::try_from(chance.between(0, stages as u64)).unwrap_or_default();
        // What has ended and runs again has run in between, as times tell: nobody could count.
        let restarts = chance.one_in(3) && limit.is_none();
        Self {
            pause: chance.one_in(3).then(|| (when(), chance.between(0, 100))),
            skip: chance.one_in(4).then(|| (when(), stage())),
            restart: restarts.then(|| (chance.between(0, 600), stage(), chance.between(1, 3))),
            force_cancel: chance.one_in(10).then(when),
            save_child: chance.one_in(3).then(when),
            window: chance.one_in(4).then(|| (stage(), chance.between(0, 20))),
        }
    }

    /// Writes what of it stands in the document.
    pub(crate) fn write(&self, document: &mut Value) {
        let Some((stage, minute)) = self.window else { return };
        let Some(stage) = document["stages"].get_mut(stage).and_then(Value::as_object_mut) else {
            return;
        };
        let open = json!({
            "startHour": BEGIN_HOUR, "startMin": minute, "endHour": 23, "endMin": 59,
        });
        stage.insert("restrictExecutionDuringTimeWindow".into(), true.into());
        stage.insert("restrictedExecutionWindow".into(), json!({ "whitelist": [open] }));
    }

    /// Whether a stage need not have acted.
    pub(crate) fn skips(&self, stage: usize) -> bool {
        self.skip.is_some_and(|(_, skipped)| skipped == stage)
    }

    /// Whether a failing stage may have been passed over.
    pub(crate) fn may_end_otherwise(&self) -> bool {
        self.skip.is_some() || self.restart.is_some()
    }

    /// Whether it may end canceled: what a failure ended stays so where the stage that failed is begun
    /// again, and passed over then.
    pub(crate) fn may_cancel(&self) -> bool {
        self.force_cancel.is_some() || (self.restart.is_some() && self.skip.is_some())
    }
}

/// When somebody wants to delete an execution, in every other world.
pub(crate) fn roll_delete(seed: u64, n: u64) -> Option<u64> {
    if Chance::of(seed ^ DELETE_DICE).one_in(2) {
        return None;
    }
    let chance = Chance::of(seed.rotate_left(41) ^ n ^ DELETE_DICE);
    chance.one_in(2).then(|| chance.between(0, 900))
}

/// Does all of it to one execution.
pub(crate) async fn meddle(world: &World, plan: &Plan) {
    let Meddling { pause, skip, restart, force_cancel, save_child: saved, window: _ } =
        &plan.meddling;
    let id = &plan.id;
    tokio::join!(
        at(pause.as_ref(), |(after, holds)| async move {
            sleep(*after).await;
            until_done(world, |scheduler| paused(scheduler, id)).await;
            sleep(*holds).await;
            until_done(world, |scheduler| resumed(scheduler, id)).await;
        }),
        at(skip.as_ref(), |(after, stage)| async move {
            sleep(*after).await;
            until_done(world, |scheduler| skipped(scheduler, id, *stage)).await;
        }),
        at(restart.as_ref(), |(after, stage, people)| async move {
            sleep(*after).await;
            let asked = (0..*people)
                .map(|_| until_done(world, |scheduler| restarted(scheduler, id, *stage)));
            futures::future::join_all(asked).await;
        }),
        at(force_cancel.as_ref(), |after| async move {
            sleep(*after).await;
            until_done(world, |scheduler| ended(scheduler, id)).await;
        }),
        at(saved.as_ref().filter(|_| plan.has_children()), |after| async move {
            sleep(*after).await;
            until_done(world, save_child).await;
        }),
        at(plan.delete_after.as_ref(), |after| async move {
            sleep(*after).await;
            until_done(world, |scheduler| deleted(scheduler, id)).await;
        }),
    );
}

async fn at<'a, T, F: Future<Output = ()>>(what: Option<&'a T>, act: impl FnOnce(&'a T) -> F) {
    if let Some(what) = what {
        act(what).await;
    }
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn paused(scheduler: Scheduler, id: &ExecutionId) -> bool {
    is_answered(&scheduler.pause(id, "somebody").await)
}

async fn resumed(scheduler: Scheduler, id: &ExecutionId) -> bool {
    is_answered(&scheduler.resume(id, "somebody").await)
}

async fn skipped(scheduler: Scheduler, id: &ExecutionId, stage: usize) -> bool {
    let patch = Map::from_iter([("manualSkip".to_owned(), Value::from(true))]);
    is_answered(&scheduler.patch_stage(id, &format!("s{stage}"), patch, "somebody").await)
}

async fn restarted(scheduler: Scheduler, id: &ExecutionId, stage: usize) -> bool {
    is_answered(&scheduler.restart_stage(id, &format!("s{stage}"), "somebody").await)
}

async fn ended(scheduler: Scheduler, id: &ExecutionId) -> bool {
    is_answered(&scheduler.force_cancel(id, "somebody", "it is stuck").await)
}

/// One that runs is refused.
async fn deleted(scheduler: Scheduler, id: &ExecutionId) -> bool {
    is_answered(&scheduler.remove(id, Kind::Pipeline).await)
}

/// It is done, or it makes no sense any more.
fn is_answered<T>(answer: &Result<T, ControlError>) -> bool {
    match answer {
        // Whoever asks knows that it was submitted: it was deleted.
        Ok(_)
        | Err(
            ControlError::Conflict { .. }
            | ControlError::Invalid { .. }
            | ControlError::NotFound { .. },
        ) => true,
        Err(
            ControlError::RoleMissing { .. }
            | ControlError::Overtaken
            | ControlError::Port(_)
            | ControlError::Stopping,
        ) => false,
    }
}
