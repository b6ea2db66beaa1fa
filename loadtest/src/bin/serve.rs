//! `serve`: measures the real `capstan dev` from the outside, over HTTP.

#![expect(clippy::print_stdout, reason = "it is what this tool prints")]

use std::path::PathBuf;

use clap::Parser;
use loadtest::serve::{self, Plan};
use serde_json::Value;

/// Measures a `capstan dev`: starts, idle memory, executions, submissions, stages and lists.
#[derive(Parser)]
struct Arguments {
    /// The program.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// A new folder for data; where it lies decides what a full sync costs.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Starts, of new data folders and of one that was used.
    #[arg(long, default_value_t = 15)]
    starts: usize,
    /// Executions that are run one at a time.
    #[arg(long, default_value_t = 500)]
    executions: usize,
    /// Clients at once.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Submissions of each client.
    #[arg(long, default_value_t = 250)]
    submissions: usize,
    /// Executions of ten stages of each client.
    #[arg(long, default_value_t = 25)]
    chains: usize,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<()> {
    let asked = Arguments::parse();
    std::fs::create_dir(&asked.data_dir)?;
    let figures = serve::run(&Plan {
        program: asked.program,
        folder: asked.data_dir,
        starts: asked.starts,
        executions: asked.executions,
        clients: asked.clients,
        submissions: asked.submissions,
        chains: asked.chains,
    })?;
    if asked.json {
        println!("{figures:#}");
    } else {
        figures.as_object().into_iter().flatten().for_each(|(name, figure)| line(name, figure));
    }
    Ok(())
}

fn line(name: &str, figure: &Value) {
    let shown = match figure {
        Value::Object(parts) => {
            let parts = parts.iter().map(|(part, value)| format!("{part} {value}"));
            parts.collect::<Vec<_>>().join(", ")
        }
        Value::Number(number) => format!("{:.0}", number.as_f64().unwrap_or_default()),
        other @ (Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_)) => {
            other.to_string()
        }
    };
    println!("{name:<28} {shown}");
}
