//! What an error of Redis means to the caller of a port, and what to do about it.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use shared_ports::PortError;

/// Redis came up too short a time ago.
#[derive(Debug, thiserror::Error)]
#[error(
    "Redis came up a short time ago, and what it held before may be lost; a missing lease says \
     nothing for another {left_milliseconds} ms"
)]
pub(super) struct CameUp {
    left_milliseconds: String,
}

impl CameUp {
    pub(super) fn with(left: &str) -> Self {
        Self { left_milliseconds: left.to_owned() }
    }
}

/// An answer that is not one of ours.
#[derive(Debug, thiserror::Error)]
#[error("Redis answered what none of our scripts answers; is it shared with somebody else?")]
pub(super) struct Nonsense;

/// A limit of ours ran out.
#[derive(Debug, thiserror::Error)]
#[error("Redis did not answer within {0:?}")]
pub(super) struct OutOfTime(pub(super) Duration);

/// Redis has no room.
#[derive(Debug, thiserror::Error)]
#[error(
    "Redis is full; raise its `maxmemory`, and use one that nobody else writes to: leases need \
     little"
)]
struct Full(#[source] RedisError);

/// What to do after an error.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Then {
    /// Somebody must do something.
    GiveUp,
    /// Try again, on this connection.
    Again,
    /// Try again on a new connection: this one is lost, or leads to one that is not the master.
    Reconnect,
}

pub(super) fn then(error: &RedisError) -> Then {
    use ServerErrorKind as Server;
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open: the library adds kinds")]
    match error.kind() {
        ErrorKind::Server(Server::ReadOnly | Server::MasterDown) => Then::Reconnect,
        ErrorKind::Server(Server::BusyLoading | Server::TryAgain | Server::NoScript) => Then::Again,
        ErrorKind::Server(_) | ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => {
            Then::GiveUp
        }
        ErrorKind::Extension if !is_master_away(error) => Then::GiveUp,
        _ => Then::Reconnect,
    }
}

fn is_master_away(error: &RedisError) -> bool {
    matches!(error.code(), Some("MASTERDOWN" | "LOADING" | "READONLY"))
}

/// The class of an error.
pub(super) fn class(doing: &str, error: RedisError) -> PortError {
    let code = error.code().unwrap_or_default().to_owned();
    let advice = match (error.kind(), code.as_str()) {
        (_, "OOM") => return unavailable(doing, Full(error)),
        (ErrorKind::AuthenticationFailed, _) | (_, "NOAUTH" | "WRONGPASS") => {
            "check user and password in `redis.url`"
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => {
            "give the user the rights to it (`ACL SETUSER`): it needs `+eval +evalsha +script|load \
             +info +get +set +hset +hget +hmget +hdel +zadd +zrem +zrangebyscore +pexpireat +time` on \
             its keys"
        }
        (ErrorKind::MasterNameNotFoundBySentinel, _) => {
            return unavailable(doing, error);
        }
        (ErrorKind::Server(ServerErrorKind::ResponseError), _) => {
            "is the prefix of its keys used by somebody else?"
        }
        _ => return unavailable(doing, error),
    };
    PortError::Refused { doing: doing.to_owned(), why: format!("{error}; {advice}") }
}

pub(super) fn unavailable(
    doing: impl Into<String>,
    source: impl std::error::Error + Send + Sync + 'static,
) -> PortError {
    PortError::Unavailable { doing: doing.into(), source: Box::new(source) }
}
