//! How stages begin and what they come to, by the ids of the handler rules.

use jiff::Timestamp;
use scheduler_engine::event::{Event, StageStart};
use shared_model::{StageRef, Status};

use super::check;
use super::stage::{Played, play};

pub(crate) fn begun(played: &Played, reference: &str) -> bool {
    let stage = played.execution.find(&StageRef::new(reference)).unwrap();
    played.execution.stage(stage).start_time().is_some()
}

#[test]
fn h10_a_stage_begins_behind_what_let_it_through_and_with_its_first_part() {
    check(
        "stage 1\n stage 2 continuePipeline\n stage 3 skipped\n stage 4 <- 1, 2, 3\n answer 2 failed\n run",
        "SUCCEEDED: 1 SUCCEEDED, 2 FAILED_CONTINUE, 3 SKIPPED, 4 SUCCEEDED",
    );
    let before = play("stage 1 prepared\n answer 1<1 stuck\n run");
    assert_eq!(before.statuses, "RUNNING: 1 RUNNING, 1<1 RUNNING");
    assert!(begun(&before, "1") && !before.dispatched.contains_key("1"));
    let task = play("stage 1 withAfter\n answer 1 stuck\n run");
    assert_eq!((task.statuses.as_str(), task.dispatched["1"]), ("RUNNING: 1 RUNNING", 1));
}

#[test]
fn h12_a_stage_waits_for_everything_before_it() {
    let script = "stage 1 wait 20\n stage 2\n stage 3 <- 1, 2\n run 19";
    let waits = play(script);
    assert_eq!(waits.statuses, "RUNNING: 1 RUNNING, 2 SUCCEEDED, 3 NOT_STARTED");
    assert!(!begun(&waits, "3") && !waits.dispatched.contains_key("3"));
    let ended = play(&format!("{script}\n run"));
    assert_eq!(ended.dispatched["3"], 1);
    assert_eq!(ended.timeline.last().unwrap(), "20 execution SUCCEEDED");
}

#[test]
fn h13_what_is_behind_a_failure_never_begins_however_far_behind() {
    let behind = "stage 2 <- 1\n stage 3 <- 2\n answer 1 failed\n run";
    check(&format!("stage 1\n {behind}"), "TERMINAL: 1 TERMINAL, 2 NOT_STARTED, 3 NOT_STARTED");
    check(
        &format!("stage 1 failPipeline=false\n {behind}"),
        "SUCCEEDED: 1 STOPPED, 2 NOT_STARTED, 3 NOT_STARTED",
    );
    check(
        "stage 1 wait 9\n stage 2 <- 1\n stage 3 <- 2\n run 1\n cancel\n run",
        "CANCELED: 1 CANCELED, 2 NOT_STARTED, 3 NOT_STARTED",
    );
}

#[test]
fn h14_a_stage_begins_once() {
    let mut played = play("stage 1\n stage 2\n stage 3 <- 1, 2\n answer 3 stuck\n run");
    assert_eq!(played.dispatched["3"], 1, "the other branch was quicker");
    let again = Event::Evaluated { stage: 2, start: StageStart::Skip, at: Timestamp::UNIX_EPOCH };
    assert!(played.execution.step(again).is_err());
    assert_eq!(played.execution.stage(2).status(), Status::Running);
}

#[test]
fn h19_what_follows_the_tasks_is_not_planned_before() {
    let played = play("stage 1 withAfter\n answer 1 stuck\n run");
    assert_eq!(played.execution.stage_count(), 1);
    assert_eq!(play("stage 1 withAfter\n run").execution.stage_count(), 3);
}

#[test]
fn h40_a_stage_s_time_limits_what_it_planned() {
    let played = play(
        "stage 1 parallel 5\n answer 1<1 stuck\n answer 1<2 again 3, again 3\n stage 2 <- 1\n run",
    );
    assert_eq!(
        played.statuses,
        "TERMINAL: 1 TERMINAL, 2 NOT_STARTED, 1<1 CANCELED, 1<2 CANCELED, 1<3 SUCCEEDED"
    );
    assert_eq!(played.timeline.last().unwrap(), "5 execution TERMINAL");
}

#[test]
fn h48_the_first_rule_that_fits_is_the_stage_s_status() {
    let parts = |answers: [&str; 3], flags: &str| {
        let [a, b, c] = answers;
        let script = format!(
            "stage 1 parallel {flags}\n answer 1<1 {a}\n answer 1<2 {b}\n answer 1<3 {c}\n run"
        );
        let played = play(&script);
        played.execution.stage(0).status().name()
    };
    assert_eq!(parts(["succeeded", "skipped", "succeeded"], ""), "SUCCEEDED");
    assert_eq!(parts(["continued", "failed", "stopped"], ""), "TERMINAL");
    assert_eq!(parts(["continued", "failed", "stopped"], "failPipeline=false"), "STOPPED");
    assert_eq!(parts(["failed", "stopped", "succeeded"], "continuePipeline"), "FAILED_CONTINUE");
    assert_eq!(parts(["continued", "stopped", "succeeded"], ""), "STOPPED");
    assert_eq!(parts(["continued", "succeeded", "skipped"], ""), "FAILED_CONTINUE");
    check("stage 1 child\n run\n child 1 canceled\n run", "CANCELED: 1 CANCELED");
}

#[test]
fn h50_what_follows_cannot_be_planned() {
    check(
        "stage 1 brokenAfter continuePipeline\n stage 2 wait 60\n stage 3 <- 1\n run",
        "TERMINAL: 1 TERMINAL, 2 CANCELED, 3 NOT_STARTED",
    );
}

#[test]
fn h51_a_stage_of_nothing_is_skipped() {
    let played = play("stage 1 empty\n stage 2 <- 1\n run");
    assert_eq!(played.statuses, "SUCCEEDED: 1 SKIPPED, 2 SUCCEEDED");
    assert!(!played.dispatched.contains_key("1"));
}

#[test]
fn h52_what_makes_good_comes_before_the_failure() {
    for (flags, status, end) in [
        ("", "TERMINAL", "TERMINAL"),
        ("failPipeline=false", "STOPPED", "SUCCEEDED"),
        ("continuePipeline", "FAILED_CONTINUE", "SUCCEEDED"),
    ] {
        check(
            &format!("stage 1 syntheticFailure {flags}\n answer 1 failed\n run"),
            &format!("{end}: 1 {status}, 1>1 SUCCEEDED, 1>2 SUCCEEDED"),
        );
    }
    let running = play("stage 1 syntheticFailure\n answer 1 failed\n answer 1>1 stuck\n run");
    assert_eq!(running.execution.stage(0).status(), Status::Running, "not yet");
    check(
        "stage 1 syntheticFailure\n answer 1 failed\n answer 1>1 failed\n run",
        "TERMINAL: 1 TERMINAL, 1>1 TERMINAL, 1>2 NOT_STARTED",
    );
    let removed = play("stage 1 guarded\n answer 1<1 failed\n run");
    let gone = |reference: &str| removed.execution.find(&StageRef::new(reference)).is_none();
    assert!(gone("1<2") && !gone("1<1"), "what never began is gone: {}", removed.statuses);
    assert_eq!(removed.dispatched["1>2"], 1);
    assert_eq!(removed.execution.status(), Status::Terminal);
}

#[test]
fn h53_what_is_behind_begins_and_without_it_the_execution_ends() {
    for word in ["succeeded", "continued", "skipped"] {
        let played =
            play(&format!("stage 1\n stage 2 <- 1\n stage 3 <- 1\n answer 1 {word}\n run"));
        assert_eq!((played.dispatched["2"], played.dispatched["3"]), (1, 1), "{word}");
        assert_eq!(played.execution.status(), Status::Succeeded, "{word}");
    }
}

#[test]
fn h54_siblings_follow_one_another_and_then_the_parent_goes_on() {
    let after = play("stage 1 withAfter\n answer 1>1 stuck\n run");
    assert_eq!(after.statuses, "RUNNING: 1 RUNNING, 1>1 RUNNING, 1>2 NOT_STARTED");
    let before = play("stage 1 guarded\n run");
    assert_eq!(before.statuses, "SUCCEEDED: 1 SUCCEEDED, 1<1 SUCCEEDED, 1<2 SUCCEEDED");
    assert_eq!(before.dispatched["1"], 1, "its task comes behind both");
}

#[test]
fn h55_a_sibling_that_failed_and_continues_ends_its_parent_unless_it_may_not() {
    let ended = play("stage 1 prepared\n answer 1<1 continued\n run");
    assert_eq!(ended.statuses, "SUCCEEDED: 1 FAILED_CONTINUE, 1<1 FAILED_CONTINUE");
    assert!(!ended.dispatched.contains_key("1"), "its task never began");
    let went_on = play("stage 1 leniently-prepared\n answer 1<1 continued\n run");
    assert_eq!(went_on.dispatched["1"], 1);
    assert_eq!(went_on.statuses, "SUCCEEDED: 1 FAILED_CONTINUE, 1<1 FAILED_CONTINUE");
}

#[test]
fn h56_any_other_status_ends_the_execution() {
    check(
        "stage 1\n stage 2 <- 1\n stage 3 wait 60\n answer 1 failed\n run",
        "TERMINAL: 1 TERMINAL, 2 NOT_STARTED, 3 CANCELED",
    );
}

#[test]
fn h58_failed_expressions_fail_a_stage_that_says_so() {
    check(
        "stage 1 parallel expressionsFailed failOnFailedExpressions continuePipeline\n run",
        "TERMINAL: 1 TERMINAL, 1<1 SUCCEEDED, 1<2 SUCCEEDED, 1<3 SUCCEEDED",
    );
    check(
        "stage 1 parallel expressionsFailed\n run",
        "SUCCEEDED: 1 SUCCEEDED, 1<1 SUCCEEDED, 1<2 SUCCEEDED, 1<3 SUCCEEDED",
    );
}

#[test]
fn h62_a_stage_ends_behind_all_that_follows_its_tasks() {
    let waits = play("stage 1 withAfter\n answer 1>2 stuck\n stage 2 <- 1\n run");
    assert_eq!(waits.statuses, "RUNNING: 1 RUNNING, 2 NOT_STARTED, 1>1 SUCCEEDED, 1>2 RUNNING");
    check(
        "stage 1 withAfter\n answer 1>2 failed\n stage 2 <- 1\n run",
        "TERMINAL: 1 TERMINAL, 2 NOT_STARTED, 1>1 SUCCEEDED, 1>2 TERMINAL",
    );
}
