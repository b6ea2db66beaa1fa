use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::frame::{self, HEADER_BYTES};
use crate::folder::{make_private, sync_folder};

/// One log's file, and where its chunks lie in it. What is known here is whole, so a reader who
/// goes by it never sees part of a chunk. Another process may have appended meanwhile: whoever
/// reads or appends first catches up with the file, and whoever appends holds a lock on it.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    chunks: Vec<Chunk>,
    /// Length of the log.
    bytes: u64,
    /// Where the next frame goes.
    file_end: u64,
}

#[derive(Debug, Clone, Copy)]
struct Chunk {
    /// Where it begins in the log.
    at: u64,
    /// Where it begins in the file.
    file_at: u64,
    bytes: u64,
}

impl Log {
    /// Reads which chunks are there; none if there is no file. What follows the last whole frame
    /// was never acknowledged and is written over by the next.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let mut log = Self { path, chunks: Vec::new(), bytes: 0, file_end: 0 };
        log.catch_up()?;
        Ok(log)
    }

    /// Notes what others appended; nothing is left of a log that was removed.
    pub(super) fn catch_up(&mut self) -> io::Result<()> {
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.forget();
                Ok(())
            }
            file => self.catch_up_with(&file?),
        }
    }

    fn catch_up_with(&mut self, file: &File) -> io::Result<()> {
        let len = file.metadata()?.len();
        if len < self.file_end {
            self.forget();
        }
        if len == self.file_end {
            return Ok(());
        }
        let mut stored = vec![0; usize::try_from(len - self.file_end).unwrap_or(usize::MAX)];
        // The end may be cut off meanwhile: it was no whole frame.
        let mut read = 0;
        while read < stored.len() {
            match file.read_at(&mut stored[read..], self.file_end + read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        let mut rest = &stored[..read];
        while let Some(chunk) = frame::decode(rest) {
            let frame = HEADER_BYTES as usize + chunk.len();
            self.note(chunk.len() as u64);
            rest = &rest[frame..];
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.chunks.clear();
        (self.bytes, self.file_end) = (0, 0);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns once the chunk is on the disk.
    pub(super) fn append(&mut self, chunk: &[u8]) -> io::Result<()> {
        let frame = frame::encode(chunk).ok_or(io::ErrorKind::FileTooLarge)?;
        let file = self.file()?;
        // Until it is closed.
        file.lock()?;
        self.catch_up_with(&file)?;
        let written = file.write_all_at(&frame, self.file_end).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // So that a frame that nobody was promised does not appear after a restart. If this
            // fails too, the next frame goes to the same place.
            drop(file.set_len(self.file_end));
            return Err(error);
        }
        self.note(chunk.len() as u64);
        Ok(())
    }

    pub(super) fn read(&self, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let first = self.chunks.partition_point(|chunk| chunk.at + chunk.bytes <= offset);
        let mut read = Vec::new();
        if bytes_max == 0 || first == self.chunks.len() {
            return Ok(read);
        }
        let file = File::open(&self.path)?;
        for chunk in &self.chunks[first..] {
            let skip = offset.saturating_sub(chunk.at);
            let room = (bytes_max - read.len()) as u64;
            let take = usize::try_from(room.min(chunk.bytes - skip)).unwrap_or(usize::MAX);
            let begin = read.len();
            read.resize(begin + take, 0);
            file.read_exact_at(&mut read[begin..], chunk.file_at + skip)?;
            if read.len() == bytes_max {
                break;
            }
        }
        Ok(read)
    }

    fn note(&mut self, bytes: u64) {
        self.chunks.push(Chunk { at: self.bytes, file_at: self.file_end + HEADER_BYTES, bytes });
        self.bytes += bytes;
        self.file_end += HEADER_BYTES + bytes;
    }

    /// The file, created with its folder if this is the first chunk.
    fn file(&self) -> io::Result<File> {
        let open = |create| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(create)
                .truncate(false)
                .mode(0o600)
                .open(&self.path)
        };
        match open(false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let folder = self.path.parent().unwrap_or(&self.path);
        make_private(folder)?;
        let file = open(true)?;
        sync_folder(folder)?;
        if let Some(above) = folder.parent() {
            sync_folder(above)?;
        }
        Ok(file)
    }
}
