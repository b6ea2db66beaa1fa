//! One turn of one execution: events are applied one after the other, what the engine asks to be
//! evaluated is evaluated at once, and everything that reaches the outside is only collected.

use std::collections::VecDeque;

use jiff::Timestamp;
use scheduler_engine::command::{Cause, Command, Evaluate, Fact};
use scheduler_engine::event::{Event, StageIndex, Timer};
use scheduler_engine::{Stale, Step, native};
use shared_model::ExecutionId;
use shared_ports::journal::StageBody;
use shared_ports::messages::AttemptReady;
use shared_ports::{Journal, Outgoing, PortError};

use super::evaluation::{self, Scene, Shell};
use super::loaded::{Changes, Loaded};
use super::lost::Lost;
use super::notices::{self, Notice};
use super::{expressions, facts, fold, inputs};
use crate::start::Submission;

/// Steps that one execution may take in one turn, so that a long chain of stages that need no
/// worker does not keep the others waiting.
const STEPS_MAX: usize = 256;

/// One execution within a turn.
pub(crate) struct Work {
    /// The execution; ahead of the journal until the turn is stored.
    pub(crate) loaded: Loaded,
    /// Whether it was taken up in this turn: what is known of its attempts is all in its state.
    pub(crate) is_resumed: bool,
    /// What to store.
    pub(crate) changes: Changes,
    /// Commands that wait for the next turn.
    pub(crate) later: VecDeque<Command>,
    /// Attempts to hand out once it is stored.
    pub(crate) ready: Vec<AttemptReady>,
    /// Other messages to send once it is stored.
    pub(crate) messages: Vec<Outgoing>,
    /// Timers to arm once it is stored.
    pub(crate) timers: Vec<(Timer, Timestamp)>,
    /// What to tell once it is stored.
    pub(crate) notices: Vec<Notice>,
    /// The newest attempt whose worker was lost in this turn.
    lost: Option<Lost>,
    /// Executions that its stages start, to be stored with it.
    pub(crate) children: Vec<Submission>,
    /// Stages that wait for other executions.
    pub(crate) watches: Vec<(StageIndex, ExecutionId)>,
    /// Executions to cancel once it is stored.
    pub(crate) cancels: Vec<ExecutionId>,
    /// Whether it waits for room among the executions of its pipeline.
    pub(crate) asks_to_start: bool,
}

impl Work {
    /// Begins a turn of an execution.
    pub(crate) fn new(loaded: Loaded) -> Self {
        Self {
            loaded,
            is_resumed: false,
            changes: Changes::default(),
            later: VecDeque::new(),
            ready: Vec::new(),
            messages: Vec::new(),
            timers: Vec::new(),
            notices: Vec::new(),
            lost: None,
            children: Vec::new(),
            watches: Vec::new(),
            cancels: Vec::new(),
            asks_to_start: false,
        }
    }

    /// Applies an event, with stages' bodies as they are to be if the event is taken.
    ///
    /// # Errors
    /// `Ok(Err(stale))` if the event comes too late: nothing changed. [`PortError`] if something
    /// could not be read: the turn must be given up.
    pub(crate) async fn apply(
        &mut self,
        shell: &Shell,
        event: Event,
        bodies: impl IntoIterator<Item = (StageIndex, StageBody)>,
        at: Timestamp,
    ) -> Result<Result<(), Stale>, PortError> {
        self.loaded.content(&*shell.ports.journal).await?;
        if let Event::LeaseExpired { attempt, epoch, .. } = &event {
            self.lost = Lost::held(&self.loaded, *attempt, *epoch);
        }
        let step = match self.loaded.engine.step(event) {
            Ok(step) => step,
            Err(stale) => return Ok(Err(stale)),
        };
        for (stage, body) in bodies {
            self.set_body(stage, body);
        }
        self.carry_on(shell, step, at).await?;
        Ok(Ok(()))
    }

    /// Takes up commands: those of a step, or what is outstanding after a restart.
    ///
    /// # Errors
    /// [`PortError`] if something could not be read: the turn must be given up.
    pub(crate) async fn carry_out(
        &mut self,
        shell: &Shell,
        commands: impl Into<VecDeque<Command>>,
        at: Timestamp,
    ) -> Result<(), PortError> {
        self.loaded.content(&*shell.ports.journal).await?;
        let mut queue = commands.into();
        for _ in 0..STEPS_MAX {
            let Some(command) = queue.pop_front() else { return Ok(()) };
            if let Some(step) = self.command(shell, command, at).await? {
                queue.extend(self.note(step));
            }
        }
        // Moved: what a wide pipeline has left is long, and waits for many turns.
        match self.later.is_empty() {
            true => self.later = queue,
            false => self.later.extend(queue),
        }
        Ok(())
    }

    /// Goes on with what an event of the shell's own making led to.
    ///
    /// # Errors
    /// [`PortError`] if something could not be read: the turn must be given up.
    pub(crate) async fn go_on(
        &mut self,
        shell: &Shell,
        step: Option<Step>,
        at: Timestamp,
    ) -> Result<(), PortError> {
        match step {
            Some(step) => self.carry_on(shell, step, at).await,
            None => Ok(()),
        }
    }

    async fn carry_on(
        &mut self,
        shell: &Shell,
        step: Step,
        at: Timestamp,
    ) -> Result<(), PortError> {
        let commands = self.note(step);
        self.carry_out(shell, commands, at).await
    }

    fn note(&mut self, step: Step) -> Vec<Command> {
        self.changes.stepped = true;
        self.changes.touched.extend(step.touched);
        step.commands
    }

    /// Carries out one command; a step if it led to an event that the engine took.
    async fn command(
        &mut self,
        shell: &Shell,
        command: Command,
        at: Timestamp,
    ) -> Result<Option<Step>, PortError> {
        match command {
            Command::Evaluate { stage, what: Evaluate::Native(task) }
                if self.loaded.engine.stage(stage).task(task).name == native::START_PIPELINE =>
            {
                return self.start_child(shell, stage, task, at).await;
            }
            Command::Evaluate { stage, what: Evaluate::Native(task) }
                if self.loaded.engine.stage(stage).task(task).name == native::FIND_ARTIFACTS =>
            {
                return self.find_artifacts(shell, stage, task, at).await;
            }
            Command::WatchChild { stage } => return self.watch_child(shell, stage, at).await,
            Command::CancelChild { stage } => self.cancel_child(shell, stage).await?,
            Command::Evaluate { stage, what } => {
                self.loaded.content(&*shell.ports.journal).await?;
                let Loaded { engine, content: Some(content), .. } = &self.loaded else {
                    return Ok(None);
                };
                let scene = Scene { engine, content, stage, at };
                let done = evaluation::evaluate(shell, &scene, what);
                return Ok(self.take(done));
            }
            Command::Dispatch { attempt, epoch, capability, deadline, needs_grant, to_end } => {
                let message =
                    inputs::message(shell, self, attempt, epoch, capability, deadline).await?;
                self.ready.push(AttemptReady { needs_grant, to_end, sent_at: Some(at), ..message });
            }
            Command::Grant { attempt, epoch, worker } => {
                let attempt = inputs::attempt_id(&self.loaded, attempt);
                self.messages.push(inputs::grant(&worker, attempt, epoch));
            }
            Command::Abort { attempt, epoch, worker } => {
                let attempt = inputs::attempt_id(&self.loaded, attempt);
                self.messages.extend(worker.map(|worker| inputs::abort(&worker, attempt, epoch)));
            }
            Command::Arm { timer, at } => self.timers.push((timer, at)),
            Command::AskToStart => self.asks_to_start = true,
            Command::Announce { fact } => self.announce(&fact, at),
        }
        Ok(None)
    }

    pub(crate) fn take(&mut self, done: evaluation::Done) -> Option<Step> {
        let step = self.loaded.engine.step(done.event).ok()?;
        for (stage, body) in done.bodies {
            self.set_body(stage, body);
        }
        for (stage, body) in step.planned.iter().zip(done.planned) {
            self.set_body(*stage, body);
        }
        Some(step)
    }

    fn announce(&mut self, fact: &Fact, at: Timestamp) {
        let lost_of = self.note_lost(fact, at);
        let Some(content) = &self.loaded.content else { return };
        let engine = &self.loaded.engine;
        let name = |index| content.name(engine, index);
        self.changes.history.push(facts::entry(engine, fact, at, lost_of.as_deref(), &name));
        let lost = self.lost.clone().filter(|_| matches!(fact, Fact::AttemptLost { .. }));
        self.notices.push(notices::see(&self.loaded, content, fact, at, lost));
        if let Fact::StageFinished { stage, .. } = fact {
            // However it ended: what could not be evaluated is told.
            let mut body = content.body(*stage);
            if expressions::failed(&body.context) && expressions::explain_failures(&mut body) {
                self.set_body(*stage, body);
            }
            return;
        }
        if let Fact::StageGaveUp { stage, cause } = fact {
            let (mut body, name) = (content.body(*stage), name(*stage));
            let has_told =
                *cause == Cause::ExpressionsFailed && expressions::explain_failures(&mut body);
            if !has_told {
                fold::gave_up(&mut body, &name, *cause, lost_of.as_deref(), at);
            }
            self.set_body(*stage, body);
        }
    }

    /// Notes a lost worker with its stage; everybody who was lost so, if that is why it is given up.
    fn note_lost(&mut self, fact: &Fact, at: Timestamp) -> Option<String> {
        let is_told = matches!(
            fact,
            Fact::AttemptLost { .. }
                | Fact::StageGaveUp { cause: Cause::TakeoversSpent { .. }, .. }
        );
        let (content, lost) = (self.loaded.content.as_ref()?, self.lost.as_ref()?);
        let stage = notices::stage_of(fact).filter(|stage| is_told && *stage == lost.stage())?;
        let mut body = content.body(stage);
        lost.note(&mut body, at);
        let told = lost.told(&body);
        self.set_body(stage, body);
        Some(told)
    }

    /// Puts a stage's body in place, to be stored.
    pub(crate) fn set_body(&mut self, stage: StageIndex, body: StageBody) {
        if let Some(content) = &mut self.loaded.content {
            content.set(stage, body);
            self.changes.bodies.insert(stage);
        }
    }

    /// A stage's body.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    pub(crate) async fn body(
        &mut self,
        journal: &dyn Journal,
        stage: StageIndex,
    ) -> Result<StageBody, PortError> {
        Ok(self.loaded.content(journal).await?.body(stage))
    }
}
