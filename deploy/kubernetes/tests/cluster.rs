//! Deploys to the real API server through the stage type, task by task as a worker does, judged by
//! what the server has afterwards. Every test has a namespace of its own.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "cluster/credentials.rs"]
mod credentials;
#[path = "cluster/effects.rs"]
mod effects;
#[path = "cluster/kinds.rs"]
mod kinds;
#[path = "cluster/objects.rs"]
mod objects;
#[path = "cluster/own_pod.rs"]
mod own_pod;
#[path = "cluster/ownership.rs"]
mod ownership;
#[path = "cluster/refusals.rs"]
mod refusals;
#[path = "cluster/scene.rs"]
mod scene;
#[path = "cluster/secrets.rs"]
mod secrets;
#[path = "cluster/stalling.rs"]
mod stalling;
#[path = "cluster/waiting.rs"]
mod waiting;
