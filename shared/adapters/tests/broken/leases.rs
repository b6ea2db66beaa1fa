use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared_adapters::memory::MemoryLeases;
use shared_model::{AttemptId, Epoch, WorkerId};
use shared_ports::PortError;
use shared_ports::conformance::{SimClock, Timed, leases::leases};
use shared_ports::leases::{Claim, Heard, Heartbeat, Holder, Leases, Note};

use crate::assert_caught;

#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    /// Takes every epoch for the newest.
    Epochs,
    /// Grants without looking.
    Claims,
    /// Leases never end.
    Ttl,
    /// Claims anew what a heartbeat lists, ended or not.
    Renewal,
    /// Heartbeats renew nothing.
    Beats,
    /// Releases with any epoch.
    Release,
    /// Workers live for ever.
    Live,
    /// What is said holds for ever.
    Notes,
    /// Whoever has the name is the holder.
    Instances,
    /// Tells nobody that its name is taken.
    Names,
    /// Who leaves stays.
    Leave,
}

struct Broken {
    leases: MemoryLeases,
    breaks: Breaks,
}

#[tokio::test]
async fn leases_without_epoch_check() {
    fails(Breaks::Epochs, &["a_second_worker_is_refused", "a_paused_worker_cannot_come_back"])
        .await;
}

#[tokio::test]
async fn leases_for_everybody() {
    let expected = ["a_second_worker_is_refused", "at_most_one_lease_is_live"];
    fails(Breaks::Claims, &expected).await;
}

#[tokio::test]
async fn leases_that_never_end() {
    fails(Breaks::Ttl, &["a_lease_ends_after_its_ttl"]).await;
}

#[tokio::test]
async fn leases_that_come_back_from_the_dead() {
    fails(Breaks::Renewal, &["a_lease_that_ended_is_not_renewed"]).await;
}

#[tokio::test]
async fn leases_that_heartbeats_do_not_keep() {
    fails(Breaks::Beats, &["heartbeats_keep_a_lease"]).await;
}

#[tokio::test]
async fn leases_that_anybody_releases() {
    let expected =
        ["only_the_holder_with_its_epoch_releases_and_renews", "a_paused_worker_cannot_come_back"];
    fails(Breaks::Release, &expected).await;
}

#[tokio::test]
async fn workers_that_live_for_ever() {
    fails(Breaks::Live, &["live_workers_are_those_that_beat"]).await;
}

#[tokio::test]
async fn notes_that_hold_for_ever() {
    fails(Breaks::Notes, &["a_note_holds_until_its_ttl_or_until_it_is_taken_back"]).await;
}

#[tokio::test]
async fn leases_that_go_by_the_name() {
    let expected =
        ["two_processes_of_one_name_are_two_holders", "a_name_is_the_first_live_process_own"];
    fails(Breaks::Instances, &expected).await;
}

#[tokio::test]
async fn leases_that_let_two_have_one_name() {
    fails(Breaks::Names, &["a_name_is_the_first_live_process_own"]).await;
}

#[tokio::test]
async fn workers_that_cannot_leave() {
    fails(Breaks::Leave, &["who_leaves_lives_no_more"]).await;
}

async fn fails(breaks: Breaks, expected: &[&str]) {
    let new = async || {
        let clock = Arc::new(SimClock::default());
        let leases = MemoryLeases::new(clock.clone());
        Timed::<dyn Leases>::simulated(Arc::new(Broken { leases, breaks }), clock)
    };
    assert_caught(&leases().failures(new).await, expected);
}

#[async_trait]
impl Leases for Broken {
    async fn claim(
        &self,
        attempt: &AttemptId,
        epoch: Epoch,
        holder: &Holder,
        ttl: SignedDuration,
    ) -> Result<Claim, PortError> {
        let ttl = if self.breaks == Breaks::Ttl { SignedDuration::MAX } else { ttl };
        let held = self.leases.holders(std::slice::from_ref(attempt)).await?.remove(0);
        let newer = held.map_or(epoch, |(_, held)| Epoch(held.0 + 1));
        if self.breaks == Breaks::Epochs && newer > epoch {
            // Whoever comes takes over.
            self.leases.release(attempt, Epoch(newer.0 - 1)).await?;
            return self.leases.claim(attempt, newer, holder, ttl).await;
        }
        let nameless = Holder::new(holder.worker.clone(), "");
        let holder = if self.breaks == Breaks::Instances { &nameless } else { holder };
        let claim = self.leases.claim(attempt, epoch, holder, ttl).await?;
        Ok(if self.breaks == Breaks::Claims { Claim::Granted } else { claim })
    }

    async fn beat(&self, heartbeat: &Heartbeat, ttl: SignedDuration) -> Result<Heard, PortError> {
        let mut heartbeat = heartbeat.clone();
        if self.breaks == Breaks::Beats {
            heartbeat.in_flight.clear();
        }
        let ttl = if self.breaks == Breaks::Live { SignedDuration::MAX } else { ttl };
        if self.breaks == Breaks::Instances {
            heartbeat.instance.clear();
        }
        let heard = self.leases.beat(&heartbeat, ttl).await?;
        let lost = if self.breaks == Breaks::Renewal { Vec::new() } else { heard.lost };
        let name_taken = heard.name_taken && self.breaks != Breaks::Names;
        Ok(Heard { lost, name_taken })
    }

    async fn leave(&self, holder: &Holder) -> Result<(), PortError> {
        if self.breaks == Breaks::Leave {
            return Ok(());
        }
        self.leases.leave(holder).await
    }

    async fn release(&self, attempt: &AttemptId, epoch: Epoch) -> Result<(), PortError> {
        let holder = self.leases.holders(std::slice::from_ref(attempt)).await?.remove(0);
        let held = holder.map_or(epoch, |(_, held)| held);
        let epoch = if self.breaks == Breaks::Release { held } else { epoch };
        self.leases.release(attempt, epoch).await
    }

    async fn holders(
        &self,
        attempts: &[AttemptId],
    ) -> Result<Vec<Option<(WorkerId, Epoch)>>, PortError> {
        self.leases.holders(attempts).await
    }

    async fn live(&self) -> Result<Vec<(Heartbeat, Timestamp)>, PortError> {
        self.leases.live().await
    }

    async fn note(&self, note: &Note, ttl: SignedDuration) -> Result<(), PortError> {
        let ttl = if self.breaks == Breaks::Notes { SignedDuration::MAX } else { ttl };
        self.leases.note(note, ttl).await
    }

    async fn notes(&self, topic: &str) -> Result<Vec<Note>, PortError> {
        self.leases.notes(topic).await
    }
}
