//! Why a request has no answer. URLs appear without user, password, query and fragment.

use std::net::IpAddr;
use std::time::Duration;

use super::address::Inside;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The text is no URL.
    #[error("the URL cannot be read: {why}; write it as `https://host[:port]/path`")]
    Url {
        /// What is wrong with it; never the text itself, which may hold a secret.
        why: String,
    },
    /// Another scheme.
    #[error("`{scheme}:` URLs are not asked; use `https:` or `http:`")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A user or a password in it.
    #[error(
        "the URL of `{url}` holds a user or a password, which would be shown wherever the URL is; put \
         them into a header `Authorization`"
    )]
    UserInfo {
        /// The URL without them.
        url: String,
    },
    /// A header that decides about the connection, or that cannot be sent.
    #[error("the header `{name}` {why}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It leads into a network that is not open.
    #[error(
        "`{url}` leads to {address}, which is {inside}: that is not asked unless an operator opens it \
         with `--allow-url {open}` (or CAPSTAN_ALLOW_URLS)"
    )]
    Refused {
        /// The URL.
        url: String,
        /// The address.
        address: IpAddr,
        /// What it lies inside of.
        inside: Inside,
        /// The narrowest entry that would open it.
        open: String,
    },
    /// The name of its host leads nowhere.
    #[error("the host of `{url}` was not found: {why}; see whether its name is right")]
    NotFound {
        /// The URL.
        url: String,
        /// What the resolver said.
        why: String,
    },
    /// Nothing could be sent.
    #[error("`{url}` cannot be reached: {why}; nothing was sent")]
    Unreachable {
        /// The URL.
        url: String,
        /// What was in the way.
        why: String,
    },
    /// It took too long.
    #[error("`{url}` did not answer in full within {limit:?} (request_timeout)")]
    TimedOut {
        /// The URL.
        url: String,
        /// The limit.
        limit: Duration,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("`{url}` broke off before its answer was complete: {why}")]
    Broken {
        /// The URL.
        url: String,
        /// What happened.
        why: String,
    },
    /// Its answer is too large.
    #[error("the answer of `{url}` has more than {limit} bytes ({setting})")]
    TooLarge {
        /// The URL.
        url: String,
        /// The limit, in bytes.
        limit: usize,
        /// What the limit is called.
        setting: &'static str,
    },
    /// The request is too large.
    #[error("the request has {bytes} bytes, the limit is {limit} ({setting})")]
    RequestTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
        /// What the limit is called.
        setting: &'static str,
    },
    /// It is sent on and on.
    #[error(
        "`{url}` redirects once more after {limit} redirects (redirects_max); see whether it turns in a circle"
    )]
    Redirects {
        /// Where it ended.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// It is sent from an encrypted connection to an open one.
    #[error(
        "`{url}` redirects to `{to}`, which is not encrypted; ask that URL itself if it is meant"
    )]
    Downgrade {
        /// Who redirects.
        url: String,
        /// Where to.
        to: String,
    },
    /// Where a redirect leads is not asked, or does not answer.
    #[error("`{from}` redirects on: {error}")]
    Redirected {
        /// Who redirects.
        from: String,
        /// What then happened.
        #[source]
        error: Box<HttpError>,
    },
    /// It was told to end.
    #[error("the request to `{url}` was cancelled")]
    Cancelled {
        /// The URL.
        url: String,
    },
    /// The client cannot be made.
    #[error("no HTTP client can be made: {why}")]
    Client {
        /// What is in the way.
        why: String,
    },
}

impl HttpError {
    /// The same for one that came about behind redirects.
    pub(super) fn behind(self, from: Option<&str>) -> Self {
        match from {
            Some(from) => Self::Redirected { from: from.to_owned(), error: Box::new(self) },
            None => self,
        }
    }

    /// Whether the request, or one that a redirect led to, may have been received: what it asks for
    /// may then have happened.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::TimedOut { .. }
            | Self::Broken { .. }
            | Self::TooLarge { .. }
            | Self::Redirects { .. }
            | Self::Downgrade { .. }
            | Self::Redirected { .. }
            | Self::Cancelled { .. } => true,
            Self::Url { .. }
            | Self::Scheme { .. }
            | Self::UserInfo { .. }
            | Self::Header { .. }
            | Self::Refused { .. }
            | Self::NotFound { .. }
            | Self::Unreachable { .. }
            | Self::RequestTooLarge { .. }
            | Self::Client { .. } => false,
        }
    }

    /// Whether the same request may be answered later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NotFound { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. } => true,
            Self::Redirected { error, .. } => error.may_pass(),
            Self::Url { .. }
            | Self::Scheme { .. }
            | Self::UserInfo { .. }
            | Self::Header { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::RequestTooLarge { .. }
            | Self::Redirects { .. }
            | Self::Downgrade { .. }
            | Self::Cancelled { .. }
            | Self::Client { .. } => false,
        }
    }
}
