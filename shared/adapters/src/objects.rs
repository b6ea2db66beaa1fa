//! Blobs and logs in an object store, shared by every process.
//!
//! ```text
//! <prefix>/capstan.json                               says which layout this is
//! <prefix>/blobs/<first two digits>/<sha256>          a blob, whole or not there
//! <prefix>/logs/<execution>/<stage>/<where it begins> a chunk: 16 bytes of id, then itself
//! ```

mod fault;
mod log;
mod logs;
mod place;
mod settings;
mod store;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use object_store::ObjectMeta;
use shared_ports::blobs::{Kept, Uses};
use shared_ports::{BlobRef, Blobs, LogName, PortError};
use shared_runtime::metrics::metrics;

use self::log::Log;
use self::logs::{Logs, of_folder, placed};
pub use self::settings::Objects;
use self::store::Store;
use crate::blobs::{checked, clip, name_of, too_long};

/// The layout that this version writes.
const LAYOUT: u64 = 1;
/// What says so, put there by whoever comes first.
const LAYOUT_FILE: &str = "capstan.json";
const LAYOUT_BYTES_MAX: u64 = 4096;
/// Up to here a range is cut from the whole, which is verified; of a longer blob only the range is
/// read, and its length compared.
const WHOLE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Times that a blob is put again because it was removed meanwhile.
const PUTS_MAX: usize = 5;

/// How often it is noted that a blob is put again.
const NOTED_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Blobs and logs in an object store.
pub struct ObjectBlobs {
    store: Store,
    logs: Logs,
    blob_bytes_max: u64,
}

impl ObjectBlobs {
    /// Opens it: the bucket is there, it can be written to, its layout is one that is known. A blob
    /// may have `blob_bytes_max` bytes, a log `log_bytes_max`.
    ///
    /// # Errors
    /// [`PortError`] says what is in the way, and what to do.
    pub async fn open(
        settings: &Objects,
        blob_bytes_max: u64,
        log_bytes_max: u64,
    ) -> Result<Self, PortError> {
        let store = Store::new(settings.place()?, settings.call_limit());
        let blobs = Self { store, logs: Logs::new(log_bytes_max), blob_bytes_max };
        let layout = Bytes::from(format!("{{\"layout\":{LAYOUT}}}\n"));
        let path = blobs.store.path(&[LAYOUT_FILE]);
        blobs.store.create("opening the store of blobs", &path, &layout).await?;
        blobs.check_layout("opening the store of blobs").await?;
        Ok(blobs)
    }

    async fn check_layout(&self, doing: &str) -> Result<(), PortError> {
        let path = self.store.path(&[LAYOUT_FILE]);
        let found = self.store.get(doing, &path, None, LAYOUT_BYTES_MAX).await?;
        let refused = |why: String| PortError::Refused {
            doing: format!("{doing} in {} (`{path}`)", self.store.shown()),
            why,
        };
        let Some(found) = found else {
            return Err(refused("it is gone; start again to have it put back".to_owned()));
        };
        let layout = serde_json::from_slice::<serde_json::Value>(&found.bytes)
            .ok()
            .and_then(|value| value.get("layout")?.as_u64());
        match layout {
            Some(LAYOUT) => Ok(()),
            Some(layout) => Err(refused(format!(
                "the layout there is {layout}, and this version of capstan knows {LAYOUT}; use the \
                 version that wrote it, or another prefix in `blobs.url`"
            ))),
            None => Err(refused(
                "it says no layout, so somebody else uses that name; choose another prefix in \
                 `blobs.url`"
                    .to_owned(),
            )),
        }
    }

    /// Names of all blobs.
    pub(crate) async fn all_blobs(&self) -> Result<Vec<BlobRef>, PortError> {
        let under = self.store.path(&["blobs"]);
        let found = self.store.list("listing blobs", &under, None).await?;
        let names = found.into_iter().filter_map(|meta| {
            let sha256 = meta.location.filename()?.to_owned();
            let name = BlobRef { sha256, bytes: meta.size };
            checked(&name).is_ok().then_some(name)
        });
        Ok(names.collect())
    }

    /// All logs: the names of execution and stage, escaped as folders have them.
    pub(crate) async fn all_logs(&self) -> Result<Vec<(String, String)>, PortError> {
        let under = self.store.path(&["logs"]);
        let found = self.store.list("listing logs", &under, None).await?;
        let names = found.iter().filter_map(|meta| {
            let mut parts = meta.location.parts().collect::<Vec<_>>().into_iter().rev().skip(1);
            let (stage, execution) = (parts.next()?, parts.next()?);
            Some((of_folder(execution.as_ref()), of_folder(stage.as_ref())))
        });
        Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// All of a log, by names that are escaped.
    pub(crate) async fn read_placed(
        &self,
        execution: &str,
        stage: &str,
    ) -> Result<Bytes, PortError> {
        Log::new(placed(&self.store, execution, stage)).all(&self.store).await
    }

    /// Writes a piece of a log, by names that are escaped, while nobody else writes to it.
    pub(crate) async fn append_placed(
        &self,
        execution: &str,
        stage: &str,
        at: u64,
        chunk: &Bytes,
    ) -> Result<(), PortError> {
        Log::new(placed(&self.store, execution, stage)).put(&self.store, at, chunk).await
    }

    fn place(&self, blob: &BlobRef) -> Result<object_store::path::Path, PortError> {
        checked(blob)?;
        Ok(self.store.path(&["blobs", &blob.sha256[..2], &blob.sha256]))
    }

    async fn read(&self, blob: &BlobRef, range: Option<(u64, u64)>) -> Result<Bytes, PortError> {
        const DOING: &str = "reading a blob";
        let path = self.place(blob)?;
        let refused = |why: &str| PortError::Refused {
            doing: format!("reading blob {} in {} (`{path}`)", blob.sha256, self.store.shown()),
            why: why.to_owned(),
        };
        let part = range
            .filter(|_| blob.bytes > WHOLE_BYTES_MAX)
            .map(|(start, end)| start..end.min(blob.bytes))
            .filter(|part| part.start < part.end);
        let found = self.store.get(DOING, &path, part.clone(), blob.bytes).await?;
        let Some(found) = found else {
            return Err(refused("it is not stored; it was removed, or never put there"));
        };
        let is_it =
            found.whole_bytes == blob.bytes && (part.is_some() || name_of(&found.bytes) == *blob);
        if !is_it {
            return Err(refused("it is damaged, it no longer has that content; put back a copy"));
        }
        Ok(if part.is_some() { found.bytes } else { clip(&found.bytes, range) })
    }
}

/// Whether it is to be noted that a blob is put again.
fn is_old(found: &ObjectMeta) -> bool {
    let age = SystemTime::from(found.last_modified).elapsed();
    age.is_ok_and(|age| age > NOTED_EVERY)
}

#[async_trait]
impl Blobs for ObjectBlobs {
    async fn put(&self, bytes: Bytes) -> Result<BlobRef, PortError> {
        const DOING: &str = "storing a blob";
        let name = name_of(&bytes);
        if name.bytes > self.blob_bytes_max {
            return Err(too_long(&name, self.blob_bytes_max));
        }
        let path = self.place(&name)?;
        for _ in 0..PUTS_MAX {
            if self.store.create(DOING, &path, &bytes).await? {
                metrics().blob_written(bytes.len());
                return Ok(name);
            }
            match self.store.about(DOING, &path).await? {
                Some(found) if found.size == name.bytes && !is_old(&found) => return Ok(name),
                // It is used again, which is noted by putting it anew; or somebody else's: nothing
                // of ours has another length.
                Some(_) => {
                    self.store.replace(DOING, &path, &bytes).await?;
                    return Ok(name);
                }
                // Removed since it was found there.
                None => {}
            }
        }
        Err(PortError::Unavailable {
            doing: format!("{DOING} in {}", self.store.shown()),
            source: "it was always removed at once".into(),
        })
    }

    async fn get(&self, blob: &BlobRef, range: Option<(u64, u64)>) -> Result<Bytes, PortError> {
        let bytes = self.read(blob, range).await?;
        metrics().blob_read(bytes.len());
        Ok(bytes)
    }

    async fn append(&self, log: &LogName, chunk: Bytes) -> Result<(), PortError> {
        self.logs.append(&self.store, log, &chunk).await?;
        metrics().blob_written(chunk.len());
        Ok(())
    }

    async fn read(&self, log: &LogName, offset: u64, bytes_max: usize) -> Result<Bytes, PortError> {
        let bytes = self.logs.read(&self.store, log, offset, bytes_max).await?;
        metrics().blob_read(bytes.len());
        Ok(bytes)
    }

    async fn remove(&self, blobs: &[BlobRef], execution: Option<&str>) -> Result<(), PortError> {
        if let Some(execution) = execution {
            self.logs.remove(&self.store, execution).await?;
        }
        let paths = blobs.iter().map(|blob| self.place(blob)).collect::<Result<Vec<_>, _>>()?;
        self.store.remove("removing blobs", &paths).await
    }

    async fn sweep(&self, unused_since: Timestamp) -> Result<Kept, PortError> {
        self.sweep_unused(unused_since, &NoUses).await
    }

    async fn sweep_unused(
        &self,
        unused_since: Timestamp,
        uses: &dyn Uses,
    ) -> Result<Kept, PortError> {
        const DOING: &str = "sweeping blobs";
        let unused_since = SystemTime::from(unused_since);
        let is_unused = |found: &ObjectMeta| SystemTime::from(found.last_modified) < unused_since;
        let all = self.store.list(DOING, &self.store.path(&["blobs"]), None).await?;
        let name = |found: &ObjectMeta| found.location.filename().unwrap_or_default().to_owned();
        let old: Vec<String> = all.iter().filter(|found| is_unused(found)).map(name).collect();
        let in_use = uses.in_use(&old).await?;
        let is_unused = |found: &ObjectMeta| is_unused(found) && !in_use.contains(&name(found));
        let mut kept = Kept::default();
        for listed in all {
            let about = match is_unused(&listed) {
                // Looked at again: it may have been put since the list was begun.
                true => self.store.about(DOING, &listed.location).await?,
                false => Some(listed),
            };
            match about {
                Some(found) if is_unused(&found) => {
                    self.store.remove(DOING, &[found.location]).await?;
                }
                Some(found) => {
                    kept.blobs += 1;
                    kept.blob_bytes += found.size;
                }
                None => {}
            }
        }
        let logs = self.store.list("measuring logs", &self.store.path(&["logs"]), None).await?;
        kept.log_bytes = logs.iter().map(|found| found.size).sum();
        Ok(kept)
    }

    async fn ready(&self) -> Result<(), PortError> {
        self.check_layout("looking whether blobs can be stored").await
    }
}

/// Nothing is in use.
struct NoUses;

#[async_trait]
impl Uses for NoUses {
    async fn in_use(&self, _of: &[String]) -> Result<BTreeSet<String>, PortError> {
        Ok(BTreeSet::new())
    }
}
