//! A guard, and a parent that runs one tool and can be killed: what `capstan` does, alone.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use async_trait::async_trait;
use shared_runtime::telemetry::{self, Format};
use shared_runtime::tool::{Finished, GuardCommand, LineSink, Stream};
use shared_runtime::{Kind, Opened, Supervisor, ToolError, ToolRun, Tools, shutdown};
use tokio_util::sync::CancellationToken;

struct Silent;

#[async_trait]
impl LineSink for Silent {
    async fn line(&self, _: Stream, _: &str) {}
}

/// `guard`, or `parent RUNS KEY SCRIPT`: runs `/bin/sh -c SCRIPT` under a guard, prints whether the
/// result was found, and exits as the tool did. `serve FORMAT LEVEL DRAIN`: logs, and runs until a
/// signal and then for DRAIN milliseconds.
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("guard") => shared_runtime::guard::main(std::env::args_os().skip(2)),
        Some("parent") => match parent(&args[1..]) {
            Ok(finished) => {
                eprintln!("{}", if finished.found { "found" } else { "ran" });
                ExitCode::from(u8::try_from(finished.code).unwrap_or(99))
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::from(98)
            }
        },
        Some("serve") => serve(&args[1..]),
        _ => ExitCode::from(64),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn parent(args: &[String]) -> Result<Finished, ToolError> {
    let guard = GuardCommand::this_program("guard").unwrap_or_else(|error| panic!("{error}"));
    let runs = PathBuf::from(&args[0]);
    let tools =
        Tools::new(guard, &runs, "/usr/bin:/bin".into()).unwrap_or_else(|error| panic!("{error}"));
    let cancel = CancellationToken::new();
    let run = ToolRun {
        program: "sh".into(),
        args: vec!["-c".into(), args[2].clone()],
        timeout: Duration::from_secs(60),
        ..ToolRun::default()
    };
    match tools.open(&args[1], &cancel).await? {
        Opened::Finished(finished) => Ok(finished),
        Opened::Fresh(fresh) => fresh.start(&run, &Silent, &cancel).await,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(args: &[String]) -> ExitCode {
    let format = if args[0] == "json" { Format::Json } else { Format::Text };
    if let Err(error) = telemetry::start(&args[1], format) {
        eprintln!("{error:#}");
        return ExitCode::from(2);
    }
    let drain = Duration::from_millis(args[2].parse().unwrap_or_default());
    let supervisor = Supervisor::new();
    shutdown::on_signals(&supervisor).unwrap_or_else(|error| panic!("{error}"));
    let stop = supervisor.stopping();
    supervisor.spawn(Kind::Runner, async move {
        tracing::debug!("not to be seen at level info");
        tracing::info!(answer = 42, "up");
        stop.cancelled().await;
        tokio::time::sleep(drain).await;
        tracing::info!("drained");
        Ok(())
    });
    supervisor.stopping().cancelled().await;
    let ended = supervisor.shut_down(Duration::from_secs(60)).await;
    ExitCode::from(u8::from(!ended))
}
