//! What can go wrong between us and a server.

use std::time::Duration;

use shared_model::Problem;

/// A call that did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the caller gave cannot be sent.
    #[error("{what} cannot be used: {why}")]
    Setting {
        /// Which of the caller's values.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// No connection.
    #[error("no server answers at {server}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What the system says.
        #[source]
        source: reqwest::Error,
    },
    /// No answer within the limit.
    #[error("{server} did not answer {call} within {limit:?}")]
    TooSlow {
        /// Its address.
        server: String,
        /// Method and path.
        call: String,
        /// How long we waited.
        limit: Duration,
    },
    /// The connection ended before the answer did.
    #[error("the answer of {server} to {call} broke off")]
    Broken {
        /// Its address.
        server: String,
        /// Method and path.
        call: String,
        /// What the connection says; nothing if the server closed it.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// An answer that no Capstan gives.
    #[error("{server} does not answer {call} as Capstan does: {why}")]
    Foreign {
        /// Its address.
        server: String,
        /// Method and path.
        call: String,
        /// What is unlike it.
        why: String,
    },
    /// An answer that is too large to be held.
    #[error("the answer of {server} to {call} is larger than {limit} bytes (body_bytes_max)")]
    TooLarge {
        /// Its address.
        server: String,
        /// Method and path.
        call: String,
        /// The limit.
        limit: usize,
    },
    /// The server understood, and says no.
    #[error("{0}")]
    Refused(Box<Refusal>),
}

/// An error answer of the server, in Spring's shape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable code, e.g. `not-found`; empty if a real Gate answered.
    pub code: String,
    /// For people.
    pub message: String,
    /// What was asked for.
    pub path: String,
    /// Everything that is wrong with a document, if that is why.
    pub problems: Vec<Problem>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.status, self.message.as_str()) {
            (404, message) if !message.is_empty() => f.write_str(message),
            (status, "") => write!(f, "the server refuses ({status}), and does not say why"),
            (status, message) => write!(f, "the server refuses ({status}): {message}"),
        }
    }
}

impl Error {
    /// Whether the server says that what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 404)
    }

    /// Whether the same call may well succeed a moment later: the server is away, stopping or busy.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TooSlow { .. } | Self::Broken { .. } => true,
            Self::Refused(refusal) => matches!(refusal.status, 429 | 502 | 503 | 504),
            Self::Setting { .. } | Self::Foreign { .. } | Self::TooLarge { .. } => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Setting { .. } => String::new(),
            Self::Unreachable { server, .. } => format!(
                "start one with `capstan dev`, or name yours with --server URL or CAPSTAN_SERVER \
                 (now {server})"
            ),
            Self::TooSlow { .. } => "look at what it did before you send it again".to_owned(),
            Self::Broken { .. } => {
                "look at the server's log, and at what it did before you send it again".to_owned()
            }
            Self::Foreign { server, .. } => format!(
                "is {server} the address of Capstan? Name it with --server URL or CAPSTAN_SERVER"
            ),
            Self::TooLarge { .. } => "ask for less, e.g. with --limit".to_owned(),
            Self::Refused(refusal) => refusal.hint(),
        }
    }
}

impl Refusal {
    fn hint(&self) -> String {
        let hint = match self.status {
            401 => "give a token with --token or CAPSTAN_TOKEN",
            403 => "this token or user may not do it; ask whoever runs the server",
            404 if self.code == "no-route" => {
                "the server is older than this client, or --server has a path too many"
            }
            404 => "`list` shows what there is",
            409 => "look at it again, then decide",
            429 | 503 | 504 => "wait a moment, then try again",
            507 => "make room on the server's disk; nothing that it acknowledged is lost",
            _ => "",
        };
        hint.to_owned()
    }
}
