//! Plans a pipeline, or runs it in the engine alone, so that its instructions can be counted:
//! `valgrind --tool=callgrind --callgrind-out-file=/dev/null …`.

#![expect(clippy::print_stdout, reason = "its result is a line")]

use anyhow::{Context, Result, ensure};
use clap::Parser;
use loadtest::graphs::Shape;
use loadtest::stepping;

/// Plans or runs a pipeline once.
#[derive(Debug, Parser)]
struct Args {
    /// How its stages follow each other.
    #[arg(value_enum)]
    shape: Shape,
    /// How many there are.
    stages: usize,
    /// As how much of it is done.
    #[arg(value_enum, default_value = "run")]
    until: Until,
}

/// How much is done: what one adds is the difference to the one before.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Until {
    /// The document is made.
    Document,
    /// It is planned, and an execution of it begins.
    Plan,
    /// The execution runs to its end.
    Run,
}

fn main() -> Result<()> {
    let Args { shape, stages, until } = Args::parse();
    let pipeline = shape.pipeline(stages, "work");
    let steps = match until {
        Until::Document => 0,
        Until::Plan => {
            let graph = stepping::plan(&pipeline).context("it cannot be planned")?;
            stepping::begin(&graph).1.commands.len()
        }
        Until::Run => {
            let graph = stepping::plan(&pipeline).context("it cannot be planned")?;
            let (execution, steps) = stepping::run(&graph);
            ensure!(execution.status().is_complete(), "it did not end: {:?}", execution.status());
            steps
        }
    };
    println!("{stages} stages, {steps} steps");
    Ok(())
}
