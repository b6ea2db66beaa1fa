//! The suite of [`Clock`].

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join;

use super::suite::suite;
use super::{Suite, Timed};
use crate::Clock;

/// Every [`Clock`] passes this.
pub fn clock() -> Suite<Timed<dyn Clock>> {
    suite!("clock":
        durations_never_run_backwards,
        a_sleeper_sleeps_its_time,
        several_sleep_at_once,
        ids_are_unique_and_sorted_by_time,
        the_wall_clock_shows_what_has_passed,
    )
}

const MOMENT: Duration = Duration::from_millis(30);

async fn durations_never_run_backwards(subject: Timed<dyn Clock>) {
    let mut last = subject.port.elapsed();
    for _ in 0..1000 {
        let now = subject.port.elapsed();
        assert!(now >= last, "{now:?} came after {last:?}");
        last = now;
    }
    subject.pass(MOMENT).await;
    assert!(subject.port.elapsed() >= last + MOMENT);
}

async fn a_sleeper_sleeps_its_time(subject: Timed<dyn Clock>) {
    let before = subject.port.elapsed();
    let mut sleeping = subject.port.sleep(MOMENT);
    assert_eq!((&mut sleeping).now_or_never(), None, "it woke at once");
    join(sleeping, subject.pass(MOMENT)).await;
    assert!(subject.port.elapsed() >= before + MOMENT);
    subject.port.sleep(Duration::ZERO).await;
}

async fn several_sleep_at_once(subject: Timed<dyn Clock>) {
    let before = subject.port.elapsed();
    let sleepers = futures::future::join_all((0..20).map(|_| subject.port.sleep(MOMENT)));
    join(sleepers, subject.pass(MOMENT)).await;
    assert!(subject.port.elapsed() < before + MOMENT * 20, "they slept one after the other");
}

async fn ids_are_unique_and_sorted_by_time(subject: Timed<dyn Clock>) {
    let first: Vec<String> = (0..1000).map(|_| subject.port.new_id()).collect();
    subject.pass(MOMENT).await;
    let later: Vec<String> = (0..1000).map(|_| subject.port.new_id()).collect();
    let all: Vec<&String> = first.iter().chain(&later).collect();
    assert!(all.is_sorted(), "they do not sort by time of creation");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 2000, "one came twice");
}

async fn the_wall_clock_shows_what_has_passed(subject: Timed<dyn Clock>) {
    let before = subject.port.now();
    subject.pass(MOMENT).await;
    let shown = subject.port.now().duration_since(before);
    assert!(shown >= MOMENT.try_into().unwrap_or_default(), "it shows {shown:#}");
}
