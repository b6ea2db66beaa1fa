#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod blobs;
mod clock;
mod folder;
pub mod memory;
pub mod open;
mod sql;
mod standing;

pub use blobs::FolderBlobs;
pub use clock::SystemClock;
pub use open::{
    Config, Distributed, Embedded, Guard, OpenError, Postgres, ServerError, TlsClient, TlsMode,
    open,
};
