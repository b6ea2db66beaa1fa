//! `capstan dev`: everything in one process, until it is told to stop.

use anyhow::{Context, Result};

use crate::EXIT_FAILED;
use crate::args::{DEFAULT_PORT, DevArgs};
use crate::engine::Engine;
use crate::sample;
use crate::say::{quoted, say};

/// Serves until a signal.
///
/// # Errors
/// What could not be started, and what to do.
pub(crate) fn run(arguments: &DevArgs) -> Result<u8> {
    arguments.engine.start_logs(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("no threads can be started")?.block_on(serve(arguments))
}

async fn serve(arguments: &DevArgs) -> Result<u8> {
    let address = (arguments.host, arguments.port).into();
    let engine = Engine::start(&arguments.engine, &arguments.limits, address).await?;
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
    match sample::save_once(&engine.scheduler).await {
        Ok(true) => say(&next_steps(engine, arguments)),
        Ok(false) => {}
        // Nobody needs it to go on with what is there.
        Err(error) => say(&format!("warning: the sample was not saved: {error:#}")),
    }
    Ok(())
}

/// What to type now.
fn next_steps(engine: &Engine, arguments: &DevArgs) -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = quoted(&program.to_string_lossy());
    let server = match arguments.port {
        DEFAULT_PORT => String::new(),
        _ => format!(" --server http://{}", engine.address),
    };
    let execute = format!("  {program} pipeline execute{server} -a storefront");
    format!(
        "there is a sample. In another shell, two versions, the second in place of the first:\n\
         {execute} release --watch\n\
         {execute} release -p version=2 --watch\n\
         then ask the load balancer who answers, and go back:\n  \
         curl http://127.0.0.1:8090/\n\
         {execute} 'roll back' --watch"
    )
}
