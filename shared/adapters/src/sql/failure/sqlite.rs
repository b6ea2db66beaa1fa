use std::path::Path;
use std::sync::Arc;

use super::{Failure, Place};
use crate::folder::is_full;

// Primary result codes of SQLite (sqlite.org/rescode.html): the low byte of the extended ones.
const ERROR: i32 = 1;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;
const NOTADB: i32 = 26;

/// Understands an error of a database in `folder`.
pub(super) fn failure(error: sqlx::Error, folder: &Arc<Path>) -> Failure {
    let Some(code) = primary_code(&error) else {
        return Failure::ForNow(Arc::new(error));
    };
    let text = error.to_string();
    let full = || Failure::Full(Place::Folder(Arc::clone(folder)));
    match code {
        FULL => full(),
        // SQLite has no word of its own for no room in its shared memory file.
        IOERR | CANTOPEN if is_full(folder) => full(),
        IOERR | CANTOPEN | BUSY | LOCKED | NOMEM => Failure::ForNow(Arc::new(error)),
        READONLY => Failure::ReadOnly(text),
        CORRUPT | NOTADB => Failure::Damaged(text),
        TOOBIG | CONSTRAINT | MISMATCH | ERROR => Failure::Content(text),
        _ => Failure::Other(text),
    }
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
