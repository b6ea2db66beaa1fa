//! The few things that are asked of an object store, each tried again for a while when its answer
//! is lost: all of them may be done twice.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectMeta, ObjectStoreExt, PutMode, PutPayload};
use shared_ports::PortError;
use tokio::time::{Instant, sleep, timeout};

use super::fault::{self, OutOfTime};
use super::place::Place;
use crate::backoff::Backoff;

/// What a slow line moves in a second.
const BYTES_PER_SECOND_MIN: u64 = 1024 * 1024;

/// An object store that is asked with a limit of time.
pub(super) struct Store {
    place: Place,
    call_max: Duration,
}

/// An object, or part of it, and how long the whole is.
pub(super) struct Object {
    pub(super) bytes: Bytes,
    pub(super) whole_bytes: u64,
}

impl Store {
    pub(super) fn new(place: Place, call_max: Duration) -> Self {
        Self { place, call_max }
    }

    /// For people.
    pub(super) fn shown(&self) -> &str {
        &self.place.shown
    }

    /// Where something of ours lies.
    pub(super) fn path(&self, parts: &[&str]) -> Path {
        parts.iter().fold(self.place.prefix.clone(), |path, part| path.join(*part))
    }

    /// Puts an object where there is none; says whether it did. After a lost answer "no" may mean
    /// that the object is ours.
    pub(super) async fn create(
        &self,
        doing: &str,
        path: &Path,
        bytes: &Bytes,
    ) -> Result<bool, PortError> {
        let ask = || {
            let payload = PutPayload::from(bytes.clone());
            let put = self.place.store.put_opts(path, payload, PutMode::Create.into());
            put.map(|put| match put {
                Ok(_) => Ok(true),
                Err(Error::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(error),
            })
            .boxed()
        };
        self.call(doing, bytes.len() as u64, ask).await
    }

    /// Puts an object, whatever is there.
    pub(super) async fn replace(
        &self,
        doing: &str,
        path: &Path,
        bytes: &Bytes,
    ) -> Result<(), PortError> {
        let ask = || {
            let payload = PutPayload::from(bytes.clone());
            self.place.store.put(path, payload).map_ok(drop).boxed()
        };
        self.call(doing, bytes.len() as u64, ask).await
    }

    /// An object, or `range` of it; `None` if it is not there. No more than `bytes_max` are read.
    pub(super) async fn get(
        &self,
        doing: &str,
        path: &Path,
        range: Option<Range<u64>>,
        bytes_max: u64,
    ) -> Result<Option<Object>, PortError> {
        let ask = || {
            let options = GetOptions { range: range.clone().map(Into::into), ..Default::default() };
            let get = self.place.store.get_opts(path, options);
            async move {
                let Some(found) = present(get.await)? else { return Ok(None) };
                let (whole_bytes, len) = (found.meta.size, found.range.end - found.range.start);
                let bytes = if len > bytes_max { Bytes::new() } else { found.bytes().await? };
                Ok(Some(Object { bytes, whole_bytes }))
            }
            .boxed()
        };
        self.call(doing, bytes_max, ask).await
    }

    /// How long an object is, and how old; `None` if it is not there.
    pub(super) async fn about(
        &self,
        doing: &str,
        path: &Path,
    ) -> Result<Option<ObjectMeta>, PortError> {
        let ask = || self.place.store.head(path).map(present).boxed();
        self.call(doing, 0, ask).await
    }

    /// What lies under a path, in the order of names, behind `after` if that is given.
    pub(super) async fn list(
        &self,
        doing: &str,
        under: &Path,
        after: Option<&Path>,
    ) -> Result<Vec<ObjectMeta>, PortError> {
        let ask = || {
            let list = match after {
                Some(after) => self.place.store.list_with_offset(Some(under), after),
                None => self.place.store.list(Some(under)),
            };
            list.try_collect::<Vec<_>>().boxed()
        };
        let mut found = self.call(doing, 0, ask).await?;
        // Not every store keeps an order.
        found.sort_by(|one, other| one.location.cmp(&other.location));
        Ok(found)
    }

    /// Takes objects away; what is gone already is no error.
    pub(super) async fn remove(&self, doing: &str, paths: &[Path]) -> Result<(), PortError> {
        let ask = || {
            let paths = futures::stream::iter(paths.to_vec()).map(Ok).boxed();
            let mut removed = self.place.store.delete_stream(paths);
            async move {
                while let Some(one) = removed.next().await {
                    present(one)?;
                }
                Ok(())
            }
            .boxed()
        };
        self.call(doing, 0, ask).await
    }

    async fn call<'a, T: Send>(
        &self,
        doing: &str,
        bytes: u64,
        ask: impl Fn() -> BoxFuture<'a, Result<T, Error>> + Send + Sync,
    ) -> Result<T, PortError> {
        let limit = self.call_max + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN);
        let begun = Instant::now();
        let tries = async {
            let mut backoff = Backoff::default();
            loop {
                match ask().await {
                    // The rest of the limit is for the last try.
                    Err(error) if fault::is_lost(&error) && begun.elapsed() < limit / 2 => {
                        tracing::debug!("{doing} in {}: {error}; once more", self.place.shown);
                        sleep(backoff.next()).await;
                    }
                    answer => return answer,
                }
            }
        };
        match timeout(limit, tries).await {
            Ok(answer) => answer.map_err(|error| fault::class(doing, &self.place.shown, error)),
            Err(_) => Err(PortError::Unavailable {
                doing: format!("{doing} in {}", self.place.shown),
                source: Box::new(OutOfTime(limit)),
            }),
        }
    }
}

/// `None` for an object that is not there, unless its bucket is not.
fn present<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error @ Error::NotFound { .. }) if !fault::is_no_bucket(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
