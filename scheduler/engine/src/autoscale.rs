//! How many workers a kind of work wants, and why: from what is asked of them, how they do, and a
//! policy. The same for a capability and for a pool of workers with several.
//!
//! Slot demand is what counts: attempts that run need the slots that they hold, and attempts that are
//! ready need one each, unless they end so fast that a few slots clear them in time. Length of a queue
//! says neither. A worker's machine that is at its limit has fewer slots than it says.

mod history;
#[cfg(test)]
mod tests;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

pub use history::History;

/// What is asked of the workers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Demand {
    /// Attempts that are ready and wait for a slot.
    pub ready: u64,
    /// Attempts that a worker has.
    pub running: u64,
    /// How long the oldest ready one has waited.
    pub oldest_wait: SignedDuration,
    /// Attempts that ended a second, lately.
    pub drained_per_second: f64,
}

impl Demand {
    /// This and another one, for workers that do both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            ready: self.ready + other.ready,
            running: self.running + other.running,
            oldest_wait: self.oldest_wait.max(other.oldest_wait),
            drained_per_second: self.drained_per_second + other.drained_per_second,
        }
    }

    /// Slots that it would fill.
    pub fn slots(&self) -> u64 {
        self.ready + self.running
    }
}

/// A live worker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Member {
    /// Attempts that it can run at once.
    pub slots: u16,
    /// Attempts that it runs.
    pub busy: u16,
    /// Share of its machine's cores in use, 0 to 1.
    pub cpu: f32,
    /// Share of its machine's memory in use, 0 to 1.
    pub memory: f32,
    /// Whether it takes no more work.
    pub draining: bool,
}

/// What is wished for.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Fewer are never wanted; 0 lets them go when there is nothing to do.
    pub workers_min: u32,
    /// More are never wanted.
    pub workers_max: u32,
    /// Slots of a worker, as long as there is none to look at.
    pub slots_per_worker: u16,
    /// How long ready work may wait before it gets a slot of its own.
    pub wait_max: SignedDuration,
    /// Share of CPU or memory from which on a machine is at its limit.
    pub hot_share: f32,
    /// How long fewer must be enough before fewer are wanted.
    pub scale_down_after: SignedDuration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            workers_min: 0,
            workers_max: 100,
            slots_per_worker: 8,
            wait_max: SignedDuration::from_secs(10),
            hot_share: 0.9,
            scale_down_after: SignedDuration::from_secs(60),
        }
    }
}

/// How many are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How many.
    pub workers: u32,
    /// Why that many, in words.
    pub why: String,
}

/// How many workers are wanted for a demand, at this moment; [`History::settle`] keeps it steady.
pub fn wanted(demand: &Demand, members: &[Member], policy: &Policy) -> Wanted {
    let mut why = Vec::new();
    let slots = slots(demand, policy, &mut why);
    let each = slots_each(members, policy, slots > 0, &mut why);
    let workers = u32::try_from(slots.div_ceil(u64::from(each))).unwrap_or(u32::MAX);
    let workers = within(workers, policy, &mut why);
    Wanted { workers, why: why.join("; ") }
}

/// Slots that are needed: one for each attempt that runs, and for those that are ready as many as
/// clear them in time.
fn slots(demand: &Demand, policy: &Policy, why: &mut Vec<String>) -> u64 {
    let Demand { ready, running, oldest_wait, drained_per_second } = *demand;
    if demand.slots() == 0 {
        why.push("nothing is ready, nothing runs".into());
        return 0;
    }
    why.push(format!("{ready} ready, {running} running"));
    if ready == 0 {
        return running;
    }
    if oldest_wait > policy.wait_max {
        why.push(format!(
            "the oldest has waited {}, longer than {}: a slot for each",
            seconds(oldest_wait),
            seconds(policy.wait_max)
        ));
        return demand.slots();
    }
    let clearing = clearing(demand, policy);
    if clearing < ready {
        why.push(format!(
            "{drained_per_second:.1} end a second: {clearing} slots clear the ready ones within {}",
            seconds(policy.wait_max)
        ));
    }
    running + clearing
}

/// Slots that clear what is ready within the longest wait. How long an attempt holds its slot follows
/// from how many run and how many end (Little's law); a slot for each where none has ended.
fn clearing(demand: &Demand, policy: &Policy) -> u64 {
    let Demand { ready, running, drained_per_second, .. } = *demand;
    let limit = policy.wait_max.as_secs_f64();
    if drained_per_second <= 0.0 || limit <= 0.0 {
        return ready;
    }
    let holds = running.max(1) as f64 / drained_per_second;
    // A cast of a float goes to the nearest number that there is, and not beyond.
    let slots = (ready as f64 * holds / limit).ceil() as u64;
    slots.clamp(1, ready)
}

/// Slots of one worker: what those that take work say on average, or, where they are at their limit,
/// as many as are busy there.
fn slots_each(members: &[Member], policy: &Policy, is_asked: bool, why: &mut Vec<String>) -> u32 {
    let taking: Vec<&Member> = members.iter().filter(|member| !member.draining).collect();
    let Ok(count @ 1..) = u32::try_from(taking.len()) else {
        let each = u32::from(policy.slots_per_worker.max(1));
        if is_asked {
            why.push(format!("{each} slots a worker, as configured: none is live"));
        }
        return each;
    };
    let slots: u32 = taking.iter().map(|member| u32::from(member.slots)).sum();
    let busy: u32 = taking.iter().map(|member| u32::from(member.busy)).sum();
    let each = (slots / count).max(1);
    let heat =
        taking.iter().map(|member| member.cpu.max(member.memory)).sum::<f32>() / count as f32;
    let limit = (busy / count).max(1);
    if is_asked && heat >= policy.hot_share && limit < each && busy > 0 {
        why.push(format!(
            "{limit} slots a worker: they are at {:.0} % of CPU or memory with that many busy of {each}",
            heat * 100.0
        ));
        return limit;
    }
    if is_asked {
        why.push(format!("{each} slots a worker"));
    }
    each
}

fn within(workers: u32, policy: &Policy, why: &mut Vec<String>) -> u32 {
    let Policy { workers_min, workers_max, .. } = *policy;
    if workers > workers_max {
        why.push(format!("{workers} would do, and workers_max is {workers_max}"));
    } else if workers < workers_min {
        why.push(format!("workers_min is {workers_min}"));
    }
    workers.max(workers_min).min(workers_max)
}

/// For people: whole seconds, or a fraction below ten.
fn seconds(duration: SignedDuration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds.fract() == 0.0 || seconds >= 10.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{seconds:.1} s")
    }
}
