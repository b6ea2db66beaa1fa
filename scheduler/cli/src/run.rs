//! `capstan run`: one process from the document to the end of the execution.

use std::path::Path;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use scheduler::{Scheduler, Start, SubmitError};
use serde_json::Value;
use shared_model::{ExecutionId, Limits, Object};

use crate::args::{LimitArgs, Output, RunArgs};
use crate::document::{self, Document};
use crate::engine::Engine;
use crate::progress::Progress;
use crate::say::say;
use crate::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, resume, summary};

/// Executions of earlier runs that are named.
const EARLIER_SHOWN_MAX: usize = 5;

/// A free port for the judgment and cancel calls of this run.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Runs, or goes on with, executions, and waits for their end.
///
/// # Errors
/// What could not be started, and what to do.
pub(crate) fn run(arguments: RunArgs) -> Result<u8> {
    arguments.engine.start_logs(false)?;
    let document = match &arguments.file {
        None => {
            check_folder(&arguments.engine.data_dir)?;
            None
        }
        Some(file) => match document::read(file, &Limits::default())? {
            Ok(document) => Some(document),
            Err((name, problem)) => {
                document::show(&name, &[problem]);
                return Ok(EXIT_USAGE);
            }
        },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("no threads can be started")?.block_on(within(arguments, document))
}

/// Before it is made: a mistyped path must not look as if all were done.
fn check_folder(folder: &Path) -> Result<()> {
    let shown = folder.display();
    let hint = "name that of the run to go on with by --data-dir";
    anyhow::ensure!(folder.is_dir(), "there is no data folder `{shown}`; {hint}");
    Ok(())
}

async fn within(arguments: RunArgs, document: Option<Document>) -> Result<u8> {
    let engine = Engine::start(&arguments.engine, &LimitArgs::default(), ANYWHERE).await?;
    let done = follow_all(&engine, &arguments, document).await;
    let stopped = engine.stop().await;
    let code = done?;
    stopped?;
    Ok(code)
}

async fn follow_all(
    engine: &Engine,
    arguments: &RunArgs,
    document: Option<Document>,
) -> Result<u8> {
    let mut progress = Progress::new(engine);
    let earlier = engine.scheduler.unfinished().await?;
    let executions = match document {
        Some(document) => match submit(&engine.scheduler, arguments, document).await? {
            Some(id) => {
                say_earlier(&earlier, arguments);
                vec![id]
            }
            None => return Ok(EXIT_USAGE),
        },
        None => earlier,
    };
    if executions.is_empty() {
        say(&format!("nothing to resume in `{}`", arguments.engine.data_dir.display()));
        return Ok(0);
    }
    for id in &executions {
        progress.announce(id);
    }
    let finished = progress.follow(&executions).await;
    if !finished {
        return Ok(interrupted(engine, arguments));
    }
    conclude(engine, arguments, &executions).await
}

/// What an earlier run left is never idle while its data folder is open.
fn say_earlier(earlier: &[ExecutionId], arguments: &RunArgs) {
    if earlier.is_empty() {
        return;
    }
    let shown = earlier.iter().take(EARLIER_SHOWN_MAX).map(ToString::to_string);
    let shown = shown.collect::<Vec<_>>().join(", ");
    let (count, folder) = (earlier.len(), arguments.engine.data_dir.display());
    say(&format!(
        "note: {count} unfinished from earlier runs in `{folder}` go on while this one runs: {shown}"
    ));
    say(&format!("to see them to their end afterwards:\n  {}", resume::command(arguments)));
}

async fn submit(
    scheduler: &Scheduler,
    arguments: &RunArgs,
    document: Document,
) -> Result<Option<ExecutionId>> {
    let Document { value, source, name } = document;
    let parameters: Object = arguments
        .parameters
        .iter()
        .map(|(key, value)| (key.clone(), Value::String(value.clone())))
        .collect();
    let mut problems = scheduler.check(&value, source.as_deref());
    let undeclared = document::undeclared(&value, &parameters);
    problems.extend(undeclared.clone());
    let start = Start {
        document: value,
        parameters,
        user: arguments.user.clone(),
        source,
        ..Start::default()
    };
    match scheduler.submit(start).await {
        Ok(id) => {
            document::show(&name, &problems);
            Ok(Some(id))
        }
        Err(SubmitError::Refused { mut problems }) => {
            problems.extend(undeclared);
            document::show(&name, &problems);
            Ok(None)
        }
        Err(error) => Err(error).context("the pipeline was not started, start it again later"),
    }
}

fn interrupted(engine: &Engine, arguments: &RunArgs) -> u8 {
    if engine.supervisor.has_failed() {
        say("error: the engine stopped by itself; see the log above");
        return EXIT_FAILED;
    }
    say("interrupted; everything up to here is kept. To go on:");
    say(&format!("  {}", resume::command(arguments)));
    EXIT_INTERRUPTED
}

async fn conclude(engine: &Engine, arguments: &RunArgs, executions: &[ExecutionId]) -> Result<u8> {
    let mut code = 0;
    for id in executions {
        let execution = engine.scheduler.execution(id).await?;
        let execution = execution.with_context(|| format!("execution `{id}` is gone"))?;
        if !summary::show(engine, &execution).await {
            code = EXIT_FAILED;
        }
        if arguments.output == Output::Json && !is_printed(&execution) {
            code = EXIT_FAILED;
        }
    }
    Ok(code)
}

/// The run is over: that its result reaches nobody is said, and is no matter of bad usage.
fn is_printed(execution: &Value) -> bool {
    let printed = document::print_json(execution);
    if let Err(error) = &printed {
        let status = execution["status"].as_str().unwrap_or_default();
        say(&format!("error: {}: {error}; the execution ended {status}", document::NOT_WRITTEN));
    }
    printed.is_ok()
}
