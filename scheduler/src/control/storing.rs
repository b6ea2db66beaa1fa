//! The end of a turn: everything is stored in one transaction, and only then carried out.

use std::collections::BTreeMap;

use shared_model::{ExecutionId, Status};
use shared_ports::journal::{Append, Appended, RunningMax, Version};
use shared_ports::{Outgoing, PortError};
use shared_runtime::metrics::metrics;

use super::driver::{Driver, Turn, Waiter};
use super::lines::line_of;
use super::loaded::Loaded;
use super::outage::again;
use super::share::Place;
use super::turn::Work;
use super::{ControlError, Update, notices};
use crate::start::SubmitError;

impl Driver {
    /// Stores a turn and carries out what follows; how many executions changed in it.
    pub(super) async fn store(&mut self, mut turn: Turn) -> usize {
        self.adopt(&mut turn).await;
        let Turn { works, acks } = turn;
        self.ack(acks).await;
        let (changed, still): (Vec<_>, Vec<_>) =
            works.into_values().partition(|(work, _)| !work.changes.is_empty());
        let mut messages = Vec::new();
        for (work, waiters) in still {
            self.settle(work, None, waiters, &mut messages).await;
        }
        let changed = parents_first(changed);
        let batch: Vec<_> =
            changed.iter().map(|(work, _)| work.loaded.append(&work.changes)).collect();
        let count = batch.len();
        if !batch.is_empty() {
            match self.append(batch).await {
                Ok(answers) => {
                    self.outage.stored();
                    for ((work, waiters), answer) in changed.into_iter().zip(answers) {
                        self.stored(work, waiters, answer, &mut messages).await;
                    }
                }
                Err(error) => self.not_stored(changed, &error),
            }
        }
        self.admit(&mut messages);
        self.send(messages).await;
        self.look_at_new_watches().await;
        self.trim();
        count
    }

    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Appended>, PortError> {
        let began = self.shell.ports.clock.elapsed();
        let answers = self.shell.ports.journal.append(batch).await;
        let took = self.shell.ports.clock.elapsed().saturating_sub(began);
        metrics().journal_appended(answers.is_ok(), took);
        answers
    }

    async fn stored(
        &mut self,
        work: Work,
        waiters: Vec<Waiter>,
        answer: Appended,
        messages: &mut Vec<Outgoing>,
    ) {
        match answer {
            Appended::Stored(version) => self.settle(work, Some(version), waiters, messages).await,
            Appended::Conflict { found } => self.overtaken(work, waiters, found),
        }
    }

    /// Another scheduler stored something of an execution since it was loaded here.
    pub(super) fn overtaken(&mut self, work: Work, waiters: Vec<Waiter>, found: Version) {
        let Loaded { id, version, .. } = work.loaded;
        tracing::debug!(execution = %id, found, "another scheduler changed it, or took the room");
        self.forget(&id);
        for waiter in waiters {
            match waiter {
                Waiter::Report(tag) => self.later_again(tag),
                // It was to be the first that is stored of it.
                Waiter::Submit(reply) if version == 0 => {
                    drop(reply.send(Err(SubmitError::Exists(id.clone()))));
                }
                Waiter::Submit(reply) => drop(reply.send(Err(ControlError::Overtaken.into()))),
                Waiter::SubmitAgain(reply) => {
                    drop(reply.send(Err(SubmitError::Exists(id.clone()))))
                }
                Waiter::Request(reply) => drop(reply.send(Err(ControlError::Overtaken))),
            }
        }
        if self.share.shards.own(&id) {
            self.share.arriving.insert(id);
        }
    }

    fn not_stored(&mut self, works: Vec<(Work, Vec<Waiter>)>, error: &PortError) {
        let waiting = self.reload.len() + works.len();
        self.outage.failed(error, waiting, self.shell.ports.clock.elapsed());
        for (work, waiters) in works {
            self.forget(&work.loaded.id);
            self.refuse(waiters, &|| ControlError::Port(again(error)));
            self.reload.push(work.loaded.id);
        }
    }

    /// Gives up an execution's turn: something that it needs could not be read.
    pub(crate) fn give_up(&mut self, work: (Work, Vec<Waiter>), error: PortError) {
        self.not_stored(vec![work], &error);
    }

    fn refuse(&mut self, waiters: Vec<Waiter>, why: &dyn Fn() -> ControlError) {
        for waiter in waiters {
            match waiter {
                Waiter::Report(tag) => self.later_again(tag),
                Waiter::Submit(reply) | Waiter::SubmitAgain(reply) => {
                    drop(reply.send(Err(why().into())));
                }
                Waiter::Request(reply) => drop(reply.send(Err(why()))),
            }
        }
    }

    /// Carries out what follows from a stored turn.
    async fn settle(
        &mut self,
        mut work: Work,
        version: Option<Version>,
        waiters: Vec<Waiter>,
        messages: &mut Vec<Outgoing>,
    ) {
        let id = work.loaded.id.clone();
        work.loaded.version = version.unwrap_or(work.loaded.version);
        let status = work.loaded.engine.status();
        if status.is_complete() && version.is_some() {
            self.tell_parent(&work.loaded, messages);
        }
        let beyond = work.changes.running_max_beyond != RunningMax::default();
        let has_begun = work.changes.running_max.is_some() || beyond;
        if (status.is_complete() || has_begun) && version.is_some() {
            self.call_next(&work.loaded, messages).await;
        }
        let place = self.share.place(&id, work.is_resumed);
        if place == Place::Here {
            self.carry_out(&mut work);
        } else if let (Place::Elsewhere, Some(version)) = (place, version) {
            // Its owner carries out what follows.
            messages.push(self.share.changed(&id, version));
        }
        // Whoever took a report answers the worker: it is stored, and its owner does not hear the question.
        messages.append(&mut work.messages);
        let history = std::mem::take(&mut work.changes.history);
        notices::tell(&self.shell, &work.loaded, std::mem::take(&mut work.notices));
        self.confirm(&id, waiters).await;
        self.file(work, status, place);
        if version.is_some() {
            drop(self.updates.send(Update { execution: id, status, history }));
        }
    }

    /// Arms what a turn of an execution led to, and notes what is to be sent.
    fn carry_out(&mut self, work: &mut Work) {
        let id = work.loaded.id.clone();
        for (timer, at) in std::mem::take(&mut work.timers) {
            self.timers.arm(&id, timer, at);
        }
        self.note_ready(work);
        for (stage, child) in std::mem::take(&mut work.watches) {
            self.children.watch((id.clone(), stage), &child);
        }
        std::mem::take(&mut work.cancels).into_iter().for_each(|id| self.children.cancel(id));
    }

    async fn confirm(&mut self, id: &ExecutionId, waiters: Vec<Waiter>) {
        for waiter in waiters {
            match waiter {
                Waiter::Report(tag) => self.ack(vec![tag]).await,
                Waiter::Submit(reply) => drop(reply.send(Ok(()))),
                Waiter::SubmitAgain(reply) => {
                    drop(reply.send(Err(SubmitError::Exists(id.clone()))))
                }
                Waiter::Request(reply) => drop(reply.send(Ok(()))),
            }
        }
    }

    fn file(&mut self, work: Work, status: Status, place: Place) {
        let id = work.loaded.id.clone();
        if place == Place::Here {
            let changed = (!work.is_resumed).then_some(&work.changes.touched);
            let now = self.shell.ports.clock.elapsed();
            self.shell.counted.note(&work.loaded.engine, changed, now);
        }
        match place {
            Place::Here if !status.is_complete() => {}
            Place::Again if !status.is_complete() => return self.take_up_again(id),
            Place::Here | Place::Again | Place::Elsewhere => return self.forget(&id),
        }
        if status == Status::NotStarted {
            self.lines.note(&id, &work.loaded.label);
            if work.asks_to_start {
                self.lines.call(line_of(&work.loaded.label));
            }
        } else {
            self.lines.forget(&id);
        }
        if !work.later.is_empty() {
            self.later.push_back((id.clone(), work.later));
        }
        if let Some(content) = &work.loaded.content {
            self.contents.note(&id, content.bytes());
        }
        self.admission.note(&id, &work.loaded.label.application);
        self.executions.insert(id, work.loaded);
    }

    /// Drops the contents that were not used for longest.
    fn trim(&mut self) {
        let bytes_max = self.shell.config.contents_bytes_max;
        while let Some(oldest) = self.contents.take_oldest_beyond(bytes_max) {
            if let Some(loaded) = self.executions.get_mut(&oldest) {
                loaded.content = None;
            }
        }
    }

    pub(super) fn forget(&mut self, id: &ExecutionId) {
        self.executions.remove(id);
        self.contents.forget(id);
        self.admission.forget(id);
        self.ready.forget(id);
        self.shell.counted.forget(id);
        self.timers.forget(id);
        self.lines.forget(id);
        self.missing.forget(id);
    }

    pub(crate) async fn send(&mut self, messages: Vec<Outgoing>) {
        if messages.is_empty() {
            return;
        }
        if let Err(error) = self.shell.ports.broker.publish(messages.clone()).await {
            tracing::warn!(%error, "messages cannot be sent for now; they are sent again");
            self.unsent.extend(messages);
        }
    }
}

/// Each after the one that it is to be stored with.
fn parents_first(mut works: Vec<(Work, Vec<Waiter>)>) -> Vec<(Work, Vec<Waiter>)> {
    let of = |(work, _): &(Work, Vec<Waiter>)| {
        let parent = work.changes.with.clone()?;
        Some((work.loaded.id.clone(), parent))
    };
    let parents: BTreeMap<ExecutionId, ExecutionId> = works.iter().filter_map(of).collect();
    if parents.is_empty() {
        return works;
    }
    let depth = |id: &ExecutionId| {
        std::iter::successors(parents.get(id), |above| parents.get(*above)).count()
    };
    works.sort_by_key(|(work, _)| depth(&work.loaded.id));
    works
}
