//! The seeded world: the real scheduler and workers come through whatever happens to them.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and print figures"
)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loadtest::sim::{self, Mutation, Verdict, Violation};
use shared_testkit::deadline::Stopwatch;

/// Seeds that are lived through in every run, as far as the time goes; a machine on which even the least
/// of them take longer is too slow to show anything.
const SEEDS: u64 = 10_000;
const SEEDS_MIN: u64 = 300;
const SEEDS_TIME: Duration = Duration::from_secs(5 * 60);
/// Seeds within which every mutation must have been noticed.
const SEEDS_OF_MUTATION: u64 = 2_000;

/// Seeds that once failed. What each found is said beside it.
const KEPT: [(u64, &str); 15] = [
    (3, "a doubled start report had a live attempt aborted, and its execution cancelled"),
    (16, "a sweep that could not measure a queue forgot the execution"),
    (0, "a late message ran an attempt that had ended, beside its successor"),
    (29, "a late message ran an epoch that had been handed over"),
    (65, "an attempt was claimed again after its lease was released"),
    (116, "the same, on a worker that had not seen it before"),
    (167, "the same, across a restart of the scheduler"),
    (186, "the same, in the third attempt"),
    (255, "a lost report of a worker that lives on was waited for without end"),
    (9323, "a cancel, while an execution waited to be loaded again, heard that it had ended"),
    (1318, "a shard that went and came back within one turn left a parent waiting for its child"),
    (1703, "a scheduler with nothing to store said for ever that it could not"),
    (2283, "the same, after the execution whose turn was not stored went with its shard"),
    (1_008_656, "keyed work began whose worker knew already that it had been taken over"),
    (1_002_970, "keyed work that begins twice in one epoch, without leases, counted as a fault"),
];

/// Verdicts with violations among seeds from 0, until it is enough of them, or of seeds.
fn failures(
    seeds: u64,
    mutation: Mutation,
    is_enough: impl Fn(&[Verdict], u64) -> bool + Sync,
) -> Vec<Verdict> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || is_enough(&found.lock().unwrap(), seed) {
                        return;
                    }
                    let verdict = sim::run(seed, mutation).unwrap();
                    if !verdict.violations.is_empty() {
                        found.lock().unwrap().push(verdict);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn five_minutes_of_seeds_end_well() {
    let (clock, lived) = (Stopwatch::start(), AtomicU64::new(0));
    let failures = failures(SEEDS, Mutation::None, |_, seed| {
        lived.fetch_max(seed, Ordering::Relaxed);
        seed >= SEEDS_MIN && clock.elapsed() >= SEEDS_TIME
    });
    println!("{} seeds in {:?}", lived.into_inner(), clock.elapsed());
    assert!(failures.is_empty(), "{} seeds failed: {failures:#?}", failures.len());
}

#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    for (seed, found) in KEPT {
        let verdict = sim::run(seed, Mutation::None).unwrap();
        assert!(verdict.violations.is_empty(), "{found}: {verdict:#?}");
    }
}

#[test]
fn equal_seeds_tell_equal_stories() {
    for seed in 0..40 {
        let [first, second] = [0, 1].map(|_| sim::run(seed, Mutation::None).unwrap());
        assert_eq!(first, second);
    }
}

#[test]
fn without_leases_two_attempts_are_live() {
    notices(Mutation::LeasesAlwaysGranted, |found| matches!(found, Violation::TwoLive(_)));
}

#[test]
fn without_the_epoch_check_two_attempts_are_live() {
    notices(Mutation::EpochIgnored, |found| matches!(found, Violation::TwoLive(_)));
}

#[test]
fn without_the_look_at_effects_one_is_made_twice() {
    notices(Mutation::EffectsNotLookedUp, |found| matches!(found, Violation::Doubled(_)));
}

#[test]
fn without_the_wait_for_a_grant_unseen_work_is_done_twice() {
    notices(Mutation::GrantNotAwaited, |found| matches!(found, Violation::Doubled(_)));
}

#[test]
fn without_the_count_of_executions_too_many_run() {
    notices(Mutation::RoomNotCounted, |found| matches!(found, Violation::OverLimit(_)));
}

fn notices(mutation: Mutation, expected: impl Fn(&Violation) -> bool + Sync) {
    let is_noticed = |failures: &[Verdict]| {
        failures.iter().any(|verdict| verdict.violations.iter().any(&expected))
    };
    let failures = failures(SEEDS_OF_MUTATION, mutation, |found, _| is_noticed(found));
    println!("{mutation:?}: noticed in {:?}", failures.last().map(|verdict| verdict.seed));
    assert!(is_noticed(&failures), "nobody noticed {mutation:?} in {SEEDS_OF_MUTATION} seeds");
}
