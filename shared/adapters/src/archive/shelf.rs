//! Blobs and logs, all that are there, under the names that they have there.
//!
//! A folder and an object store name logs alike, so they go from one to the other by those names,
//! which cannot always be turned back into the name of an execution and a stage.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use shared_ports::{BlobRef, Blobs, PortError};

use crate::blobs::{FolderBlobs, LogFile, blocking, failed, name_of};
use crate::objects::{ObjectBlobs, Objects};

/// How much of a log is one piece.
pub(super) const PIECE_BYTES: usize = 1024 * 1024;
/// What a log's file in a folder ends with.
const LOG_END: &str = ".log";

/// A log by the names of its folder and its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogPlace {
    pub(super) execution: String,
    pub(super) stage: String,
}

/// Where blobs and logs are.
pub(super) enum Shelf {
    /// In a data folder, which another process may write to meanwhile.
    Folder(PathBuf),
    /// In an object store.
    Objects(Box<ObjectBlobs>),
}

impl Shelf {
    pub(super) async fn open(
        data_dir: &Path,
        objects: Option<&Objects>,
        (blob_bytes_max, log_bytes_max): (u64, u64),
    ) -> Result<Self, PortError> {
        let Some(settings) = objects else { return Ok(Self::Folder(data_dir.to_owned())) };
        let opened = ObjectBlobs::open(settings, blob_bytes_max, log_bytes_max).await?;
        Ok(Self::Objects(Box::new(opened)))
    }

    /// Names of all blobs.
    pub(super) async fn blobs(&self) -> Result<Vec<BlobRef>, PortError> {
        match self {
            Self::Folder(folder) => {
                let folder = folder.join("blobs");
                blocking("listing blobs", move || {
                    let found = two_deep(&folder);
                    let found = found.map_err(|error| failed(error, "listing blobs", &folder))?;
                    Ok(found.into_iter().filter_map(Found::blob).collect())
                })
                .await
            }
            Self::Objects(objects) => objects.all_blobs().await,
        }
    }

    /// A blob; `None` if it is gone, refused if it is damaged.
    pub(super) async fn blob(&self, name: &BlobRef) -> Result<Bytes, PortError> {
        match self {
            Self::Folder(folder) => {
                let file = folder.join("blobs").join(&name.sha256[..2]).join(&name.sha256);
                let name = name.clone();
                blocking("reading a blob", move || {
                    let bytes = fs::read(&file);
                    let bytes = bytes.map_err(|error| failed(error, "reading a blob", &file))?;
                    if name_of(&bytes) == name {
                        return Ok(Bytes::from(bytes));
                    }
                    Err(PortError::Refused {
                        doing: format!("reading blob {} (`{}`)", name.sha256, file.display()),
                        why: "the file is damaged, it no longer has that content".to_owned(),
                    })
                })
                .await
            }
            Self::Objects(objects) => objects.get(name, None).await,
        }
    }

    /// All logs.
    pub(super) async fn logs(&self) -> Result<Vec<LogPlace>, PortError> {
        match self {
            Self::Folder(folder) => {
                let folder = folder.join("logs");
                blocking("listing logs", move || {
                    let found = two_deep(&folder);
                    let found = found.map_err(|error| failed(error, "listing logs", &folder))?;
                    Ok(found.into_iter().filter_map(Found::log).collect())
                })
                .await
            }
            Self::Objects(objects) => {
                let all = objects.all_logs().await?;
                Ok(all
                    .into_iter()
                    .map(|(execution, stage)| LogPlace { execution, stage })
                    .collect())
            }
        }
    }

    /// All of a log.
    pub(super) async fn log(&self, log: &LogPlace) -> Result<Bytes, PortError> {
        match self {
            Self::Folder(folder) => {
                let file = log.file(folder);
                blocking("reading a log", move || {
                    let read = LogFile::open(file.clone()).and_then(|log| log.read(0, usize::MAX));
                    read.map(Bytes::from).map_err(|error| failed(error, "reading a log", &file))
                })
                .await
            }
            Self::Objects(objects) => objects.read_placed(&log.execution, &log.stage).await,
        }
    }
}

/// Where blobs and logs are put.
pub(super) enum Putting {
    /// A data folder, and the log that is being written.
    Folder(PathBuf, FolderBlobs, Option<(LogPlace, LogFile)>),
    Objects(Box<ObjectBlobs>),
}

impl Putting {
    pub(super) async fn blob(&self, bytes: Bytes) -> Result<BlobRef, PortError> {
        match self {
            Self::Folder(_, blobs, _) => blobs.put(bytes).await,
            Self::Objects(objects) => objects.put(bytes).await,
        }
    }

    /// Puts a piece of a log; the first one replaces what an attempt before may have left.
    pub(super) async fn log(
        &mut self,
        log: &LogPlace,
        offset: u64,
        bytes: Bytes,
    ) -> Result<(), PortError> {
        match self {
            Self::Folder(folder, _, open) => {
                let place = log.file(folder);
                let file = open.take().filter(|(of, _)| of == log).map(|(_, file)| file);
                let written = blocking("writing a log", move || {
                    let written = put_piece(file, &place, offset, &bytes);
                    written.map_err(|error| failed(error, "writing a log", &place))
                });
                *open = Some((log.clone(), written.await?));
                Ok(())
            }
            Self::Objects(objects) => {
                objects.append_placed(&log.execution, &log.stage, offset, &bytes).await
            }
        }
    }
}

fn put_piece(log: Option<LogFile>, place: &Path, offset: u64, bytes: &[u8]) -> io::Result<LogFile> {
    if offset == 0 {
        match fs::remove_file(place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    let mut log = match log {
        Some(log) if offset > 0 => log,
        Some(_) | None => LogFile::open(place.to_owned())?,
    };
    if log.bytes() != offset {
        return Err(io::Error::other(format!("it has {} bytes and not {offset}", log.bytes())));
    }
    log.append(bytes)?;
    Ok(log)
}

impl LogPlace {
    fn file(&self, folder: &Path) -> PathBuf {
        folder.join("logs").join(&self.execution).join(format!("{}{LOG_END}", self.stage))
    }
}

/// A file two folders down.
struct Found {
    above: String,
    name: String,
    bytes: u64,
}

impl Found {
    fn blob(self) -> Option<BlobRef> {
        let is_blob = self.name.len() == 64 && self.name.starts_with(&self.above);
        is_blob.then_some(BlobRef { sha256: self.name, bytes: self.bytes })
    }

    fn log(self) -> Option<LogPlace> {
        let stage = self.name.strip_suffix(LOG_END)?.to_owned();
        Some(LogPlace { execution: self.above, stage })
    }
}

/// The files of the folders of a folder; none if it is not there.
fn two_deep(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for above in entries(folder)? {
        if !above.is_dir() {
            continue;
        }
        for file in entries(&above)? {
            // What is gone meanwhile is not there.
            let Ok(about) = fs::metadata(&file) else { continue };
            let (above, name) = (name(&above), name(&file));
            found.push(Found { above, name, bytes: about.len() });
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
