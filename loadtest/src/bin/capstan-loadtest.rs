//! `capstan-loadtest`: runs a workload on real servers and says what it took.

#![expect(clippy::print_stdout, reason = "it is what this tool prints")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use loadtest::compare::{self, Compare};
use loadtest::stand::Shape;
use loadtest::stand::beating::Beating;
use loadtest::stand::working::Working;
use loadtest::storm::{self, Storm};
use loadtest::table;
use loadtest::workload::{self, Cluster, Plan, Workload};

/// Measures Capstan on RabbitMQ, Redis and PostgreSQL of its own.
#[derive(Parser)]
#[command(name = "capstan-loadtest")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the workloads.
    List,
    /// Runs one.
    Run(Run),
    /// Accidents on everything that it runs on, while pipelines run; and whether nothing is lost, nothing
    /// doubled, nothing stuck.
    Storm(Box<Storm>),
    /// The same work on others, on this machine in the same minutes: how much they do, and what it costs.
    Compare(Compare),
    /// One side of a comparison.
    #[command(hide = true)]
    CompareSide(compare::Side),
    /// The least that any engine has to do.
    #[command(hide = true)]
    Floor(compare::Floor),
    /// The target of a storm.
    #[command(hide = true)]
    StormLedger(storm::Ledger),
    /// One worker of a storm.
    #[command(hide = true)]
    StormWorker(storm::roles::Worker),
    /// One scheduler of a storm, without one of its guards.
    #[command(hide = true)]
    StormScheduler(storm::roles::Unguarded),
    /// One worker of a workload.
    #[command(hide = true)]
    Worker(Working),
    /// Workers that only say that they live.
    #[command(hide = true)]
    Beats(Beating),
}

#[derive(clap::Args)]
struct Run {
    /// Which.
    workload: Workload,
    /// The program that ships, built in the profile `dist`.
    #[arg(long, default_value = "target/dist/capstan")]
    program: PathBuf,
    /// Schedulers.
    #[arg(long, default_value_t = 1)]
    schedulers: usize,
    /// Workers.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Attempts that each worker runs at once.
    #[arg(long, default_value_t = 64)]
    slots: u16,
    /// Executions that run at once, where it is not to be as many as the workload says.
    #[arg(long, conflicts_with = "per_second")]
    at_once: Option<usize>,
    /// Executions a second, however many run.
    #[arg(long)]
    per_second: Option<f64>,
    /// How many there are of what the workload is about, where it is not to be as many as it says:
    /// executions of `park10k`, `park100k`, `cancel` and of the flood of `noisy`, stages of `ebb`, workers of
    /// `hb10k`, attempts of `signal`.
    #[arg(long, value_parser = clap::value_parser!(u32).range(10..))]
    count: Option<u32>,
    /// How `deploy` reaches a cluster that `cargo xtask stack up` started.
    #[arg(long, value_name = "FILE", env = shared_testkit::env::KUBECONFIG)]
    kubeconfig: Option<PathBuf>,
    /// Where that cluster notes who writes what.
    #[arg(long, value_name = "FILE", env = shared_testkit::env::AUDIT_LOG)]
    audit_log: Option<PathBuf>,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 20)]
    duration_seconds: u64,
    /// Writes the figures here, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A new folder for everything.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::List => Workload::value_variants().iter().for_each(|workload| {
            let named = workload.to_possible_value();
            let named = named.as_ref().map(|value| (value.get_name(), value.get_help()));
            let (name, help) = named.unwrap_or_default();
            println!("{name:<12} {}", help.map(ToString::to_string).unwrap_or_default());
        }),
        Command::Run(run) => {
            let plan = plan(&run);
            let figures = workload::run(run.workload, &plan)?;
            if let Some(file) = &run.json {
                std::fs::write(file, format!("{figures:#}\n"))?;
            }
            print!("{}", table::of(&figures));
        }
        Command::Storm(storm) => return blow(&storm),
        Command::Compare(compare) => return beside(&compare),
        Command::CompareSide(side) => side.run()?,
        Command::Floor(floor) => on_one_thread(floor.run())?,
        Command::StormLedger(ledger) => ledger.run()?,
        Command::StormWorker(worker) => on_threads(worker.run())?,
        Command::StormScheduler(scheduler) => on_threads(Box::pin(scheduler.run()))?,
        Command::Worker(working) => on_threads(working.run())?,
        Command::Beats(beating) => on_threads(beating.run())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn blow(storm: &Storm) -> anyhow::Result<ExitCode> {
    let outcome = storm.run()?;
    if let Some(file) = &storm.json {
        std::fs::write(file, format!("{:#}\n", outcome.figures))?;
    }
    print!("{}", table::of(&outcome.figures));
    Ok(if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn beside(compare: &Compare) -> anyhow::Result<ExitCode> {
    let outcome = compare.run()?;
    if let Some(file) = &compare.json {
        std::fs::write(file, format!("{:#}\n", outcome.figures))?;
    }
    print!("{}\n{}", table::of(&outcome.about), outcome.table);
    outcome.failed.iter().for_each(|failed| eprintln!("error: {failed}"));
    Ok(if outcome.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn on_one_thread(role: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(role)
}

fn on_threads(role: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(role)
}

fn plan(run: &Run) -> Plan {
    let shape = Shape {
        program: run.program.clone(),
        folder: run.data_dir.clone(),
        schedulers: run.schedulers,
        workers: run.workers,
        slots: run.slots,
        work_ms: 0,
    };
    let duration = Duration::from_secs(run.duration_seconds);
    let count = run.count.map(|count| count as usize);
    let cluster = run.kubeconfig.clone().zip(run.audit_log.clone());
    let cluster = cluster.map(|(kubeconfig, audit_log)| Cluster { kubeconfig, audit_log });
    Plan { shape, at_once: run.at_once, per_second: run.per_second, count, cluster, duration }
}
