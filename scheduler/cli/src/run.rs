//! `capstan run`: one process from the document to the end of the execution.

use anyhow::{Context, Result};
use scheduler::{Scheduler, Start, SubmitError};
use serde_json::Value;
use shared_model::{ExecutionId, Limits, Object};

use crate::args::{Output, RunArgs};
use crate::document::{self, Document};
use crate::engine::Engine;
use crate::progress::Progress;
use crate::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, summary};

/// Runs, or goes on with, executions, and waits for their end.
///
/// # Errors
/// What could not be started, and what to do.
pub(crate) fn run(arguments: RunArgs) -> Result<u8> {
    shared_runtime::telemetry::start(
        &arguments.engine.log,
        shared_runtime::telemetry::Format::Text,
    )?;
    let document = match &arguments.file {
        None => None,
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

async fn within(arguments: RunArgs, document: Option<Document>) -> Result<u8> {
    let engine = Engine::start(&arguments.engine, 0).await?;
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
    let executions = match document {
        Some(document) => match submit(&engine.scheduler, arguments, document).await? {
            Some(id) => vec![id],
            None => return Ok(EXIT_USAGE),
        },
        None => engine.scheduler.unfinished().await?,
    };
    if executions.is_empty() {
        eprintln!("nothing to resume in `{}`", arguments.engine.data_dir.display());
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
    let problems = scheduler.check(&value, source.as_deref());
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
        Err(SubmitError::Refused { problems }) => {
            document::show(&name, &problems);
            Ok(None)
        }
        Err(error) => Err(error).context("the pipeline was not started, start it again later"),
    }
}

fn interrupted(engine: &Engine, arguments: &RunArgs) -> u8 {
    if engine.supervisor.has_failed() {
        eprintln!("error: the engine stopped by itself; see the log above");
        return EXIT_FAILED;
    }
    eprintln!("interrupted; everything up to here is kept. To go on:");
    eprintln!("  capstan run --resume --data-dir {}", arguments.engine.data_dir.display());
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
        if arguments.output == Output::Json {
            document::print_json(&execution)?;
        }
    }
    Ok(code)
}
