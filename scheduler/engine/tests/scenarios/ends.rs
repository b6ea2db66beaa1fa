//! How stages and executions end, by the ids of the handler rules.

use jiff::Timestamp;
use scheduler_engine::event::{Event, StageStart};

use super::check;
use super::stage::play;

#[test]
fn h47_what_has_ended_does_not_end_again() {
    let played = play(
        "stage 1 judgment\n stage 2 wait 5 <- 1\n run 1\n judge 1 continue\n judge 1 stop\n run",
    );
    assert_eq!(played.statuses, "SUCCEEDED: 1 SUCCEEDED, 2 SUCCEEDED");
    assert_eq!(played.timeline.iter().filter(|line| line.contains(" 1 SUCCEEDED")).count(), 1);
    assert!(played.timeline.iter().any(|line| line.contains("refused")));
}

#[test]
fn h63_what_runs_is_skipped_and_what_has_ended_is_not() {
    let played = play("stage 1 judgment\n stage 2 wait 5 <- 1\n run 1\n skip 1\n skip 1\n run");
    assert_eq!(played.statuses, "SUCCEEDED: 1 SKIPPED, 2 SUCCEEDED");
    assert!(played.execution.stage(0).end_time().is_some());
    let refused = played.timeline.iter().filter(|line| line.contains("refused")).count();
    assert_eq!(refused, 1, "the second time: {:?}", played.timeline);
}

#[test]
fn h64_what_it_planned_is_skipped_with_it_unless_it_has_ended() {
    check(
        "stage 1 parallel\n answer 1<1 succeeded\n answer 1<2 again 60\n answer 1<3 again 60
         run 1\n skip 1\n run",
        "SUCCEEDED: 1 SKIPPED, 1<1 SUCCEEDED, 1<2 SKIPPED, 1<3 SKIPPED",
    );
    check(
        "stage 1 guarded\n answer 1<1 again 60\n run 1\n skip 1\n run",
        "SUCCEEDED: 1 SKIPPED, 1<1 SKIPPED, 1<2 SKIPPED",
    );
}

#[test]
fn h65_h85_what_cannot_be_carried_out_ends_with_its_stage_and_execution() {
    for spent in ["lost, lost, lost, lost", "failed-later, failed-later, failed-later"] {
        check(
            &format!("stage 1\n stage 2 <- 1\n stage 3 wait 900\n answer 1 {spent}\n run"),
            "TERMINAL: 1 TERMINAL, 2 NOT_STARTED, 3 CANCELED",
        );
        check(
            &format!("stage 1 parallel\n answer 1<2 {spent}\n answer 1<3 again 900\n run"),
            "TERMINAL: 1 TERMINAL, 1<1 SUCCEEDED, 1<2 TERMINAL, 1<3 CANCELED",
        );
    }
}

#[test]
fn h66_an_end_reaches_the_executions_that_a_stage_started() {
    let played = play("stage 1 child\n stage 2\n answer 2 failed\n run 1\n child 1 canceled\n run");
    assert_eq!(played.statuses, "TERMINAL: 1 CANCELED, 2 TERMINAL");
    assert!(played.timeline.contains(&"0 cancel the child of 1".to_owned()));
}

#[test]
fn h68_an_execution_whose_stages_let_through_succeeded() {
    check(
        "stage 1\n stage 2 skipped\n stage 3 continuePipeline\n answer 3 failed\n run",
        "SUCCEEDED: 1 SUCCEEDED, 2 SKIPPED, 3 FAILED_CONTINUE",
    );
}

#[test]
fn h69_a_failure_ends_it_at_once_and_comes_before_a_cancel() {
    let played = play("stage 1\n stage 2 wait 900\n stage 3 <- 2\n answer 1 failed\n run");
    assert_eq!(played.statuses, "TERMINAL: 1 TERMINAL, 2 CANCELED, 3 NOT_STARTED");
    assert_eq!(played.timeline.last().unwrap(), "0 execution TERMINAL");
    let other = "stage 1 child\n stage 2 wait 900\n run 1\n child 1 canceled\n run";
    check(other, "CANCELED: 1 CANCELED, 2 CANCELED");
}

#[test]
fn h72_what_is_behind_a_stopped_branch_keeps_nobody_waiting() {
    let played =
        play("stage 1 failPipeline=false\n stage 2 <- 1\n stage 3 <- 2\n answer 1 failed\n run");
    assert_eq!(played.statuses, "SUCCEEDED: 1 STOPPED, 2 NOT_STARTED, 3 NOT_STARTED");
    assert_eq!(played.timeline.last().unwrap(), "0 execution SUCCEEDED");
}

#[test]
fn h86_an_event_of_what_is_not_there_changes_nothing() {
    let mut played = play("stage 1 judgment\n run 1");
    let (stage, at) = (99, Timestamp::from_second(1).unwrap());
    let by = || "me".to_owned();
    for event in [
        Event::Evaluated { stage, start: StageStart::Skip, at },
        Event::Judged { stage, proceed: true, by: by(), at },
        Event::WaitEnded { stage, by: by(), at },
        Event::SkipRequested { stage, by: by(), at },
        Event::RestartRequested { stage, by: by(), at },
    ] {
        let before = played.execution.encode_head();
        assert!(played.execution.step(event.clone()).is_err(), "{event:?}");
        assert_eq!(played.execution.encode_head(), before);
    }
}
