//! What can be chosen.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::amqp::Amqp;
use crate::masked;
use crate::redis::Redis;

/// What is behind the ports.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Config {
    /// One process, one folder.
    Embedded(Embedded),
    /// A store on a server, which several processes may share.
    Distributed(Distributed),
}

/// One process, one folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedded {
    /// The data folder: created if it is not there, held by one process at a time.
    pub data_dir: PathBuf,
    /// Where blobs and logs lie if not in the data folder: a folder that several processes use at
    /// the same time.
    #[serde(default)]
    pub shared_dir: Option<PathBuf>,
    /// Messages that may wait in one queue.
    #[serde(default = "queue_len_max")]
    pub queue_len_max: usize,
    /// Length of one blob, in bytes.
    #[serde(default = "blob_bytes_max")]
    pub blob_bytes_max: u64,
    /// Length of one log, in bytes.
    #[serde(default = "log_bytes_max")]
    pub log_bytes_max: u64,
}

/// A store on a server, which several processes may share.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distributed {
    /// Journal and documents.
    pub store: Postgres,
    /// RabbitMQ; without it messages stay in this process, which is then the only one.
    #[serde(default)]
    pub amqp: Option<Box<Amqp>>,
    /// Redis; without it leases stay in this process, which is then the only one.
    #[serde(default)]
    pub redis: Option<Box<Redis>>,
    /// Everything that has no server of its own: as in the embedded mode.
    pub local: Embedded,
}

/// What a worker needs: no store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workplace {
    /// RabbitMQ.
    pub amqp: Box<Amqp>,
    /// Redis.
    pub redis: Box<Redis>,
    /// Everything that has no server of its own.
    pub local: Embedded,
}

/// A database on a PostgreSQL server, version 13 or newer. A session is kept open to write, so a
/// pooler that lends sessions out for one transaction must not stand in between.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// `postgres://user:password@host:port/database`, with `?sslmode=…` and the like if need be. It
    /// holds the password, so it is shown to nobody.
    #[serde(serialize_with = "masked::secret")]
    pub url: SecretString,
    /// How the connection is protected. Without it: as the URL says with `sslmode`, else `verify-full`,
    /// but for a server on this machine.
    #[serde(default)]
    pub tls: Option<TlsMode>,
    /// A PEM file with the authorities that may sign the server's certificate; without it, those
    /// that browsers trust.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    /// What we prove to the server, if it asks.
    #[serde(default)]
    pub tls_client: Option<TlsClient>,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Not at all.
    Disable,
    /// Encrypted, whoever answers.
    Require,
    /// The server's certificate is signed by an authority that we trust.
    VerifyCa,
    /// And it is made out to the host that we asked for.
    VerifyFull,
}

/// A certificate of ours.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsClient {
    /// PEM file of the certificate, and those above it.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
}

impl Config {
    /// The embedded mode in a folder, with the default limits.
    pub fn embedded(data_dir: impl Into<PathBuf>) -> Self {
        Self::Embedded(Embedded::new(data_dir))
    }
}

impl Embedded {
    /// In a folder, with the default limits.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            shared_dir: None,
            queue_len_max: queue_len_max(),
            blob_bytes_max: blob_bytes_max(),
            log_bytes_max: log_bytes_max(),
        }
    }
}

impl Postgres {
    /// The database that a URL names.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: SecretString::from(url.into()), tls: None, tls_ca: None, tls_client: None }
    }
}

fn queue_len_max() -> usize {
    100_000
}

fn blob_bytes_max() -> u64 {
    256 * 1024 * 1024
}

fn log_bytes_max() -> u64 {
    256 * 1024 * 1024
}
