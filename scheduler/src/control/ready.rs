//! Attempts that are ready to be worked on. Of each capability a bounded number waits in the broker;
//! the others wait here, and come in turn by applications (D16). So one that floods the queue does
//! not delay others, and what is cancelled before its turn never reaches the broker.

mod line;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use scheduler_engine::event::{AttemptKey, StageIndex};
use scheduler_engine::fair;
use scheduler_engine::plan::TaskKind;
use shared_model::{Capability, Epoch, ExecutionId};
use shared_ports::{Heartbeat, Outgoing};

use self::line::Line;
use super::driver::{Driver, Turn};
use super::inputs;
use super::loaded::Loaded;
use super::reach::Reach;
use super::shards::Part;
use super::turn::Work;

/// A stage with an attempt.
pub(crate) type Which = (ExecutionId, StageIndex);

/// Everything that is ready or worked on.
#[derive(Default)]
pub(crate) struct Ready {
    lines: BTreeMap<Capability, Line>,
    places: BTreeMap<Which, Place>,
    /// The workers that were heard last.
    reach: Arc<Reach>,
    /// When workers were counted last.
    counted: Duration,
    /// The part of the executions that are this scheduler's.
    part: Part,
}

struct Place {
    attempt: AttemptKey,
    epoch: Epoch,
    capability: Capability,
    tenant: String,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waits(fair::Turn),
    Sent,
    Runs,
}

/// Where an attempt of a stage stands.
pub(crate) struct Standing<'a> {
    pub(crate) attempt: AttemptKey,
    pub(crate) epoch: Epoch,
    pub(crate) is_leased: bool,
    pub(crate) capability: &'a Capability,
    pub(crate) application: &'a str,
    pub(crate) priority: u8,
    /// Whether it is given out only to be ended, which must not wait.
    pub(crate) to_end: bool,
}

impl Ready {
    /// Nothing is ready.
    pub(crate) fn new(reach: Arc<Reach>) -> Self {
        Self { reach, ..Self::default() }
    }

    /// How an attempt stands now; `None` if the stage has none in flight.
    pub(crate) fn note(&mut self, which: &Which, standing: Option<Standing<'_>>) {
        let Some(standing) = standing else { return self.remove(which) };
        let known = self.places.get(which);
        let is_same = known.is_some_and(|place| {
            (place.attempt, place.epoch) == (standing.attempt, standing.epoch)
        });
        if !is_same {
            self.remove(which);
            return self.add(which, &standing);
        }
        if standing.is_leased {
            self.runs(which);
        }
    }

    fn add(&mut self, which: &Which, standing: &Standing<'_>) {
        let tenant = standing.application.to_lowercase();
        let line = self.lines.entry(standing.capability.clone()).or_default();
        line.has_work_of(&tenant, self.counted);
        let state = if standing.is_leased {
            line.fair.occupy(&tenant);
            line.running += 1;
            State::Runs
        } else if standing.to_end {
            line.fair.occupy(&tenant);
            line.sent += 1;
            State::Sent
        } else {
            State::Waits(line.fair.offer(&tenant, standing.priority, which.clone()))
        };
        let Standing { attempt, epoch, capability, .. } = *standing;
        let place = Place { attempt, epoch, capability: capability.clone(), tenant, state };
        self.places.insert(which.clone(), place);
    }

    fn runs(&mut self, which: &Which) {
        let Some(place) = self.places.get_mut(which) else { return };
        let Some(line) = self.lines.get_mut(&place.capability) else { return };
        match place.state {
            State::Waits(turn) => {
                line.fair.withdraw(&place.tenant, turn);
                line.fair.occupy(&place.tenant);
            }
            State::Sent => line.sent = line.sent.saturating_sub(1),
            State::Runs => return,
        }
        line.running += 1;
        line.began += 1;
        place.state = State::Runs;
    }

    fn remove(&mut self, which: &Which) {
        let Some(place) = self.places.remove(which) else { return };
        let Some(line) = self.lines.get_mut(&place.capability) else { return };
        match place.state {
            State::Waits(turn) => line.fair.withdraw(&place.tenant, turn),
            State::Sent => {
                // What is short is over before anybody tells that it began.
                line.began += 1;
                line.sent = line.sent.saturating_sub(1);
                line.fair.vacate(&place.tenant);
            }
            State::Runs => {
                line.running = line.running.saturating_sub(1);
                line.fair.vacate(&place.tenant);
            }
        }
    }

    /// Forgets an execution.
    pub(crate) fn forget(&mut self, id: &ExecutionId) {
        let begin = (id.clone(), StageIndex::MIN);
        let of_it = self.places.range(begin..).take_while(|((execution, _), _)| execution == id);
        let all: Vec<Which> = of_it.map(|(which, _)| which.clone()).collect();
        all.iter().for_each(|which| self.remove(which));
    }

    /// Those whose turn it is: they are to be sent now.
    pub(crate) fn admit(&mut self) -> Vec<Which> {
        let mut admitted = Vec::new();
        for (capability, line) in &mut self.lines {
            let bounds = line.bounds(self.reach.slots(capability), self.part);
            while let Some(which) = line.send_next(bounds) {
                if let Some(place) = self.places.get_mut(&which) {
                    place.state = State::Sent;
                }
                admitted.push(which);
            }
        }
        admitted
    }

    /// Those that are, or should be, in the broker or with a worker.
    pub(crate) fn sent(&self) -> impl Iterator<Item = &Which> {
        let sent = self.places.iter().filter(|(_, place)| !matches!(place.state, State::Waits(_)));
        sent.map(|(which, _)| which)
    }

    /// Whether a stage is known to have an attempt in flight.
    pub(crate) fn knows(&self, which: &Which) -> bool {
        self.places.contains_key(which)
    }

    /// Whether an attempt is, or should be, in the broker.
    pub(crate) fn is_sent(&self, which: &Which) -> bool {
        self.places.get(which).is_some_and(|place| place.state == State::Sent)
    }

    /// Takes note of the slots that there are, and of the part of the executions that are owned here.
    pub(crate) fn note_workers(
        &mut self,
        live: &[Heartbeat],
        part: Part,
        is_own: &dyn Fn(&ExecutionId) -> bool,
        now: Duration,
    ) {
        self.reach.note(live, is_own);
        self.part = part;
        let before = std::mem::replace(&mut self.counted, now);
        for line in self.lines.values_mut() {
            line.is_looked_at(before, now);
        }
        self.lines.retain(|_, line| line.is_needed());
    }
}

impl Driver {
    /// Takes note of where the attempts of an execution stand after a turn.
    pub(super) fn note_ready(&mut self, work: &mut Work) {
        let Loaded { id, engine, label, .. } = &work.loaded;
        let mut stages = work.changes.touched.clone();
        if work.is_resumed {
            stages.extend(engine.in_flight().map(|flight| flight.attempt.stage));
        }
        let mut fresh = BTreeMap::new();
        for ready in work.ready.drain(..) {
            let Some(stage) = engine.find(&ready.attempt.stage) else { continue };
            stages.insert(stage);
            fresh.insert((id.clone(), stage), ready);
        }
        for stage in stages {
            let which = (id.clone(), stage);
            let flight = engine.flight(stage);
            let standing = flight.as_ref().and_then(|flight| {
                let ready = fresh.get(&which);
                Some(Standing {
                    attempt: flight.attempt,
                    epoch: flight.epoch,
                    is_leased: flight.leased,
                    capability: capability(&work.loaded, flight.attempt)?,
                    application: &label.application,
                    priority: ready.map_or(0, |ready| ready.priority),
                    to_end: ready.is_some_and(|ready| ready.to_end),
                })
            });
            self.ready.note(&which, standing);
        }
        self.fresh.append(&mut fresh);
    }

    /// Sends the attempts whose turn it is, as far as their messages are at hand.
    pub(super) fn admit(&mut self, messages: &mut Vec<Outgoing>) {
        let fresh = std::mem::take(&mut self.fresh);
        let admitted = self.ready.admit();
        self.admitted.extend(admitted.into_iter().filter(|which| !fresh.contains_key(which)));
        let sent = fresh.iter().filter(|(which, _)| self.ready.is_sent(which));
        messages.extend(sent.filter_map(|(_, ready)| inputs::bell(ready).ok()));
    }

    /// Makes the messages of those whose turn came after they had waited.
    pub(super) async fn ring_admitted(&mut self, turn: &mut Turn) {
        for (id, stage) in std::mem::take(&mut self.admitted) {
            self.ring(turn, &id, stage).await;
        }
    }

    /// Carries out what is outstanding of a stage.
    pub(super) async fn ring(&mut self, turn: &mut Turn, id: &ExecutionId, stage: StageIndex) {
        let Some(mut work) = self.take(turn, id) else { return };
        let commands = work.0.loaded.engine.outstanding_of(stage);
        let now = self.shell.ports.clock.now();
        match work.0.carry_out(&self.shell, commands, now).await {
            Ok(()) => self.keep(turn, work),
            Err(error) => self.give_up(work, error),
        }
    }

    /// Looks how many slots there are; while nothing can be said, as many as before.
    pub(super) async fn look_at_slots(&mut self) {
        match self.shell.ports.leases.live().await {
            Ok(live) => {
                let beats: Vec<Heartbeat> = live.into_iter().map(|(beat, _)| beat).collect();
                let now = self.shell.ports.clock.elapsed();
                let shards = &self.share.shards;
                self.ready.note_workers(&beats, shards.part(), &|id| shards.own(id), now);
            }
            Err(error) => {
                self.shell.reach.cannot_be_told();
                tracing::debug!(%error, "workers cannot be counted for now");
            }
        }
    }
}

/// What a worker must be able to do for an attempt; `None` if it needs no worker.
pub(super) fn capability(loaded: &Loaded, attempt: AttemptKey) -> Option<&Capability> {
    match &loaded.engine.stage(attempt.stage).task(attempt.task).kind {
        TaskKind::Worker { capability, .. } => Some(capability),
        TaskKind::Native | TaskKind::Wait { .. } | TaskKind::Child | TaskKind::Judgment => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::line::{SENT_AHEAD_MIN, SENT_BLINDLY};
    use super::*;

    /// Of a worker that works on these executions.
    fn beat(slots: u16, works_on: &[&str]) -> Heartbeat {
        let attempt = |execution: &&str| {
            let attempt =
                json!({"execution": execution, "stage": "1", "run": 1, "task": 0, "number": 1});
            json!([attempt, 1])
        };
        let in_flight: Vec<Value> = works_on.iter().map(attempt).collect();
        let beat = json!({
            "worker": "w", "capabilities": ["helm"], "slots": slots, "in_flight": in_flight,
        });
        serde_json::from_value(beat).unwrap()
    }

    fn which(execution: usize) -> Which {
        (ExecutionId::new(format!("e{execution}")), 0)
    }

    fn standing<'a>(
        capability: &'a Capability,
        application: &'a str,
        epoch: u64,
        is_leased: bool,
    ) -> Option<Standing<'a>> {
        let attempt = AttemptKey { stage: 0, run: 1, task: 0, number: 1 };
        let epoch = Epoch(epoch);
        Some(Standing {
            attempt,
            epoch,
            is_leased,
            capability,
            application,
            priority: 0,
            to_end: false,
        })
    }

    #[test]
    fn so_many_are_sent_and_the_next_when_one_is_claimed_or_gone() {
        let (mut ready, helm) = (Ready::default(), Capability::new("helm"));
        for n in 0..200 {
            ready.note(&which(n), standing(&helm, "Flood", 1, false));
        }
        assert_eq!(ready.admit().len(), SENT_BLINDLY);
        assert!(ready.is_sent(&which(0)) && !ready.is_sent(&which(199)));
        ready.note(&which(900), standing(&helm, "small", 1, false));
        assert!(ready.admit().is_empty(), "there is no room");
        ready.note(&which(0), standing(&helm, "flood", 1, true));
        assert_eq!(ready.admit(), [which(900)], "whoever has less is next");
        ready.note(&which(1), None);
        assert_eq!(ready.admit(), [which(64)]);
        ready.note(&which(2), standing(&helm, "flood", 2, false));
        assert_eq!(ready.admit(), [which(65)], "a takeover waits its turn again");
        ready.forget(&which(3).0);
        assert_eq!(ready.admit().len(), 1);
    }

    #[test]
    fn few_wait_in_the_broker_beyond_the_free_slots() {
        let (mut ready, helm) = (Ready::default(), Capability::new("helm"));
        let beats = [beat(8, &[])];
        ready.note_workers(&beats, Part::ALL, &|_| true, Duration::from_secs(1));
        for n in 0..1_000 {
            ready.note(&which(n), standing(&helm, "flood", 1, false));
        }
        assert_eq!(ready.admit().len(), 8 + SENT_AHEAD_MIN);
        for n in 0..8 {
            ready.note(&which(n), standing(&helm, "flood", 1, true));
        }
        assert!(ready.admit().is_empty(), "two wait, and no slot is free");
        ready.note(&which(0), None);
        assert_eq!(ready.admit(), [which(10)]);
        for n in 10..600 {
            ready.note(&which(n), standing(&helm, "flood", 1, true));
            ready.note(&which(n), None);
        }
        ready.note_workers(&beats, Part::ALL, &|_| true, Duration::from_secs(2));
        let more = ready.admit().len();
        assert!((3..=8).contains(&more), "{more}: work that is short is given out ahead");
    }

    /// Sixteen of 256 slots are left to whoever comes, once somebody did.
    #[test]
    fn one_tenant_leaves_room_for_others_that_have_work_lately() {
        let (mut ready, helm) = (Ready::default(), Capability::new("helm"));
        ready.note_workers(&[beat(256, &[])], Part::ALL, &|_| true, Duration::from_secs(1));
        for n in 0..1_000 {
            ready.note(&which(n), standing(&helm, "flood", 1, false));
        }
        assert_eq!(ready.admit().len(), 256 + SENT_AHEAD_MIN, "it is alone");
        ready.note(&which(2_000), standing(&helm, "small", 1, false));
        for n in 0..18 {
            ready.note(&which(n), None);
        }
        assert_eq!(ready.admit(), [which(2_000)], "and nothing of the other, who has 240");
        ready.note(&which(2_000), None);
        ready.note(&which(18), None);
        assert_eq!(ready.admit().len(), 1, "up to 240, also while the others rest");
        ready.note_workers(&[beat(256, &[])], Part::ALL, &|_| true, Duration::from_secs(400));
        assert_eq!(ready.admit().len(), 16 + SENT_AHEAD_MIN, "nobody came for long");
    }

    #[test]
    fn of_several_schedulers_each_fills_its_part_and_what_the_others_leave_free() {
        let (mut ready, helm) = (Ready::default(), Capability::new("helm"));
        let (half, is_own) = (Part { held: 32, of: 64 }, |id: &ExecutionId| id.as_str() == "ours");
        let busy = [vec!["theirs"; 40], vec!["ours"; 24]].concat();
        let at = Duration::from_secs;
        ready.note_workers(&[beat(64, &busy[..50])], half, &is_own, at(1));
        for n in 0..1_000 {
            ready.note(&which(n), standing(&helm, "flood", 1, false));
        }
        assert_eq!(ready.admit().len(), 32 + SENT_AHEAD_MIN, "its part, though others are in it");
        for n in 0..32 {
            ready.note(&which(n), standing(&helm, "flood", 1, true));
        }
        ready.note_workers(&[beat(64, &busy[14..])], half, &is_own, at(2));
        assert_eq!(ready.admit().len(), 6, "24 are its own, and 14 are free: 38 together");
        ready.note_workers(&[beat(64, &[])], half, &is_own, at(3));
        assert_eq!(ready.admit().len(), 26, "all");
    }

    #[test]
    fn what_is_over_before_it_is_told_of_counts_as_begun() {
        let (mut ready, helm) = (Ready::default(), Capability::new("helm"));
        for n in 0..500 {
            ready.note(&which(n), standing(&helm, "flood", 1, false));
        }
        let sent = ready.admit();
        sent.iter().for_each(|which| ready.note(which, None));
        ready.note_workers(&[], Part::ALL, &|_| true, Duration::from_secs(1));
        let line = &ready.lines[&helm];
        assert_eq!((line.began_per_second() * 2.0).round() as usize, sent.len());
    }

    #[test]
    fn nothing_stays_of_what_has_ended() {
        let (mut ready, helm) = (Ready::default(), Capability::new("helm"));
        for n in 0..100 {
            ready.note(&which(n), standing(&helm, "a", 1, n % 2 == 0));
        }
        ready.admit();
        for n in 0..100 {
            ready.note(&which(n), None);
        }
        ready.note_workers(&[], Part::ALL, &|_| true, Duration::from_secs(400));
        assert!(ready.places.is_empty() && ready.lines.is_empty());
    }

    #[test]
    fn what_is_to_be_ended_never_waits() {
        let (mut ready, helm) = (Ready::default(), Capability::new("helm"));
        for n in 0..100 {
            ready.note(&which(n), standing(&helm, "a", 1, false));
        }
        ready.admit();
        let to_end = standing(&helm, "a", 2, false).map(|one| Standing { to_end: true, ..one });
        ready.note(&which(99), to_end);
        assert!(ready.is_sent(&which(99)));
    }
}
