//! Whole pipelines, by the ids of the scenarios and handler rules that the engine agrees with.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a broken script fails where it stands, and a script looks at a few facts only"
)]

#[path = "scenarios/documents.rs"]
mod documents;
#[path = "scenarios/ends.rs"]
mod ends;
#[path = "play/stage.rs"]
mod stage;
#[path = "scenarios/stages.rs"]
mod stages;
#[path = "scenarios/tasks.rs"]
mod tasks;

use stage::play;

#[track_caller]
fn check(script: &str, statuses: &str) {
    assert_eq!(play(script).statuses, statuses, "{script}");
}

#[test]
fn s01_simple() {
    check("stage 1\n run", "SUCCEEDED: 1 SUCCEEDED");
}

#[test]
fn s03_fork_and_join() {
    let script = "stage 1\n stage 2a <- 1\n stage 2b <- 1\n stage 3 <- 2a, 2b\n run";
    check(script, "SUCCEEDED: 1 SUCCEEDED, 2a SUCCEEDED, 2b SUCCEEDED, 3 SUCCEEDED");
    assert_eq!(play(script).dispatched["3"], 1, "the join starts once");
}

#[test]
fn s04_ends_in_a_branch() {
    check(
        "stage 1\n stage 2a <- 1\n stage 2b1 <- 1\n stage 2b2 <- 2b1\n run",
        "SUCCEEDED: 1 SUCCEEDED, 2a SUCCEEDED, 2b1 SUCCEEDED, 2b2 SUCCEEDED",
    );
}

#[test]
fn s05_skip() {
    let played = play("stage 1 skipped\n run");
    assert_eq!(played.statuses, "SUCCEEDED: 1 SKIPPED");
    assert!(played.dispatched.is_empty(), "the task was never run");
}

#[test]
fn s06_task_failure() {
    check("stage 1\n answer 1 failed\n run", "TERMINAL: 1 TERMINAL");
}

#[test]
fn s07_a_failing_branch_stops_the_others() {
    check(
        "stage 1\n stage 2a1 <- 1\n stage 2a2 <- 2a1\n stage 2b1 wait 2 <- 1\n stage 2b2 <- 2b1
         stage 3 <- 2a2, 2b\n answer 2a1 failed\n run",
        "TERMINAL: 1 SUCCEEDED, 2a1 TERMINAL, 2a2 NOT_STARTED, 2b1 CANCELED, 2b2 NOT_STARTED, \
         3 NOT_STARTED",
    );
}

#[test]
fn s08_ignore_failure() {
    check(
        "stage 1\n stage 2a1 continuePipeline <- 1\n stage 2a2 <- 2a1\n stage 2b <- 1
         stage 3 <- 2a2, 2b\n answer 2a1 failed\n run",
        "SUCCEEDED: 1 SUCCEEDED, 2a1 FAILED_CONTINUE, 2a2 SUCCEEDED, 2b SUCCEEDED, 3 SUCCEEDED",
    );
}

#[test]
fn s11_terminal_cancels_long_waiters() {
    let played =
        play("stage 1 wait 60\n stage 2a wait 2\n stage 2b <- 2a\n answer 2b failed\n run");
    assert_eq!(played.statuses, "TERMINAL: 1 CANCELED, 2a SUCCEEDED, 2b TERMINAL");
    let waiter = played.execution.stage(0);
    let lasted = waiter.end_time().unwrap().duration_since(waiter.start_time().unwrap());
    assert!(lasted.as_secs() < 10, "{lasted}");
}

#[test]
fn s18_on_failure_stages_run_first() {
    let played = play("stage 1 syntheticFailure\n answer 1 failed\n run");
    assert_eq!(played.statuses, "TERMINAL: 1 TERMINAL, 1>1 SUCCEEDED, 1>2 SUCCEEDED");
    assert_eq!(played.execution.stage(2).requisites(), [1], "one after the other");
    assert_eq!(
        played.timeline,
        ["0 1>1 SUCCEEDED", "0 1>2 SUCCEEDED", "0 1 TERMINAL", "0 execution TERMINAL"]
    );
}

#[test]
fn s19_cancel_ends_what_never_ends() {
    let played = play("stage 1\n answer 1 stuck\n run\n cancel\n run");
    assert_eq!(played.statuses, "CANCELED: 1 CANCELED");
    assert_eq!(played.execution.stage(0).tasks()[0].status.name(), "CANCELED");
}

#[test]
fn h03_without_a_root_it_ends_at_once() {
    let pipeline = shared_model::Pipeline::default();
    let limits = shared_model::Limits::default();
    let (graph, problems) = scheduler_engine::graph::graph(&pipeline, &limits);
    assert!(problems.is_empty());
    let at = jiff::Timestamp::UNIX_EPOCH;
    let id = shared_model::ExecutionId::new("e");
    let (execution, _) = scheduler_engine::Execution::submit(id, &graph.unwrap(), &limits, at);
    assert_eq!(execution.status().name(), "TERMINAL");
}

#[test]
fn h20_planning_that_fails_is_terminal_whatever_the_flags() {
    check(
        "stage 1 broken continuePipeline\n stage 2 <- 1\n run",
        "TERMINAL: 1 TERMINAL, 2 NOT_STARTED",
    );
}

#[test]
fn h27_a_task_that_is_not_done_is_looked_at_again() {
    let played = play("stage 1\n answer 1 again 30, again 30\n run");
    assert_eq!(played.statuses, "SUCCEEDED: 1 SUCCEEDED");
    assert_eq!(played.timeline, ["60 1 SUCCEEDED", "60 execution SUCCEEDED"]);
    assert_eq!(played.execution.stage(0).tasks()[0].number, 1, "no retry is spent");
}

#[test]
fn h29_failure_options() {
    let failed = |flags: &str| play(&format!("stage 1 {flags}\n answer 1 failed\n run")).statuses;
    assert_eq!(failed(""), "TERMINAL: 1 TERMINAL");
    assert_eq!(failed("failPipeline=false"), "SUCCEEDED: 1 STOPPED");
    assert_eq!(failed("failPipeline=false completeOtherBranchesThenFail"), "TERMINAL: 1 STOPPED");
    assert_eq!(failed("completeOtherBranchesThenFail"), "TERMINAL: 1 TERMINAL");
    for flags in
        ["continuePipeline", "continuePipeline failPipeline=false completeOtherBranchesThenFail"]
    {
        assert_eq!(failed(flags), "SUCCEEDED: 1 FAILED_CONTINUE");
    }
}

#[test]
fn h30_a_failure_that_may_pass_is_tried_again_up_to_a_limit() {
    let played = play("stage 1\n answer 1 failed-later\n run");
    assert_eq!(played.statuses, "SUCCEEDED: 1 SUCCEEDED");
    assert_eq!(played.execution.stage(0).tasks()[0].number, 2);
    let spent = play("stage 1\n answer 1 failed-later, failed-later, failed-later\n run");
    assert_eq!(spent.statuses, "TERMINAL: 1 TERMINAL");
    assert_eq!(spent.dispatched["1"], 3);
}

#[test]
fn h36_time_is_up_on_time() {
    let played = play("stage 1 5\n answer 1 stuck\n stage 2 <- 1\n run");
    assert_eq!(played.statuses, "TERMINAL: 1 TERMINAL, 2 NOT_STARTED");
    assert_eq!(
        played.timeline,
        ["5 1 gave up: TimedOut", "5 abort 1", "5 1 TERMINAL", "5 execution TERMINAL"]
    );
    check("stage 1 5 markSuccessfulOnTimeout\n answer 1 stuck\n run", "SUCCEEDED: 1 SUCCEEDED");
    check(
        "stage 1 5 continuePipeline\n answer 1 stuck\n stage 2 <- 1\n run",
        "SUCCEEDED: 1 FAILED_CONTINUE, 2 SUCCEEDED",
    );
}

#[test]
fn h45_a_loop_goes_round_with_new_effect_keys() {
    let played = play("stage 1\n answer 1 redirect, redirect\n run");
    assert_eq!(played.statuses, "SUCCEEDED: 1 SUCCEEDED");
    assert_eq!((played.dispatched["1"], played.execution.stage(0).run()), (3, 3));
}

#[test]
fn h49_after_stages_follow_the_tasks() {
    let played = play("stage 1 withAfter\n stage 2 <- 1\n run");
    assert_eq!(
        played.timeline,
        [
            "0 1>1 SUCCEEDED",
            "0 1>2 SUCCEEDED",
            "0 1 SUCCEEDED",
            "0 2 SUCCEEDED",
            "0 execution SUCCEEDED"
        ]
    );
}

#[test]
fn h60_before_stages_run_side_by_side_and_first() {
    let played = play("stage 1 parallel\n stage 2 <- 1\n run");
    assert_eq!(
        played.statuses,
        "SUCCEEDED: 1 SUCCEEDED, 2 SUCCEEDED, 1<1 SUCCEEDED, 1<2 SUCCEEDED, 1<3 SUCCEEDED"
    );
}

#[test]
fn h61_a_failing_before_stage_fails_its_parent() {
    check(
        "stage 1 parallel\n stage 2 <- 1\n answer 1<2 failed\n answer 1<1 stuck\n answer 1<3 stuck\n run",
        "TERMINAL: 1 TERMINAL, 2 NOT_STARTED, 1<1 CANCELED, 1<2 TERMINAL, 1<3 CANCELED",
    );
    check(
        "stage 1 parallel failPipeline=false\n stage 2 <- 1\n answer 1<2 failed\n run",
        "SUCCEEDED: 1 STOPPED, 2 NOT_STARTED, 1<1 SUCCEEDED, 1<2 TERMINAL, 1<3 CANCELED",
    );
}

#[test]
fn h71_a_stopped_branch_lets_the_others_finish() {
    check(
        "stage 1 failPipeline=false\n stage 2 <- 1\n stage 3 wait 9\n stage 4 <- 3\n answer 1 failed\n run",
        "SUCCEEDED: 1 STOPPED, 2 NOT_STARTED, 3 SUCCEEDED, 4 SUCCEEDED",
    );
}

#[test]
fn h74_cancel_ends_waits_and_judgments_at_once() {
    let played = play("stage 1 wait 60\n stage 2 judgment\n run 1\n cancel\n run");
    assert_eq!(played.statuses, "CANCELED: 1 CANCELED, 2 CANCELED");
    assert_eq!(played.execution.end_time().unwrap().as_second(), 1);
    assert_eq!(played.execution.canceled().unwrap().by, "me");
}

#[test]
fn a_judgment_is_answered_once() {
    let script =
        "stage 1 judgment\n stage 2 wait 5 <- 1\n run 1\n judge 1 continue\n judge 1 stop\n run";
    let played = play(script);
    assert_eq!(played.statuses, "SUCCEEDED: 1 SUCCEEDED, 2 SUCCEEDED");
    assert!(played.timeline.iter().any(|line| line.contains("refused")), "{:?}", played.timeline);
    check("stage 1 judgment\n run 1\n judge 1 stop\n run", "TERMINAL: 1 TERMINAL");
}

#[test]
fn a_lost_worker_costs_no_retry() {
    let played = play("stage 1\n answer 1 lost\n run");
    assert_eq!(played.statuses, "SUCCEEDED: 1 SUCCEEDED");
    assert_eq!(played.execution.stage(0).tasks()[0].number, 1);
    assert_eq!(
        played.timeline,
        ["0 1 lost, takeover 1 of 3", "0 1 SUCCEEDED", "0 execution SUCCEEDED"]
    );
}

#[test]
fn work_that_kills_worker_after_worker_stops() {
    let played = play("stage 1\n answer 1 lost, lost, lost, lost, lost\n run");
    assert_eq!(played.statuses, "TERMINAL: 1 TERMINAL");
    assert_eq!(played.dispatched["1"], 4);
}

#[test]
fn work_that_was_given_back_is_no_failure() {
    let played = play("stage 1\n answer 1 handed-over\n run");
    assert_eq!(played.statuses, "SUCCEEDED: 1 SUCCEEDED");
    assert_eq!(played.execution.stage(0).tasks()[0].number, 1);
}

#[test]
fn a_child_s_end_is_the_stage_s() {
    let script = |word: &str| format!("stage 1 child\n stage 2 <- 1\n run\n child 1 {word}\n run");
    check(&script("succeeded"), "SUCCEEDED: 1 SUCCEEDED, 2 SUCCEEDED");
    check(&script("failed"), "TERMINAL: 1 TERMINAL, 2 NOT_STARTED");
    check(&script("canceled"), "CANCELED: 1 CANCELED, 2 NOT_STARTED");
    let played = play("stage 1 child\n run\n child 1 succeeded\n child 1 failed\n run");
    assert!(played.timeline.contains(&"0 refused: the execution has ended".to_owned()));
}

#[test]
fn a_stage_that_ends_early_ends_its_child_first() {
    let cancel = "stage 1 child\n run\n cancel\n run 1\n child 1 canceled\n run";
    assert_eq!(
        play(cancel).timeline,
        ["0 cancel the child of 1", "1 1 CANCELED", "1 execution CANCELED"]
    );
    let late = "stage 1 child 10\n run 10\n child 1 succeeded\n run";
    check(late, "TERMINAL: 1 TERMINAL");
    let other = "stage 1 child\n stage 2\n answer 2 failed\n run 1\n child 1 succeeded\n run";
    check(other, "TERMINAL: 1 CANCELED, 2 TERMINAL");
}

#[test]
fn a_child_that_does_not_end_is_not_waited_for_for_ever() {
    let played = play("stage 1 child\n run\n cancel\n run");
    assert_eq!(
        played.timeline,
        [
            "0 cancel the child of 1",
            "600 1 gave up: AbortIgnored",
            "600 1 CANCELED",
            "600 execution CANCELED"
        ]
    );
}

#[test]
fn unkeyed_work_that_is_lost_asks_and_is_not_repeated() {
    let script =
        |told: &str| format!("stage 1 unkeyed\n answer 1 lost\n run\n tell 1 {told}\n run");
    for (told, statuses, times) in [
        ("done", "SUCCEEDED: 1 SUCCEEDED", 1),
        ("fail", "TERMINAL: 1 TERMINAL", 1),
        ("repeat", "SUCCEEDED: 1 SUCCEEDED", 2),
    ] {
        let played = play(&script(told));
        assert_eq!(played.statuses, statuses);
        assert_eq!(played.dispatched["1"], times, "{told}");
        assert_eq!(played.timeline[0], "0 1 has an unknown outcome");
    }
    check("stage 1 unkeyed 60\n answer 1 lost\n run", "TERMINAL: 1 TERMINAL");
    check("stage 1 unkeyed\n answer 1 lost\n run\n cancel\n run", "CANCELED: 1 CANCELED");
    let early = play("stage 1 unkeyed\n answer 1 stuck\n run\n tell 1 done\n run");
    assert!(early.timeline[0].starts_with("0 refused"), "{:?}", early.timeline);
}

#[test]
fn unkeyed_work_that_its_worker_broke_off_asks_but_not_what_was_never_begun() {
    let broken = play("stage 1 unkeyed\n answer 1 canceled\n run\n tell 1 done\n run");
    assert_eq!(broken.timeline[0], "0 1 has an unknown outcome");
    let given_back = play("stage 1 unkeyed\n answer 1 handed-over\n run");
    assert_eq!(given_back.statuses, "SUCCEEDED: 1 SUCCEEDED");
    assert_eq!(given_back.dispatched["1"], 2);
}

#[test]
fn work_that_rests_is_given_out_once_more_where_somebody_is_to_be_told_of_its_end() {
    let script = |kind: &str, end: &str| {
        format!("stage 1 {kind}\n answer 1 again 600,handed-over\n run 5\n {end}\n run")
    };
    let told = play(&script("watch", "cancel"));
    assert_eq!(told.statuses, "CANCELED: 1 CANCELED");
    assert_eq!(told.timeline, ["5 end 1", "5 1 CANCELED", "5 execution CANCELED"]);
    let late = play(&script("watch 60", ""));
    assert_eq!(late.statuses, "TERMINAL: 1 TERMINAL");
    assert!(late.timeline.contains(&"60 end 1".to_owned()), "{:?}", late.timeline);
    let kept = play(&script("", "cancel"));
    assert_eq!((kept.dispatched["1"], kept.timeline[0].as_str()), (1, "5 1 CANCELED"));
    let nobody = play("stage 1 watch\n answer 1 again 600,stuck\n run 5\n cancel\n run");
    assert_eq!(nobody.statuses, "CANCELED: 1 CANCELED");
    assert!(nobody.timeline.contains(&"35 1 CANCELED".to_owned()), "{:?}", nobody.timeline);
}

#[test]
fn unkeyed_work_is_not_given_back_by_another_worker_than_the_one_that_began() {
    let played = play("stage 1 unkeyed\n answer 1 doubled\n run");
    assert_eq!(played.timeline[0], "0 refused: the attempt was taken over");
    assert_eq!(played.statuses, "SUCCEEDED: 1 SUCCEEDED");
    assert_eq!(played.dispatched["1"], 1);
    let keyed = play("stage 1\n answer 1 doubled\n run");
    assert_eq!(keyed.dispatched["1"], 2, "its key keeps it from being done twice");
}
