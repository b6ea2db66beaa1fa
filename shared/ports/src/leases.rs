//! Who works on an attempt, and which workers are alive. Speed, never truth (D15).

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared_model::{AttemptId, Capability, Epoch, WorkerId};

use crate::PortError;

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

/// What a worker says of itself at every beat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Who it is.
    pub worker: WorkerId,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// Attempts that it can run at once.
    pub slots: u16,
    /// What it works on.
    pub in_flight: Vec<(AttemptId, Epoch)>,
    /// How its machine does.
    pub vitals: Vitals,
    /// Hash of the stage types that it announces (D18).
    pub catalog: String,
    /// Whether it has stopped taking work.
    pub draining: bool,
}

/// How a worker's machine does.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Vitals {
    /// Share of all cores in use, 0 to 1.
    pub cpu: f32,
    /// Share of memory in use, 0 to 1.
    pub memory: f32,
    /// Resident memory of the worker itself, in bytes.
    pub resident_bytes: u64,
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
    /// Claims an attempt. The same worker may claim again what it holds; a larger epoch takes over.
    ///
    /// # Errors
    /// [`PortError`] if nothing can be said; the attempt is not claimed then.
    async fn claim(
        &self,
        attempt: &AttemptId,
        epoch: Epoch,
        worker: &WorkerId,
        ttl: SignedDuration,
    ) -> Result<Claim, PortError>;

    /// Renews a worker's life and every lease that it lists; returns those it no longer holds.
    ///
    /// # Errors
    /// [`PortError`] if nothing was renewed.
    async fn beat(
        &self,
        heartbeat: &Heartbeat,
        ttl: SignedDuration,
    ) -> Result<Vec<AttemptId>, PortError>;

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
