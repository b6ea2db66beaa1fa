//! The seeded world: the real scheduler and workers come through whatever happens to them.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and print figures"
)]

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loadtest::sim::{self, Fault, Mutation, Setting, Verdict, Violation};
use shared_testkit::deadline::Deadline;
use shared_testkit::env;

/// How long a run lives through seeds, how many they are at least, and after how many that failed it ends.
const SEEDS_TIME: Duration = Duration::from_secs(300);
const SEEDS_MIN: u64 = 300;
const FAILURES_MAX: usize = 5;
/// Seeds within which every mutation must have been noticed.
const SEEDS_OF_MUTATION: usize = 2_000;

/// Where those begin in which two schedulers own what one should, and how many are enough.
const OWNERS_FROM: u64 = 300;
const SEEDS_OF_OWNERS: u64 = 300;

/// Seeds that once failed. What each found is said beside it.
const KEPT: [(u64, &str); 23] = [
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
    (2_001_407, "a submission that came again heard that it existed; then it was not stored"),
    (2_016_793, "the same"),
    (2_001_534, "who asked to resume was told of what another scheduler had changed meanwhile"),
    (2_004_418, "the same"),
    (2_020_107, "the same"),
    (2_024_547, "the same"),
    (
        50_003_037,
        "keyed work that had its lease only once it was given out again counted as a fault",
    ),
    (2_006_689, "what a failure had canceled, and was not begun again, counted as a fault"),
];

/// Verdicts with violations among some seeds, until it is over; and how many seeds there were.
fn failures(
    seeds: impl Iterator<Item = u64> + Send,
    mutation: Mutation,
    is_over: impl Fn(&[Verdict]) -> bool + Sync,
) -> (Vec<Verdict>, u64) {
    let (seeds, found) = (Mutex::new(seeds), Mutex::new(Vec::new()));
    let (setting, lived) = (Setting::mutated(mutation), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(seed) = seeds.lock().unwrap().next() else { return };
                    if is_over(&found.lock().unwrap()) {
                        return;
                    }
                    let verdict = sim::run(seed, &setting).unwrap();
                    lived.fetch_add(1, Ordering::Relaxed);
                    if !verdict.violations.is_empty() {
                        found.lock().unwrap().push(verdict);
                    }
                }
            });
        }
    });
    (found.into_inner().unwrap(), lived.into_inner())
}

/// `cargo xtask test` names a first seed for each commit, so that a run that failed can be repeated.
#[test]
fn five_minutes_of_seeds_end_well() {
    let (first, time) = (env::first_seed(), Deadline::after(SEEDS_TIME));
    let is_over = |found: &[Verdict]| time.has_passed() || found.len() >= FAILURES_MAX;
    let (failures, lived) = failures(first..u64::MAX, Mutation::None, is_over);
    // Past the test's own output, which is not shown if it passes.
    writeln!(std::io::stderr(), "{lived} seeds from {first} on, {} failed", failures.len())
        .unwrap();
    if let Some(verdict) = failures.first() {
        let shrunk = sim::shrink(verdict.seed, &Setting::default()).unwrap().unwrap();
        let again = shrunk.setting.arguments(verdict.seed);
        panic!("{failures:#?}; the first, made small: `sim {again}` has {:#?}", shrunk.verdict);
    }
    assert!(lived >= SEEDS_MIN, "only {lived} seeds were lived through in {SEEDS_TIME:?}");
}

#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    for (seed, found) in KEPT {
        let without: [&[Fault]; 3] = [&Fault::LATER, &[Fault::Crowds], &[]];
        for setting in without.map(|faults| Setting::without(faults.iter().copied())) {
            let verdict = sim::run(seed, &setting).unwrap();
            assert!(verdict.violations.is_empty(), "{found}: {verdict:#?}");
        }
    }
}

#[test]
fn equal_seeds_tell_equal_stories() {
    for seed in 0..40 {
        let [first, second] = [0, 1].map(|_| sim::run(seed, &Setting::default()).unwrap());
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
fn without_the_age_of_messages_what_nobody_waits_for_begins() {
    notices(Mutation::AgeIgnored, |found| matches!(found, Violation::BeganLate(_)));
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

#[test]
fn without_the_count_in_the_transaction_too_many_run() {
    // Two schedulers seldom take one room in the same moment, and never where they have none to share.
    let setting = Setting::mutated(Mutation::RoomNotHeld);
    let seeds = (0..).filter(|seed| sim::is_rush(*seed, &setting));
    notices_in(seeds, Mutation::RoomNotHeld, |found| matches!(found, Violation::OverLimit(_)));
}

#[test]
fn without_the_expected_version_history_goes_backwards() {
    notices(Mutation::VersionIgnored, |found| matches!(found, Violation::WentBack(_)));
    notices(Mutation::VersionIgnored, |found| matches!(found, Violation::Overwritten(_)));
}

#[test]
fn without_an_end_that_stays_what_ended_ends_otherwise() {
    notices(Mutation::EndIgnored, |found| matches!(found, Violation::WentBack(_)));
}

#[test]
fn without_word_of_its_loss_a_shard_has_two_owners() {
    notices_in(OWNERS_FROM.., Mutation::LossUnheard, |found| {
        matches!(found, Violation::TwoOwners(_))
    });
}

/// Owning is for speed: the journal's versions decide whenever two believe that they own an execution.
#[test]
fn two_owners_of_a_shard_do_nothing_wrong() {
    let (found, _) =
        failures(OWNERS_FROM..OWNERS_FROM + SEEDS_OF_OWNERS, Mutation::LossUnheard, |_| false);
    let found: Vec<Violation> = found.into_iter().flat_map(|verdict| verdict.violations).collect();
    let is_other = |found: &&Violation| !matches!(found, Violation::TwoOwners(_));
    assert!(!found.is_empty(), "nobody noticed");
    assert_eq!(found.iter().find(is_other), None);
}

#[test]
fn a_failing_seed_is_made_small() {
    let mutated = Setting::mutated(Mutation::EffectsNotLookedUp);
    let is_doubled = |seed: &u64| {
        let found = sim::run(*seed, &mutated).unwrap().violations;
        matches!(found.first(), Some(Violation::Doubled(_)))
    };
    let seed = (0..).take(SEEDS_OF_MUTATION).find(is_doubled).unwrap();
    let shrunk = sim::shrink(seed, &mutated).unwrap().unwrap();
    let setting = &shrunk.setting;
    assert!(shrunk.verdict.violations.iter().all(|found| matches!(found, Violation::Doubled(_))));
    // A second one may have to be there: without it the first one's dice fall otherwise.
    assert!(setting.plans_max.is_some_and(|plans| plans <= 2), "{setting:?}");
    assert_eq!(setting.mutation, mutated.mutation);
    assert!(setting.without.contains(&Fault::Blobs) && setting.without.len() > 4, "{setting:?}");
    let again = sim::run(seed, setting).unwrap();
    assert_eq!(again, shrunk.verdict);
    assert_eq!(sim::shrink(seed, &Setting::default()).unwrap().map(|shrunk| shrunk.verdict), None);
}

fn notices(mutation: Mutation, expected: impl Fn(&Violation) -> bool + Sync) {
    notices_in(0.., mutation, expected);
}

fn notices_in(
    seeds: impl Iterator<Item = u64> + Send,
    mutation: Mutation,
    expected: impl Fn(&Violation) -> bool + Sync,
) {
    let is_noticed = |failures: &[Verdict]| {
        failures.iter().any(|verdict| verdict.violations.iter().any(&expected))
    };
    let (failures, _) = failures(seeds.take(SEEDS_OF_MUTATION), mutation, is_noticed);
    println!("{mutation:?}: noticed in {:?}", failures.last().map(|verdict| verdict.seed));
    assert!(is_noticed(&failures), "nobody noticed {mutation:?} in {SEEDS_OF_MUTATION} seeds");
}
