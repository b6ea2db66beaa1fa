use std::sync::Arc;

use super::{Failure, Place};

/// Understands an error of a server by its code
/// (postgresql.org/docs/current/errcodes-appendix.html).
pub(super) fn failure(error: sqlx::Error, place: &Place) -> Failure {
    let Some(code) = error.as_database_error().and_then(|error| error.code()) else {
        // A setting that no other try changes; else a lost connection, or a limit on waiting.
        if let sqlx::Error::Configuration(why) = error {
            return Failure::Other(why.to_string());
        }
        return Failure::ForNow(Arc::new(error));
    };
    let code = code.into_owned();
    let text = format!("{error} (PostgreSQL's code {code})");
    match code.as_str() {
        "53100" => Failure::Full(place.clone()),
        // Two made the same thing; or wait for each other; or one saw what the other changed.
        "23505" | "40001" | "40P01" => Failure::Race(Arc::new(error)),
        // A server that was the first and is now the second says so; the next connection may find
        // the new first one.
        "25006" | "55P03" | "57014" => Failure::ForNow(Arc::new(error)),
        "XX001" | "XX002" => Failure::Damaged(text),
        // It let us in once: somebody is changing something, and the work waits until that is done.
        "42501" => Failure::ForNow(Arc::new(error)),
        other => match &other[..other.len().min(2)] {
            "08" | "28" | "3D" | "53" | "57" | "58" | "XX" => Failure::ForNow(Arc::new(error)),
            "22" | "23" | "42" | "54" => Failure::Content(text),
            _ => Failure::Other(text),
        },
    }
}
