//! Long texts lie in blobs, once each, and rows and messages hold references to them (D9): an artifact
//! that a hundred stages see costs them a line each.
//!
//! A reference stands in the place of the text, as text of its own kind. What begins like one without
//! being one is put away too, however short: so nobody can make a reference up, and everything comes
//! back as it was. Manifests are no texts, and are put away whole.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared_model::{Artifact, Object};

use crate::journal::{Append, StageBody};
use crate::messages::TaskInput;
use crate::{BlobRef, Blobs, Clock, PortError};

/// How long a text may be that stays where it is, in bytes, and a manifest.
const LEFT_BYTES_MAX: usize = 1024;
/// How a reference begins.
const MARK: &str = "capstan-blob:";
/// Lists of manifests, by their keys.
const MANIFESTS: [&str; 2] = ["manifests", "outputs.manifests"];
/// How long a list of artifacts may be that stays where it is, in bytes.
const LIST_BYTES_MAX: usize = 4 * 1024;
/// The only key of an artifact that stands for a list of them.
const LIST: &str = "capstan-blob";
/// Blobs that are put, or read, at once.
const AT_ONCE: usize = 16;
/// How long it is remembered that a blob was put, at least; at most twice as long.
const REMEMBERED: Duration = Duration::from_secs(300);
/// What is kept in memory of what was read, in bytes.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Puts long texts into blobs, and takes them out again.
pub struct Shelf {
    blobs: Arc<dyn Blobs>,
    clock: Arc<dyn Clock>,
    put: Mutex<Recent>,
    read: Mutex<Kept>,
}

/// Something that may hold long texts.
pub trait Holds {
    /// Every value in it, each with its key.
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value));
}

impl Holds for Value {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        visit("", self);
    }
}

impl Holds for Object {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        self.iter_mut().for_each(|(key, value)| visit(key, value));
    }
}

impl Holds for Artifact {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        self.0.each(visit);
    }
}

impl Holds for StageBody {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        let Self { context, outputs, evaluated: _, checkpoints, failures } = self;
        context.each(visit);
        outputs.each(visit);
        checkpoints.values_mut().chain(failures.values_mut()).for_each(|value| visit("", value));
    }
}

impl Holds for Append {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        self.document.iter_mut().for_each(|document| document.each(visit));
        let bodies = self.stages.iter_mut().filter_map(|stage| stage.body.as_mut());
        bodies.for_each(|body| body.each(visit));
    }
}

impl Holds for TaskInput {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        self.context.each(visit);
        self.artifacts.iter_mut().for_each(|artifact| artifact.each(visit));
        self.bound.values_mut().for_each(|artifact| artifact.each(visit));
        self.checkpoint.iter_mut().for_each(|checkpoint| checkpoint.each(visit));
    }
}

impl<T: Holds> Holds for Vec<T> {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        self.iter_mut().for_each(|one| one.each(visit));
    }
}

/// In which form something was put away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

impl Shelf {
    /// A shelf of these blobs.
    pub fn new(blobs: Arc<dyn Blobs>, clock: Arc<dyn Clock>) -> Self {
        Self { blobs, clock, put: Mutex::default(), read: Mutex::default() }
    }

    /// Leaves references in the place of what is long.
    ///
    /// # Errors
    /// [`PortError`] if something could not be stored; what it was in is of no use then.
    pub async fn put_away<T: Holds + Send + ?Sized>(&self, from: &mut T) -> Result<(), PortError> {
        let mut aside = BTreeMap::new();
        from.each(&mut |key, value| put_aside(key, value, &mut aside));
        self.store(aside).await
    }

    /// The same of a task's inputs, and of their lists of artifacts where these are long: many tasks see
    /// the same ones.
    ///
    /// # Errors
    /// As [`Shelf::put_away`].
    pub async fn put_away_inputs(&self, from: &mut TaskInput) -> Result<(), PortError> {
        let mut aside = BTreeMap::new();
        from.each(&mut |key, value| put_aside(key, value, &mut aside));
        if let Some(one) = list_aside(&from.artifacts, &mut aside) {
            from.artifacts = vec![one];
        }
        if let Some(one) = list_aside(&from.bound, &mut aside) {
            from.bound = BTreeMap::from([(LIST.to_owned(), one)]);
        }
        self.store(aside).await
    }

    /// Puts back what [`Shelf::put_away_inputs`] put away.
    ///
    /// # Errors
    /// As [`Shelf::take_out`]; [`PortError::Refused`] if a list is gone.
    pub async fn take_out_inputs(&self, to: &mut TaskInput) -> Result<(), PortError> {
        if let [one] = to.artifacts.as_slice()
            && let Some(name) = list_name(one)
        {
            to.artifacts = self.list(&name).await?;
        }
        if to.bound.len() == 1
            && let Some(name) = to.bound.get(LIST).and_then(list_name)
        {
            to.bound = self.list(&name).await?;
        }
        self.take_out(to).await
    }

    async fn list<T: DeserializeOwned>(&self, name: &BlobRef) -> Result<T, PortError> {
        let refused =
            |why: String| PortError::Refused { doing: "reading a task's artifacts".into(), why };
        let gone = || refused(format!("blob {} is not stored any more", name.sha256));
        let bytes = self.bytes(name).await?.ok_or_else(gone)?;
        serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))
    }

    async fn store(&self, mut aside: BTreeMap<BlobRef, Bytes>) -> Result<(), PortError> {
        let now = self.clock.elapsed();
        aside.retain(|name, _| !lock(&self.put).has(name, now));
        let puts = aside.into_iter().map(|(name, bytes)| async move {
            self.blobs.put(bytes).await?;
            lock(&self.put).note(name, now);
            Ok::<_, PortError>(())
        });
        let mut puts = stream::iter(puts).buffer_unordered(AT_ONCE);
        while let Some(put) = puts.next().await {
            put?;
        }
        Ok(())
    }

    /// Puts back what references stand for. One whose blob is gone stays.
    ///
    /// # Errors
    /// [`PortError`] if something cannot be read for now.
    pub async fn take_out<T: Holds + Send + ?Sized>(&self, to: &mut T) -> Result<(), PortError> {
        let mut wanted = BTreeSet::new();
        to.each(&mut |_, value| look_for(value, &mut wanted));
        if wanted.is_empty() {
            return Ok(());
        }
        let reads = wanted.into_iter().map(|name| async move {
            let bytes = self.bytes(&name).await?;
            Ok::<_, PortError>((name, bytes))
        });
        let mut reads = stream::iter(reads).buffer_unordered(AT_ONCE);
        let mut found = BTreeMap::new();
        while let Some(read) = reads.next().await {
            let (name, bytes) = read?;
            found.extend(bytes.map(|bytes| (name, bytes)));
        }
        to.each(&mut |_, value| put_back(value, &found));
        Ok(())
    }

    /// `None` if it is gone: whoever waits for it would wait for ever.
    async fn bytes(&self, name: &BlobRef) -> Result<Option<Bytes>, PortError> {
        if let Some(bytes) = lock(&self.read).get(name) {
            return Ok(Some(bytes));
        }
        match self.blobs.get(name, None).await {
            Ok(bytes) => {
                lock(&self.read).keep(name.clone(), bytes.clone());
                Ok(Some(bytes))
            }
            Err(PortError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The blobs to which a JSON text refers, by their SHA-256.
pub fn named_in(json: &str) -> BTreeSet<&str> {
    let after = json.split(MARK).skip(1).filter_map(|rest| {
        let (_, rest) = rest.split_once(':')?;
        rest.get(..SHA256_DIGITS).filter(|digits| is_hash(digits))
    });
    after.collect()
}

/// Length of a hash, in hexadecimal digits.
const SHA256_DIGITS: usize = 64;

fn is_hash(text: &str) -> bool {
    text.len() == SHA256_DIGITS
        && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

fn put_aside(key: &str, value: &mut Value, aside: &mut BTreeMap<BlobRef, Bytes>) {
    match value {
        Value::String(text) if text.len() > LEFT_BYTES_MAX || text.starts_with(MARK) => {
            let bytes = Bytes::from(std::mem::take(text));
            *text = reference(Form::Text, bytes, aside);
        }
        Value::Array(list) if MANIFESTS.contains(&key) => {
            list.iter_mut().for_each(|manifest| put_manifest_aside(manifest, aside));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| put_aside("", value, aside)),
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| put_aside(key, value, aside)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn put_manifest_aside(manifest: &mut Value, aside: &mut BTreeMap<BlobRef, Bytes>) {
    let json = if manifest.is_object() { manifest.to_string() } else { String::new() };
    if json.len() > LEFT_BYTES_MAX {
        *manifest = reference(Form::Json, Bytes::from(json), aside).into();
    } else {
        put_aside("", manifest, aside);
    }
}

fn reference(form: Form, bytes: Bytes, aside: &mut BTreeMap<BlobRef, Bytes>) -> String {
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let name = BlobRef { sha256, bytes: bytes.len() as u64 };
    let form = match form {
        Form::Text => "text",
        Form::Json => "json",
    };
    let text = format!("{MARK}{form}:{}:{}", name.sha256, name.bytes);
    aside.insert(name, bytes);
    text
}

/// What stands for a list of artifacts that is long.
fn list_aside(list: &impl Serialize, aside: &mut BTreeMap<BlobRef, Bytes>) -> Option<Artifact> {
    let json = serde_json::to_vec(list).ok().filter(|json| json.len() > LIST_BYTES_MAX)?;
    let text = reference(Form::Json, Bytes::from(json), aside);
    Some(Artifact(Object::from_iter([(LIST.to_owned(), text.into())])))
}

/// The list that an artifact stands for. Nobody else can make one up: their reference would have been
/// put away itself, as a text.
fn list_name(artifact: &Artifact) -> Option<BlobRef> {
    let text = artifact.0.get(LIST).filter(|_| artifact.0.len() == 1)?.as_str()?;
    read(text).filter(|(form, _)| *form == Form::Json).map(|(_, name)| name)
}

fn read(text: &str) -> Option<(Form, BlobRef)> {
    let (form, rest) = text.strip_prefix(MARK)?.split_once(':')?;
    let (sha256, bytes) = rest.split_once(':')?;
    let form = match form {
        "text" => Form::Text,
        "json" => Form::Json,
        _ => return None,
    };
    let bytes = bytes.parse().ok().filter(|_| is_hash(sha256))?;
    Some((form, BlobRef { sha256: sha256.to_owned(), bytes }))
}

fn look_for(value: &Value, wanted: &mut BTreeSet<BlobRef>) {
    match value {
        Value::String(text) => wanted.extend(read(text).map(|(_, name)| name)),
        Value::Array(list) => list.iter().for_each(|value| look_for(value, wanted)),
        Value::Object(map) => map.values().for_each(|value| look_for(value, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn put_back(value: &mut Value, found: &BTreeMap<BlobRef, Bytes>) {
    match value {
        Value::String(text) => {
            let back = read(text).and_then(|(form, name)| {
                let bytes = found.get(&name)?;
                match form {
                    Form::Text => std::str::from_utf8(bytes).ok().map(Value::from),
                    Form::Json => serde_json::from_slice(bytes).ok(),
                }
            });
            if let Some(back) = back {
                *value = back;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| put_back(value, found)),
        Value::Object(map) => map.values_mut().for_each(|value| put_back(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What was put lately: putting it again would cost a file's sync each time.
#[derive(Default)]
struct Recent {
    young: BTreeSet<BlobRef>,
    old: BTreeSet<BlobRef>,
    since: Duration,
}

impl Recent {
    fn has(&mut self, name: &BlobRef, now: Duration) -> bool {
        if now.saturating_sub(self.since) >= REMEMBERED {
            let is_over = now.saturating_sub(self.since) >= REMEMBERED * 2;
            self.old = std::mem::take(&mut self.young);
            if is_over {
                self.old.clear();
            }
            self.since = now;
        }
        self.young.contains(name) || self.old.contains(name)
    }

    fn note(&mut self, name: BlobRef, now: Duration) {
        self.has(&name, now);
        self.young.insert(name);
    }
}

/// What was read, the oldest first.
#[derive(Default)]
struct Kept {
    bytes: BTreeMap<BlobRef, Bytes>,
    order: VecDeque<BlobRef>,
    length: usize,
}

impl Kept {
    fn get(&self, name: &BlobRef) -> Option<Bytes> {
        self.bytes.get(name).cloned()
    }

    fn keep(&mut self, name: BlobRef, bytes: Bytes) {
        if bytes.len() > KEPT_BYTES_MAX || self.bytes.contains_key(&name) {
            return;
        }
        self.length += bytes.len();
        self.bytes.insert(name.clone(), bytes);
        self.order.push_back(name);
        while self.length > KEPT_BYTES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.bytes.remove(&oldest).map_or(0, |bytes| bytes.len());
            self.length = self.length.saturating_sub(gone);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
