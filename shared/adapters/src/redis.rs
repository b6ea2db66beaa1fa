//! Leases in Redis; tested with 7.0. One worker's beat is one call, whatever it works on.
//!
//! Leases end by Redis' clock. A lease that is not there may have ended long ago, or been lost with
//! what Redis held before: for a grace after Redis came up, or came up empty, the two cannot be told
//! apart. During it beats renew what they list, nobody is called lost, and what has no lease is not
//! granted, since its message may have come twice. Epochs decide in any case who is the newest.

mod fault;
mod keys;
mod link;
mod scripts;
mod settings;

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared_model::{AttemptId, Epoch, WorkerId};
use shared_ports::PortError;
use shared_ports::leases::{Claim, Heard, Heartbeat, Holder, Leases, NOTE_BYTES_MAX, Note};

pub use self::settings::Redis;

use self::fault::{CameUp, Nonsense, unavailable};
use self::keys::Keys;
use self::link::Link;
use self::scripts::Scripts;

/// How long an attempt's epoch is remembered after its lease ended: far longer than a worker is
/// ever paused, so that one that comes back with an older epoch is still recognised.
const EPOCH_MEMORY: Duration = Duration::from_secs(2 * 3600);
/// The same where its worker has ended it: only a message of it that comes again could ask once more.
/// Each piece of work leaves a key for so long, so it decides how large Redis grows.
const RELEASED_MEMORY: Duration = Duration::from_secs(5 * 60);
/// Leases asked for in one call: a script holds up everybody else.
const HOLDERS_PER_CALL_MAX: usize = 1000;

/// Leases in Redis.
pub struct RedisLeases {
    link: Link,
    keys: Keys,
    scripts: Scripts,
    grace: Duration,
}

impl RedisLeases {
    /// Connects, so that a wrong address or password is known at once.
    ///
    /// # Errors
    /// [`PortError::Refused`] says what is wrong with the settings, the rights, or how Redis is set
    /// up; [`PortError::Unavailable`] that it cannot be reached now.
    pub async fn open(settings: &Redis) -> Result<Self, PortError> {
        let link = Link::new(settings)?;
        let leases = Self {
            link,
            keys: Keys::new(&settings.prefix),
            scripts: Scripts::default(),
            grace: settings::duration(settings.grace),
        };
        // Not who lives: where thousands start at once, each would be told of all.
        leases.now().await?;
        Ok(leases)
    }

    /// What Redis' clock shows.
    pub(crate) async fn now(&self) -> Result<Timestamp, PortError> {
        let doing = "asking Redis for the time";
        let alive = self.keys.alive();
        let mut call = self.scripts.time.prepare_invoke();
        call.key(&alive);
        let answer = self.link.call(doing, &alive, &call).await?;
        let shown = answer.first().and_then(|text| text.parse().ok());
        let shown = shown.and_then(|shown| Timestamp::from_millisecond(shown).ok());
        shown.ok_or_else(|| unavailable(doing, Nonsense))
    }

    async fn holders_of(
        &self,
        attempts: &[AttemptId],
    ) -> Result<Vec<Option<(WorkerId, Epoch)>>, PortError> {
        let doing = "asking who holds attempts";
        let mut call = self.scripts.holders.prepare_invoke();
        let born = self.keys.born();
        call.key(&born);
        for attempt in attempts {
            call.key(self.keys.lease(attempt));
        }
        call.arg(millis(self.grace));
        let found = self.link.call(doing, &born, &call).await?;
        if let Some(("unknown", left)) = pair(&found) {
            return Err(unavailable(doing, CameUp::with(left)));
        }
        let holders = found.chunks_exact(2).map(|pair| match pair {
            [worker, _] if worker.is_empty() => Ok(None),
            [worker, epoch] => Ok(Some((WorkerId::new(worker.as_str()), read_epoch(epoch)?))),
            _ => Err(unavailable(doing, Nonsense)),
        });
        let holders: Vec<_> = holders.collect::<Result<_, PortError>>()?;
        let is_whole = holders.len() == attempts.len();
        is_whole.then_some(holders).ok_or_else(|| unavailable(doing, Nonsense))
    }
}

#[async_trait]
impl Leases for RedisLeases {
    async fn claim(
        &self,
        attempt: &AttemptId,
        epoch: Epoch,
        holder: &Holder,
        ttl: SignedDuration,
    ) -> Result<Claim, PortError> {
        let doing = format!("claiming {attempt}");
        let lease = self.keys.lease(attempt);
        let mut call = self.scripts.claim.prepare_invoke();
        call.key(self.keys.born()).key(&lease).arg(holder.worker.as_str()).arg(write_epoch(epoch));
        call.arg(millis(settings::duration(ttl))).arg(millis(EPOCH_MEMORY)).arg(millis(self.grace));
        call.arg(&holder.instance);
        let answer = self.link.call(&doing, &lease, &call).await?;
        let words: Vec<&str> = answer.iter().map(String::as_str).collect();
        match words[..] {
            ["granted"] => Ok(Claim::Granted),
            ["refused", holder, epoch] => {
                Ok(Claim::Refused { holder: WorkerId::new(holder), epoch: read_epoch(epoch)? })
            }
            ["ended", holder, epoch] => {
                Ok(Claim::Ended { holder: WorkerId::new(holder), epoch: read_epoch(epoch)? })
            }
            ["unknown", left] => Err(unavailable(doing, CameUp::with(left))),
            _ => Err(unavailable(doing, Nonsense)),
        }
    }

    async fn beat(&self, heartbeat: &Heartbeat, ttl: SignedDuration) -> Result<Heard, PortError> {
        let Heartbeat { worker, instance, in_flight, .. } = heartbeat;
        let doing = format!("beating for worker `{worker}`");
        let body = serde_json::to_string(heartbeat).map_err(|error| PortError::Refused {
            doing: doing.clone(),
            why: format!("it is not JSON: {error}"),
        })?;
        let alive = self.keys.alive();
        let mut call = self.scripts.beat.prepare_invoke();
        call.key(self.keys.born()).key(&alive).key(self.keys.beats()).key(self.keys.names());
        call.arg(worker.as_str()).arg(body).arg(millis(settings::duration(ttl)));
        call.arg(millis(EPOCH_MEMORY)).arg(millis(self.grace)).arg(instance);
        for (attempt, epoch) in in_flight {
            call.key(self.keys.lease(attempt)).arg(write_epoch(*epoch));
        }
        let answer = self.link.call(&doing, &alive, &call).await?;
        read_heard(&answer, heartbeat).ok_or_else(|| unavailable(doing, Nonsense))
    }

    async fn leave(&self, holder: &Holder) -> Result<(), PortError> {
        let alive = self.keys.alive();
        let mut call = self.scripts.leave.prepare_invoke();
        call.key(&alive).key(self.keys.beats()).key(self.keys.names());
        call.arg(holder.worker.as_str()).arg(&holder.instance);
        self.link.call(&format!("ending worker `{}`", holder.worker), &alive, &call).await?;
        Ok(())
    }

    async fn release(&self, attempt: &AttemptId, epoch: Epoch) -> Result<(), PortError> {
        let lease = self.keys.lease(attempt);
        let mut call = self.scripts.release.prepare_invoke();
        call.key(&lease).arg(write_epoch(epoch)).arg(millis(RELEASED_MEMORY));
        self.link.call(&format!("releasing {attempt}"), &lease, &call).await?;
        Ok(())
    }

    async fn holders(
        &self,
        attempts: &[AttemptId],
    ) -> Result<Vec<Option<(WorkerId, Epoch)>>, PortError> {
        let mut holders = Vec::with_capacity(attempts.len());
        for some in attempts.chunks(HOLDERS_PER_CALL_MAX) {
            holders.extend(self.holders_of(some).await?);
        }
        Ok(holders)
    }

    async fn live(&self) -> Result<Vec<(Heartbeat, Timestamp)>, PortError> {
        let doing = "asking which workers live";
        let alive = self.keys.alive();
        let mut call = self.scripts.live.prepare_invoke();
        call.key(&alive).key(self.keys.beats());
        let beats = self.link.call(doing, &alive, &call).await?;
        // A worker of another version may say what is not understood here: others are not hidden
        // by it.
        let readable = beats.iter().filter_map(|beat| {
            let read = read_beat(beat);
            if read.is_none() {
                tracing::warn!("a worker's heartbeat cannot be read; it may be of another version");
            }
            read
        });
        Ok(readable.collect())
    }

    async fn note(&self, note: &Note, ttl: SignedDuration) -> Result<(), PortError> {
        let Note { topic, name, body } = note;
        let doing = format!("saying as `{name}` what others ask for under `{topic}`");
        if body.len() > NOTE_BYTES_MAX {
            let why = format!("it is longer than {NOTE_BYTES_MAX} bytes");
            return Err(PortError::Refused { doing, why });
        }
        let notes = self.keys.notes(topic);
        let mut call = self.scripts.note.prepare_invoke();
        call.key(&notes).key(self.keys.bodies(topic));
        call.arg(name).arg(body).arg(millis(settings::duration(ttl)));
        self.link.call(&doing, &notes, &call).await?;
        Ok(())
    }

    async fn notes(&self, topic: &str) -> Result<Vec<Note>, PortError> {
        let doing = format!("asking what was said under `{topic}`");
        let notes = self.keys.notes(topic);
        let mut call = self.scripts.notes.prepare_invoke();
        call.key(&notes).key(self.keys.bodies(topic));
        let found = self.link.call(&doing, &notes, &call).await?;
        let read = |pair: &[String]| {
            let [name, body] = pair else { return None };
            Some(Note { topic: topic.to_owned(), name: name.clone(), body: body.clone() })
        };
        let notes: Option<Vec<Note>> = found.chunks(2).map(read).collect();
        let mut notes = notes.ok_or_else(|| unavailable(&doing, Nonsense))?;
        notes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(notes)
    }
}

fn pair(words: &[String]) -> Option<(&str, &str)> {
    match words {
        [first, second] => Some((first, second)),
        _ => None,
    }
}

/// What a beat was answered: whose the name is, and the places of what is lost.
fn read_heard(answer: &[String], heartbeat: &Heartbeat) -> Option<Heard> {
    let (name, lost) = answer.split_first()?;
    let lost = lost.iter().map(|index| {
        let (attempt, _) = heartbeat.in_flight.get(index.parse::<usize>().ok()?)?;
        Some(attempt.clone())
    });
    Some(Heard { lost: lost.collect::<Option<_>>()?, name_taken: name == "taken" })
}

fn read_beat(beat: &str) -> Option<(Heartbeat, Timestamp)> {
    let (at, heartbeat) = beat.split_once(' ')?;
    let at = Timestamp::from_millisecond(at.parse().ok()?).ok()?;
    Some((serde_json::from_str(heartbeat).ok()?, at))
}

/// In digits of equal number, so that their order as text is that of the numbers: a number of Lua
/// is not exact beyond 2^53.
fn write_epoch(epoch: Epoch) -> String {
    format!("{:020}", epoch.0)
}

fn read_epoch(digits: &str) -> Result<Epoch, PortError> {
    digits.parse().map(Epoch).map_err(|error| unavailable("reading an epoch", error))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
