//! `capstan dev`: everything in one process, until it is told to stop.

use anyhow::{Context, Result};
use shared_runtime::telemetry::{self, Format};

use crate::EXIT_FAILED;
use crate::args::DevArgs;
use crate::engine::Engine;
use crate::sample;
use crate::say::say;

/// Serves until a signal.
///
/// # Errors
/// What could not be started, and what to do.
pub(crate) fn run(arguments: &DevArgs) -> Result<u8> {
    telemetry::start(&arguments.engine.log, Format::Text)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("no threads can be started")?.block_on(serve(arguments))
}

async fn serve(arguments: &DevArgs) -> Result<u8> {
    let engine = Engine::start(&arguments.engine, (arguments.host, arguments.port).into()).await?;
    greet(&engine, arguments).await?;
    engine.supervisor.stopping().cancelled().await;
    let has_failed = engine.supervisor.has_failed();
    say("stopping; what runs goes on at the next start");
    engine.stop().await?;
    if has_failed {
        say("error: it stopped by itself; see the log above");
        return Ok(EXIT_FAILED);
    }
    Ok(0)
}

/// Says where it is, and what it found.
async fn greet(engine: &Engine, arguments: &DevArgs) -> Result<()> {
    say(&format!("listening on http://{}", engine.address));
    say(&format!("state is kept in `{}`", arguments.engine.data_dir.display()));
    let left = engine.scheduler.unfinished().await?.len();
    if left > 0 {
        say(&format!("{left} executions of before go on"));
    }
    if sample::save_once(&engine.scheduler).await? {
        say("there is a sample to run. In another shell:");
        say(&format!(
            "  curl -X POST -H 'Content-Type: application/json' -d '{{}}' http://{}/pipelines/hello/hello",
            engine.address
        ));
        say(&format!("  curl 'http://{}/applications/hello/pipelines?limit=1'", engine.address));
    }
    Ok(())
}
