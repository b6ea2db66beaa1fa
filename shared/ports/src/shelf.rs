//! Long texts lie in blobs, once each, and rows and messages hold references to them (D9): an artifact
//! that a hundred stages see costs them a line each.
//!
//! A reference stands in the place of the text, as text of its own kind. What begins like one without
//! being one is put away too, however short: so nobody can make a reference up, and everything comes
//! back as it was. Manifests are no texts, and are put away whole.

mod holds;
mod lately;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use serde::de::DeserializeOwned;

pub use self::holds::Holds;
use self::lately::{Kept, Recent};
pub use self::reference::named_in;
use self::reference::{LIST, list_aside, list_name, look_for, put_aside, put_back};
use crate::messages::TaskInput;
use crate::{BlobRef, Blobs, Clock, PortError};

/// Blobs that are put, or read, at once.
const AT_ONCE: usize = 16;

/// Puts long texts into blobs, and takes them out again.
pub struct Shelf {
    blobs: Arc<dyn Blobs>,
    clock: Arc<dyn Clock>,
    put: Mutex<Recent>,
    read: Mutex<Kept>,
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
