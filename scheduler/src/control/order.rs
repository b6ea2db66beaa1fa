//! Executions that wait for room among those of their application, or among all, where that is limited.
//!
//! The oldest that may begin is next: one whose pipeline or application is full does not keep others
//! waiting. As with [pipelines](super::lines), room is counted in the transaction that takes it up, and
//! what is decided here is only whose turn it is. An execution that a stage started takes up room, but
//! does not wait for it as long as the execution of that stage has some, which may wait for its end, and
//! would never give it back.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use scheduler_engine::{Execution, StartRule};
use serde_json::{Value, json};
use shared_model::{ExecutionId, Status};
use shared_ports::journal::{Head, Kind, Query, RunningMax, TAKES_ROOM};
use shared_ports::{Journal, PortError};

use super::driver::{Driver, Turn};
use super::lines::{Call, Line};
use super::loaded::Loaded;
use super::{Config, Scheduler};

/// Waiting executions that are looked at in one call.
const PAGE: u32 = 100;

/// How full it is, as far as the store was asked.
struct Standing {
    max: RunningMax,
    running: u32,
    applications: BTreeMap<String, u32>,
    pipelines: BTreeMap<String, Line>,
}

impl Driver {
    /// Lets those begin whose turn it is, wherever there is room; the owners of others are told.
    pub(super) async fn begin_in_order(&mut self, turn: &mut Turn) {
        let Some(own) = self.lines.take_all_called() else { return };
        if let Err(error) = self.begin_some(turn, own).await {
            // The next sweep looks again.
            tracing::debug!(%error, "no room can be looked for for now");
        }
    }

    async fn begin_some(
        &mut self,
        turn: &mut Turn,
        own: Vec<ExecutionId>,
    ) -> Result<(), PortError> {
        let journal = std::sync::Arc::clone(&self.shell.ports.journal);
        let mut standing = Standing::look(&*journal, &self.shell.config).await?;
        for id in own {
            self.begin_beside(turn, &mut standing, &id).await?;
        }
        let (mut after, mut others) = (None, Vec::new());
        while !standing.is_full() {
            let found = journal.search(&waiting(after.take())).await?;
            let is_last = found.len() < PAGE as usize;
            after = found.last().map(|(id, head)| (head.build_time, id.clone()));
            for (id, head) in found {
                if standing.is_full() {
                    break;
                }
                let Some(rule) = self.rule_of(turn, &id, &head) else { continue };
                let call = self.call_of(&mut standing, &id, &head, rule).await?;
                let is_own = turn.works.contains_key(&id) || self.executions.contains_key(&id);
                match is_own {
                    true => self.carry_out_call(turn, &id, call, standing.max).await,
                    false if call == Call::Wait => {}
                    false => others.push(id),
                }
            }
            if is_last {
                break;
            }
        }
        let rings = self.share.room("", others.iter());
        self.send(rings).await;
        Ok(())
    }

    /// One that a stage started waits for its pipeline only.
    async fn begin_beside(
        &mut self,
        turn: &mut Turn,
        standing: &mut Standing,
        id: &ExecutionId,
    ) -> Result<(), PortError> {
        let Some(loaded) = self.loaded_mut(turn, id) else { return Ok(()) };
        let head = loaded.head();
        if head.status != Status::NotStarted {
            return Ok(());
        }
        let rule = *loaded.engine.start_rule();
        let journal = std::sync::Arc::clone(&self.shell.ports.journal);
        let Some(loaded) = self.loaded_mut(turn, id) else { return Ok(()) };
        let document = &loaded.content(&*journal).await?.document;
        if head.kind == Kind::Pipeline && !parent_has_room(&*journal, parent(document)).await? {
            return Ok(());
        }
        let call = self.call_of_pipeline(standing, id, &head, rule).await?;
        self.carry_out_call(turn, id, call, RunningMax::default()).await;
        Ok(())
    }

    fn loaded_mut<'a>(
        &'a mut self,
        turn: &'a mut Turn,
        id: &ExecutionId,
    ) -> Option<&'a mut Loaded> {
        match turn.works.get_mut(id) {
            Some((work, _)) => Some(&mut work.loaded),
            None => self.executions.get_mut(id),
        }
    }

    /// Under which conditions an execution begins that waits; `None` if it does not wait any more, or
    /// its row cannot be read.
    fn rule_of(&self, turn: &Turn, id: &ExecutionId, head: &Head) -> Option<StartRule> {
        let known = turn.works.get(id).map(|(work, _)| &work.loaded);
        if let Some(loaded) = known.or_else(|| self.executions.get(id)) {
            let waits = loaded.engine.status() == Status::NotStarted;
            return waits.then(|| *loaded.engine.start_rule());
        }
        let none: [&[u8]; 0] = [];
        let engine = Execution::decode(id, &head.state, &none, &self.shell.config.limits);
        engine.ok().map(|engine| *engine.start_rule())
    }

    async fn call_of(
        &self,
        standing: &mut Standing,
        id: &ExecutionId,
        head: &Head,
        rule: StartRule,
    ) -> Result<Call, PortError> {
        let call = self.call_of_pipeline(standing, id, head, rule).await?;
        if call != Call::Begin {
            return Ok(call);
        }
        let journal = &*self.shell.ports.journal;
        let has_room = standing.takes(journal, &head.application).await?;
        Ok(if has_room { Call::Begin } else { Call::Wait })
    }

    async fn call_of_pipeline(
        &self,
        standing: &mut Standing,
        id: &ExecutionId,
        head: &Head,
        rule: StartRule,
    ) -> Result<Call, PortError> {
        let (Some(name), Some(_)) = (&head.pipeline_config_id, rule.running_max) else {
            return Ok(Call::Begin);
        };
        if !standing.pipelines.contains_key(name) {
            let line = self.look_at_line(name).await?;
            standing.pipelines.insert(name.clone(), line);
        }
        let Some(line) = standing.pipelines.get_mut(name) else { return Ok(Call::Wait) };
        let call = line.call(id, &rule);
        if call == Call::Begin {
            line.running += 1;
        }
        Ok(call)
    }
}

impl Standing {
    async fn look(journal: &dyn Journal, config: &Config) -> Result<Self, PortError> {
        let limits = &config.limits;
        let max = RunningMax {
            of_application: limits.executions_running_per_application_max.map(NonZeroU32::get),
            of_all: limits.executions_running_max.map(NonZeroU32::get),
        };
        let running = match max.of_all {
            Some(most) => running(journal, None, most).await?,
            None => 0,
        };
        Ok(Self { max, running, applications: BTreeMap::new(), pipelines: BTreeMap::new() })
    }

    fn is_full(&self) -> bool {
        self.max.of_all.is_some_and(|most| self.running >= most)
    }

    /// Takes room up for one of an application, if there is some.
    async fn takes(&mut self, journal: &dyn Journal, application: &str) -> Result<bool, PortError> {
        if self.is_full() {
            return Ok(false);
        }
        if let Some(most) = self.max.of_application {
            let name = application.to_lowercase();
            if !self.applications.contains_key(&name) {
                let found = running(journal, Some(&name), most).await?;
                self.applications.insert(name.clone(), found);
            }
            let count = self.applications.entry(name).or_default();
            if *count >= most {
                return Ok(false);
            }
            *count += 1;
        }
        self.running += 1;
        Ok(true)
    }
}

/// How many run, of an application or of all: at most so many are counted.
async fn running(
    journal: &dyn Journal,
    application: Option<&str>,
    most: u32,
) -> Result<u32, PortError> {
    let query = Query {
        kind: Some(Kind::Pipeline),
        application: application.map(str::to_owned),
        statuses: TAKES_ROOM.to_vec(),
        limit: most,
        ..Query::default()
    };
    Ok(u32::try_from(journal.search(&query).await?.len()).unwrap_or(u32::MAX))
}

fn waiting(after: Option<(jiff::Timestamp, ExecutionId)>) -> Query {
    Query {
        kind: Some(Kind::Pipeline),
        statuses: vec![Status::NotStarted],
        oldest_first: true,
        after,
        limit: PAGE,
        ..Query::default()
    }
}

/// The execution whose stage started one.
fn parent(document: &Value) -> Option<ExecutionId> {
    let id = document.pointer("/trigger/parentExecution/id").and_then(Value::as_str)?;
    Some(ExecutionId::new(id))
}

/// Whoever only says that it has a parent waits as everybody does.
async fn parent_has_room(
    journal: &dyn Journal,
    parent: Option<ExecutionId>,
) -> Result<bool, PortError> {
    let Some(parent) = parent else { return Ok(false) };
    let found = journal.load(&parent).await?;
    Ok(found.is_some_and(|stored| TAKES_ROOM.contains(&stored.head.status)))
}

impl Scheduler {
    /// Leaves out of what an execution waits for to begin where there is room; what is left is all
    /// that holds it up.
    ///
    /// # Errors
    /// [`PortError`] if the store cannot say how many run.
    pub(super) async fn only_full(&self, found: &mut Value) -> Result<(), PortError> {
        if found["status"] != Status::NotStarted.name() || !self.config.limits_running() {
            return Ok(());
        }
        let journal = &*self.ports.journal;
        let limits = &self.config.limits;
        let application = found["application"].as_str().unwrap_or_default().to_owned();
        let is_beside = parent_has_room(journal, parent(found)).await?;
        let mut has_room = Vec::new();
        let of = [
            ("applicationSlot", Some(&*application), limits.executions_running_per_application_max),
            ("globalSlot", None, limits.executions_running_max),
        ];
        for (kind, whose, most) in of {
            let Some(most) = most.map(NonZeroU32::get) else { continue };
            if is_beside || running(journal, whose, most).await? < most {
                has_room.push(json!(kind));
            }
        }
        if let Some(list) = found.get_mut("waitingFor").and_then(Value::as_array_mut) {
            let is_full = |wait: &Value| !has_room.contains(&wait["kind"]);
            // Its turn comes in a moment: until then it waits for what was full last.
            if list.iter().any(is_full) {
                list.retain(is_full);
            }
        }
        Ok(())
    }
}
