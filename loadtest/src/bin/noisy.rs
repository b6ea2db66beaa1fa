//! `noisy`: measures whether one tenant's flood delays the others.

#![expect(clippy::print_stdout, reason = "it is what this tool prints")]

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use loadtest::noisy::{self, Load};

/// Measures how long the work of some tenants waits for a worker, alone and under the flood of another.
#[derive(Parser)]
struct Arguments {
    /// Pipelines of the tenant that floods.
    #[arg(long, default_value_t = 20_000)]
    flood: usize,
    /// The others.
    #[arg(long, default_value_t = 10)]
    tenants: usize,
    /// Pipelines that each of the others submits at once.
    #[arg(long, default_value_t = 32)]
    burst: usize,
    /// How often each of them does.
    #[arg(long, default_value_t = 5)]
    bursts: usize,
    /// Milliseconds between two bursts of one tenant.
    #[arg(long, default_value_t = 4_000)]
    pause_ms: u64,
    /// Milliseconds that the work of one pipeline takes.
    #[arg(long, default_value_t = 100)]
    work_ms: u64,
    /// Attempts that the worker runs at once.
    #[arg(long, default_value_t = 16)]
    slots: u16,
    /// A new data folder.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Arguments { flood, tenants, burst, bursts, pause_ms, work_ms, slots, data_dir } =
        Arguments::parse();
    let (pause, work) = (Duration::from_millis(pause_ms), Duration::from_millis(work_ms));
    let load = Load { flood, tenants, burst, bursts, pause, work, slots };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let figures = runtime.block_on(noisy::run(load, &data_dir))?;
    let (alone, flooded) = (p99(&figures.alone), p99(&figures.flooded));
    println!("alone:   p99 wait {alone:?}");
    println!("flooded: p99 wait {flooded:?}, {} of the flood left", figures.left);
    println!("ratio:   {:.2}", flooded.as_secs_f64() / alone.as_secs_f64().max(f64::EPSILON));
    Ok(())
}

fn p99(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() * 99 / 100).or(sorted.last()).copied().unwrap_or_default()
}
