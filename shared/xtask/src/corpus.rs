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
    /// Artifacts: matching, resolving, binding, versions; one case a line of a `.jsonl` file.
    Artifacts {
        /// The file of cases.
        file: PathBuf,
    },
    /// Expressions, one case a line of a `.jsonl` file.
    Expressions {
        /// The file of cases.
        file: PathBuf,
    },
    /// Templates of version 2: variables and stages, one fact a line of a `.jsonl` file.
    Mptv2 {
        /// The file of facts.
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
    /// What is to be read.
    fn path(&self) -> &PathBuf {
        match self {
            Self::Artifacts { file }
            | Self::Expressions { file }
            | Self::Mptv2 { file }
            | Self::Oracle { file, .. } => file,
            Self::Pipelines { folder } | Self::Stability { folder } => folder,
        }
    }

    /// The crates that own the runners, and the runners' names. Together they run every case.
    fn runners(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Artifacts { .. } => {
                &[("scheduler", "corpus_artifacts"), ("deploy-kubernetes", "corpus_artifacts")]
            }
            Self::Expressions { .. } => &[("scheduler-expression", "corpus_expressions")],
            Self::Mptv2 { .. } => &[("scheduler", "corpus_mptv2")],
            Self::Oracle { .. } => &[("loadtest", "corpus_oracle")],
            Self::Pipelines { .. } => &[("scheduler", "corpus_pipelines")],
            Self::Stability { .. } => &[("deploy-kubernetes", "corpus_stability")],
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
            Self::Artifacts { .. }
            | Self::Expressions { .. }
            | Self::Mptv2 { .. }
            | Self::Pipelines { .. }
            | Self::Stability { .. } => Vec::new(),
        }
    }
}

/// Runs the cases; the exit code is the runners' worst: 1 if a case failed, 2 if none could be read.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let path = arguments.kind.path();
    // The runner is started in the checkout, so a path relative to here must be made whole.
    let path = path.canonicalize().with_context(|| format!("failed to find {}", path.display()))?;
    let mut worst = 0;
    for (package, example) in arguments.kind.runners() {
        let status = workspace::cargo()
            .args(["run", "--quiet", "--package", package, "--features", "corpus"])
            .args(["--example", example, "--"])
            .arg(&path)
            .args(arguments.kind.options())
            .stdin(Stdio::null())
            .status()
            .context("failed to start `cargo run`")?;
        match (status.code(), status.signal()) {
            (Some(code), _) => worst = worst.max(u8::try_from(code).unwrap_or(2)),
            (None, signal) => bail!("the runner of {package} was ended by signal {signal:?}"),
        }
    }
    Ok(ExitCode::from(worst))
}
