//! One log: an object per chunk, named by where in the log it begins.
//!
//! Two who append at once want the same name, and only one gets it; the other looks where the log
//! ends now. Each object begins with an id of its own, so that whoever lost the answer to a put
//! recognises the chunk as theirs.

use bytes::{BufMut, Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use shared_ports::PortError;

use super::store::Store;

/// Tells one chunk from every other.
type Id = [u8; 16];
const ID_BYTES: u64 = 16;
/// Digits of a name: those of the largest offset.
const DIGITS: usize = 20;
/// Chunks that are read at once.
const READS_MAX: usize = 8;
/// Times that others may get the place first; each time the log has become longer.
const LOST_MAX: usize = 1000;

/// What is known of one log here; others may have appended to it since.
pub(super) struct Log {
    under: Path,
    chunks: Vec<Chunk>,
}

#[derive(Clone, Copy)]
struct Chunk {
    at: u64,
    bytes: u64,
}

impl Log {
    pub(super) fn new(under: Path) -> Self {
        Self { under, chunks: Vec::new() }
    }

    /// How long it is, as far as is known.
    fn end(&self) -> u64 {
        self.chunks.last().map_or(0, |chunk| chunk.at + chunk.bytes)
    }

    pub(super) async fn append(
        &mut self,
        store: &Store,
        chunk: &Bytes,
        log_bytes_max: u64,
    ) -> Result<(), PortError> {
        const DOING: &str = "appending to a log";
        if self.chunks.is_empty() {
            self.look(store, DOING).await?;
        }
        let id = rand::random::<Id>();
        let (object, bytes) = (framed(id, chunk), chunk.len() as u64);
        for _ in 0..LOST_MAX {
            let at = self.end();
            if at.saturating_add(bytes) > log_bytes_max {
                return Err(self.too_long(bytes, log_bytes_max, store));
            }
            let path = self.path(at);
            let is_ours = store.create(DOING, &path, &object).await?
                || self.is_ours(store, &path, id, bytes).await?;
            if is_ours {
                self.chunks.push(Chunk { at, bytes });
                return Ok(());
            }
            self.look(store, DOING).await?;
        }
        Err(PortError::Unavailable {
            doing: format!("{DOING} in {}", store.shown()),
            source: "others were always first".into(),
        })
    }

    /// Reads from what is known, and looks for more if that is not enough.
    pub(super) async fn find(
        &mut self,
        store: &Store,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Vec<Part>, PortError> {
        if offset.saturating_add(bytes_max as u64) > self.end() {
            self.look(store, "reading a log").await?;
        }
        let first = self.chunks.partition_point(|chunk| chunk.at + chunk.bytes <= offset);
        let (mut parts, mut room) = (Vec::new(), bytes_max as u64);
        for chunk in self.chunks[first..].iter().take_while(|_| bytes_max > 0) {
            let skip = offset.saturating_sub(chunk.at);
            let take = room.min(chunk.bytes - skip);
            let start = ID_BYTES + skip;
            let range = start..start + take;
            parts.push(Part { path: self.path(chunk.at), range });
            room -= take;
            if room == 0 {
                break;
            }
        }
        Ok(parts)
    }

    /// All of it.
    pub(super) async fn all(mut self, store: &Store) -> Result<Bytes, PortError> {
        let parts = self.find(store, 0, usize::MAX).await?;
        Ok(read(store, parts).await?.unwrap_or_default())
    }

    /// Puts a chunk where the log is known to end; at its beginning, in place of what there is.
    pub(super) async fn put(&self, store: &Store, at: u64, chunk: &Bytes) -> Result<(), PortError> {
        const DOING: &str = "writing a log";
        if at == 0 {
            let found = store.list(DOING, &self.under, None).await?;
            let paths: Vec<_> = found.into_iter().map(|meta| meta.location).collect();
            store.remove(DOING, &paths).await?;
        }
        store.replace(DOING, &self.path(at), &framed(rand::random::<Id>(), chunk)).await
    }

    /// Looks for chunks behind those that are known. The log ends where one is missing.
    async fn look(&mut self, store: &Store, doing: &str) -> Result<(), PortError> {
        let last = self.chunks.last().map(|chunk| self.path(chunk.at));
        for meta in store.list(doing, &self.under, last.as_ref()).await? {
            let at = meta.location.filename().and_then(|name| name.parse::<u64>().ok());
            if at == Some(self.end()) && meta.size > ID_BYTES {
                self.chunks.push(Chunk { at: self.end(), bytes: meta.size - ID_BYTES });
            }
        }
        Ok(())
    }

    /// Whether a chunk that is there is the one that we put, whose answer was lost.
    async fn is_ours(
        &self,
        store: &Store,
        path: &Path,
        id: Id,
        bytes: u64,
    ) -> Result<bool, PortError> {
        let head = store.get("appending to a log", path, Some(0..ID_BYTES), ID_BYTES).await?;
        Ok(head.is_some_and(|head| head.bytes == id[..] && head.whole_bytes == ID_BYTES + bytes))
    }

    fn path(&self, at: u64) -> Path {
        self.under.clone().join(format!("{at:0DIGITS$}"))
    }

    fn too_long(&self, bytes: u64, log_bytes_max: u64, store: &Store) -> PortError {
        PortError::Refused {
            doing: format!(
                "appending {bytes} bytes to a log (`{}`) in {}",
                self.under,
                store.shown()
            ),
            why: format!(
                "it has {} bytes and its limit `log_bytes_max` is {log_bytes_max}; write less, or \
                 raise the limit",
                self.end()
            ),
        }
    }
}

/// A chunk as it is stored.
fn framed(id: Id, chunk: &Bytes) -> Bytes {
    let mut object = BytesMut::with_capacity(chunk.len() + id.len());
    object.put_slice(&id);
    object.put_slice(chunk);
    object.freeze()
}

/// What is to be read of one chunk.
pub(super) struct Part {
    path: Path,
    range: std::ops::Range<u64>,
}

/// The bytes of all parts; `None` if one of them is gone.
pub(super) async fn read(store: &Store, parts: Vec<Part>) -> Result<Option<Bytes>, PortError> {
    let reads = parts.into_iter().map(|Part { path, range }| async move {
        let bytes = range.end - range.start;
        store.get("reading a log", &path, Some(range), bytes).await
    });
    let read = futures::stream::iter(reads).buffered(READS_MAX).try_collect::<Vec<_>>().await?;
    let Some(objects) = read.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    if let [one] = &objects[..] {
        return Ok(Some(one.bytes.clone()));
    }
    Ok(Some(objects.iter().flat_map(|object| object.bytes.iter().copied()).collect()))
}
