//! An execution in memory: the engine's state, and as long as it is busy what its stages carry.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use scheduler_engine::Execution;
use scheduler_engine::event::StageIndex;
use serde_json::Value;
use shared_model::{ExecutionId, Limits};
use shared_ports::journal::{
    Append, Head, HistoryEntry, Kind, RunningMax, StageBody, StageRow, Stored, Version,
};
use shared_ports::{Journal, PortError};

use super::{contents, planning};

/// An execution in memory.
pub(crate) struct Loaded {
    /// Its id.
    pub(crate) id: ExecutionId,
    /// The journal's version of what is in memory; 0 before the first append.
    pub(crate) version: Version,
    /// The engine's state.
    pub(crate) engine: Execution,
    /// What lists and searches need and never changes.
    pub(crate) label: Label,
    /// Document and bodies; `None` once they were dropped to save memory.
    pub(crate) content: Option<Content>,
}

/// What lists and searches need and never changes.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) kind: Kind,
    pub(crate) application: String,
    pub(crate) name: String,
    pub(crate) pipeline_config_id: Option<String>,
    pub(crate) build_time: Timestamp,
}

/// What an execution carries.
#[derive(Default)]
pub(crate) struct Content {
    /// The execution's document: everything but the stages' contexts and outputs.
    pub(crate) document: Value,
    /// Bodies of stages, as far as they were needed.
    pub(crate) bodies: BTreeMap<StageIndex, StageBody>,
    /// Stages whose outputs are not empty: the only ones that others downstream look at.
    pub(crate) producers: BTreeSet<StageIndex>,
    /// About how much memory all of it takes.
    bytes: usize,
    /// Who answered the judgments that pass their answerer's rights on.
    pub(crate) answered: BTreeMap<StageIndex, String>,
}

impl Loaded {
    /// Loads an execution; `None` if it does not exist.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read, or was written by a newer version.
    pub(crate) async fn load(
        journal: &dyn Journal,
        id: &ExecutionId,
        limits: &Limits,
    ) -> Result<Option<Self>, PortError> {
        match journal.load(id).await? {
            None => Ok(None),
            Some(stored) => Self::decode(id, stored, limits).map(Some),
        }
    }

    fn decode(id: &ExecutionId, stored: Stored, limits: &Limits) -> Result<Self, PortError> {
        let Stored { version, head, document: _, stages } = stored;
        let engine = Execution::decode(id, &head.state, &stages, limits).map_err(|error| {
            let doing = format!("reading the state of execution `{id}`");
            PortError::Refused { doing, why: error.to_string() }
        })?;
        let Head { kind, application, name, pipeline_config_id, build_time, .. } = head;
        let label = Label { kind, application, name, pipeline_config_id, build_time };
        Ok(Self { id: id.clone(), version, engine, label, content: None })
    }

    /// The execution's content, loaded if it was dropped.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    pub(crate) async fn content(
        &mut self,
        journal: &dyn Journal,
    ) -> Result<&mut Content, PortError> {
        let content = match self.content.take() {
            Some(content) => content,
            None => Content::load(journal, &self.id).await?,
        };
        Ok(self.content.insert(content))
    }

    /// The append that stores what changed.
    pub(crate) fn append(&self, changes: &Changes) -> Append {
        let body = |index: &StageIndex| {
            let changed = changes.bodies.contains(index);
            changed.then(|| self.content.as_ref()?.bodies.get(index).cloned()).flatten()
        };
        let rows = changes.touched.union(&changes.bodies).map(|index| StageRow {
            index: *index,
            state: self.engine.encode_stage(*index).into(),
            body: body(index),
        });
        let document =
            (self.version == 0).then(|| self.content.as_ref().map(|c| c.document.clone()));
        Append {
            execution: self.id.clone(),
            expected: self.version,
            head: self.head(),
            document: document.flatten(),
            stages: rows.collect(),
            history: changes.history.clone(),
            with: changes.with.clone(),
            running_max: changes.running_max,
            running_max_beyond: changes.running_max_beyond,
        }
    }

    /// The execution's own row, as it stands in memory.
    pub(crate) fn head(&self) -> Head {
        let Label { kind, application, name, pipeline_config_id, build_time } = self.label.clone();
        Head {
            kind,
            application,
            name,
            pipeline_config_id,
            status: self.engine.status(),
            build_time,
            start_time: self.engine.start_time(),
            end_time: self.engine.end_time(),
            state: self.engine.encode_head().into(),
        }
    }
}

impl Content {
    async fn load(journal: &dyn Journal, id: &ExecutionId) -> Result<Self, PortError> {
        let missing = || PortError::Refused {
            doing: format!("reading execution `{id}`"),
            why: "it is not in the journal".into(),
        };
        let stored = journal.load(id).await?.ok_or_else(missing)?;
        Ok(Self::new(stored.document, journal.bodies(id, &[]).await?))
    }

    /// A document, and the bodies of its stages in their order.
    pub(crate) fn new(document: Value, bodies: impl IntoIterator<Item = StageBody>) -> Self {
        let bytes = contents::value_bytes(&document);
        let mut content = Self { document, bytes, ..Self::default() };
        (0..).zip(bodies).for_each(|(index, body)| content.set(index, body));
        content
    }

    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts a stage's body in place.
    pub(crate) fn set(&mut self, index: StageIndex, body: StageBody) {
        self.bytes += contents::body_bytes(&body);
        if body.outputs.is_empty() {
            self.producers.remove(&index);
        } else {
            self.producers.insert(index);
        }
        match answered_by(&body) {
            None => drop(self.answered.remove(&index)),
            Some(by) => drop(self.answered.insert(index, by.to_owned())),
        }
        let replaced = self.bodies.insert(index, body);
        self.bytes -= replaced.map_or(0, |body| contents::body_bytes(&body));
    }

    /// A stage's body; empty for a stage that has none yet.
    pub(crate) fn body(&self, index: StageIndex) -> StageBody {
        self.bodies.get(&index).cloned().unwrap_or_default()
    }

    /// A stage's name, as the document or the stage that planned it has it.
    pub(crate) fn name(&self, engine: &Execution, index: StageIndex) -> String {
        match engine.stage(index).synthetic() {
            Some(synthetic) => synthetic.name.clone(),
            None => self.stage_text(index, "name"),
        }
    }

    /// A stage's type, as the document or the stage that planned it has it.
    pub(crate) fn stage_type(&self, engine: &Execution, index: StageIndex) -> String {
        match engine.stage(index).synthetic() {
            Some(synthetic) => synthetic.stage_type.clone(),
            None => self.stage_text(index, "type"),
        }
    }

    fn stage_text(&self, index: StageIndex, key: &str) -> String {
        let stage = self.document.get("stages").and_then(|stages| stages.get(index as usize));
        stage.and_then(|stage| stage.get(key)).and_then(Value::as_str).unwrap_or_default().into()
    }
}

/// Who answered a judgment that passes its answerer's rights on.
fn answered_by(body: &StageBody) -> Option<&str> {
    let passes_on = planning::truth(body.context.get("propagateAuthenticationContext")?)?;
    let by = body.context.get("lastModifiedBy").and_then(Value::as_str)?;
    passes_on.then_some(by)
}

/// What a turn changed of one execution and has not stored yet.
#[derive(Default)]
pub(crate) struct Changes {
    /// Stages whose state changed.
    pub(crate) touched: BTreeSet<StageIndex>,
    /// Stages whose body changed.
    pub(crate) bodies: BTreeSet<StageIndex>,
    /// What happened, in words.
    pub(crate) history: Vec<HistoryEntry>,
    /// Whether the engine's state changed.
    pub(crate) stepped: bool,
    /// The parent whose turn starts it: neither is stored without the other.
    pub(crate) with: Option<ExecutionId>,
    /// How many executions of its pipeline may run, where it begins with this.
    pub(crate) running_max: Option<u32>,
    /// The same of its application's, and of all.
    pub(crate) running_max_beyond: RunningMax,
}

impl Changes {
    /// Whether there is nothing to store.
    pub(crate) fn is_empty(&self) -> bool {
        !self.stepped && self.bodies.is_empty()
    }
}
