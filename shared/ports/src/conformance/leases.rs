//! The suite of [`Leases`].

mod chance;

use std::time::Duration;

use jiff::SignedDuration;
use shared_model::{AttemptId, Capability, Epoch, ExecutionId, StageRef, WorkerId};

use super::suite::suite;
use super::{Suite, Timed};
use crate::leases::{Claim, Heard, Heartbeat, Holder, Leases, Note, Vitals};

/// Every [`Leases`] passes this.
pub fn leases() -> Suite<Timed<dyn Leases>> {
    suite!("leases":
        a_second_worker_is_refused,
        the_same_worker_may_claim_again,
        a_larger_epoch_takes_over,
        a_lease_ends_after_its_ttl,
        heartbeats_keep_a_lease,
        a_heartbeat_that_does_not_list_it_keeps_nothing,
        a_paused_worker_cannot_come_back,
        a_lease_that_ended_is_not_renewed,
        what_ended_is_granted_with_a_larger_epoch_only,
        only_the_holder_with_its_epoch_releases_and_renews,
        two_processes_of_one_name_are_two_holders,
        a_name_is_the_first_live_process_own,
        who_leaves_lives_no_more,
        live_workers_are_those_that_beat,
        holders_come_in_the_order_asked_for,
        a_note_holds_until_its_ttl_or_until_it_is_taken_back,
        notes_are_told_by_topic_and_name,
        chance::at_most_one_lease_is_live,
    )
}

type Subject = Timed<dyn Leases>;

const TTL: Duration = Duration::from_millis(600);
/// Well within a ttl; two of them are beyond it.
const WITHIN: Duration = Duration::from_millis(400);
const BEYOND: Duration = Duration::from_millis(800);

async fn a_second_worker_is_refused(subject: Subject) {
    assert_eq!(subject.claim("x", 3, "a").await, Claim::Granted);
    let refused = Claim::Refused { holder: WorkerId::new("a"), epoch: Epoch(3) };
    assert_eq!(subject.claim("x", 3, "b").await, refused, "with the same epoch");
    assert_eq!(subject.claim("x", 2, "b").await, refused, "with an older epoch");
    assert_eq!(subject.claim("x", 2, "a").await, refused, "with an older epoch of its own");
    assert_eq!(subject.holder("x").await, Some(("a".to_owned(), 3)));
    assert_eq!(subject.claim("y", 1, "b").await, Claim::Granted, "another attempt is free");
}

async fn the_same_worker_may_claim_again(subject: Subject) {
    assert_eq!(subject.claim("x", 1, "a").await, Claim::Granted);
    subject.pass(WITHIN).await;
    assert_eq!(subject.claim("x", 1, "a").await, Claim::Granted);
    subject.pass(WITHIN).await;
    assert_eq!(subject.holder("x").await, Some(("a".to_owned(), 1)), "claiming again renews");
}

async fn a_larger_epoch_takes_over(subject: Subject) {
    assert_eq!(subject.claim("x", 1, "a").await, Claim::Granted);
    assert_eq!(subject.claim("x", 2, "b").await, Claim::Granted);
    assert_eq!(subject.holder("x").await, Some(("b".to_owned(), 2)));
    assert_eq!(subject.beat("a", &[("x", 1)]).await, ["x"], "the one before has lost it");
}

async fn a_lease_ends_after_its_ttl(subject: Subject) {
    assert_eq!(subject.claim("x", 1, "a").await, Claim::Granted);
    subject.pass(WITHIN).await;
    assert_eq!(subject.holder("x").await, Some(("a".to_owned(), 1)));
    subject.pass(WITHIN).await;
    assert_eq!(subject.holder("x").await, None);
    assert_eq!(subject.claim("x", 1, "b").await, ended("a", 1));
    assert_eq!(subject.claim("x", 2, "b").await, Claim::Granted);
}

async fn heartbeats_keep_a_lease(subject: Subject) {
    assert_eq!(subject.claim("x", 1, "a").await, Claim::Granted);
    for _ in 0..4 {
        subject.pass(WITHIN).await;
        assert_eq!(subject.beat("a", &[("x", 1)]).await, [""; 0]);
    }
    subject.pass(WITHIN).await;
    assert_eq!(subject.holder("x").await, Some(("a".to_owned(), 1)));
    subject.pass(WITHIN).await;
    assert_eq!(subject.holder("x").await, None, "it ends a ttl after the last of them");
}

async fn a_heartbeat_that_does_not_list_it_keeps_nothing(subject: Subject) {
    assert_eq!(subject.claim("x", 1, "a").await, Claim::Granted);
    subject.pass(WITHIN).await;
    assert_eq!(subject.beat("a", &[]).await, [""; 0]);
    subject.pass(WITHIN).await;
    assert_eq!(subject.holder("x").await, None);
}

async fn a_paused_worker_cannot_come_back(subject: Subject) {
    assert_eq!(subject.claim("x", 1, "paused").await, Claim::Granted);
    subject.pass(BEYOND).await;
    assert_eq!(subject.claim("x", 2, "other").await, Claim::Granted);
    // It goes on as if nothing had happened.
    assert_eq!(subject.beat("paused", &[("x", 1)]).await, ["x"]);
    subject.port.release(&attempt("x"), Epoch(1)).await.expect("releasing");
    let refused = Claim::Refused { holder: WorkerId::new("other"), epoch: Epoch(2) };
    assert_eq!(subject.claim("x", 1, "paused").await, refused);
    assert_eq!(subject.holder("x").await, Some(("other".to_owned(), 2)));
    // Nor when the other is done.
    subject.port.release(&attempt("x"), Epoch(2)).await.expect("releasing");
    assert_ne!(subject.claim("x", 1, "paused").await, Claim::Granted);
    assert_eq!(subject.holder("x").await, None);
}

async fn a_lease_that_ended_is_not_renewed(subject: Subject) {
    assert_eq!(subject.claim("x", 1, "paused").await, Claim::Granted);
    subject.pass(BEYOND).await;
    assert_eq!(subject.beat("paused", &[("x", 1)]).await, ["x"]);
    assert_eq!(subject.holder("x").await, None);
}

async fn what_ended_is_granted_with_a_larger_epoch_only(subject: Subject) {
    assert_eq!(subject.claim("x", 1, "a").await, Claim::Granted);
    subject.port.release(&attempt("x"), Epoch(1)).await.expect("releasing");
    assert_eq!(subject.holder("x").await, None);
    for worker in ["a", "b"] {
        assert_eq!(subject.claim("x", 1, worker).await, ended("a", 1), "to {worker}");
    }
    assert_eq!(subject.claim("x", 2, "b").await, Claim::Granted);
    subject.port.release(&attempt("unknown"), Epoch(1)).await.expect("releasing");
}

async fn only_the_holder_with_its_epoch_releases_and_renews(subject: Subject) {
    assert_eq!(subject.claim("x", 2, "a").await, Claim::Granted);
    for epoch in [1, 3] {
        subject.port.release(&attempt("x"), Epoch(epoch)).await.expect("releasing");
        assert_eq!(subject.beat("a", &[("x", epoch)]).await, ["x"], "epoch {epoch}");
    }
    assert_eq!(subject.holder("x").await, Some(("a".to_owned(), 2)));
    subject.pass(WITHIN).await;
    assert_eq!(subject.beat("b", &[("x", 2), ("y", 1)]).await, ["x", "y"]);
    assert_eq!(subject.beat("a", &[("x", 1)]).await, ["x"]);
    subject.pass(WITHIN).await;
    assert_eq!(subject.holder("x").await, None, "nobody renewed it");
}

async fn two_processes_of_one_name_are_two_holders(subject: Subject) {
    assert_eq!(subject.claim("x", 3, "a/1").await, Claim::Granted);
    let refused = Claim::Refused { holder: WorkerId::new("a"), epoch: Epoch(3) };
    assert_eq!(subject.claim("x", 3, "a/2").await, refused);
    assert_eq!(subject.claim("x", 3, "a/1").await, Claim::Granted, "the same one");
    subject.pass(WITHIN).await;
    assert_eq!(subject.heard("a/2", &[("x", 3)]).await.lost, [attempt("x")]);
    subject.pass(WITHIN).await;
    assert_eq!(subject.holder("x").await, None, "the other's beats renew nothing");
}

async fn a_name_is_the_first_live_process_own(subject: Subject) {
    let none = Heard::default();
    assert_eq!(subject.claim("y", 1, "a/2").await, Claim::Granted);
    assert_eq!(subject.heard("a/1", &[]).await, none);
    subject.pass(WITHIN).await;
    let taken = Heard { name_taken: true, ..Heard::default() };
    assert_eq!(subject.heard("a/2", &[("y", 1)]).await, taken, "what it holds it keeps");
    assert_eq!(subject.heard("a/1", &[]).await, none);
    let live = subject.port.live().await.expect("asking who lives");
    assert_eq!((live.len(), live[0].0.instance.as_str()), (1, "1"), "the older one is seen");
    for _ in 0..2 {
        subject.pass(WITHIN).await;
        subject.heard("a/2", &[("y", 1)]).await;
    }
    assert_eq!(subject.heard("a/2", &[("y", 1)]).await, none, "the older one is gone");
    assert_eq!(subject.heard("a/1", &[]).await, taken, "should it come back");
    assert_eq!(subject.holder("y").await, Some(("a".to_owned(), 1)));
}

async fn who_leaves_lives_no_more(subject: Subject) {
    assert_eq!(subject.claim("x", 1, "a/1").await, Claim::Granted);
    subject.heard("a/1", &[("x", 1)]).await;
    subject.port.leave(&holder("a/2")).await.expect("leaving");
    assert_eq!(subject.live().await, ["a"], "another of the name is not meant");
    subject.port.leave(&holder("a/1")).await.expect("leaving");
    assert_eq!(subject.live().await, [""; 0]);
    assert_eq!(subject.holder("x").await, Some(("a".to_owned(), 1)), "its leases stay");
    assert_eq!(subject.heard("a/2", &[]).await, Heard::default(), "the name is free");
    subject.port.leave(&holder("b")).await.expect("leaving twice, or never having come");
}

async fn live_workers_are_those_that_beat(subject: Subject) {
    assert_eq!(subject.live().await, [""; 0]);
    subject.beat("a", &[]).await;
    subject.beat("b", &[("x", 1)]).await;
    assert_eq!(subject.live().await, ["a", "b"]);
    subject.pass(WITHIN).await;
    let changed = Heartbeat { draining: true, slots: 7, ..heartbeat("b", &[("y", 2)]) };
    subject.port.beat(&changed, ttl()).await.expect("beating");
    subject.pass(WITHIN).await;
    let live = subject.port.live().await.expect("asking who lives");
    let beats: Vec<&Heartbeat> = live.iter().map(|(beat, _)| beat).collect();
    assert_eq!(beats, [&changed], "the last of who beat within a ttl");
    subject.pass(WITHIN).await;
    assert_eq!(subject.live().await, [""; 0]);
}

async fn holders_come_in_the_order_asked_for(subject: Subject) {
    for (name, epoch, worker) in [("x", 1, "a"), ("y", 5, "b"), ("z", 2, "a")] {
        assert_eq!(subject.claim(name, epoch, worker).await, Claim::Granted);
    }
    let asked = ["z", "unknown", "x", "y", "x"].map(attempt);
    let holders = subject.port.holders(&asked).await.expect("asking for holders");
    let held = |worker: &str, epoch| Some((WorkerId::new(worker), Epoch(epoch)));
    let expected = [held("a", 2), None, held("a", 1), held("b", 5), held("a", 1)];
    assert_eq!(holders, expected);
    assert_eq!(subject.port.holders(&[]).await.expect("asking for none"), []);
}

async fn a_note_holds_until_its_ttl_or_until_it_is_taken_back(subject: Subject) {
    subject.note("t", "a", "1", TTL).await;
    subject.note("t", "b", "2", TTL).await;
    assert_eq!(subject.notes("t").await, ["a 1", "b 2"]);
    subject.pass(WITHIN).await;
    subject.note("t", "b", "3", TTL).await;
    subject.pass(WITHIN).await;
    assert_eq!(subject.notes("t").await, ["b 3"], "the last of what was said within a ttl");
    subject.note("t", "b", "", Duration::ZERO).await;
    assert_eq!(subject.notes("t").await, [""; 0], "it was taken back");
    subject.note("t", "b", "4", TTL).await;
    assert_eq!(subject.notes("t").await, ["b 4"]);
    subject.pass(BEYOND).await;
    assert_eq!(subject.notes("t").await, [""; 0]);
}

async fn notes_are_told_by_topic_and_name(subject: Subject) {
    assert_eq!(subject.notes("t").await, [""; 0]);
    for (topic, name) in [("t", "b"), ("u", "a"), ("t", "a"), ("t:u", "c")] {
        subject.note(topic, name, &format!("{topic} says \"{name}\""), TTL).await;
    }
    assert_eq!(subject.notes("t").await, ["a t says \"a\"", "b t says \"b\""]);
    assert_eq!(subject.notes("u").await, ["a u says \"a\""]);
    assert_eq!(subject.live().await, [""; 0], "who says something is no worker");
}

impl Timed<dyn Leases> {
    async fn note(&self, topic: &str, name: &str, body: &str, ttl: Duration) {
        let (topic, name, body) = (topic.to_owned(), name.to_owned(), body.to_owned());
        let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
        self.port.note(&Note { topic, name, body }, ttl).await.expect("saying something");
    }

    /// In the order in which they are told.
    async fn notes(&self, topic: &str) -> Vec<String> {
        let notes = self.port.notes(topic).await.expect("asking what was said");
        assert!(notes.iter().all(|note| note.topic == topic));
        notes.into_iter().map(|note| format!("{} {}", note.name, note.body)).collect()
    }

    async fn claim(&self, name: &str, epoch: u64, worker: &str) -> Claim {
        let claim = self.port.claim(&attempt(name), Epoch(epoch), &holder(worker), ttl()).await;
        claim.expect("claiming")
    }

    async fn beat(&self, worker: &str, in_flight: &[(&str, u64)]) -> Vec<String> {
        let heard = self.heard(worker, in_flight).await;
        assert!(!heard.name_taken, "nobody else has that name");
        heard.lost.into_iter().map(|attempt| attempt.execution.to_string()).collect()
    }

    async fn heard(&self, worker: &str, in_flight: &[(&str, u64)]) -> Heard {
        self.port.beat(&heartbeat(worker, in_flight), ttl()).await.expect("beating")
    }

    async fn holder(&self, name: &str) -> Option<(String, u64)> {
        let mut holders = self.port.holders(&[attempt(name)]).await.expect("asking for a holder");
        assert_eq!(holders.len(), 1);
        holders.remove(0).map(|(worker, epoch)| (worker.to_string(), epoch.0))
    }

    async fn live(&self) -> Vec<String> {
        let live = self.port.live().await.expect("asking who lives");
        let mut names: Vec<String> = live.iter().map(|(beat, _)| beat.worker.to_string()).collect();
        names.sort();
        names
    }
}

fn ended(holder: &str, epoch: u64) -> Claim {
    Claim::Ended { holder: WorkerId::new(holder), epoch: Epoch(epoch) }
}

fn ttl() -> SignedDuration {
    SignedDuration::try_from(TTL).unwrap_or(SignedDuration::MAX)
}

fn attempt(name: &str) -> AttemptId {
    AttemptId {
        execution: ExecutionId::new(name),
        stage: StageRef::new("1"),
        run: 1,
        task: 0,
        number: 1,
    }
}

/// The process that a text means: of the worker `a`, the process `a/2`, or its only one.
fn holder(text: &str) -> Holder {
    let (worker, instance) = text.split_once('/').unwrap_or((text, "1"));
    Holder::new(WorkerId::new(worker), instance)
}

fn heartbeat(worker: &str, in_flight: &[(&str, u64)]) -> Heartbeat {
    let Holder { worker, instance } = holder(worker);
    Heartbeat {
        worker,
        instance,
        capabilities: vec![Capability::new("wait")],
        slots: 4,
        in_flight: in_flight.iter().map(|(name, epoch)| (attempt(name), Epoch(*epoch))).collect(),
        vitals: Vitals { cpu: 0.25, memory: 0.5, resident_bytes: 1 << 30, load: 1.5, disk: 0.75 },
        catalog: "catalog".to_owned(),
        draining: false,
        takes_out: true,
    }
}
