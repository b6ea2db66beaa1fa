#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod amqp;
pub mod archive;
mod backoff;
mod blobs;
mod clock;
mod folder;
pub mod masked;
pub mod memory;
mod objects;
pub mod open;
mod redis;
mod room;
mod sql;
mod standing;

pub use self::amqp::{Amqp, AmqpBroker};
pub use self::redis::{Redis, RedisLeases};
pub use blobs::FolderBlobs;
pub use clock::SystemClock;
pub use objects::{ObjectBlobs, Objects};
pub use open::{
    Config, Distributed, Embedded, Guard, OpenError, Patience, Postgres, ServerError, TlsClient,
    TlsMode, Workplace, open, open_patiently, open_worker,
};
