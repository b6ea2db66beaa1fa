//! The file of a backup: a tar in gzip, so that anybody's tools open it.
//!
//! ```text
//! capstan.json                          which format it is, and who made it when; the first entry
//! executions/000001.json                rows of some executions, by table
//! documents/document/000001.json        rows of documents
//! blobs/<sha256>                        a blob
//! logs/<execution>/<stage>/<where>      a piece of a log, named by the byte where it begins
//! end.json                              how many of each there are; the last entry
//! ```
//!
//! Each entry has a hash of its name and its content beside it (a PAX header), so that damage is
//! told by entry and an entry that is gone is missed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use super::error::ArchiveError;
use crate::folder::sync_folder;

const SHA256: &str = "CAPSTAN.sha256";
/// The first two bytes of whatever is in gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// An entry that says that it is longer is damaged: no blob may be, and rows are far from it.
const ENTRY_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Writes an archive beside its place; it gets its name when it is whole.
pub(super) struct Writing {
    place: PathBuf,
    part: PathBuf,
    tar: Option<Builder<GzEncoder<BufWriter<File>>>>,
}

impl Writing {
    pub(super) fn begin(place: &Path) -> Result<Self, ArchiveError> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let part = place.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let failed = |error| ArchiveError::of_io(error, place, "making it");
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let file = BufWriter::new(options.map_err(failed)?);
        let tar = Builder::new(GzEncoder::new(file, Compression::fast()));
        Ok(Self { place: place.to_owned(), part, tar: Some(tar) })
    }

    pub(super) fn add(&mut self, piece: &Piece) -> Result<(), ArchiveError> {
        let Some(tar) = &mut self.tar else { return Ok(()) };
        let sum = sum(piece);
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(piece.bytes.len() as u64);
        let added = tar
            .append_pax_extensions([(SHA256, sum.as_bytes())])
            .and_then(|()| append(tar, &mut header, piece));
        added.map_err(|error| ArchiveError::of_io(error, &self.place, "writing to it"))
    }

    /// Gives it its name once all of it is on the disk.
    pub(super) fn end(mut self) -> Result<(), ArchiveError> {
        let Some(tar) = self.tar.take() else { return Ok(()) };
        let ended = finish(tar).and_then(|()| {
            fs::rename(&self.part, &self.place)?;
            let folder = self.place.parent().filter(|folder| !folder.as_os_str().is_empty());
            sync_folder(folder.unwrap_or(Path::new(".")))
        });
        ended.map_err(|error| ArchiveError::of_io(error, &self.place, "finishing it"))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // Renamed, if it came that far.
        let _gone = fs::remove_file(&self.part);
    }
}

fn append(
    tar: &mut Builder<GzEncoder<BufWriter<File>>>,
    header: &mut Header,
    piece: &Piece,
) -> io::Result<()> {
    tar.append_data(header, &piece.name, &piece.bytes[..])
}

fn finish(tar: Builder<GzEncoder<BufWriter<File>>>) -> io::Result<()> {
    let mut file = tar.into_inner()?.finish()?;
    file.flush()?;
    file.get_ref().sync_all()
}

/// Reads an archive from its beginning: each entry once it was found to be whole.
pub(super) fn read(
    place: &Path,
    mut each: impl FnMut(Piece) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let failed = |error| ArchiveError::of_io(error, place, "reading it");
    let mut file = BufReader::new(File::open(place).map_err(failed)?);
    let mut first = [0; 2];
    let is_gzip = file.read_exact(&mut first).is_ok() && first == GZIP;
    if !is_gzip {
        return Err(ArchiveError::not_one(place));
    }
    let file = File::open(place).map_err(failed)?;
    let mut archive = Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut last = "its beginning".to_owned();
    let damaged = |last: &str, error: io::Error| {
        let why = format!("it cannot be read after {last}: {error}");
        ArchiveError::Damaged { file: place.to_owned(), why }
    };
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(|error| damaged(&last, error))?;
        let piece = piece(&mut entry).map_err(|error| damaged(&last, error))?;
        last = format!("entry `{}`", piece.piece.name);
        if piece.expected.as_deref() != Some(&*sum(&piece.piece)) {
            let why = format!("{last} is not what was written");
            return Err(ArchiveError::Damaged { file: place.to_owned(), why });
        }
        each(piece.piece)?;
    }
    Ok(())
}

struct Found {
    piece: Piece,
    expected: Option<String>,
}

fn piece(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Found> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let mut expected = None;
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            if extension.key() == Ok(SHA256) {
                expected = extension.value().ok().map(str::to_owned);
            }
        }
    }
    let size = entry.size();
    if size > ENTRY_BYTES_MAX {
        return Err(io::Error::other(format!("entry `{name}` says that it has {size} bytes")));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    if bytes.len() as u64 != size {
        return Err(io::Error::other(format!("entry `{name}` is cut off")));
    }
    Ok(Found { piece: Piece { name, bytes }, expected })
}

fn sum(piece: &Piece) -> String {
    let hash = Sha256::new().chain_update(&piece.name).chain_update([0]).chain_update(&piece.bytes);
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Vec<Piece> {
        let piece = |name: &str, bytes: &[u8]| Piece { name: name.to_owned(), bytes: bytes.into() };
        let long = format!("logs/{}/{}/0", "e".repeat(190), "s".repeat(190));
        vec![
            piece("capstan.json", b"{}"),
            piece("blobs/abc", &[7; 100_000]),
            piece("empty", b""),
            piece(&long, b"line\n"),
            piece("end.json", b"{}"),
        ]
    }

    fn written(folder: &Path) -> PathBuf {
        let place = folder.join("backup");
        let mut writing = Writing::begin(&place).unwrap();
        pieces().iter().for_each(|piece| writing.add(piece).unwrap());
        assert!(!place.exists(), "it has no name before it is whole");
        writing.end().unwrap();
        place
    }

    fn all(place: &Path) -> Result<Vec<Piece>, String> {
        let mut found = Vec::new();
        let read = read(place, |piece| {
            found.push(piece);
            Ok(())
        });
        read.map(|()| found).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(all(&written(folder.path())), Ok(pieces()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut writing = Writing::begin(&folder.path().join("backup")).unwrap();
        writing.add(&pieces()[0]).unwrap();
        drop(writing);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_bit_that_is_another_and_a_byte_that_is_missing_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let place = written(folder.path());
        let bytes = fs::read(&place).unwrap();
        for at in (10..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            fs::write(&place, &damaged).unwrap();
            let read = all(&place);
            assert!(read.is_err() || read == Ok(pieces()), "byte {at}: {read:?}");
        }
        for len in (0..bytes.len() - 8).step_by(11) {
            fs::write(&place, &bytes[..len]).unwrap();
            let read = all(&place);
            let is_whole = read
                .as_ref()
                .is_ok_and(|pieces| pieces.last().is_some_and(|last| last.name == "end.json"));
            assert!(!is_whole || read == Ok(pieces()), "{len} bytes: {read:?}");
        }
        fs::write(&place, "something else").unwrap();
        assert!(all(&place).unwrap_err().contains("is no backup"), "{:?}", all(&place));
    }
}
