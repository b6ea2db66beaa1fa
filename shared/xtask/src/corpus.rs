//! `cargo xtask corpus`: runs the case runners of the crates that own the behaviour.
//!
//! Each runner is an example of its crate behind the feature `corpus`, so that neither this program
//! nor a runner waits for the build of what it does not test.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::Subcommand;

use crate::workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    kind: Kind,
}

/// What the cases are about.
#[derive(Debug, Subcommand)]
enum Kind {
    /// Expressions, one case a line of a `.jsonl` file.
    Expressions {
        /// The file of cases.
        file: PathBuf,
    },
    /// Pipelines with what a real Orca answered, one case a line; played through the API.
    Oracle {
        /// The file of cases; the pipelines that they start lie in `oracle-children.json` beside it.
        file: PathBuf,
        /// Compares every key of the stages' contexts, too.
        #[arg(long)]
        full: bool,
        /// The server to ask, e.g. `http://127.0.0.1:8084`, instead of one that is started for this.
        #[arg(long, value_name = "URL")]
        server: Option<String>,
        /// Plays only the cases whose id begins so.
        #[arg(long, value_name = "ID")]
        only: Option<String>,
    },
    /// Pipeline documents and start bodies: every `*.json` of a folder that is one.
    Pipelines {
        /// The folder of documents.
        folder: PathBuf,
    },
    /// Manifests and `verdicts.tsv`: when is an object stable?
    Stability {
        /// The folder of manifests.
        folder: PathBuf,
    },
}

impl Kind {
    /// The crate that owns the runner, the runner's name, and what it is to read.
    fn runner(&self) -> (&'static str, &'static str, &PathBuf) {
        match self {
            Self::Expressions { file } => ("scheduler-expression", "corpus_expressions", file),
            Self::Oracle { file, .. } => ("loadtest", "corpus_oracle", file),
            Self::Pipelines { folder } => ("scheduler", "corpus_pipelines", folder),
            Self::Stability { folder } => ("deploy-kubernetes", "corpus_stability", folder),
        }
    }

    /// What else the runner is told.
    fn options(&self) -> Vec<String> {
        match self {
            Self::Oracle { file: _, full, server, only } => {
                let full = full.then(|| "--full".to_owned());
                let named = [("--server", server), ("--only", only)];
                let named = named.into_iter().filter_map(|(name, value)| {
                    value.as_ref().map(|value| format!("{name}={value}"))
                });
                full.into_iter().chain(named).collect()
            }
            Self::Expressions { .. } | Self::Pipelines { .. } | Self::Stability { .. } => Vec::new(),
        }
    }
}

/// Runs the cases; the exit code is that of the runner: 1 if a case failed, 2 if none could be read.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (package, example, path) = arguments.kind.runner();
    // The runner is started in the checkout, so a path relative to here must be made whole.
    let path = path.canonicalize().with_context(|| format!("failed to find {}", path.display()))?;
    let status = workspace::cargo()
        .args(["run", "--quiet", "--package", package, "--features", "corpus"])
        .args(["--example", example, "--"])
        .arg(path)
        .args(arguments.kind.options())
        .stdin(Stdio::null())
        .status()
        .context("failed to start `cargo run`")?;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(2))),
        (None, signal) => bail!("the runner of {package} was ended by signal {signal:?}"),
    }
}
