//! `capstan store`: everything of a store into a file and back, while it is in use.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use scheduler_engine::Execution;
use serde_json::json;
use shared_adapters::Config;
use shared_adapters::archive::{self, Summary};
use shared_model::{ExecutionId, Limits};

use crate::config::{self, Role, SourceArgs};
use crate::output::{Format, Rows};
use crate::role::opened;

/// Where the store of `capstan dev` and `capstan run` is unless they are told.
const DATA_DIR: &str = ".capstan";

pub(crate) const HELP: &str = "\
The store is the data folder of `--data-dir`, or PostgreSQL and the blobs of a scheduler's settings.

Exit codes: 0 done, 2 it could not be done; what is in the way, and what to do, is said.

Examples:
  capstan store backup monday.capstan --data-dir /var/lib/capstan
  capstan store check monday.capstan
  capstan store restore monday.capstan --config capstan.toml";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes everything into a file, as it is at one instant; the store may be in use.
    Backup {
        /// The file; one of that name is replaced once the new one is whole.
        file: PathBuf,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Writes what is in a file into an empty store, which nobody may have in use.
    Restore {
        /// What `backup` wrote.
        file: PathBuf,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Looks whether all of a file, or of a store without one, is sound.
    Check {
        /// What `backup` wrote.
        file: Option<PathBuf>,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

#[derive(Debug, Args)]
struct PlaceArgs {
    /// The data folder of `capstan dev` or `capstan run`.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "set"])]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    sources: SourceArgs,
    /// How the result is shown on stdout.
    #[arg(long, short = 'o', value_enum, default_value = "table")]
    output: Format,
}

/// Runs the command.
///
/// # Errors
/// What is in the way, and what to do.
pub(crate) fn run(arguments: &StoreArgs) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("no threads can be started")?.block_on(serve(&arguments.command))
}

async fn serve(command: &Command) -> Result<u8> {
    let (summary, place) = match command {
        Command::Backup { file, place } => (archive::backup(&place.store()?, file).await?, place),
        Command::Restore { file, place } => {
            (archive::restore(&place.store()?, file, &decode).await?, place)
        }
        Command::Check { file: Some(file), place } => {
            (archive::check_file(file, &decode).await?, place)
        }
        Command::Check { file: None, place } => {
            (archive::check_store(&place.store()?, &decode).await?, place)
        }
    };
    place.output.print(&json!(summary), || rows(summary))?;
    Ok(0)
}

impl PlaceArgs {
    /// The store that is meant.
    fn store(&self) -> Result<Config> {
        if let Some(folder) = &self.data_dir {
            return Ok(Config::embedded(folder));
        }
        let settings = config::read(Some(Role::Scheduler), &self.sources, Vec::new())?.settings;
        match settings.store {
            Some(_) => opened::of_store(&settings),
            None => Ok(Config::embedded(DATA_DIR)),
        }
    }
}

/// Whether this version understands an execution's state.
fn decode(id: &str, state: &[u8], stages: &[Vec<u8>]) -> Result<(), String> {
    let execution = Execution::decode(&ExecutionId::new(id), state, stages, &Limits::default());
    execution.map(drop).map_err(|error| error.to_string())
}

fn rows(summary: Summary) -> Rows {
    let Summary { executions, documents, rows, blobs, logs, bytes } = summary;
    let counts = [executions, documents, rows, blobs, logs, bytes];
    Rows {
        titles: &["EXECUTIONS", "DOCUMENTS", "ROWS", "BLOBS", "LOGS", "BYTES"],
        rows: vec![counts.map(|count| count.to_string()).to_vec()],
    }
}
