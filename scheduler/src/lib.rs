#![doc = include_str!("../README.md")]

pub mod access;
pub mod account;
mod announced;
pub mod api;
pub mod control;
pub mod external;
pub mod fleet;
pub mod library;
pub mod registry;
pub mod start;
pub mod template;
pub mod view;
pub mod zones;

pub use account::Account;
pub use control::{
    Caller, Config, ControlError, Retention, Scheduler, Sharing, StartError, Update,
};
pub use fleet::FleetView;
pub use library::{Library, LibraryError};
pub use registry::Registry;
pub use start::{Start, SubmitError};
pub use zones::Zone;
