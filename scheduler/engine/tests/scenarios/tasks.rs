//! How tasks run and follow one another, by the ids of the handler rules.

use jiff::Timestamp;
use scheduler_engine::event::{AttemptKey, Event};
use shared_model::{Epoch, Status, WorkerId};

use super::check;
use super::stage::{Played, play};

fn tasks(played: &Played) -> Vec<&'static str> {
    played.execution.stage(0).tasks().iter().map(|task| task.status.name()).collect()
}

fn granted(epoch: u64, worker: &str) -> Event {
    Event::LeaseGranted {
        attempt: AttemptKey { stage: 0, run: 1, task: 0, number: 1 },
        epoch: Epoch(epoch),
        worker: WorkerId::new(worker),
        waits: false,
        at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn h24_a_task_begins_when_it_is_given_out() {
    let played = play("stage 1 tasks=2\n answer 1 stuck\n run");
    assert_eq!(tasks(&played), ["RUNNING", "NOT_STARTED"]);
    let both = played.execution.stage(0).tasks();
    assert!(both[0].start_time.is_some() && both[1].start_time.is_none());
    assert_eq!(played.dispatched["1"], 1);
}

/// Nothing here is switched off by configuration; a task that has nothing to do says so itself, and
/// that is what the rule comes to.
#[test]
fn h25_a_task_that_is_skipped_lets_the_next_begin() {
    let played = play("stage 1 tasks=2\n answer 1 skipped\n run");
    assert_eq!(tasks(&played), ["SKIPPED", "SUCCEEDED"]);
    assert_eq!(played.statuses, "SUCCEEDED: 1 SUCCEEDED");
}

#[test]
fn h26_a_task_s_answer_is_its_status() {
    for (word, task, stage) in [
        ("succeeded", "SUCCEEDED", "SUCCEEDED"),
        ("skipped", "SKIPPED", "SUCCEEDED"),
        ("continued", "FAILED_CONTINUE", "FAILED_CONTINUE"),
        ("stopped", "STOPPED", "STOPPED"),
    ] {
        let played = play(&format!("stage 1\n answer 1 {word}\n run"));
        assert_eq!(tasks(&played), [task]);
        assert_eq!(played.execution.stage(0).status().name(), stage);
    }
    assert_eq!(play("stage 1\n answer 1 redirect\n run").dispatched["1"], 2);
}

#[test]
fn h32_work_is_told_that_its_execution_is_cancelled() {
    let played = play("stage 1\n answer 1 stuck\n run 3\n cancel\n run");
    assert_eq!(played.timeline, ["0 abort 1", "0 1 CANCELED", "0 execution CANCELED"]);
    assert_eq!(tasks(&played), ["CANCELED"]);
}

#[test]
fn h33_nothing_is_begun_for_an_execution_that_has_ended() {
    let mut played = play("stage 1\n stage 2\n answer 1 again 60\n answer 2 failed\n run");
    assert_eq!(played.statuses, "TERMINAL: 1 CANCELED, 2 TERMINAL");
    assert_eq!(played.dispatched["1"], 1, "it is not looked at again");
    assert_eq!(tasks(&played), ["CANCELED"]);
    assert!(played.execution.step(granted(1, "w")).is_err());
}

#[test]
fn h39_what_took_too_long_may_say_that_it_goes_on() {
    let answered = |word: &str| {
        let mut played = play("stage 1 5\n answer 1 deaf\n run 5");
        let attempt = AttemptKey { stage: 0, run: 1, task: 0, number: 1 };
        let finished = Event::AttemptFinished {
            attempt,
            epoch: Epoch(1),
            worker: WorkerId::new("w"),
            outcome: super::stage::outcome(word),
            expressions_failed: false,
            at: Timestamp::from_second(6).unwrap(),
        };
        played.execution.step(finished).unwrap();
        (played.execution.stage(0).status(), played.execution.status())
    };
    assert_eq!(answered("continued"), (Status::FailedContinue, Status::Succeeded));
    for plain in ["failed", "succeeded", "canceled", "stopped"] {
        assert_eq!(answered(plain), (Status::Terminal, Status::Terminal), "{plain}");
    }
}

#[test]
fn h41_work_that_somebody_has_is_not_begun_by_another() {
    let mut played = play("stage 1\n answer 1 stuck\n run");
    assert!(played.execution.step(granted(1, "another")).is_err());
    assert!(played.execution.step(granted(1, "w")).is_ok(), "the same word may come twice");
    assert_eq!(played.dispatched["1"], 1);
}

#[test]
fn h42_the_next_task_begins() {
    let played = play("stage 1 tasks=2\n run");
    assert_eq!((tasks(&played), played.dispatched["1"]), (vec!["SUCCEEDED"; 2], 2));
    let first = &played.execution.stage(0).tasks()[0];
    assert!(first.end_time.is_some());
}

#[test]
fn h43_a_task_that_halts_ends_its_stage() {
    for (word, status) in [("failed", "TERMINAL"), ("stopped", "STOPPED")] {
        let played = play(&format!("stage 1 tasks=2\n answer 1 {word}\n run"));
        assert_eq!(tasks(&played), [status, "NOT_STARTED"]);
        assert_eq!(played.execution.stage(0).status().name(), status);
    }
    let last = play("stage 1 tasks=2\n answer 1 succeeded, failed\n run");
    assert_eq!(tasks(&last), ["SUCCEEDED", "TERMINAL"]);
    assert_eq!(last.statuses, "TERMINAL: 1 TERMINAL");
}

#[test]
fn h44_a_failure_that_continues_lets_the_next_task_begin() {
    for (flags, word) in [("", "continued"), ("continuePipeline", "failed")] {
        let played = play(&format!("stage 1 tasks=2 {flags}\n answer 1 {word}\n run"));
        assert_eq!(tasks(&played), ["FAILED_CONTINUE", "SUCCEEDED"]);
        assert_eq!(played.statuses, "SUCCEEDED: 1 FAILED_CONTINUE");
    }
}

#[test]
fn h67_what_runs_hears_of_its_end_at_once() {
    let played =
        play("stage 1\n stage 2 wait 3\n stage 3 <- 2\n answer 1 stuck\n answer 3 failed\n run");
    assert!(played.timeline.contains(&"3 abort 1".to_owned()), "{:?}", played.timeline);
    check(
        "stage 1\n stage 2 wait 3\n stage 3 <- 2\n answer 1 stuck\n answer 3 failed\n run",
        "TERMINAL: 1 CANCELED, 2 SUCCEEDED, 3 TERMINAL",
    );
}

#[test]
fn h75_what_rests_ends_at_once_with_its_execution() {
    let played = play("stage 1\n answer 1 again 600\n stage 2 wait 900\n run 1\n cancel\n run");
    assert_eq!(played.statuses, "CANCELED: 1 CANCELED, 2 CANCELED");
    assert_eq!(played.execution.end_time().unwrap().as_second(), 1);
}
