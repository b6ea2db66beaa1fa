//! The live workers, what is asked of them, and how many are wanted.
//!
//! Workers say of themselves what they do ([`shared_ports::Leases::live`]); what waits is counted by
//! the loop as it stores it; the rest is arithmetic (`scheduler_engine::autoscale`).

mod demand;
mod pools;
mod told;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use scheduler_engine::autoscale::{self, Demand, History, Member, Policy, Wanted};
use shared_model::{Capability, WorkerId};
use shared_ports::{Heartbeat, PortError, Ports};
use shared_runtime::{Kind, Supervisor};

pub(crate) use self::demand::Counted;
pub use self::demand::Part;
pub use self::pools::{Config, Pool};
use self::told::Telling;
pub use self::view::{Asked, CapabilityView, FleetView, InFlight, PoolView, WorkerView};

/// How long a look at the fleet stands for the next ones, too.
const LOOK_KEPT: Duration = Duration::from_secs(1);

/// Workers and capabilities of which is remembered that they were told of.
const SAID_MAX: usize = 1_000;

/// What is known of the fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    config: Config,
    /// What the loop has handed out.
    pub(crate) counted: Arc<Counted>,
    /// Tells us apart from other schedulers, where there may be some.
    name: Option<String>,
    histories: Mutex<BTreeMap<Group, History>>,
    /// Workers of which was said that they announce something unknown, and what.
    said: Mutex<BTreeSet<(WorkerId, Capability)>>,
    /// The last look, and when it was taken.
    last: tokio::sync::Mutex<Option<(Duration, Arc<FleetView>)>>,
}

/// Whose workers are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Capability(Capability),
    Pool(String),
}

impl Fleet {
    pub(crate) fn new(config: Config, name: Option<String>) -> Self {
        let (counted, histories, said, last) = Default::default();
        Self { config, counted, name, histories, said, last }
    }

    /// Tells other schedulers what is asked of workers here, so that any of them can answer for all.
    pub(crate) fn tell_others(&self, ports: &Ports, supervisor: &Supervisor) {
        let Some(name) = self.name.clone() else { return };
        let (counted, ports) = (Arc::clone(&self.counted), ports.clone());
        let end = supervisor.stopping_of(Kind::Heartbeat);
        supervisor.spawn(Kind::Heartbeat, Telling { name, counted, ports }.run(end));
    }

    /// Looks at workers and demand; `known` are the capabilities that stage types need.
    ///
    /// # Errors
    /// [`PortError`] if nobody can say which workers live.
    pub(crate) async fn look(
        &self,
        ports: &Ports,
        known: impl Iterator<Item = Capability>,
    ) -> Result<Arc<FleetView>, PortError> {
        let mut last = self.last.lock().await;
        let now = ports.clock.elapsed();
        if let Some((then, view)) = &*last
            && now.saturating_sub(*then) < LOOK_KEPT
        {
            return Ok(Arc::clone(view));
        }
        let live = ports.leases.live().await?;
        let at = ports.clock.now();
        let mut parts = self.counted.parts(now);
        if let Some(name) = &self.name {
            parts.extend(told::heard(name, ports).await?);
        }
        let mut view = self.view(live, &parts, known, at);
        view.held_up = ports.leases.are_given_out().await.err().map(|error| error.with_causes());
        let view = Arc::new(view);
        *last = Some((now, Arc::clone(&view)));
        Ok(view)
    }

    fn view(
        &self,
        mut live: Vec<(Heartbeat, Timestamp)>,
        parts: &[Part],
        known: impl Iterator<Item = Capability>,
        at: Timestamp,
    ) -> FleetView {
        live.sort_by(|(one, _), (other, _)| one.worker.cmp(&other.worker));
        let known: BTreeSet<Capability> = known.collect();
        let mut demands: BTreeMap<Capability, Demand> = BTreeMap::new();
        let announced = live.iter().flat_map(|(beat, _)| beat.capabilities.iter().cloned());
        for capability in known.iter().cloned().chain(announced) {
            demands.entry(capability).or_default();
        }
        for part in parts {
            let demand = demands.entry(part.capability.clone()).or_default();
            *demand = demand.and(part.demand(at));
        }
        let pools = self.config.split(demands.keys(), live.iter().map(|(beat, _)| beat));
        let capabilities = demands.iter().map(|(name, demand)| {
            let can = |beat: &&Heartbeat| beat.capabilities.contains(name);
            let beats: Vec<&Heartbeat> = live.iter().map(|(beat, _)| beat).filter(can).collect();
            let group = Group::Capability(name.clone());
            let wanted = self.wanted(group, demand, &beats, &self.config.policy, at);
            CapabilityView::of(name, demand, &beats, wanted)
        });
        let capabilities = capabilities.collect();
        let pool_views = pools.iter().map(|pool| {
            let asked = pool.capabilities.iter().filter_map(|name| demands.get(name));
            let demand = asked.fold(Demand::default(), |sum, one| sum.and(*one));
            let group = Group::Pool(pool.name.clone());
            let wanted = self.wanted(group, &demand, &pool.workers, &pool.policy, at);
            PoolView::of(pool, &demand, wanted)
        });
        let pool_views = pool_views.collect();
        let workers = live.iter().map(|(beat, beaten)| {
            let pool = pools.iter().find(|pool| pool.has(&beat.worker));
            let unknown = self.unknown(beat, &known);
            WorkerView::of(beat, *beaten, pool.map(|pool| pool.name.clone()), &unknown, at)
        });
        let (workers, held_up) = (workers.collect(), None);
        FleetView { at, workers, capabilities, pools: pool_views, held_up }
    }

    /// What a worker announces and no stage type needs; said once.
    fn unknown(&self, beat: &Heartbeat, known: &BTreeSet<Capability>) -> Vec<Capability> {
        let is_known = |one: &&Capability| {
            let bare = one.account().map_or(one.as_str(), |(bare, _)| bare);
            known.iter().any(|known| known.as_str() == bare || known == *one)
        };
        let unknown: Vec<_> =
            beat.capabilities.iter().filter(|one| !is_known(one)).cloned().collect();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        for capability in &unknown {
            if said.len() < SAID_MAX && said.insert((beat.worker.clone(), capability.clone())) {
                let worker = &beat.worker;
                tracing::warn!(
                    %worker, %capability,
                    "a worker announces a capability that no stage type of this scheduler needs, and \
                     is given nothing of it; is it of another version?"
                );
            }
        }
        unknown
    }

    fn wanted(
        &self,
        group: Group,
        demand: &Demand,
        workers: &[&Heartbeat],
        policy: &Policy,
        at: Timestamp,
    ) -> Wanted {
        let members: Vec<Member> = workers.iter().map(|beat| member(beat)).collect();
        let taking = members.iter().filter(|member| !member.draining).count();
        let now = autoscale::wanted(demand, &members, policy);
        let mut histories = self.histories.lock().unwrap_or_else(PoisonError::into_inner);
        let history = histories.entry(group).or_default();
        history.settle(now, u32::try_from(taking).unwrap_or(u32::MAX), policy, at)
    }
}

fn member(beat: &Heartbeat) -> Member {
    Member {
        slots: beat.slots,
        busy: u16::try_from(beat.in_flight.len()).unwrap_or(u16::MAX),
        cpu: beat.vitals.cpu,
        memory: beat.vitals.memory,
        draining: beat.draining,
    }
}

#[cfg(test)]
mod tests;
