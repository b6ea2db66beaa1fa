//! `sim`: lives through seeds of the simulated world, and names those that go wrong.

#![expect(clippy::print_stdout, reason = "it is what this tool prints")]
#![expect(
    clippy::disallowed_methods,
    reason = "seeds a minute are told by the machine's own clock"
)]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
    /// How long, instead of how many.
    #[arg(long, conflicts_with = "count")]
    minutes: Option<u64>,
    /// A file to which the seeds that fail are added, one a line.
    #[arg(long)]
    keep: Option<PathBuf>,
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
    let tally = Tally::default();
    let (next, began) = (AtomicU64::new(arguments.from), Instant::now());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| take_seeds(&arguments, began, &next, &tally));
        }
    });
    tally.tell(began.elapsed())
}

/// What the seeds came to.
#[derive(Default)]
struct Tally {
    seeds: AtomicU64,
    stages: AtomicU64,
    failed: AtomicU64,
}

impl Tally {
    fn tell(self, took: Duration) -> ExitCode {
        let [seeds, stages, failed] =
            [self.seeds, self.stages, self.failed].map(AtomicU64::into_inner);
        let a_minute = seeds as f64 * 60.0 / took.as_secs_f64();
        println!("{seeds} seeds, {failed} failed; {stages} stages; {a_minute:.0} seeds a minute");
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn take_seeds(arguments: &Arguments, began: Instant, next: &AtomicU64, tally: &Tally) {
    let limit = arguments.minutes.map(|minutes| Duration::from_secs(minutes * 60));
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let is_over = match limit {
            Some(limit) => began.elapsed() >= limit,
            None => seed >= arguments.from.saturating_add(arguments.count),
        };
        if is_over {
            return;
        }
        tally.seeds.fetch_add(1, Ordering::Relaxed);
        match sim::run(seed, arguments.without.unwrap_or_default()) {
            Ok(verdict) => tell(&verdict, arguments, tally),
            Err(error) => {
                tally.failed.fetch_add(1, Ordering::Relaxed);
                println!("seed {seed}: {error}");
            }
        }
    }
}

fn tell(verdict: &Verdict, arguments: &Arguments, tally: &Tally) {
    tally.stages.fetch_add(verdict.stages, Ordering::Relaxed);
    if arguments.stories {
        println!("seed {}: {}", verdict.seed, verdict.story);
    }
    if verdict.violations.is_empty() {
        return;
    }
    tally.failed.fetch_add(1, Ordering::Relaxed);
    println!("seed {}: {:?}", verdict.seed, verdict.violations);
    if let Some(Err(error)) = arguments.keep.as_ref().map(|path| keep(path, verdict.seed)) {
        eprintln!("error: seed {} was not kept: {error}", verdict.seed);
    }
}

fn keep(path: &Path, seed: u64) -> std::io::Result<()> {
    writeln!(OpenOptions::new().create(true).append(true).open(path)?, "{seed}")
}
