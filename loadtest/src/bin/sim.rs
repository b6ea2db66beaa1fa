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
use loadtest::sim::{self, Fault, Mutation, Setting, Verdict};
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
    /// How many seeds at once; as many as there are cores unless it is said.
    #[arg(long)]
    threads: Option<std::num::NonZero<usize>>,
    /// What is switched off, to see that it is noticed.
    #[arg(long, value_parser = mutation)]
    without: Option<Mutation>,
    /// Accidents that do not happen; may be repeated.
    #[arg(long, value_parser = fault)]
    no_fault: Vec<Fault>,
    /// Pipelines of a seed at most.
    #[arg(long)]
    plans: Option<usize>,
    /// Stages of a pipeline at most.
    #[arg(long)]
    stages: Option<usize>,
    /// How many seconds accidents happen at most.
    #[arg(long)]
    storm: Option<u64>,
    /// Makes the world of each seed that fails as small as it still fails, and says how to repeat it.
    #[arg(long)]
    shrink: bool,
    /// Prints every story, not only those that go wrong.
    #[arg(long)]
    stories: bool,
    /// What is logged to stderr: a level, or a filter such as `worker=debug`.
    #[arg(long)]
    log: Option<String>,
}

impl Arguments {
    fn setting(&self) -> Setting {
        Setting {
            mutation: self.without.unwrap_or_default(),
            without: self.no_fault.iter().copied().collect(),
            plans_max: self.plans,
            stages_max: self.stages,
            storm_max: self.storm.map(Duration::from_secs),
        }
    }
}

fn mutation(name: &str) -> Result<Mutation, String> {
    named(&Mutation::NAMED, name)
}

fn fault(name: &str) -> Result<Fault, String> {
    named(&Fault::NAMED, name)
}

fn named<T: Copy>(all: &[(&str, T)], name: &str) -> Result<T, String> {
    let found = all.iter().find(|(known, _)| *known == name);
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    found.map(|(_, found)| *found).ok_or_else(|| format!("one of {}", names.join(", ")))
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
    let cores = || std::thread::available_parallelism().ok();
    let threads = arguments.threads.or_else(cores).map_or(1, std::num::NonZero::get);
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
    let setting = arguments.setting();
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
        match sim::run(seed, &setting) {
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
    if arguments.shrink
        && let Ok(Some(shrunk)) = sim::shrink(verdict.seed, &arguments.setting())
    {
        println!("  the smallest: {:?}", shrunk.verdict.violations);
        println!("  repeat it with: sim {}", shrunk.setting.arguments(verdict.seed));
    }
    if let Some(Err(error)) = arguments.keep.as_ref().map(|path| keep(path, verdict.seed)) {
        eprintln!("error: seed {} was not kept: {error}", verdict.seed);
    }
}

fn keep(path: &Path, seed: u64) -> std::io::Result<()> {
    writeln!(OpenOptions::new().create(true).append(true).open(path)?, "{seed}")
}
