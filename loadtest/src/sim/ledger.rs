//! The outside world: what was done to it, by whom, and who is at it now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared_model::{
    AttemptId, Capability, Effects, Epoch, Retry, StageRun, TaskAnswer, TaskError, TaskResult,
};
use shared_plugin::{Ending, StageDescriptor, StageType, TaskContext, TaskDescriptor, When};
use shared_ports::{Clock, Holder};

use super::clock::SimClock;

/// How long after nobody waits for an attempt it may begin: who was let begin may hear of that late, and
/// of its end too, but not time and again.
const BEGINS_LATE_MAX: Duration = Duration::from_secs(60);

/// Something that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A task of a stage began.
    Began { execution: String, stage: String, run: StageRun },
    /// A stage changed the world.
    Acted { execution: String, stage: String, run: StageRun },
    /// Two were at one task at once, and the second had not rightly taken it over from the first.
    TwoLive { first: String, second: String },
    /// One began long after nobody waited for it any more.
    BeganLate { work: String, after: Duration },
}

impl Seen {
    /// Whether a stage of an execution changed the world here.
    pub(crate) fn is_act_of(&self, in_execution: &str, of_stage: &str) -> bool {
        match self {
            Self::Acted { execution, stage, .. } => execution == in_execution && stage == of_stage,
            Self::Began { .. } | Self::TwoLive { .. } | Self::BeganLate { .. } => false,
        }
    }
}

/// The outside world.
pub(crate) struct Ledger {
    looked_up: bool,
    /// Whether everybody's clock is right: else nobody can tell what has lain for long.
    clocks_are_right: bool,
    clock: Arc<SimClock>,
    lease_ttl: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    done: BTreeMap<String, u32>,
    live: BTreeMap<String, Work>,
    traces: BTreeMap<Work, Trace>,
    /// Whether nobody knows any more which leases were granted once.
    leases_are_forgotten: bool,
}

/// An attempt under one epoch.
type Work = (AttemptId, Epoch);

/// What the servers know of one.
#[derive(Default)]
struct Trace {
    deliveries: u32,
    /// Whose claims of it were answered with a grant.
    granted_to: BTreeSet<Holder>,
    /// When its lease was granted or renewed last.
    heard: Option<Duration>,
    /// Whether it had no lease when the next epoch was given out.
    was_let_go: bool,
    /// When it was not waited for any more.
    over: Option<Duration>,
}

impl Trace {
    fn came_again(&self) -> bool {
        self.deliveries > 1
    }

    fn has_lapsed(&self, now: Duration, ttl: Duration) -> bool {
        self.heard.is_none_or(|heard| now >= heard + ttl)
    }
}

impl Ledger {
    /// Nothing has happened yet. `looked_up`: whether what was done before can be found.
    pub(crate) fn new(
        looked_up: bool,
        clocks_are_right: bool,
        clock: Arc<SimClock>,
        lease_ttl: Duration,
    ) -> Self {
        Self { looked_up, clocks_are_right, clock, lease_ttl, state: Mutex::default() }
    }

    /// The message of an attempt came to a worker.
    pub(crate) fn is_delivered(&self, attempt: &AttemptId, epoch: Epoch) {
        self.lock().traces.entry((attempt.clone(), epoch)).or_default().deliveries += 1;
    }

    /// A claim was answered with a grant.
    pub(crate) fn is_granted(&self, attempt: &AttemptId, epoch: Epoch, holder: &Holder) {
        let mut state = self.lock();
        let trace = state.traces.entry((attempt.clone(), epoch)).or_default();
        trace.granted_to.insert(holder.clone());
    }

    /// An attempt has a lease from now on.
    pub(crate) fn is_leased(&self, attempt: &AttemptId, epoch: Epoch) {
        let now = self.clock.elapsed();
        self.lock().traces.entry((attempt.clone(), epoch)).or_default().heard = Some(now);
    }

    /// The next epoch of an attempt was given out.
    pub(crate) fn is_taken_over(&self, attempt: &AttemptId, epoch: Epoch) {
        let now = self.clock.elapsed();
        let mut state = self.lock();
        let trace = state.traces.entry((attempt.clone(), epoch)).or_default();
        trace.was_let_go |= trace.has_lapsed(now, self.lease_ttl);
    }

    /// Nobody waits for an attempt any more, or somebody does (again).
    pub(crate) fn is_waited_for(&self, attempt: &AttemptId, epoch: Epoch, is_waited_for: bool) {
        let over = (!is_waited_for).then(|| self.clock.elapsed());
        self.lock().traces.entry((attempt.clone(), epoch)).or_default().over = over;
    }

    /// Nobody knows any more who held what.
    pub(crate) fn leases_are_forgotten(&self) {
        self.lock().leases_are_forgotten = true;
    }

    /// What happened, oldest first.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// Effects that happened more than once.
    pub(crate) fn doubled(&self) -> BTreeSet<String> {
        let state = self.lock();
        state.done.iter().filter(|(_, times)| **times > 1).map(|(key, _)| key.clone()).collect()
    }

    /// Whether a stage of an execution changed the world.
    pub(crate) fn has_acted(&self, execution: &str, stage: &str) -> bool {
        self.lock().seen.iter().any(|seen| seen.is_act_of(execution, stage))
    }

    fn enter(self: &Arc<Self>, cx: &TaskContext, effects: Effects) -> Presence {
        let task = cx.attempt.effect(0).to_string();
        let me = (cx.attempt.clone(), cx.epoch);
        let mut state = self.lock();
        if let Some(first) = state.live.insert(task.clone(), me.clone())
            && !self.takes_over(&state, &me, &first, effects)
        {
            let [first, second] = [first, me.clone()].map(|(at, epoch)| format!("{at}@{epoch}"));
            state.seen.push(Seen::TwoLive { first, second });
        }
        if let Some(after) = self.is_late(&state, &me) {
            let work = format!("{}@{}", me.0, me.1);
            state.seen.push(Seen::BeganLate { work, after });
        }
        let (execution, run) = (execution(&cx.attempt), cx.attempt.run);
        state.seen.push(Seen::Began { execution, stage: stage(cx), run });
        Presence { ledger: Arc::clone(self), task, me }
    }

    /// For how long nobody has waited for what begins, where that is too long.
    fn is_late(&self, state: &State, me: &Work) -> Option<Duration> {
        let over = state.traces.get(me)?.over?;
        let after = self.clock.elapsed().saturating_sub(over);
        (self.clocks_are_right && after > BEGINS_LATE_MAX).then_some(after)
    }

    /// What is recognised once it is done may be at work twice for a while (D6). With a newer epoch it is
    /// taken over as soon as its message comes again or its lease lapses: its worker may be cut off and
    /// work on, or come to begin, or have a lease, only then. With one epoch it begins twice where its message was doubled
    /// while no leases could be had. Once leases are forgotten, any message that comes late may begin.
    fn takes_over(&self, state: &State, second: &Work, first: &Work, effects: Effects) -> bool {
        let older = if first.1 <= second.1 { first } else { second };
        let Some(trace) = state.traces.get(older) else { return false };
        let lapsed = trace.has_lapsed(self.clock.elapsed(), self.lease_ttl);
        // One epoch twice, or an attempt that has ended, beside the next.
        let is_begun_again = first.1 == second.1 || first.0 != second.0;
        match effects {
            Effects::Unkeyed | Effects::Request | Effects::Watch => false,
            Effects::None | Effects::Keyed if state.leases_are_forgotten => true,
            Effects::None | Effects::Keyed if is_begun_again => {
                trace.came_again() && trace.granted_to.len() < 2
            }
            Effects::None | Effects::Keyed => trace.came_again() || trace.was_let_go || lapsed,
        }
    }

    fn is_done(&self, cx: &TaskContext) -> bool {
        self.looked_up && self.lock().done.contains_key(&cx.effect(0).to_string())
    }

    /// A target knows the keys of what was done to it.
    fn act(&self, cx: &TaskContext, is_keyed: bool) {
        let mut state = self.lock();
        let times = state.done.entry(cx.effect(0).to_string()).or_default();
        if *times == 0 || !(is_keyed && self.looked_up) {
            *times += 1;
        }
        let (execution, run) = (execution(&cx.attempt), cx.attempt.run);
        state.seen.push(Seen::Acted { execution, stage: stage(cx), run });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn execution(attempt: &AttemptId) -> String {
    attempt.execution.to_string()
}

fn stage(cx: &TaskContext) -> String {
    cx.input.stage_name.clone()
}

/// An attempt at work; it is gone when this is dropped, whichever way.
struct Presence {
    ledger: Arc<Ledger>,
    task: String,
    me: Work,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut state = self.ledger.lock();
        if state.live.get(&self.task) == Some(&self.me) {
            state.live.remove(&self.task);
        }
    }
}

/// Looks whether it acted, takes its time, acts.
pub(crate) struct Act {
    pub(crate) ledger: Arc<Ledger>,
    /// Whether it can find out later what it did.
    pub(crate) is_seen: bool,
}

#[async_trait]
impl StageType for Act {
    fn describe(&self) -> StageDescriptor {
        let task = |name: &str, effects| TaskDescriptor {
            name: name.into(),
            capability: Capability::new("sim"),
            effects,
            when: When::Always,
        };
        StageDescriptor {
            name: if self.is_seen { "act" } else { "actUnseen" }.into(),
            aliases: Vec::new(),
            summary: "Changes the simulated world once.".into(),
            schema: json!({"type": "object"}),
            tasks: vec![
                task("prepare", Effects::None),
                task("act", if self.is_seen { Effects::Keyed } else { Effects::Unkeyed }),
            ],
            timeout: SignedDuration::from_hours(24),
        }
    }

    async fn run(&self, task: &str, cx: &TaskContext) -> TaskAnswer {
        let effects = match task {
            "prepare" => Effects::None,
            _ if self.is_seen => Effects::Keyed,
            _ => Effects::Unkeyed,
        };
        let _present = self.ledger.enter(cx, effects);
        if task == "prepare" {
            return TaskAnswer::done();
        }
        if !(self.is_seen && self.ledger.is_done(cx)) {
            let lasts = Duration::from_millis(number(cx, "lastsMs"));
            tokio::select! {
                biased;
                why = cx.told_to_end() => return match why {
                    Ending::HandOver if self.is_seen => cx.handed_over(),
                    Ending::HandOver | Ending::Cancel => {
                        TaskAnswer::Canceled { result: TaskResult::default() }
                    }
                },
                () = cx.clock.sleep(lasts) => {}
            }
            if let Some(answer) = not_yet(cx) {
                return answer;
            }
            self.ledger.act(cx, self.is_seen);
        }
        match cx.context().get("fails") {
            Some(Value::Bool(true)) => {
                TaskAnswer::terminal(TaskError::new("Planned", "it was meant to fail"))
            }
            Some(_) | None => TaskAnswer::done(),
        }
    }
}

fn number(cx: &TaskContext, key: &str) -> u64 {
    cx.context().get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// The answer of an attempt that is meant not to act.
fn not_yet(cx: &TaskContext) -> Option<TaskAnswer> {
    if u64::from(cx.attempt.number) <= number(cx, "failuresFirst") {
        let error = TaskError::new("Planned", "it was meant to fail for now");
        let result = TaskResult::default();
        return Some(TaskAnswer::Failed { error, retry: Retry::Later, result });
    }
    let turns = cx.input.checkpoint.as_ref().and_then(Value::as_u64).unwrap_or_default();
    (turns < number(cx, "turnsFirst")).then(|| TaskAnswer::Again {
        after: SignedDuration::from_secs(3),
        checkpoint: json!(turns + 1),
        result: TaskResult::default(),
    })
}
