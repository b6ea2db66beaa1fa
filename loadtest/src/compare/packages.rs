//! What peers are made of: files of ours, and what package managers add to them, each in one version.

use std::path::PathBuf;

use anyhow::{Context, Result};
use shared_testkit::install::package::{Manager, Package};
use shared_testkit::install::{self, Cache};

use super::peer::Peer;

const BULLMQ: Package = Package {
    name: "bullmq",
    version: "6.7.0",
    manager: Manager::Npm,
    files: &[
        ("package.json", include_str!("../../peers/bullmq/package.json")),
        ("package-lock.json", include_str!("../../peers/bullmq/package-lock.json")),
        ("connection.mjs", include_str!("../../peers/bullmq/connection.mjs")),
        ("worker.mjs", include_str!("../../peers/bullmq/worker.mjs")),
        ("load.mjs", include_str!("../../peers/bullmq/load.mjs")),
        LEDGER,
        CONVERSATION,
    ],
};
const CELERY: Package = Package {
    name: "celery",
    version: "5.7.0",
    manager: Manager::Pip,
    files: &[
        ("requirements.txt", include_str!("../../peers/celery/requirements.txt")),
        ("tasks.py", include_str!("../../peers/celery/tasks.py")),
        ("load.py", include_str!("../../peers/celery/load.py")),
    ],
};
const RESTATE: Package = Package {
    name: "restate",
    version: "1.7.12",
    manager: Manager::Npm,
    files: &[
        ("package.json", include_str!("../../peers/restate/package.json")),
        ("package-lock.json", include_str!("../../peers/restate/package-lock.json")),
        ("service.mjs", include_str!("../../peers/restate/service.mjs")),
        ("load.mjs", include_str!("../../peers/restate/load.mjs")),
        LEDGER,
        CONVERSATION,
    ],
};
const TEMPORAL: Package = Package {
    name: "temporal-peer",
    version: "1.51.0",
    manager: Manager::Go,
    files: &[
        ("go.mod", include_str!("../../peers/temporal/go.mod")),
        ("go.sum", include_str!("../../peers/temporal/go.sum")),
        ("main.go", include_str!("../../peers/temporal/main.go")),
        ("load.go", include_str!("../../peers/temporal/load.go")),
        ("ledger.go", include_str!("../../peers/temporal/ledger.go")),
    ],
};
/// What all of those in JavaScript have.
const LEDGER: (&str, &str) = ("ledger.mjs", include_str!("../../peers/ledger.mjs"));
const CONVERSATION: (&str, &str) =
    ("conversation.mjs", include_str!("../../peers/conversation.mjs"));

fn package(peer: Peer) -> Option<&'static Package> {
    match peer {
        Peer::Bullmq => Some(&BULLMQ),
        Peer::Celery => Some(&CELERY),
        Peer::Restate | Peer::RestateCalls => Some(&RESTATE),
        Peer::Temporal => Some(&TEMPORAL),
        Peer::Floor => None,
    }
}

/// Gets what a peer is made of, once; `say` gets a line if that takes time.
///
/// # Errors
/// A package manager is missing, or fails.
pub(super) fn get(peer: Peer, say: &mut dyn FnMut(&str)) -> Result<()> {
    let Some(package) = package(peer) else { return Ok(()) };
    if peer == Peer::Temporal {
        install::temporal(say)?;
    }
    Cache::of_user()?.ensure_package(package, say).map(drop)
}

/// The folder of what is there.
///
/// # Errors
/// As [`get`].
pub(super) fn ready(peer: Peer) -> Result<PathBuf> {
    let package = package(peer).context("it is made of nothing")?;
    Cache::of_user()?.ensure_package(package, &mut |_| ())
}
