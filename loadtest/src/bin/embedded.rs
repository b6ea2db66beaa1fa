//! `embedded`: measures one process on the embedded ports.

#![expect(clippy::print_stdout, reason = "it is what this tool prints")]

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use loadtest::embedded::{self, Figures, Load};
use loadtest::graphs::Shape;

/// Measures one process on the embedded ports, over pipelines of stages that do nothing.
#[derive(Parser)]
struct Arguments {
    /// Executions in all.
    #[arg(long, default_value_t = 2_000)]
    executions: usize,
    /// Executions that run at once.
    #[arg(long, default_value_t = 200)]
    at_once: usize,
    /// How the stages of each execution follow each other.
    #[arg(long, value_enum, default_value = "chain")]
    shape: Shape,
    /// Stages of each execution.
    #[arg(long, default_value_t = 10)]
    stages: usize,
    /// Attempts that the worker runs at once.
    #[arg(long, default_value_t = 64)]
    slots: u16,
    /// A new data folder; where it lies decides what a full sync costs.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let Arguments { executions, at_once, shape, stages, slots, data_dir } = arguments;
    let load = Load { executions, at_once, shape, stages, slots };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let figures = runtime.block_on(embedded::run(load, &data_dir))?;
    show(load, &figures);
    Ok(())
}

fn show(load: Load, figures: &Figures) {
    let stages = (load.executions * load.stages) as f64;
    println!("{:.0} stages per second", stages / figures.took.as_secs_f64());
    println!("execution: {}", quantiles(&figures.executions, 1));
    println!("from one stage to the next: {}", quantiles(&figures.executions, load.stages));
}

/// Quantiles of what was measured, each part of so many.
fn quantiles(sorted: &[Duration], parts: usize) -> String {
    let at = |share: f64| {
        let place = (sorted.len() as f64 * share) as usize;
        let found = sorted.get(place.min(sorted.len().saturating_sub(1)));
        found.copied().unwrap_or_default().div_f64(parts as f64)
    };
    format!("p50 {:?}, p99 {:?}, most {:?}", at(0.5), at(0.99), at(1.0))
}
