//! `sim`: lives through seeds of the simulated world, and names those that go wrong.

#![expect(clippy::print_stdout, reason = "it is what this tool prints")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use loadtest::sim::{self, Mutation, Verdict};
use shared_runtime::telemetry;

/// Lives through seeds of the simulated world.
#[derive(Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// What is switched off, to see that it is noticed.
    #[arg(long, value_parser = mutation)]
    without: Option<Mutation>,
    /// Prints every story, not only those that go wrong.
    #[arg(long)]
    stories: bool,
    /// What is logged to stderr: a level, or a filter such as `worker=debug`.
    #[arg(long)]
    log: Option<String>,
}

fn mutation(name: &str) -> Result<Mutation, String> {
    let names = Mutation::NAMED.map(|(name, _)| name).join(", ");
    let found = Mutation::NAMED.iter().find(|(known, _)| *known == name);
    found.map(|(_, mutation)| *mutation).ok_or(format!("one of {names}"))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(filter) = &arguments.log
        && let Err(error) = telemetry::start(filter, telemetry::Format::Text)
    {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    let failed = AtomicU64::new(0);
    let next = AtomicU64::new(arguments.from);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| take_seeds(&arguments, &next, &failed));
        }
    });
    let failed = failed.into_inner();
    println!("{} seeds, {failed} failed", arguments.count);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn take_seeds(arguments: &Arguments, next: &AtomicU64, failed: &AtomicU64) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= arguments.from.saturating_add(arguments.count) {
            return;
        }
        match sim::run(seed, arguments.without.unwrap_or_default()) {
            Ok(verdict) => tell(&verdict, arguments.stories, failed),
            Err(error) => {
                failed.fetch_add(1, Ordering::Relaxed);
                println!("seed {seed}: {error}");
            }
        }
    }
}

fn tell(verdict: &Verdict, stories: bool, failed: &AtomicU64) {
    if stories {
        println!("seed {}: {}", verdict.seed, verdict.story);
    }
    if !verdict.violations.is_empty() {
        failed.fetch_add(1, Ordering::Relaxed);
        println!("seed {}: {:?}", verdict.seed, verdict.violations);
    }
}
