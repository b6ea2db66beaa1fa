//! Who works on an attempt, and which workers are alive. Speed, never truth (D15).

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared_model::{AttemptId, Capability, Epoch, ExecutionId, StageRef, WorkerId};

use crate::PortError;

/// Who claims and beats: one process of a worker. Should two have one name, they are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder {
    /// The worker's name.
    pub worker: WorkerId,
    /// Names the process, for as long as it lives; no other has it.
    pub instance: String,
}

impl Holder {
    /// A process of a worker.
    pub fn new(worker: WorkerId, instance: impl Into<String>) -> Self {
        Self { worker, instance: instance.into() }
    }
}

/// What a beat answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// What it lists and no longer holds.
    pub lost: Vec<AttemptId>,
    /// Whether the name is another live process' own, which began to beat earlier: what this one says
    /// of itself is not kept. Its leases are, as far as it holds them.
    pub name_taken: bool,
}

/// What a claim answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The attempt is this worker's until its heartbeats stop.
    Granted,
    /// Somebody holds it with the same or a newer epoch, or held it with a newer one.
    Refused {
        /// Who.
        holder: WorkerId,
        /// With which epoch.
        epoch: Epoch,
    },
    /// Somebody held it with this very epoch, and that lease has ended: whether the work was done
    /// is unknown here. The attempt is to be given out with a larger epoch.
    Ended {
        /// Who.
        holder: WorkerId,
        /// With which epoch.
        epoch: Epoch,
    },
}

/// What a worker says of itself at every beat. What a worker of another version does not say is empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Who it is.
    pub worker: WorkerId,
    /// Which process of that name; empty where it is too old to say so.
    #[serde(default)]
    pub instance: String,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// Attempts that it can run at once.
    #[serde(default)]
    pub slots: u16,
    /// What it works on.
    #[serde(default)]
    pub in_flight: Vec<(AttemptId, Epoch)>,
    /// How its machine does.
    #[serde(default)]
    pub vitals: Vitals,
    /// Hash of the stage types that it announces (D18).
    #[serde(default)]
    pub catalog: String,
    /// Whether it has stopped taking work.
    #[serde(default)]
    pub draining: bool,
    /// Whether it takes long texts of its inputs out of blobs (see [`crate::shelf`]).
    #[serde(default)]
    pub takes_out: bool,
}

/// How a worker's machine does.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Vitals {
    /// Share of all cores in use, 0 to 1.
    pub cpu: f32,
    /// Share of memory in use, 0 to 1.
    pub memory: f32,
    /// Resident memory of the worker itself, in bytes.
    pub resident_bytes: u64,
    /// Processes that run or wait to, on average over a minute (the load of `uptime`).
    pub load: f32,
    /// Share in use of the disk that its tools write to, 0 to 1.
    pub disk: f32,
}

/// What a process says to the others of its kind; it vanishes with the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about: those who ask name it.
    pub topic: String,
    /// Who says it; one note of each name holds.
    pub name: String,
    /// What is said, of at most [`NOTE_BYTES_MAX`] bytes.
    pub body: String,
}

/// Longest body of a note.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

/// Who works on what.
///
/// - At most one lease per attempt is live, and every lease that follows has a larger epoch: a worker
///   that was paused and comes back is refused, and a message that comes late or twice runs nothing
///   twice. An epoch that was granted is remembered for an hour at least after its lease ended.
/// - A lease that ended is not renewed, by nobody, nor granted again.
/// - A lease lives while its holder's heartbeats list it, and `ttl` beyond the last of them.
/// - Losing everything here pauses takeovers and never duplicates work.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Claims an attempt. The same process may claim again what it holds; a larger epoch takes over.
    ///
    /// # Errors
    /// [`PortError`] if nothing can be said; the attempt is not claimed then.
    async fn claim(
        &self,
        attempt: &AttemptId,
        epoch: Epoch,
        holder: &Holder,
        ttl: SignedDuration,
    ) -> Result<Claim, PortError>;

    /// Renews a worker's life and every lease that it lists.
    ///
    /// # Errors
    /// [`PortError`] if nothing was renewed.
    async fn beat(&self, heartbeat: &Heartbeat, ttl: SignedDuration) -> Result<Heard, PortError>;

    /// Ends a worker's life before its beats lapse, and frees its name; its leases stay as they are.
    ///
    /// # Errors
    /// [`PortError`] if that may not have happened: it then ends by itself.
    async fn leave(&self, holder: &Holder) -> Result<(), PortError>;

    /// Ends a lease, if it is still held with that epoch.
    ///
    /// # Errors
    /// [`PortError`] if that may not have happened: the lease then ends by itself.
    async fn release(&self, attempt: &AttemptId, epoch: Epoch) -> Result<(), PortError>;

    /// The live leases' epochs and holders among `attempts`, in the same order.
    ///
    /// # Errors
    /// [`PortError`] if nothing can be said; nobody may be called lost then.
    async fn holders(
        &self,
        attempts: &[AttemptId],
    ) -> Result<Vec<Option<(WorkerId, Epoch)>>, PortError>;

    /// Whether leases are given out: for a while after their store came up empty they are not, since
    /// whoever held one before may still be at work.
    ///
    /// # Errors
    /// [`PortError`] says why not, and for how long.
    async fn are_given_out(&self) -> Result<(), PortError> {
        let nobody = AttemptId {
            execution: ExecutionId::new("readiness"),
            stage: StageRef::new("0"),
            run: 0,
            task: 0,
            number: 0,
        };
        self.holders(&[nobody]).await.map(drop)
    }

    /// The last beat of every live worker, and when it came.
    ///
    /// # Errors
    /// [`PortError`] if nothing can be said.
    async fn live(&self) -> Result<Vec<(Heartbeat, Timestamp)>, PortError>;

    /// Says something to whoever asks within `ttl`, in place of what was said under that name before;
    /// a `ttl` of zero takes it back.
    ///
    /// # Errors
    /// [`PortError`] if it may not be heard.
    async fn note(&self, note: &Note, ttl: SignedDuration) -> Result<(), PortError>;

    /// What was said about a topic and still holds, by name.
    ///
    /// # Errors
    /// [`PortError`] if nothing can be said.
    async fn notes(&self, topic: &str) -> Result<Vec<Note>, PortError>;
}
