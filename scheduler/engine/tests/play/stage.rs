//! Plays scripts: a few lines say what a pipeline is and what its tasks answer, a timeline comes out.
//!
//! ```text
//! stage 1                       a stage with one worker task
//! stage 2 wait 5 <- 1           a stage type with an argument, and what it waits for
//! stage 3 continuePipeline <- 1 flags as in documents
//! answer 1 failed, succeeded    what its attempts answer, in order; then always `succeeded`
//! run                           to the end, or until nothing moves
//! run 10                        at most ten seconds of the scripted clock
//! cancel · judge 3 continue     what people do
//! skip 3                        a person skips a stage
//! tell 4 done                   what became of work whose outcome is unknown
//! child 4 failed                how the execution that a stage waits for ends
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use scheduler_engine::command::{Command, Evaluate, Fact};
use scheduler_engine::event::{
    AttemptKey, Event, Outcome, PlanFailed, StageIndex, StageStart, Timer, Told,
};
use scheduler_engine::graph::graph;
use scheduler_engine::plan::{Settings, StagePlan, SyntheticPlan, TaskKind, TaskPlan};
use scheduler_engine::{Execution, Stale, Step, outstanding};
use serde_json::{Map, Value, json};
use shared_model::{
    Capability, Effects, Epoch, ExecutionId, Limits, Pipeline, Retry, StageRef, WorkerId,
};

/// What a script came to.
pub(crate) struct Played {
    /// Status of the execution and of each stage: `SUCCEEDED: 1 SUCCEEDED, 2 SKIPPED`.
    pub(crate) statuses: String,
    /// What happened, with the seconds at which it did.
    pub(crate) timeline: Vec<String>,
    /// How often each stage's task was given out.
    pub(crate) dispatched: BTreeMap<String, usize>,
    /// The execution.
    pub(crate) execution: Execution,
}

/// Plays a script.
pub(crate) fn play(script: &str) -> Played {
    let mut player = Player::new(script);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        player.line(line);
    }
    player.finish()
}

#[derive(Clone, Default)]
struct Spec {
    kind: String,
    argument: i64,
    flags: BTreeSet<String>,
}

struct Player {
    specs: BTreeMap<String, Spec>,
    answers: BTreeMap<String, VecDeque<String>>,
    execution: Execution,
    queue: VecDeque<Command>,
    timers: BTreeMap<(Timestamp, Timer), ()>,
    now: Timestamp,
    timeline: Vec<String>,
    dispatched: BTreeMap<String, usize>,
    /// Attempts that never answer until they are told to end.
    stuck: BTreeMap<AttemptKey, Epoch>,
}

impl Player {
    fn new(script: &str) -> Self {
        let lines = script.lines().map(str::trim).filter_map(|line| line.strip_prefix("stage "));
        let parsed: Vec<(String, Spec, Vec<String>)> = lines.map(parse_stage).collect();
        let stages: Vec<Value> = parsed
            .iter()
            .map(|(reference, spec, requires)| {
                json!({"refId": reference, "type": spec.kind, "name": reference, "requisiteStageRefIds": requires})
            })
            .collect();
        let raw: Map<String, Value> =
            json!({"application": "a", "name": "p", "stages": stages}).as_object().unwrap().clone();
        let limits = Limits { attempts_max: 3, takeovers_max: 3, ..Limits::default() };
        let (found, problems) = graph(&Pipeline { raw }, &limits);
        let found = found.unwrap_or_else(|| panic!("{problems:?}"));
        let now = Timestamp::UNIX_EPOCH;
        let (execution, step) = Execution::submit(ExecutionId::new("e"), &found, &limits, now);
        let specs = parsed.into_iter().map(|(reference, spec, _)| (reference, spec)).collect();
        let mut player = Self {
            specs,
            answers: BTreeMap::new(),
            execution,
            queue: VecDeque::new(),
            timers: BTreeMap::new(),
            now,
            timeline: Vec::new(),
            dispatched: BTreeMap::new(),
            stuck: BTreeMap::new(),
        };
        player.take(step);
        player
    }

    fn line(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "stage" => {}
            "answer" => {
                let (reference, answers) = rest.split_once(' ').unwrap();
                let answers = answers.split(',').map(|answer| answer.trim().to_owned());
                self.answers.insert(reference.to_owned(), answers.collect());
            }
            "run" => {
                let seconds = rest.parse().unwrap_or(1_000_000);
                self.run(self.now + SignedDuration::from_secs(seconds));
            }
            "cancel" => {
                let (by, reason) = ("me".to_owned(), "because".to_owned());
                self.event(Event::CancelRequested { by, reason, at: self.now }).unwrap();
            }
            "judge" => {
                let (reference, verdict) = rest.split_once(' ').unwrap();
                let (stage, by) = (self.find(reference), "me".to_owned());
                let proceed = verdict == "continue";
                let judged = Event::Judged { stage, proceed, by, at: self.now };
                if let Err(stale) = self.event(judged) {
                    self.note(&format!("refused: {stale}"));
                }
            }
            "tell" => {
                let (reference, word) = rest.split_once(' ').unwrap();
                let told = match word {
                    "done" => Told::Done,
                    "repeat" => Told::Repeat,
                    _ => Told::Fail,
                };
                let (stage, by, at) = (self.find(reference), "me".to_owned(), self.now);
                if let Err(stale) = self.event(Event::OutcomeTold { stage, told, by, at }) {
                    self.note(&format!("refused: {stale}"));
                }
            }
            "child" => {
                let (reference, word) = rest.split_once(' ').unwrap();
                let (stage, outcome, at) = (self.find(reference), outcome(word), self.now);
                let ended = Event::NativeFinished {
                    stage,
                    task: 0,
                    outcome,
                    expressions_failed: false,
                    at,
                };
                if let Err(stale) = self.event(ended) {
                    self.note(&format!("refused: {stale}"));
                }
            }
            "skip" => {
                let (stage, by, at) = (self.find(rest), "me".to_owned(), self.now);
                if let Err(stale) = self.event(Event::SkipRequested { stage, by, at }) {
                    self.note(&format!("refused: {stale}"));
                }
            }
            other => panic!("no such word: {other}"),
        }
    }

    fn find(&self, reference: &str) -> StageIndex {
        self.execution.find(&StageRef::new(reference)).unwrap()
    }

    fn name(&self, stage: StageIndex) -> String {
        self.execution.stage(stage).reference().to_string()
    }

    fn note(&mut self, text: &str) {
        self.timeline.push(format!("{} {text}", self.now.as_second()));
    }

    fn take(&mut self, step: Step) {
        let known = outstanding(&self.execution);
        for command in &step.commands {
            let announced = matches!(command, Command::Announce { .. });
            let later_overtaken = match command {
                Command::Dispatch { .. }
                | Command::Evaluate { .. }
                | Command::Grant { .. }
                | Command::WatchChild { .. }
                | Command::CancelChild { .. }
                | Command::AskToStart
                | Command::Abort { .. } => !known.contains(command),
                Command::Arm { .. } | Command::Announce { .. } => false,
            };
            // A command of an earlier part of the same step may be overtaken by a later part only
            // if the execution is ending.
            let ending = self.execution.canceled().is_some()
                || self.execution.status().is_complete()
                || step.commands.iter().any(|other| {
                    matches!(other, Command::Announce { fact: Fact::StageFinished { .. } })
                });
            assert!(announced || !later_overtaken || ending, "{command:?} is not outstanding");
        }
        self.queue.extend(step.commands);
    }

    fn event(&mut self, event: Event) -> Result<(), Stale> {
        let before = self.execution.clone();
        match self.execution.step(event) {
            Ok(step) => {
                self.take(step);
                Ok(())
            }
            Err(stale) => {
                let same = before.encode_head() == self.execution.encode_head();
                assert!(same, "a stale event changed something");
                Err(stale)
            }
        }
    }

    fn run(&mut self, until: Timestamp) {
        loop {
            while let Some(command) = self.queue.pop_front() {
                self.command(command);
            }
            if self.execution.status().is_complete() {
                return;
            }
            let Some(((at, timer), ())) = self.timers.pop_first() else { return };
            if at > until {
                self.timers.insert((at, timer), ());
                self.now = until;
                return;
            }
            self.now = self.now.max(at);
            let _stale = self.event(Event::TimerFired { timer, at: self.now });
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Evaluate { stage, what } => self.evaluate(stage, what),
            Command::Dispatch { attempt, epoch, to_end, .. } => {
                if to_end {
                    self.note(&format!("end {}", self.name(attempt.stage)));
                }
                self.dispatch(attempt, epoch);
            }
            Command::Abort { attempt, epoch, .. } => {
                self.note(&format!("abort {}", self.name(attempt.stage)));
                if self.stuck.remove(&attempt).is_some() {
                    self.finished(attempt, epoch, Outcome::Canceled);
                }
            }
            Command::WatchChild { .. } | Command::Grant { .. } | Command::AskToStart => {}
            Command::CancelChild { stage } => {
                self.note(&format!("cancel the child of {}", self.name(stage)));
            }
            Command::Arm { timer, at } => drop(self.timers.insert((at, timer), ())),
            Command::Announce { fact } => self.announce(fact),
        }
    }

    fn announce(&mut self, fact: Fact) {
        match fact {
            Fact::StageFinished { stage, status } => {
                let name = self.name(stage);
                self.note(&format!("{name} {status}"));
            }
            Fact::AttemptLost { attempt, takeovers, takeovers_max, .. } => {
                let name = self.name(attempt.stage);
                self.note(&format!("{name} lost, takeover {takeovers} of {takeovers_max}"));
            }
            Fact::OutcomeUnknown { attempt, .. } => {
                let name = self.name(attempt.stage);
                self.note(&format!("{name} has an unknown outcome"));
            }
            Fact::ExecutionFinished { status } => self.note(&format!("execution {status}")),
            Fact::StageGaveUp { stage, cause } => {
                let name = self.name(stage);
                self.note(&format!("{name} gave up: {cause:?}"));
            }
            _ => {}
        }
    }

    fn spec(&self, stage: StageIndex) -> Spec {
        let found = self.execution.stage(stage);
        match found.synthetic() {
            Some(synthetic) => Spec { kind: synthetic.stage_type.clone(), ..Spec::default() },
            None => self.specs[found.reference().as_str()].clone(),
        }
    }

    fn evaluate(&mut self, stage: StageIndex, what: Evaluate) {
        let spec = self.spec(stage);
        let at = self.now;
        let event = match what {
            Evaluate::Start => Event::Evaluated { stage, start: start(&spec, at), at },
            Evaluate::Native(task) => {
                let outcome = self.answer(stage);
                Event::NativeFinished { stage, task, outcome, expressions_failed: false, at }
            }
            Evaluate::After | Evaluate::OnFailure => {
                let plan = |name: &str| SyntheticPlan {
                    stage_type: "dummy".into(),
                    name: name.into(),
                    after_previous: true,
                };
                let planned = match what {
                    Evaluate::OnFailure => vec![plan("onFailure1"), plan("onFailure2")],
                    _ => vec![plan("after1"), plan("after2")],
                };
                let on_failure = what == Evaluate::OnFailure;
                let planned =
                    if spec.kind == "brokenAfter" { Err(PlanFailed) } else { Ok(planned) };
                Event::Planned { stage, on_failure, planned, at }
            }
        };
        let _stale = self.event(event);
    }

    /// What a stage's next attempt answers.
    fn answer(&mut self, stage: StageIndex) -> Outcome {
        let name = self.name(stage);
        let word = self.answers.get_mut(&name).and_then(VecDeque::pop_front);
        outcome(word.as_deref().unwrap_or("succeeded"))
    }

    fn dispatch(&mut self, attempt: AttemptKey, epoch: Epoch) {
        let name = self.name(attempt.stage);
        *self.dispatched.entry(name.clone()).or_default() += 1;
        let word = self.answers.get_mut(&name).and_then(VecDeque::pop_front);
        let word = word.unwrap_or_else(|| "succeeded".into());
        let worker = WorkerId::new("w");
        let granted = Event::LeaseGranted { attempt, epoch, worker, waits: false, at: self.now };
        if self.event(granted).is_err() {
            return;
        }
        match word.as_str() {
            "lost" => drop(self.event(Event::LeaseExpired { attempt, epoch, at: self.now })),
            "stuck" => drop(self.stuck.insert(attempt, epoch)),
            // Not even then.
            "deaf" => {}
            "doubled" => self.doubled(attempt, epoch),
            word => self.finished(attempt, epoch, outcome(word)),
        }
    }

    /// Another worker has the same epoch, was not allowed to begin, and gives it back.
    fn doubled(&mut self, attempt: AttemptKey, epoch: Epoch) {
        let given_back = Event::AttemptFinished {
            attempt,
            epoch,
            worker: WorkerId::new("another"),
            outcome: Outcome::HandedOver,
            expressions_failed: false,
            at: self.now,
        };
        if let Err(stale) = self.event(given_back) {
            self.note(&format!("refused: {stale}"));
            self.finished(attempt, epoch, Outcome::Succeeded);
        }
    }

    fn finished(&mut self, attempt: AttemptKey, epoch: Epoch, outcome: Outcome) {
        let report = |outcome: Outcome, at| Event::AttemptFinished {
            attempt,
            epoch,
            worker: WorkerId::new("w"),
            outcome,
            expressions_failed: false,
            at,
        };
        self.event(report(outcome.clone(), self.now)).unwrap();
        // A report that comes twice changes nothing.
        assert!(self.event(report(outcome, self.now)).is_err());
    }

    fn finish(self) -> Played {
        let count = self.execution.stage_count();
        let stages: Vec<String> = (0..count)
            .map(|index| format!("{} {}", self.name(index), self.execution.stage(index).status()))
            .collect();
        let decoded = Execution::decode(
            self.execution.id(),
            &self.execution.encode_head(),
            &(0..count).map(|index| self.execution.encode_stage(index)).collect::<Vec<_>>(),
            &Limits::default(),
        )
        .unwrap();
        assert_eq!(outstanding(&decoded), outstanding(&self.execution), "after a reload");
        Played {
            statuses: format!("{}: {}", self.execution.status(), stages.join(", ")),
            timeline: self.timeline,
            dispatched: self.dispatched,
            execution: self.execution,
        }
    }
}

fn parse_stage(line: &str) -> (String, Spec, Vec<String>) {
    let (head, requires) = line.split_once("<-").unwrap_or((line, ""));
    let requires = requires.split(',').map(str::trim).filter(|one| !one.is_empty());
    let mut words = head.split_whitespace();
    let reference = words.next().unwrap().to_owned();
    let mut spec = Spec { kind: "dummy".into(), ..Spec::default() };
    for word in words {
        match word {
            "wait" | "judgment" | "parallel" | "syntheticFailure" | "withAfter" | "skipped"
            | "broken" | "native" | "child" | "unkeyed" | "watch" | "empty" | "prepared"
            | "leniently-prepared" | "brokenAfter" | "guarded" => {
                spec.kind = word.into();
            }
            number if number.parse::<i64>().is_ok() => spec.argument = number.parse().unwrap(),
            flag => drop(spec.flags.insert(flag.to_owned())),
        }
    }
    (reference, spec, requires.map(str::to_owned).collect())
}

fn start(spec: &Spec, at: Timestamp) -> StageStart {
    let worker = worker_kind(Effects::Keyed);
    let task = |kind: TaskKind| vec![TaskPlan { name: "dummy".into(), kind }];
    let mut plan = StagePlan { tasks: task(worker), ..StagePlan::default() };
    match spec.kind.as_str() {
        "wait" => {
            plan.tasks =
                task(TaskKind::Wait { until: at + SignedDuration::from_secs(spec.argument) });
        }
        "judgment" => plan.tasks = task(TaskKind::Judgment),
        "native" => plan.tasks = task(TaskKind::Native),
        "child" => plan.tasks = task(TaskKind::Child),
        "unkeyed" => plan.tasks = task(worker_kind(Effects::Unkeyed)),
        "watch" => plan.tasks = task(worker_kind(Effects::Watch)),
        "parallel" => {
            plan.tasks.clear();
            plan.before = ["us-east-1", "us-west-2", "eu-west-1"]
                .map(|region| SyntheticPlan {
                    stage_type: "dummy".into(),
                    name: format!("dummy {region}"),
                    after_previous: false,
                })
                .to_vec();
        }
        "syntheticFailure" => plan.plans_on_failure = true,
        "withAfter" | "brokenAfter" => plan.plans_after = true,
        "empty" => plan.tasks.clear(),
        "prepared" => plan.before = before(&["dummy"]),
        "leniently-prepared" => plan.before = before(&["lenient"]),
        "guarded" => {
            plan.before = before(&["dummy", "dummy"]);
            plan.plans_on_failure = true;
        }
        "skipped" => return StageStart::Skip,
        "broken" => return StageStart::Fail { started: false },
        _ => {}
    }
    let has = |flag: &str| spec.flags.contains(flag);
    if has("tasks=2") {
        plan.tasks.extend(plan.tasks.clone());
    }
    let timeout = (spec.kind != "wait" && spec.argument > 0)
        .then(|| SignedDuration::from_secs(spec.argument));
    let settings = Settings {
        fail_pipeline: !has("failPipeline=false"),
        continue_pipeline: has("continuePipeline"),
        complete_other_branches_then_fail: has("completeOtherBranchesThenFail"),
        fail_on_failed_expressions: has("failOnFailedExpressions"),
        siblings_continue: spec.kind == "lenient",
        mark_successful_on_timeout: has("markSuccessfulOnTimeout"),
        timeout,
    };
    StageStart::Run { settings, plan, expressions_failed: has("expressionsFailed") }
}

/// Stages that run one after the other before the tasks.
fn before(types: &[&str]) -> Vec<SyntheticPlan> {
    let plan = |stage_type: &&str| SyntheticPlan {
        stage_type: (*stage_type).into(),
        name: "before".into(),
        after_previous: true,
    };
    types.iter().map(plan).collect()
}

fn worker_kind(effects: Effects) -> TaskKind {
    TaskKind::Worker { capability: Capability::new("dummy"), effects }
}

pub(crate) fn outcome(word: &str) -> Outcome {
    match word.split_once(' ').unwrap_or((word, "")) {
        ("succeeded", _) => Outcome::Succeeded,
        ("failed", _) => Outcome::Failed { retry: Retry::Never },
        ("failed-later", _) => Outcome::Failed { retry: Retry::Later },
        ("skipped", _) => Outcome::Skipped,
        ("stopped", _) => Outcome::Stopped,
        ("continued", _) => Outcome::FailedContinue,
        ("canceled", _) => Outcome::Canceled,
        ("redirect", _) => Outcome::Redirect,
        ("handed-over", _) => Outcome::HandedOver,
        ("again", seconds) => {
            Outcome::Again { after: SignedDuration::from_secs(seconds.parse().unwrap()) }
        }
        (other, _) => panic!("no such answer: {other}"),
    }
}
