//! What workers report of their attempts, one by one or several in one message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use scheduler_engine::event::{AttemptKey, Event};
use shared_model::{AttemptId, ExecutionId, TaskAnswer};
use shared_ports::messages::{
    AttemptReport, AttemptReports, JOINED_ID, MESSAGE_VERSION, RING_ID, Report,
};
use shared_ports::{Delivery, PortError};

use super::driver::{Driver, Turn, Waiter};
use super::evaluation::Shell;
use super::seats::Tag;
use super::shards;
use super::turn::Work;
use super::{expressions, fold, inputs};

/// A shard whose queue is received here, if there is one.
#[derive(Debug)]
pub(crate) struct Receiving(AtomicU32);

/// No number of a shard.
const NO_SHARD: u32 = u32::MAX;

impl Default for Receiving {
    fn default() -> Self {
        Self(AtomicU32::new(NO_SHARD))
    }
}

impl Receiving {
    /// Takes note of the shards that are received here.
    pub(super) fn note(&self, shards: &BTreeSet<u16>) {
        let first = shards.first().map_or(NO_SHARD, |shard| u32::from(*shard));
        self.0.store(first, Ordering::Relaxed);
    }

    /// The shard whose queue takes the reports of an execution, of so many shards: always the same one of
    /// those that are received here, so that there are few queues in which more lies at a time. Whoever
    /// receives a report takes it, whosever the execution is.
    pub(super) fn shard_for(&self, id: &ExecutionId, shards: u16) -> u16 {
        let received = u16::try_from(self.0.load(Ordering::Relaxed));
        received.unwrap_or_else(|_| shards::of(id, shards))
    }
}

/// Deliveries with several reports: one is dealt with when all of them are. Within one turn they are.
#[derive(Default)]
pub(crate) struct Joined(BTreeMap<Tag, Left>);

struct Left {
    count: usize,
    /// Whether one of them is to come again; then all do, and those that were stored are stale.
    again: bool,
}

/// What becomes of a delivery.
#[derive(Debug, PartialEq, Eq)]
enum Settled {
    /// It is acknowledged.
    Done,
    /// It is given back once the store works again.
    Again,
}

impl Joined {
    fn expect(&mut self, tag: Tag, count: usize) {
        if count > 1 {
            self.0.insert(tag, Left { count, again: false });
        }
    }

    /// One report of a delivery is dealt with, or is to come again; what becomes of the delivery, if that
    /// was the last.
    fn settle(&mut self, tag: Tag, again: bool) -> Option<Settled> {
        let mut is_again = again;
        if let Some(left) = self.0.get_mut(&tag) {
            left.count -= 1;
            left.again |= again;
            if left.count > 0 {
                return None;
            }
            is_again = left.again;
            self.0.remove(&tag);
        }
        Some(if is_again { Settled::Again } else { Settled::Done })
    }
}

impl Driver {
    /// Gives a report back once the store works again.
    pub(super) fn later_again(&mut self, tag: Tag) {
        if self.joined.settle(tag, true).is_some() {
            self.returned.push(tag);
        }
    }

    /// Says that reports are dealt with.
    pub(super) async fn ack(&mut self, tags: Vec<Tag>) {
        for tag in tags {
            match self.joined.settle(tag, false) {
                Some(Settled::Done) => self.seats.ack(tag).await,
                Some(Settled::Again) => self.returned.push(tag),
                None => {}
            }
        }
    }

    /// Acknowledges a report at the end of the turn, whatever becomes of the executions in it.
    fn dismiss(turn: &mut Turn, tag: Tag) {
        turn.acks.push(tag);
    }

    /// Takes what came in a shard's queue: another scheduler's word, or reports. How many, at least one.
    pub(super) async fn delivered(
        &mut self,
        turn: &mut Turn,
        tag: Tag,
        delivery: Delivery,
    ) -> usize {
        if delivery.id.starts_with(RING_ID) {
            if let Err(error) = self.rung(&delivery.body) {
                tracing::warn!(%error, message = %delivery.id, "a scheduler's word cannot be read");
            }
            Self::dismiss(turn, tag);
            return 1;
        }
        let reports = match read(&delivery) {
            Ok(reports) => reports,
            Err(error) => {
                tracing::warn!(%error, message = %delivery.id, "a report cannot be read; set aside");
                self.seats.reject(tag).await;
                return 1;
            }
        };
        let count = reports.len();
        self.joined.expect(tag, count);
        for report in reports {
            self.report(turn, tag, report).await;
        }
        if count == 0 {
            Self::dismiss(turn, tag);
        }
        count.max(1)
    }

    async fn report(&mut self, turn: &mut Turn, tag: Tag, report: AttemptReport) {
        if report.v > MESSAGE_VERSION {
            tracing::warn!(
                v = report.v,
                "a report of a newer version; dropped, its sender reports again"
            );
            return Self::dismiss(turn, tag);
        }
        match self.finished_answer(&report).await {
            Ok(answer) => self.reported(turn, report, answer, tag).await,
            Err(error) => {
                tracing::warn!(%error, attempt = %report.attempt, "a report cannot be read for now");
                self.later_again(tag);
            }
        }
    }

    async fn finished_answer(
        &self,
        report: &AttemptReport,
    ) -> Result<Option<TaskAnswer>, PortError> {
        match &report.report {
            Report::Started | Report::LeaseEnded => Ok(None),
            Report::Finished(answer) => Ok(Some((**answer).clone())),
            Report::FinishedBlob(blob) => {
                let bytes = self.blob(blob).await?;
                serde_json::from_slice(&bytes).map(Some).map_err(|error| PortError::Refused {
                    doing: format!("reading the answer of `{}`", report.attempt),
                    why: error.to_string(),
                })
            }
        }
    }

    async fn reported(
        &mut self,
        turn: &mut Turn,
        report: AttemptReport,
        answer: Option<TaskAnswer>,
        tag: Tag,
    ) {
        let now = self.shell.ports.clock.now();
        let id = report.attempt.execution.clone();
        if self.reload.contains(&id) {
            return self.later_again(tag);
        }
        let found = match self.take_anywhere(turn, &id).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, attempt = %report.attempt, "it cannot be read for now");
                return self.later_again(tag);
            }
        };
        let Some(mut work) = found else {
            if matches!(report.report, Report::Started) {
                self.send(vec![inputs::abort(&report.worker, report.attempt, report.epoch)]).await;
            }
            return Self::dismiss(turn, tag);
        };
        match apply_report(&self.shell, &mut work.0, &report, answer, now).await {
            Ok(()) => work.1.push(Waiter::Report(tag)),
            Err(error) => {
                work.1.push(Waiter::Report(tag));
                return self.give_up(work, error);
            }
        }
        self.keep(turn, work);
    }
}

fn read(delivery: &Delivery) -> serde_json::Result<Vec<AttemptReport>> {
    if delivery.id.starts_with(JOINED_ID) {
        return serde_json::from_slice::<AttemptReports>(&delivery.body).map(|all| all.reports);
    }
    serde_json::from_slice(&delivery.body).map(|report| vec![report])
}

async fn apply_report(
    shell: &Shell,
    work: &mut Work,
    report: &AttemptReport,
    answer: Option<TaskAnswer>,
    at: Timestamp,
) -> Result<(), PortError> {
    let Some(attempt) = attempt_key(work, &report.attempt) else { return Ok(()) };
    let epoch = report.epoch;
    let Some(answer) = answer else {
        if matches!(report.report, Report::LeaseEnded) {
            if let Some(worker) = report.held_by.clone() {
                // It may be gone before it told that it began: so it is known whom it was lost with.
                let began = Event::LeaseGranted { attempt, epoch, worker, waits: false, at };
                let _known = work.apply(shell, began, None, at).await?;
            }
            let event = Event::LeaseExpired { attempt, epoch, at };
            let _stale = work.apply(shell, event, None, at).await?;
            return Ok(());
        }
        let (worker, waits) = (report.worker.clone(), report.waits);
        let event = Event::LeaseGranted { attempt, epoch, worker, waits, at };
        if work.apply(shell, event, None, at).await?.is_err() {
            // Somebody works on what nobody waits for any more, or what another goes on with.
            let flight = work.loaded.engine.flight(attempt.stage);
            let goes_on = flight.is_some_and(|flight| flight.attempt == attempt);
            let end = if goes_on { inputs::taken_over } else { inputs::abort };
            work.messages.push(end(&report.worker, report.attempt.clone(), epoch));
        }
        return Ok(());
    };
    let mut body = work.body(&*shell.ports.journal, attempt.stage).await?;
    let name = work.loaded.engine.stage(attempt.stage).task(attempt.task).name.clone();
    fold::answer(&mut body, attempt.task, &name, &answer, at);
    let expressions_failed = expressions::failed(&body.context);
    let outcome = fold::not_before(fold::outcome(&answer), &body.context);
    let worker = report.worker.clone();
    let event = Event::AttemptFinished { attempt, epoch, worker, outcome, expressions_failed, at };
    if work.apply(shell, event, Some((attempt.stage, body)), at).await?.is_err() {
        tracing::debug!(attempt = %report.attempt, %epoch, "a stale report changes nothing");
    }
    Ok(())
}

/// The attempt inside its execution; `None` if the execution has no such stage or task.
fn attempt_key(work: &Work, id: &AttemptId) -> Option<AttemptKey> {
    let stage = work.loaded.engine.find(&id.stage)?;
    let known = usize::from(id.task) < work.loaded.engine.stage(stage).task_count();
    known.then_some(AttemptKey { stage, run: id.run, task: id.task, number: id.number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_settled_with_its_last_report_and_comes_again_if_one_does() {
        let (mut joined, [one, both, again]) = (Joined::default(), [1, 2, 3].map(Tag::of));
        joined.expect(one, 1);
        joined.expect(both, 2);
        joined.expect(again, 3);
        assert_eq!(joined.settle(one, false), Some(Settled::Done));
        assert_eq!(
            [joined.settle(both, false), joined.settle(both, false)],
            [None, Some(Settled::Done)]
        );
        assert_eq!([joined.settle(again, true), joined.settle(again, false)], [None, None]);
        assert_eq!(joined.settle(again, false), Some(Settled::Again));
        assert!(joined.0.is_empty());
    }
}
