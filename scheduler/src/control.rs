//! The handle by which everybody else reaches the loop.

mod admission;
mod children;
mod contents;
#[cfg(feature = "corpus")]
pub mod corpus;
mod driver;
mod evaluation;
mod expressions;
mod facts;
mod fold;
mod found;
mod inputs;
mod joining;
mod lines;
mod loaded;
mod lost;
mod notices;
mod order;
mod outage;
mod planning;
mod presence;
mod reach;
mod ready;
mod removal;
mod reports;
mod requests;
mod restart;
mod retention;
mod seats;
mod shards;
mod share;
mod shelved;
mod storing;
mod sweep;
mod timers;
mod traces;
mod turn;
mod windows;
mod writes;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use shared_model::{Capability, ExecutionId, Limits, Object, Problem, Status};
use shared_plugin::StageDescriptor;
use shared_ports::journal::{Head, HistoryEntry, Query};
use shared_ports::{PortError, Ports, Shelf};
use shared_runtime::Supervisor;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::access::Tokens;
use crate::fleet::{self, Fleet, FleetView};
use crate::start::{self, Start, SubmitError};
use crate::view::{self, Detail};
use crate::{Account, Library, Registry, Zone, announced};
pub(crate) use driver::Input;
pub(crate) use expressions::Expressions;
pub(crate) use loaded::{Changes, Content, Label, Loaded};
use outage::Outage;
pub(crate) use requests::{Ask, Request};
pub use retention::{Retention, StoreSize};
pub use shards::Sharing;
use shelved::ShelvedJournal;
pub(crate) use traces::CALLER as TRACE_CALLER;

/// Requests that may wait for the loop; more wait at the caller.
const REQUESTS_MAX: usize = 4_096;
/// Updates that a slow listener may fall behind by.
const UPDATES_MAX: usize = 4_096;
/// How often a request is tried that another scheduler overtook, and how long it rests in between, a
/// bit longer each time.
const OVERTAKEN_MAX: u32 = 10;
const OVERTAKEN_PAUSE: Duration = Duration::from_millis(10);

/// How the control plane behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Limits on documents, attempts and takeovers.
    pub limits: Limits,
    /// How it shares the store with other schedulers; `None` where it is the only one.
    pub sharing: Option<Sharing>,
    /// How often outstanding work is looked at again.
    pub sweep_interval: Duration,
    /// How long an attempt may wait unclaimed before its bell is rung again.
    pub redispatch_after: SignedDuration,
    /// Whether leases died with the process before this one, so that nobody can hold one now.
    pub leases_are_fresh: bool,
    /// Events that one turn takes at most.
    pub turn_events_max: usize,
    /// Memory, about, of the documents and stage bodies that are kept in it; others are read when they
    /// are needed.
    pub contents_bytes_max: usize,
    /// Executions that have not ended: further ones are refused, but those that a stage starts.
    pub executions_unfinished_max: usize,
    /// The same of one application.
    pub executions_unfinished_per_application_max: usize,
    /// Accounts that stages deploy to, by name.
    pub accounts: Vec<Account>,
    /// How many workers are wished for.
    pub fleet: fleet::Config,
    /// By which clock execution windows open and close.
    pub window_zone: Zone,
    /// How long what has ended is kept.
    pub retention: Retention,
}

impl Config {
    /// Whether there may be no room for an execution although its pipeline has some.
    pub(crate) fn limits_running(&self) -> bool {
        let limits = &self.limits;
        limits.executions_running_max.is_some()
            || limits.executions_running_per_application_max.is_some()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            sharing: None,
            sweep_interval: Duration::from_secs(5),
            redispatch_after: SignedDuration::from_secs(30),
            leases_are_fresh: true,
            turn_events_max: 256,
            contents_bytes_max: 64 * 1024 * 1024,
            executions_unfinished_max: 100_000,
            executions_unfinished_per_application_max: 100_000,
            accounts: Vec::new(),
            fleet: fleet::Config::default(),
            window_zone: Zone::default(),
            retention: Retention::default(),
        }
    }
}

/// Who asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// As whom.
    pub name: String,
    /// The roles that they have; `None` where that is not known.
    pub roles: Option<Vec<String>>,
}

impl From<&str> for Caller {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), roles: None }
    }
}

/// What happened to an execution, for whoever listens.
#[derive(Debug, Clone)]
pub struct Update {
    /// The execution.
    pub execution: ExecutionId,
    /// Where it stands now.
    pub status: Status,
    /// What happened, in words, oldest first.
    pub history: Vec<HistoryEntry>,
}

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store or the broker cannot be reached.
    #[error("failed to start the scheduler")]
    Port(#[from] PortError),
}

/// Why something asked of an execution was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such execution or stage.
    #[error("{what} was not found")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// It is not in a state in which that can be done.
    #[error("{why}")]
    Conflict {
        /// Why not.
        why: String,
    },
    /// Another scheduler changed the execution at the same time, again and again.
    #[error("another scheduler changed the execution at the same time; try again")]
    Overtaken,
    /// Whoever asks has none of the roles that a judgment wants.
    #[error("the judgment wants one of the roles {}, and {who} has none of them", wanted.join(", "))]
    RoleMissing {
        /// Who asks.
        who: String,
        /// The roles, one of which is enough.
        wanted: Vec<String>,
    },
    /// The request makes no sense.
    #[error("{why}")]
    Invalid {
        /// Why not, and what to send instead.
        why: String,
    },
    /// The store or the broker failed.
    #[error("the request was not carried out")]
    Port(#[from] PortError),
    /// The scheduler is stopping.
    #[error("the scheduler is stopping; try again once it is back")]
    Stopping,
}

/// A cheap handle on the control plane.
#[derive(Clone)]
pub struct Scheduler {
    requests: mpsc::Sender<Input>,
    updates: broadcast::Sender<Update>,
    ports: Ports,
    registry: Arc<Registry>,
    config: Arc<Config>,
    outage: Arc<Outage>,
    fleet: Arc<Fleet>,
    size: retention::Found,
    shelf: Arc<Shelf>,
    writes: writes::Writes,
}

impl Scheduler {
    /// Starts the loop; it first takes up what an earlier process left.
    ///
    /// # Errors
    /// [`StartError`] if the store or the broker cannot be reached.
    pub async fn start(
        config: Config,
        ports: Ports,
        descriptors: Vec<StageDescriptor>,
        supervisor: &Supervisor,
    ) -> Result<Self, StartError> {
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let shelf = Arc::new(Shelf::new(Arc::clone(&ports.blobs), Arc::clone(&ports.clock)));
        // Of several schedulers none is heard yet.
        let writes = writes::Writes::new(config.sharing.is_none());
        let ports = ShelvedJournal::over(ports, &shelf, &writes);
        let (updates, _) = broadcast::channel(UPDATES_MAX);
        let registry = Arc::new(Registry::new(descriptors));
        let config = Arc::new(config);
        let outage = Arc::default();
        let name = config.sharing.as_ref().map(|sharing| sharing.name.clone());
        let fleet = Arc::new(Fleet::new(config.fleet.clone(), name));
        let size = retention::Found::default();
        let handle =
            Self { requests, updates, ports, registry, config, outage, fleet, size, shelf, writes };
        if handle.config.sharing.is_some() {
            announced::listen(&handle.registry, &handle.ports, supervisor).await?;
        }
        let share =
            joining::join(&handle.config, &handle.ports, &handle.writes, supervisor).await?;
        let driver = driver::Driver::open(&handle, inbox, supervisor.stopping(), share).await?;
        supervisor.spawn(shared_runtime::Kind::Driver, driver.run());
        handle.fleet.tell_others(&handle.ports, supervisor);
        let retention = handle.config.retention.clone();
        retention::Keeper::start(retention, &handle.ports, &handle.size, supervisor);
        Ok(handle)
    }

    /// What is wrong with a document, errors and warnings.
    pub fn check(&self, document: &Value, source: Option<&str>) -> Vec<Problem> {
        start::check(document, source, &self.registry, &self.config.limits)
    }

    /// Submits an execution; it is stored when this returns.
    ///
    /// # Errors
    /// [`SubmitError::Refused`] lists everything that is wrong with the document.
    pub async fn submit(&self, start: Start) -> Result<ExecutionId, SubmitError> {
        let now = self.ports.clock.now();
        let is_named = start.id.is_some();
        let id = start.id.clone().unwrap_or_else(|| ExecutionId::new(self.ports.clock.new_id()));
        let start = self.expanded(start).await?;
        let prior = self.prior_artifacts(&start).await?;
        let submission =
            start::prepare(&id, start, &prior, &self.registry, &self.config.limits, now)?;
        let (reply, answer) = oneshot::channel();
        let submission = Box::new(submission);
        let input = Input::Submit { submission, is_named, reply };
        self.requests.send(input).await.map_err(|_| ControlError::Stopping)?;
        answer.await.map_err(|_| ControlError::Stopping)??;
        Ok(id)
    }

    /// A start whose document is no configuration of a template any more.
    async fn expanded(&self, mut start: Start) -> Result<Start, SubmitError> {
        let document = std::mem::take(&mut start.document);
        start.document = self.library().expanded(document).await?;
        Ok(start)
    }

    /// An execution in Gate's shape, with what it waits for; `None` if there is none.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    pub async fn execution(&self, id: &ExecutionId) -> Result<Option<Value>, PortError> {
        self.look(id, Detail::Full).await
    }

    /// As much of an execution as is asked for; `None` if there is none.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    pub async fn look(&self, id: &ExecutionId, detail: Detail) -> Result<Option<Value>, PortError> {
        let found = view::load(&*self.ports.journal, id, &self.config.limits, detail).await?;
        let Some(mut found) = found else { return Ok(None) };
        self.only_full(&mut found).await?;
        if view::waits_for_workers(&found) {
            let fleet = self.fleet().await;
            view::tell_workers(&mut found, fleet.as_deref());
        }
        Ok(Some(found))
    }

    /// An execution's own row; `None` if there is none.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    pub async fn head(&self, id: &ExecutionId) -> Result<Option<Head>, PortError> {
        let query = Query { ids: vec![id.clone()], limit: 1, ..Query::default() };
        Ok(self.ports.journal.search(&query).await?.pop().map(|(_, head)| head))
    }

    /// Ends an execution.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] if it has ended already.
    pub async fn cancel(
        &self,
        id: &ExecutionId,
        by: &str,
        reason: &str,
    ) -> Result<(), ControlError> {
        let ask = Ask::Cancel { reason: reason.to_owned(), force: false };
        self.ask(id, ask, by).await
    }

    /// Ends an execution at once, whatever its workers do; also one that is being cancelled.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] if it has ended already.
    pub async fn force_cancel(
        &self,
        id: &ExecutionId,
        by: &str,
        reason: &str,
    ) -> Result<(), ControlError> {
        let ask = Ask::Cancel { reason: reason.to_owned(), force: true };
        self.ask(id, ask, by).await
    }

    /// Holds an execution: what workers have goes on to its end, and nothing else begins.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] if it does not run.
    pub async fn pause(&self, id: &ExecutionId, by: &str) -> Result<(), ControlError> {
        self.ask(id, Ask::Pause, by).await
    }

    /// Lets an execution go on; one that runs runs on.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] if it has ended.
    pub async fn resume(&self, id: &ExecutionId, by: &str) -> Result<(), ControlError> {
        self.ask(id, Ask::Resume, by).await
    }

    /// Begins a stage, and what has ended behind it, again.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] if the stage runs, or the execution is paused or ends.
    pub async fn restart_stage(
        &self,
        id: &ExecutionId,
        stage_id: &str,
        by: &str,
    ) -> Result<Value, ControlError> {
        let ask = Ask::Restart { stage_id: stage_id.to_owned(), with_child: false };
        self.ask(id, ask, by).await?;
        let found = self.execution(id).await?;
        let found =
            found.ok_or_else(|| ControlError::NotFound { what: format!("execution `{id}`") })?;
        self.restart_parents(&found, by).await?;
        Ok(found)
    }

    /// Begins the stages again that waited for an execution, and those that waited for theirs, as far
    /// as they have ended: they wait for it once more (scenarios H80).
    async fn restart_parents(&self, child: &Value, by: &str) -> Result<(), ControlError> {
        let mut above = restart::parent(child);
        while let Some((id, stage_id)) = above {
            let ask = Ask::Restart { stage_id, with_child: true };
            match self.ask(&id, ask, by).await {
                Ok(()) => {}
                // It runs, or was deleted: nobody there waits for it.
                Err(ControlError::Conflict { .. } | ControlError::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
            let found = self.look(&id, Detail::Outline).await?;
            above = found.as_ref().and_then(restart::parent);
        }
        Ok(())
    }

    /// Merges fields into a stage's context: a judgment, the end of a wait.
    ///
    /// # Errors
    /// [`ControlError`]; an unknown stage, one that has ended, one that was judged, and one that wants
    /// other roles changes nothing.
    pub async fn patch_stage(
        &self,
        id: &ExecutionId,
        stage_id: &str,
        patch: Object,
        by: impl Into<Caller>,
    ) -> Result<Value, ControlError> {
        let (Caller { name, roles }, stage_id) = (by.into(), stage_id.to_owned());
        self.ask(id, Ask::Patch { stage_id, patch, roles }, &name).await?;
        let found = self.execution(id).await?;
        found.ok_or_else(|| ControlError::NotFound { what: format!("execution `{id}`") })
    }

    /// Everything that happens from now on. A listener that falls far behind misses updates and
    /// must read the execution again.
    pub fn subscribe(&self) -> broadcast::Receiver<Update> {
        self.updates.subscribe()
    }

    /// Executions that have not ended, oldest first.
    ///
    /// # Errors
    /// [`PortError`] if they cannot be read.
    pub async fn unfinished(&self) -> Result<Vec<ExecutionId>, PortError> {
        all_unfinished(&self.ports).await
    }

    /// What happened to an execution after entry `after`, in words, at most `limit` entries.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    pub async fn history(
        &self,
        id: &ExecutionId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, HistoryEntry)>, PortError> {
        self.ports.journal.history(id, after, limit).await
    }

    /// What people saved.
    pub fn library(&self) -> Library {
        Library::new(&self.ports, Arc::clone(&self.registry), self.config.limits.clone())
    }

    /// The tokens of its API.
    pub fn tokens(&self) -> Tokens {
        Tokens::new(&self.ports)
    }

    /// Whether other schedulers work on the same store.
    pub fn is_shared(&self) -> bool {
        self.config.sharing.is_some()
    }

    /// The accounts that stages deploy to.
    pub fn accounts(&self) -> &[Account] {
        &self.config.accounts
    }

    /// Whether a stage of this type can run.
    pub fn knows(&self, stage_type: &str) -> bool {
        self.registry.find(stage_type).is_some() || scheduler_engine::native::is_native(stage_type)
    }

    /// What workers must be able to do for the stage types that are known; one may come more than once.
    pub fn capabilities(&self) -> Vec<Capability> {
        self.registry.capabilities()
    }

    /// What is asked of workers by the executions of this process, by capability.
    pub fn demand(&self) -> Vec<fleet::Part> {
        self.fleet.counted.parts(self.ports.clock.elapsed())
    }

    /// The live workers, and how many are wanted; at most a second old.
    ///
    /// # Errors
    /// [`PortError`] if nobody can say which workers live.
    pub async fn fleet(&self) -> Result<Arc<FleetView>, PortError> {
        self.fleet.look(&self.ports, self.capabilities().into_iter()).await
    }

    /// How much is stored; `None` before anybody looked.
    pub fn store_size(&self) -> Option<StoreSize> {
        *self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what happens can be stored, as far as the loop tried.
    ///
    /// # Errors
    /// [`PortError`] says why not.
    pub fn is_storing(&self) -> Result<(), PortError> {
        self.outage.error().map_or(Ok(()), Err)
    }

    /// Whether the loop still takes requests.
    ///
    /// # Errors
    /// [`PortError::Unavailable`] once it has ended.
    pub fn is_running(&self) -> Result<(), PortError> {
        if !self.requests.is_closed() {
            return Ok(());
        }
        let source = "its loop has ended; see the log".into();
        Err(PortError::Unavailable { doing: "scheduling".into(), source })
    }

    /// The ports that it works on.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    async fn ask(&self, id: &ExecutionId, ask: Ask, by: &str) -> Result<(), ControlError> {
        for tried in 1..OVERTAKEN_MAX {
            match self.ask_once(id, ask.clone(), by).await {
                Err(ControlError::Overtaken) => {
                    self.ports.clock.sleep(OVERTAKEN_PAUSE * tried).await;
                }
                answered => return answered,
            }
        }
        self.ask_once(id, ask, by).await
    }

    async fn ask_once(&self, id: &ExecutionId, ask: Ask, by: &str) -> Result<(), ControlError> {
        let (reply, answer) = oneshot::channel();
        let request = Request { execution: id.clone(), by: by.to_owned(), ask, reply };
        let sent = self.requests.send(Input::Request(request)).await;
        sent.map_err(|_| ControlError::Stopping)?;
        answer.await.map_err(|_| ControlError::Stopping)?
    }

    /// The artifacts of the newest earlier execution of the same pipeline, where one is asked for.
    async fn prior_artifacts(
        &self,
        start: &Start,
    ) -> Result<Vec<shared_model::Artifact>, PortError> {
        match start::prior_query(start) {
            None => Ok(Vec::new()),
            Some(query) => view::artifacts_of_newest(&*self.ports.journal, &query).await,
        }
    }
}

/// Pages through the executions that have not ended.
pub(crate) async fn all_unfinished(ports: &Ports) -> Result<Vec<ExecutionId>, PortError> {
    const PAGE: u32 = 1_000;
    let mut found: Vec<ExecutionId> = Vec::new();
    loop {
        let page = ports.journal.unfinished(found.last(), PAGE).await?;
        let full = page.len() == PAGE as usize;
        found.extend(page.into_iter().map(|(id, _)| id));
        if !full {
            return Ok(found);
        }
    }
}
