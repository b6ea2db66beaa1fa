//! Executions that wait for room among those of their pipeline (reference §2.6). Where there are limits
//! beyond that, `order.rs` says whose turn it is.
//!
//! Room is counted in the store, in the transaction that takes it up (D24): whoever comes second there
//! gets a conflict, loads again and waits on. What is decided here is only whose turn it is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use scheduler_engine::event::Event;
use scheduler_engine::{SYSTEM, StartRule};
use shared_model::{ExecutionId, Status};
use shared_ports::journal::{Kind, Query, RunningMax, TAKES_ROOM};
use shared_ports::{Outgoing, PortError};

use super::driver::{Driver, Turn};
use super::loaded::{Label, Loaded};

/// Orca's words for an execution that is not wanted any more.
const SUPERSEDED: &str = "This execution was queued but then canceled because a newer queued \
     execution superceded it. This pipeline is configured to automatically cancel waiting executions.";
/// Waiting executions of one pipeline whose schedulers are told that there is room.
const TOLD_MAX: u32 = 500;

/// The lines at the pipelines' doors, as far as they are this scheduler's.
#[derive(Default)]
pub(crate) struct Lines {
    waiting: BTreeMap<String, BTreeSet<(Timestamp, ExecutionId)>>,
    /// Where each stands.
    places: BTreeMap<ExecutionId, (String, Timestamp)>,
    /// Lines in which somebody may be next.
    called: BTreeSet<String>,
}

impl Lines {
    /// An execution waits.
    pub(super) fn note(&mut self, id: &ExecutionId, label: &Label) {
        let line = line_of(label);
        let place = (label.build_time, id.clone());
        self.waiting.entry(line.to_owned()).or_default().insert(place);
        self.places.insert(id.clone(), (line.to_owned(), label.build_time));
    }

    /// An execution does not wait here any more.
    pub(super) fn forget(&mut self, id: &ExecutionId) {
        let Some((line, since)) = self.places.remove(id) else { return };
        if let Some(waiting) = self.waiting.get_mut(&line) {
            waiting.remove(&(since, id.clone()));
            if waiting.is_empty() {
                self.waiting.remove(&line);
            }
        }
    }

    /// There may be room.
    pub(super) fn call(&mut self, line: &str) {
        if self.waiting.contains_key(line) {
            self.called.insert(line.to_owned());
        }
    }

    /// There may be room everywhere: word of it may have been lost.
    pub(super) fn call_all(&mut self) {
        self.called.extend(self.waiting.keys().cloned());
    }

    pub(super) fn has_work(&self) -> bool {
        !self.called.is_empty()
    }

    /// Those that wait here, if somebody may be next.
    pub(super) fn take_all_called(&mut self) -> Option<Vec<ExecutionId>> {
        if std::mem::take(&mut self.called).is_empty() {
            return None;
        }
        Some(self.places.keys().cloned().collect())
    }

    /// Somebody may be next, here or elsewhere.
    pub(super) fn call_order(&mut self) {
        self.called.insert(String::new());
    }
}

/// In whose line an execution stands; those of no saved pipeline stand in one of their own.
pub(super) fn line_of(label: &Label) -> &str {
    label.pipeline_config_id.as_deref().unwrap_or_default()
}

/// How a line stands in the store.
pub(super) struct Line {
    pub(super) running: u32,
    oldest: Option<ExecutionId>,
    newest: Option<ExecutionId>,
}

/// What is to become of one that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Wait,
    Begin,
    Superseded,
}

impl Line {
    pub(super) fn call(&self, id: &ExecutionId, rule: &StartRule) -> Call {
        let Some(max) = rule.running_max else { return Call::Begin };
        let is = |other: &Option<ExecutionId>| other.as_ref() == Some(id);
        if self.running >= max {
            return Call::Wait;
        }
        match (rule.keeps_waiting, is(&self.oldest), is(&self.newest)) {
            (true, true, _) | (false, _, true) => Call::Begin,
            (true, false, _) => Call::Wait,
            (false, _, false) => Call::Superseded,
        }
    }
}

impl Driver {
    /// Lets those begin whose turn it is.
    pub(super) async fn begin_waiting(&mut self, turn: &mut Turn) {
        if self.shell.config.limits_running() {
            return self.begin_in_order(turn).await;
        }
        for line in std::mem::take(&mut self.lines.called) {
            let waiting = self.lines.waiting.get(&line).cloned().unwrap_or_default();
            let mut standing = match self.look_at_line(&line).await {
                Ok(standing) => standing,
                Err(error) => {
                    // The next sweep looks again.
                    tracing::debug!(pipeline = %line, %error, "no room can be looked for for now");
                    continue;
                }
            };
            for (_, id) in waiting {
                self.call_one(turn, &mut standing, &id).await;
            }
        }
    }

    async fn call_one(&mut self, turn: &mut Turn, line: &mut Line, id: &ExecutionId) {
        let known = turn.works.get(id).map(|(work, _)| &work.loaded);
        let Some(loaded) = known.or_else(|| self.executions.get(id)) else { return };
        if loaded.engine.status() != Status::NotStarted {
            return;
        }
        let call = line.call(&loaded.id, loaded.engine.start_rule());
        if call == Call::Begin {
            line.running += 1;
        }
        self.carry_out_call(turn, id, call, RunningMax::default()).await;
    }

    /// Lets an execution begin, as far as there is room in the store, or ends it.
    pub(super) async fn carry_out_call(
        &mut self,
        turn: &mut Turn,
        id: &ExecutionId,
        call: Call,
        beyond: RunningMax,
    ) {
        let at = self.shell.ports.clock.now();
        let event = match call {
            Call::Wait => return,
            Call::Begin => Event::Started { at },
            Call::Superseded => {
                let (by, reason) = (SYSTEM.to_owned(), SUPERSEDED.to_owned());
                Event::CancelRequested { by, reason, at }
            }
        };
        let Some(mut work) = self.take(turn, id) else { return };
        if call == Call::Begin {
            let begins = &mut work.0.changes;
            begins.running_max = work.0.loaded.engine.start_rule().running_max;
            begins.running_max_beyond = beyond;
        }
        match work.0.apply(&self.shell, event, None, at).await {
            Ok(_) => self.keep(turn, work),
            Err(error) => self.give_up(work, error),
        }
    }

    pub(super) async fn look_at_line(&self, line: &str) -> Result<Line, PortError> {
        let some = |statuses: &[Status], oldest_first, limit| Query {
            kind: Some(Kind::Pipeline),
            pipeline_config_ids: vec![line.to_owned()],
            statuses: statuses.to_vec(),
            oldest_first,
            limit,
            ..Query::default()
        };
        let journal = &*self.shell.ports.journal;
        let most = self.shell.config.executions_unfinished_max;
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let running = journal.search(&some(&TAKES_ROOM, true, most)).await?.len();
        let oldest = journal.search(&some(&[Status::NotStarted], true, 1)).await?.pop();
        let newest = journal.search(&some(&[Status::NotStarted], false, 1)).await?.pop();
        Ok(Line {
            running: u32::try_from(running).unwrap_or(u32::MAX),
            oldest: oldest.map(|(id, _)| id),
            newest: newest.map(|(id, _)| id),
        })
    }

    /// An execution has begun or ended: the next one of its pipeline may be able to begin.
    pub(super) async fn call_next(&mut self, loaded: &Loaded, messages: &mut Vec<Outgoing>) {
        if self.shell.config.limits_running() {
            // Whoever is next elsewhere is told once that is known.
            return self.lines.call_order();
        }
        let Some(line) = &loaded.label.pipeline_config_id else { return };
        self.lines.call(line);
        // Where it was not limited, those that wait elsewhere look by themselves now and then.
        if !self.share.shards.is_shared() || loaded.engine.start_rule().running_max.is_none() {
            return;
        }
        let waiting = Query {
            kind: Some(Kind::Pipeline),
            pipeline_config_ids: vec![line.clone()],
            statuses: vec![Status::NotStarted],
            oldest_first: true,
            limit: TOLD_MAX,
            ..Query::default()
        };
        match self.shell.ports.journal.search(&waiting).await {
            Ok(found) => messages.extend(self.share.room(line, found.iter().map(|(id, _)| id))),
            Err(error) => tracing::debug!(pipeline = %line, %error, "nobody is told of room"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(line: &str, second: i64) -> Label {
        Label {
            kind: Kind::Pipeline,
            application: "a".into(),
            name: "p".into(),
            pipeline_config_id: Some(line.into()),
            build_time: Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn only_lines_in_which_somebody_waits_are_called() {
        let (mut lines, e) = (Lines::default(), ExecutionId::new("e"));
        lines.call("p");
        assert!(!lines.has_work());
        lines.note(&e, &label("p", 1));
        lines.call("p");
        assert!(lines.has_work());
        lines.called.clear();
        lines.forget(&e);
        lines.call_all();
        assert!(!lines.has_work() && lines.waiting.is_empty() && lines.places.is_empty());
    }
}
