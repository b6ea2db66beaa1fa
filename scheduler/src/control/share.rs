//! This scheduler's share of the executions: shards come and go, and with them what is in memory.
//! What another scheduler owns is changed in the journal, and its owner is rung.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use scheduler_engine::outstanding;
use serde_json::Value;
use shared_model::ExecutionId;
use shared_ports::journal::Version;
use shared_ports::messages::{MESSAGE_VERSION, RING_ID, Ring};
use shared_ports::{Outgoing, PortError, Queue};
use tokio::sync::watch;

use super::all_unfinished;
use super::driver::{Driver, Turn, Waiter};
use super::loaded::Loaded;
use super::shards::{Peers, Shards};
use super::turn::Work;

/// Executions that one turn takes up.
const ARRIVALS_PER_TURN_MAX: usize = 64;
/// Executions that one look compares with the journal.
const COMPARED_MAX: u32 = 1_000;
/// The longest that the loop rests: others come and go.
pub(super) const PAUSE_MAX: Duration = Duration::from_millis(200);

/// This scheduler's share.
pub(crate) struct Share {
    pub(super) shards: Shards,
    /// Executions to be taken up.
    pub(super) arriving: BTreeSet<ExecutionId>,
    /// Executions that others changed, and to which version.
    rung: BTreeMap<ExecutionId, Version>,
    pub(super) peers: watch::Receiver<Peers>,
    pub(super) owns: watch::Sender<BTreeSet<u16>>,
    /// Where the next comparison with the journal goes on.
    compared: Option<ExecutionId>,
    /// Shards that were gained or lost since the turn began.
    moved: BTreeSet<u16>,
}

/// Where what follows from a turn of an execution is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Here,
    /// By another scheduler, which is rung.
    Elsewhere,
    /// Here, but its shard moved since it was taken into the turn: what was known of it is forgotten
    /// (its timers, whom it waits for), so it is loaded again.
    Again,
}

impl Share {
    pub(super) fn new(
        shards: Shards,
        peers: watch::Receiver<Peers>,
        owns: watch::Sender<BTreeSet<u16>>,
    ) -> Self {
        let (arriving, rung) = (BTreeSet::new(), BTreeMap::new());
        Self { shards, arriving, rung, peers, owns, compared: None, moved: BTreeSet::new() }
    }

    pub(super) fn begin_turn(&mut self) {
        self.moved.clear();
    }

    /// Where an execution belongs at the end of a turn; `is_resumed` if all that is outstanding of it
    /// is in the turn.
    pub(super) fn place(&self, id: &ExecutionId, is_resumed: bool) -> Place {
        match (self.shards.own(id), is_resumed || !self.moved.contains(&self.shards.of(id))) {
            (false, _) => Place::Elsewhere,
            (true, true) => Place::Here,
            (true, false) => Place::Again,
        }
    }

    /// Whether the next turn has something to take up.
    pub(super) fn has_work(&self) -> bool {
        !self.arriving.is_empty() || !self.rung.is_empty()
    }

    /// The message that tells the owner of an execution that it has another version.
    pub(super) fn changed(&self, execution: &ExecutionId, version: Version) -> Outgoing {
        let id = format!("{RING_ID}changed:{execution}@{version}");
        let (v, execution) = (MESSAGE_VERSION, execution.clone());
        let shard = self.shards.of(&execution);
        ring(shard, id, &Ring::Changed { v, execution, version })
    }

    /// The message that tells the owner of a parent that its child has ended.
    fn ended(&self, parent: &ExecutionId, child: &ExecutionId) -> Outgoing {
        let id = format!("{RING_ID}ended:{child}");
        let ring_ = Ring::Ended { v: MESSAGE_VERSION, execution: child.clone() };
        ring(self.shards.of(parent), id, &ring_)
    }
}

impl Share {
    /// The messages that tell the owners of executions that there may be room at their pipeline.
    pub(super) fn room<'a>(
        &self,
        pipeline: &str,
        waiting: impl Iterator<Item = &'a ExecutionId>,
    ) -> Vec<Outgoing> {
        let others = waiting.filter(|id| !self.shards.own(id));
        let shards: BTreeSet<u16> = others.map(|id| self.shards.of(id)).collect();
        let room = Ring::Room { v: MESSAGE_VERSION, pipeline: pipeline.to_owned() };
        let to = |shard| ring(shard, format!("{RING_ID}room:{pipeline}"), &room);
        shards.into_iter().map(to).collect()
    }
}

fn ring(shard: u16, id: String, ring: &Ring) -> Outgoing {
    let body = serde_json::to_vec(ring).map(Bytes::from).unwrap_or_default();
    Outgoing { queue: Queue::Reports(shard), id, body }
}

fn look(shard: u16) -> Outgoing {
    ring(shard, format!("{RING_ID}look:{shard}"), &Ring::Look { v: MESSAGE_VERSION })
}

impl Driver {
    fn tell_shards(&self) {
        let held = self.share.shards.held();
        self.shell.receiving.note(&held);
        self.share.owns.send_replace(held);
    }

    /// Something of a shard was received: its executions are this scheduler's.
    pub(super) fn gain(&mut self, shard: u16) {
        if self.share.shards.gain(shard, self.shell.ports.clock.elapsed()) {
            tracing::info!(shard, "it is owned here now");
            self.share.moved.insert(shard);
            self.tell_shards();
        }
    }

    /// A shard is not received here any more: what is in memory of it is not worth anything.
    pub(super) fn lose(&mut self, shard: u16) {
        if !self.share.shards.lose(shard) {
            return;
        }
        tracing::info!(shard, "it is not owned here any more");
        self.share.moved.insert(shard);
        self.tell_shards();
        let count = self.share.shards.count();
        let is_in = |id: &ExecutionId| super::shards::of(id, count) == shard;
        let lost: Vec<_> = self.executions.keys().filter(|id| is_in(id)).cloned().collect();
        lost.iter().for_each(|id| self.forget(id));
        self.later.retain(|(id, _)| !is_in(id));
        self.reload.retain(|id| !is_in(id));
        self.share.arriving.retain(|id| !is_in(id));
        self.children.forget(&is_in);
        self.returned.retain(|tag| tag.shard != shard);
    }

    /// Takes word from another scheduler.
    pub(super) fn rung(&mut self, body: &[u8]) -> Result<(), serde_json::Error> {
        match serde_json::from_slice(body)? {
            Ring::Look { v: _ } => {}
            Ring::Changed { v: _, execution, version } => {
                let known = self.share.rung.entry(execution).or_default();
                *known = version.max(*known);
            }
            Ring::Ended { v: _, execution } => self.children.ended(&execution),
            Ring::Room { .. } if self.shell.config.limits_running() => self.lines.call_order(),
            Ring::Room { v: _, pipeline } => self.lines.call(&pipeline),
        }
        Ok(())
    }

    /// Between two turns: what others changed is to be taken up again.
    pub(super) fn answer_rings(&mut self) {
        for (id, version) in std::mem::take(&mut self.share.rung) {
            let is_stale = self.executions.get(&id).is_none_or(|known| known.version < version);
            if is_stale && self.share.shards.own(&id) {
                self.take_up_again(id);
            }
        }
    }

    /// Forgets what is in memory of an execution; it is loaded in the next turn.
    pub(super) fn take_up_again(&mut self, id: ExecutionId) {
        self.forget(&id);
        self.share.arriving.insert(id);
    }

    /// What comes round: shards move, and what is to be loaded again is.
    pub(super) async fn share_upkeep(&mut self, turn: &mut Turn) {
        if self.share.shards.is_shared() {
            self.move_shards().await;
            if self.share.shards.has_unlisted() {
                self.list(turn).await;
            }
        }
        self.arrive(turn).await;
    }

    /// Gives up what others should own, and looks whether anybody owns the rest.
    async fn move_shards(&mut self) {
        let now = self.shell.ports.clock.elapsed();
        let peers = self.share.peers.borrow().clone();
        let mut looks = self.share.shards.take_orphans(&peers, now);
        let given: Vec<u16> = self.share.shards.to_yield(&peers, now);
        for shard in given {
            self.lose(shard);
            self.seats.leave(shard);
            looks.push(shard);
        }
        if !self.seats.are_taken() {
            self.sit_down_again().await;
        }
        // A look that is lost is followed by the next.
        let looks = looks.into_iter().map(look).collect::<Vec<_>>();
        if !looks.is_empty()
            && let Err(error) = self.shell.ports.broker.publish(looks).await
        {
            tracing::debug!(%error, "shards cannot be looked at for now");
        }
    }

    /// At the end: whoever is next in line is to know at once.
    pub(super) async fn leave_all(&mut self) {
        let held = self.share.shards.held();
        held.iter().for_each(|shard| self.seats.leave(*shard));
        let looks: Vec<Outgoing> = held.into_iter().map(look).collect();
        if !looks.is_empty() {
            drop(self.shell.ports.broker.publish(looks).await);
        }
    }

    /// Finds out which executions are in the shards that were gained.
    async fn list(&mut self, turn: &Turn) {
        let all = match all_unfinished(&self.shell.ports).await {
            Ok(all) => all,
            Err(error) => {
                let now = self.shell.ports.clock.elapsed();
                return self.outage.failed(&error, self.share.shards.held().len(), now);
            }
        };
        let gained = self.share.shards.take_unlisted();
        let is_new = |id: &ExecutionId| {
            gained.contains(&self.share.shards.of(id))
                && !self.executions.contains_key(id)
                && !turn.works.contains_key(id)
        };
        let new: Vec<_> = all.into_iter().filter(is_new).collect();
        self.share.arriving.extend(new);
    }

    /// Takes up some of those that are to be taken up.
    async fn arrive(&mut self, turn: &mut Turn) {
        let mut some = Vec::new();
        while some.len() < ARRIVALS_PER_TURN_MAX
            && let Some(id) = self.share.arriving.pop_first()
        {
            if !self.executions.contains_key(&id) && !turn.works.contains_key(&id) {
                some.push(id);
            }
        }
        let loaded = join_all(some.iter().map(|id| self.load(id))).await;
        for (id, loaded) in some.into_iter().zip(loaded) {
            let work = match loaded {
                Ok(Some(loaded)) => self.resume(loaded).await,
                Ok(None) => {
                    // It has ended meanwhile, elsewhere.
                    self.children.ended(&id);
                    continue;
                }
                Err(error) => Err(error),
            };
            match work {
                Ok(work) => self.keep(turn, (work, Vec::new())),
                Err(error) => {
                    self.outage.failed(&error, 1, self.shell.ports.clock.elapsed());
                    self.reload.push(id);
                }
            }
        }
    }

    /// The version that another scheduler stored of an execution since it was loaded here, if one did.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    pub(super) async fn newer(&self, loaded: &Loaded) -> Result<Option<Version>, PortError> {
        if !self.share.shards.is_shared() {
            return Ok(None);
        }
        let stored = self.shell.ports.journal.load(&loaded.id).await?;
        let found = stored.map_or(0, |stored| stored.version);
        Ok((found != loaded.version).then_some(found))
    }

    /// An execution that has not ended, with its content.
    async fn load(&self, id: &ExecutionId) -> Result<Option<Loaded>, PortError> {
        let journal = &*self.shell.ports.journal;
        let loaded = Loaded::load(journal, id, &self.shell.config.limits).await?;
        let Some(mut loaded) = loaded.filter(|found| !found.engine.status().is_complete()) else {
            return Ok(None);
        };
        loaded.content(journal).await?;
        Ok(Some(loaded))
    }

    /// Carries out what an execution's state says is outstanding.
    pub(super) async fn resume(&self, loaded: Loaded) -> Result<Work, PortError> {
        let commands = outstanding(&loaded.engine);
        let mut work = Work::new(loaded);
        work.is_resumed = true;
        work.carry_out(&self.shell, commands, self.shell.ports.clock.now()).await?;
        Ok(work)
    }

    /// Takes an execution into the turn, whoever owns it; `None` if it has ended or does not exist.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    pub(super) async fn take_anywhere(
        &mut self,
        turn: &mut Turn,
        id: &ExecutionId,
    ) -> Result<Option<(Work, Vec<Waiter>)>, PortError> {
        if let Some(work) = self.take(turn, id) {
            return Ok(Some(work));
        }
        if !self.share.shards.is_shared() {
            return Ok(None);
        }
        let Some(loaded) = self.load(id).await? else { return Ok(None) };
        let is_own = self.share.shards.own(id);
        self.share.arriving.remove(id);
        let work = if is_own { self.resume(loaded).await? } else { Work::new(loaded) };
        Ok(Some((work, Vec::new())))
    }

    /// Takes an execution into the turn, also one that has ended; `None` if it does not exist.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    pub(super) async fn take_ended(
        &mut self,
        turn: &mut Turn,
        id: &ExecutionId,
    ) -> Result<Option<(Work, Vec<Waiter>)>, PortError> {
        if let Some(work) = self.take_anywhere(turn, id).await? {
            return Ok(Some(work));
        }
        let (journal, limits) = (&*self.shell.ports.journal, &self.shell.config.limits);
        let loaded = Loaded::load(journal, id, limits).await?;
        Ok(loaded.map(|loaded| (Work::new(loaded), Vec::new())))
    }

    /// Tells whoever waits for the end of an execution.
    pub(super) fn tell_parent(&mut self, child: &Loaded, messages: &mut Vec<Outgoing>) {
        self.children.ended(&child.id);
        let parent = child.content.as_ref().and_then(|content| {
            let id = content.document.pointer("/trigger/parentExecution/id");
            id.and_then(Value::as_str).map(ExecutionId::new)
        });
        if let Some(parent) = parent
            && !self.share.shards.own(&parent)
        {
            messages.push(self.share.ended(&parent, &child.id));
        }
    }

    /// Compares some of what is in memory with the journal: a ring may have been lost with the broker.
    pub(super) async fn compare(&mut self, turn: &Turn) {
        if !self.share.shards.is_shared() {
            return;
        }
        let after = self.share.compared.take();
        let page = match self.shell.ports.journal.unfinished(after.as_ref(), COMPARED_MAX).await {
            Ok(page) => page,
            Err(error) => return tracing::debug!(%error, "nothing can be compared for now"),
        };
        let is_full = page.len() == COMPARED_MAX as usize;
        let until = page.last().filter(|_| is_full).map(|(id, _)| id.clone());
        let listed: BTreeMap<ExecutionId, Version> = page.into_iter().collect();
        let stale = self.stale(&listed, after.as_ref(), until.as_ref());
        let missing: Vec<_> = listed.into_keys().filter(|id| self.misses(turn, id)).collect();
        for id in stale.into_iter().chain(missing) {
            tracing::debug!(execution = %id, "another scheduler went on with it; it is loaded again");
            self.take_up_again(id);
        }
        self.share.compared = until;
    }

    fn stale(
        &self,
        listed: &BTreeMap<ExecutionId, Version>,
        after: Option<&ExecutionId>,
        until: Option<&ExecutionId>,
    ) -> Vec<ExecutionId> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let end = until.map_or(Bound::Unbounded, Bound::Included);
        let known = self.executions.range::<ExecutionId, _>((begin, end));
        let is_stale = |(id, known): &(&ExecutionId, &Loaded)| {
            listed.get(*id).is_none_or(|version| *version > known.version)
        };
        known.filter(is_stale).map(|(id, _)| id.clone()).collect()
    }

    fn misses(&self, turn: &Turn, id: &ExecutionId) -> bool {
        self.share.shards.own(id)
            && !self.executions.contains_key(id)
            && !turn.works.contains_key(id)
            && !self.reload.contains(id)
    }
}
