//! The end of a turn: everything is stored in one transaction, and only then carried out.

use shared_model::{ExecutionId, Status};
use shared_ports::journal::{Append, Appended, Version};
use shared_ports::{Outgoing, PortError};
use shared_runtime::metrics::metrics;

use super::driver::{Driver, Turn, Waiter};
use super::outage::again;
use super::turn::Work;
use super::{ControlError, Update, inputs, notices};

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
            Appended::Conflict { found } => {
                let why = format!("another scheduler changed it (version {found}); try again");
                tracing::info!(execution = %work.loaded.id, "{why}");
                self.forget(&work.loaded.id);
                self.refuse(waiters, &|| ControlError::Conflict { why: why.clone() });
                self.reload.push(work.loaded.id);
            }
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
                Waiter::Report(tag) => self.returned.push(tag),
                Waiter::Submit(reply) => drop(reply.send(Err(why().into()))),
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
        for (timer, at) in std::mem::take(&mut work.timers) {
            self.timers.arm(&id, timer, at);
        }
        messages.extend(work.ready.iter().filter_map(|ready| inputs::bell(ready).ok()));
        messages.append(&mut work.messages);
        for (stage, child) in std::mem::take(&mut work.watches) {
            self.children.watch((id.clone(), stage), &child);
        }
        std::mem::take(&mut work.cancels).into_iter().for_each(|id| self.children.cancel(id));
        let history = std::mem::take(&mut work.changes.history);
        notices::tell(&self.shell, &work.loaded, std::mem::take(&mut work.notices));
        let status = work.loaded.engine.status();
        self.confirm(waiters).await;
        self.file(work, status);
        if version.is_some() {
            drop(self.updates.send(Update { execution: id, status, history }));
        }
    }

    async fn confirm(&mut self, waiters: Vec<Waiter>) {
        for waiter in waiters {
            match waiter {
                Waiter::Report(tag) => self.ack(vec![tag]).await,
                Waiter::Submit(reply) => drop(reply.send(Ok(()))),
                Waiter::Request(reply) => drop(reply.send(Ok(()))),
            }
        }
    }

    fn file(&mut self, work: Work, status: Status) {
        let id = work.loaded.id.clone();
        self.shell.counted.note(&work.loaded.engine, self.shell.ports.clock.elapsed());
        if status.is_complete() {
            self.children.ended(&id);
            return self.forget(&id);
        }
        if !work.later.is_empty() {
            self.later.push_back((id.clone(), work.later.into()));
        }
        if work.loaded.content.is_some() {
            self.with_content.push_back(id.clone());
        }
        self.executions.insert(id, work.loaded);
    }

    /// Drops the contents that were not used for longest.
    fn trim(&mut self) {
        while self.with_content.len() > self.shell.config.bodies_cached_max {
            let Some(oldest) = self.with_content.pop_front() else { return };
            if self.with_content.contains(&oldest) {
                continue;
            }
            if let Some(loaded) = self.executions.get_mut(&oldest) {
                loaded.content = None;
            }
        }
    }

    pub(super) fn forget(&mut self, id: &ExecutionId) {
        self.executions.remove(id);
        self.shell.counted.forget(id);
        self.timers.forget(id);
        self.missing.forget(id);
    }

    pub(super) async fn ack(&mut self, tags: Vec<u64>) {
        for tag in tags {
            if let Err(error) = self.reports.ack(tag).await {
                tracing::debug!(%error, "an acknowledgement was lost; the report comes again");
            }
        }
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
