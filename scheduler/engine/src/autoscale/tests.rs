use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

const FREE: Member = Member { slots: 8, busy: 0, cpu: 0.1, memory: 0.3, draining: false };

fn demand(ready: u64, running: u64) -> Demand {
    Demand { ready, running, ..Demand::default() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

#[track_caller]
fn check(demand: Demand, members: &[Member], workers: u32, why: &str) {
    let found = wanted(&demand, members, &Policy::default());
    assert_eq!((found.workers, found.why.as_str()), (workers, why));
}

#[test]
fn nothing_to_do_wants_nobody() {
    check(demand(0, 0), &[FREE], 0, "nothing is ready, nothing runs");
}

#[test]
fn the_first_attempt_wants_the_first_worker() {
    let why = "1 ready, 0 running; 8 slots a worker, as configured: none is live";
    check(demand(1, 0), &[], 1, why);
}

#[test]
fn a_slot_for_each() {
    check(demand(12, 8), &[FREE], 3, "12 ready, 8 running; 8 slots a worker");
    check(demand(0, 17), &[FREE; 4], 3, "0 ready, 17 running; 8 slots a worker");
    let small = Member { slots: 2, ..FREE };
    check(demand(4, 0), &[small], 2, "4 ready, 0 running; 2 slots a worker");
}

#[test]
fn what_drains_fast_needs_few_slots() {
    let fast = Demand { drained_per_second: 40.0, ..demand(1_000, 8) };
    check(
        fast,
        &[FREE],
        4,
        "1000 ready, 8 running; 40.0 end a second: 20 slots clear the ready ones within 10 s; \
         8 slots a worker",
    );
    let late = Demand { oldest_wait: secs(42), ..fast };
    let why = "1000 ready, 8 running; the oldest has waited 42 s, longer than 10 s: a slot for each; \
               8 slots a worker; 126 would do, and workers_max is 100";
    check(late, &[FREE], 100, why);
}

#[test]
fn a_hot_machine_has_fewer_slots_than_it_says() {
    let hot = Member { busy: 3, cpu: 0.97, ..FREE };
    let why = "9 ready, 6 running; 3 slots a worker: they are at 97 % of CPU or memory with that many \
               busy of 8";
    check(demand(9, 6), &[hot; 2], 5, why);
    let full = Member { busy: 8, memory: 0.95, ..FREE };
    check(demand(0, 8), &[full], 1, "0 ready, 8 running; 8 slots a worker");
}

#[test]
fn whoever_drains_does_not_count() {
    let leaving = Member { draining: true, slots: 1, ..FREE };
    check(demand(9, 0), &[leaving, FREE], 2, "9 ready, 0 running; 8 slots a worker");
}

#[test]
fn fewer_are_wanted_once_fewer_have_been_enough() {
    let policy = Policy::default();
    let mut history = History::default();
    let mut wants = |second, ready| {
        let now = wanted(&demand(ready, 0), &[FREE], &policy);
        history.settle(now, 0, &policy, at(second))
    };
    assert_eq!(wants(0, 40).workers, 5);
    let held = wants(20, 8);
    assert_eq!(held.workers, 5);
    let why = "8 ready, 0 running; 8 slots a worker; that is 1, but 5 were needed 20 s ago, and fewer \
               must do for 60 s";
    assert_eq!(held.why, why);
    assert_eq!(wants(30, 24).workers, 5);
    assert_eq!(wants(60, 0).workers, 3);
    assert_eq!(wants(89, 0).workers, 3);
    assert_eq!(wants(90, 0).workers, 0);
    assert_eq!(wants(91, 9).workers, 2);
}

#[test]
fn whoever_has_just_started_keeps_what_runs() {
    let policy = Policy::default();
    let mut history = History::default();
    let mut wants = |second| {
        let now = wanted(&demand(0, 0), &[FREE; 7], &policy);
        history.settle(now, 7, &policy, at(second)).workers
    };
    assert_eq!((wants(0), wants(59), wants(60)), (7, 7, 0));
}

#[test]
fn a_policy_is_read_and_a_mistyped_one_is_not() {
    let read = |text| serde_json::from_str::<Policy>(text);
    let policy = read(r#"{"workers_max": 3, "scale_down_after": "5m"}"#).unwrap();
    assert_eq!((policy.workers_max, policy.scale_down_after), (3, secs(300)));
    assert!(read(r#"{"worker_max": 3}"#).is_err());
}

fn members() -> impl Strategy<Value = Vec<Member>> {
    let member = (1..32_u16, 0..32_u16, 0.0..1.0_f32, 0.0..1.0_f32, any::<bool>());
    let member = member.prop_map(|(slots, busy, cpu, memory, draining)| Member {
        slots,
        busy: busy.min(slots),
        cpu,
        memory,
        draining,
    });
    prop::collection::vec(member, 0..12)
}

fn demands() -> impl Strategy<Value = Demand> {
    let some = (0..5_000_u64, 0..500_u64, 0..100_i64, 0.0..1_000.0_f64);
    some.prop_map(|(ready, running, wait, drained_per_second)| Demand {
        ready,
        running,
        oldest_wait: secs(if ready == 0 { 0 } else { wait }),
        drained_per_second,
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    let some = (0..20_u32, 0..2_000_u32, 0..16_u16, 0..60_i64, 0..300_i64);
    some.prop_map(|(workers_min, more, slots_per_worker, wait, down)| Policy {
        workers_min,
        workers_max: workers_min + more,
        slots_per_worker,
        wait_max: secs(wait),
        scale_down_after: secs(down),
        ..Policy::default()
    })
}

proptest! {
    #[test]
    fn it_stays_within_the_policy_and_says_why(
        demand in demands(), members in members(), policy in policies()
    ) {
        let found = wanted(&demand, &members, &policy);
        prop_assert!((policy.workers_min..=policy.workers_max).contains(&found.workers));
        prop_assert!(!found.why.is_empty());
        let most = demand.slots().max(u64::from(policy.workers_min));
        prop_assert!(u64::from(found.workers) <= most, "more workers than attempts: {found:?}");
        let asked = demand.slots() > 0 && policy.workers_max > 0;
        prop_assert!(!asked || found.workers > 0, "work, and nobody is wanted: {found:?}");
    }

    #[test]
    fn what_runs_always_has_its_slot(demand in demands(), members in members()) {
        let policy = Policy { workers_max: u32::MAX, ..Policy::default() };
        let found = u64::from(wanted(&demand, &members, &policy).workers);
        let most = members.iter().map(|member| member.slots).max().unwrap_or(8).max(8);
        prop_assert!(found * u64::from(most) >= demand.running);
    }

    #[test]
    fn more_that_is_ready_never_wants_fewer(
        demand in demands(), more in 1..1_000_u64, members in members(), policy in policies()
    ) {
        let larger = Demand { ready: demand.ready + more, ..demand };
        let (less, more) = (wanted(&demand, &members, &policy), wanted(&larger, &members, &policy));
        prop_assert!(less.workers <= more.workers, "{less:?} {more:?}");
    }

    #[test]
    fn history_is_the_largest_of_its_window(
        steps in prop::collection::vec((0..20_i64, 0..50_u32), 1..60), down in 0..60_i64
    ) {
        let policy = Policy { scale_down_after: secs(down), ..Policy::default() };
        let (mut history, mut seen, mut second) = (History::default(), Vec::new(), 0);
        for (pause, workers) in steps {
            second += pause;
            seen.push((second, workers));
            let now = Wanted { workers, why: "said".into() };
            let found = history.settle(now, 0, &policy, at(second)).workers;
            let window = seen.iter().filter(|(then, _)| second - then < down);
            let largest = window.map(|(_, n)| *n).max();
            prop_assert_eq!(found, largest.unwrap_or(workers));
        }
    }
}
