//! How an execution begins, by the ids of the handler rules.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests fail by panicking, and look at a few commands only"
)]

use jiff::{SignedDuration, Timestamp};
use scheduler_engine::command::{Command, Evaluate, Fact};
use scheduler_engine::event::{Event, Outcome, StageStart, Timer};
use scheduler_engine::graph::graph;
use scheduler_engine::plan::{Settings, StagePlan, TaskKind, TaskPlan};
use scheduler_engine::{Execution, StartRule, Step, WaitingKind, outstanding, waiting_for};
use serde_json::{Value, json};
use shared_model::{Capability, Effects, ExecutionId, Limits, Pipeline, Status, WorkerId};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn later(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

fn submit(stages: Value, rule: StartRule) -> (Execution, Step) {
    let document = json!({"application": "a", "name": "p", "stages": stages});
    let pipeline = Pipeline::from_value(document).unwrap();
    let limits = Limits::default();
    let graph = graph(&pipeline, &limits).0.unwrap();
    Execution::submit_under(ExecutionId::new("e"), &graph, &limits, rule, NOW)
}

fn stages(references: &[&str]) -> Value {
    references.iter().map(|reference| json!({"refId": reference, "type": "t"})).collect()
}

fn limited(running_max: u32) -> StartRule {
    StartRule { running_max: Some(running_max), ..StartRule::default() }
}

fn started(step: &Step) -> Vec<u32> {
    let starts = step.commands.iter().filter_map(|command| match command {
        Command::Evaluate { stage, what: Evaluate::Start } => Some(*stage),
        _ => None,
    });
    starts.collect()
}

fn cancel(at: Timestamp) -> Event {
    Event::CancelRequested { by: "me".into(), reason: String::new(), at }
}

#[test]
fn h01_the_root_starts() {
    let (execution, step) = submit(stages(&["1"]), StartRule::default());
    assert_eq!((execution.status(), started(&step)), (Status::Running, vec![0]));
    assert!(step.commands.contains(&Command::Announce { fact: Fact::ExecutionStarted }));
}

#[test]
fn h02_every_root_starts() {
    let (_, step) = submit(stages(&["1", "2", "3"]), StartRule::default());
    assert_eq!(started(&step), [0, 1, 2]);
}

#[test]
fn h04_what_is_cancelled_before_it_begins_never_does() {
    let (mut execution, _) = submit(stages(&["1"]), limited(1));
    let step = execution.step(cancel(later(1))).unwrap();
    assert!(started(&step).is_empty());
    assert_eq!((execution.status(), execution.start_time()), (Status::Canceled, None));
    assert_eq!(execution.stage(0).status(), Status::NotStarted);
    assert!(execution.step(Event::Started { at: later(2) }).is_err());
    assert!(outstanding(&execution).is_empty());
}

#[test]
fn h05_too_late_is_never() {
    let rule = StartRule { expires_at: Some(later(-1)), ..StartRule::default() };
    let (execution, step) = submit(stages(&["1"]), rule);
    assert!(started(&step).is_empty());
    let cancel = execution.canceled().unwrap();
    assert_eq!((execution.status(), cancel.by.as_str()), (Status::Canceled, "spinnaker"));
    assert_eq!(cancel.reason, "Could not begin execution before start time expiry");
}

#[test]
fn h05_what_waits_for_too_long_never_begins() {
    let rule = StartRule { expires_at: Some(later(9)), ..limited(1) };
    let (mut execution, step) = submit(stages(&["1"]), rule);
    let (timer, at) = (Timer::StartExpiry, later(9));
    assert!(step.commands.contains(&Command::Arm { timer, at }));
    assert!(outstanding(&execution).contains(&Command::Arm { timer, at }), "after a crash too");
    execution.step(Event::TimerFired { timer, at: later(8) }).unwrap();
    assert_eq!(execution.status(), Status::NotStarted, "the clock was wrong");
    execution.step(Event::TimerFired { timer, at }).unwrap();
    assert_eq!(execution.status(), Status::Canceled);
    let (mut execution, _) = submit(stages(&["1"]), rule);
    execution.step(Event::Started { at: later(1) }).unwrap();
    assert!(execution.step(Event::TimerFired { timer, at }).is_err(), "it has begun in time");
}

#[test]
fn h06_what_is_limited_waits_and_says_so() {
    let (mut execution, step) = submit(stages(&["1", "2"]), limited(1));
    assert_eq!(step.commands, [Command::AskToStart]);
    assert_eq!(outstanding(&execution), [Command::AskToStart]);
    assert_eq!((execution.status(), execution.start_time()), (Status::NotStarted, None));
    let waits = waiting_for(&execution);
    assert_eq!((waits.len(), waits[0].kind, waits[0].stage), (1, WaitingKind::Slot, None));
    let step = execution.step(Event::Started { at: later(5) }).unwrap();
    assert_eq!((execution.status(), started(&step)), (Status::Running, vec![0, 1]));
    assert_eq!(execution.start_time(), Some(later(5)));
    assert!(execution.step(Event::Started { at: later(6) }).is_err(), "it begins once");
}

#[test]
fn h07_what_is_not_limited_starts() {
    let (execution, _) =
        submit(stages(&["1"]), StartRule { keeps_waiting: true, ..StartRule::default() });
    assert_eq!(execution.status(), Status::Running);
}

#[test]
fn h09_a_limit_of_three_asks_too() {
    let (execution, step) = submit(stages(&["1"]), limited(3));
    assert_eq!(
        (execution.status(), step.commands),
        (Status::NotStarted, vec![Command::AskToStart])
    );
}

/// During an upgrade the version before reads what this one wrote.
#[test]
fn a_row_is_written_in_the_format_before_where_that_can_hold_it() {
    for (rule, format) in [(StartRule::default(), 3), (limited(1), 4)] {
        let (execution, _) = submit(stages(&["1"]), rule);
        let (head, rows) = (execution.encode_head(), [execution.encode_stage(0)]);
        assert_eq!((head[0], rows[0][0]), (format, 3));
        let read = Execution::decode(execution.id(), &head, &rows, &Limits::default()).unwrap();
        assert_eq!(read.encode_head(), head);
        assert_eq!(*read.start_rule(), rule);
    }
}

/// A worker's task, given out: what becomes of its attempt.
fn given_out(execution: &mut Execution) -> impl Fn(bool) -> Event + use<> {
    let kind = TaskKind::Worker { capability: Capability::new("work"), effects: Effects::Keyed };
    let task = TaskPlan { name: "work".into(), kind };
    let plan = StagePlan { tasks: vec![task], ..StagePlan::default() };
    let start = StageStart::Run { settings: Settings::default(), plan, expressions_failed: false };
    let step = execution.step(Event::Evaluated { stage: 0, start, at: NOW }).unwrap();
    let dispatched = step.commands.iter().find_map(|command| match command {
        Command::Dispatch { attempt, epoch, .. } => Some((*attempt, *epoch)),
        _ => None,
    });
    let (attempt, epoch) = dispatched.unwrap();
    move |is_over| {
        let (worker, at) = (WorkerId::new("w"), NOW);
        if !is_over {
            return Event::LeaseGranted { attempt, epoch, worker, waits: false, at };
        }
        let outcome = Outcome::Succeeded;
        Event::AttemptFinished { attempt, epoch, worker, outcome, expressions_failed: false, at }
    }
}

fn tells_beginning(step: &Step) -> bool {
    step.commands.iter().any(|command| {
        matches!(command, Command::Announce { fact: Fact::AttemptStarted { worker, .. } } if worker.as_str() == "w")
    })
}

#[test]
fn who_began_is_told_once_with_the_end_of_what_was_short() {
    let (mut execution, _) = submit(stages(&["1"]), StartRule::default());
    let event = given_out(&mut execution);
    let ended = execution.step(event(true)).unwrap();
    assert!(tells_beginning(&ended) && execution.status() == Status::Succeeded);

    let (mut execution, _) = submit(stages(&["1"]), StartRule::default());
    let event = given_out(&mut execution);
    assert!(tells_beginning(&execution.step(event(false)).unwrap()));
    assert!(!tells_beginning(&execution.step(event(true)).unwrap()));
}

/// What has lain on its way asks whether it may still begin; what is new need not.
#[test]
fn who_waits_to_begin_is_let() {
    for waits in [false, true] {
        let (mut execution, _) = submit(stages(&["1"]), StartRule::default());
        let report = given_out(&mut execution);
        let Event::LeaseGranted { attempt, epoch, worker, at, .. } = report(false) else {
            panic!("a beginning");
        };
        let event = Event::LeaseGranted { attempt, epoch, worker, waits, at };
        let step = execution.step(event).unwrap();
        let is_let = step.commands.iter().any(|one| matches!(one, Command::Grant { .. }));
        assert_eq!(is_let, waits);
    }
}
