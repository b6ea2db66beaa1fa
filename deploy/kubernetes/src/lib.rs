#![doc = include_str!("../README.md")]

mod account;
mod apply;
mod bind;
#[cfg(feature = "corpus")]
pub mod corpus;
mod credentials;
mod explain;
mod labels;
mod manifest;
mod order;
mod own_pod;
mod ownership;
mod place;
mod progress;
mod refusal;
mod secrets;
mod service_account;
mod stability;
mod stage;
mod unsupported;
#[cfg(feature = "corpus")]
mod version;
mod wait;

pub use account::{Account, AccountError, Accounts};
pub use own_pod::{OwnPod, OwnPodError};
pub use secrets::ClusterSecrets;
pub use service_account::ServiceAccount;
pub use stability::status;
pub use stage::DeployManifest;
