//! `lists`: measures whether lists get slower with what was ever run.

#![expect(clippy::print_stdout, reason = "it is what this tool prints")]

use std::path::PathBuf;

use clap::Parser;
use loadtest::lists::{self, Plan};

/// Measures the lists of an application with few finished executions, and of one with many.
#[derive(Parser)]
struct Arguments {
    /// An empty PostgreSQL database; SQLite in the data folder without it.
    #[arg(long, value_name = "URL")]
    store_url: Option<String>,
    /// Finished executions of the one.
    #[arg(long, default_value_t = 100)]
    few: u32,
    /// Finished executions of the other.
    #[arg(long, default_value_t = 100_000)]
    many: u32,
    /// Times that each list is asked for.
    #[arg(long, default_value_t = 101)]
    rounds: usize,
    /// A new data folder.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Arguments { store_url, few, many, rounds, data_dir } = Arguments::parse();
    let plan = Plan { store: store_url, few, many, rounds };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{:#}", runtime.block_on(lists::run(&plan, &data_dir))?);
    Ok(())
}
