//! A guard, and a parent that runs one tool and can be killed: what `capstan` does, alone.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use async_trait::async_trait;
use shared_runtime::tool::{Finished, GuardCommand, LineSink, Stream};
use shared_runtime::{Opened, ToolError, ToolRun, Tools};
use tokio_util::sync::CancellationToken;

struct Silent;

#[async_trait]
impl LineSink for Silent {
    async fn line(&self, _: Stream, _: &str) {}
}

/// `guard`, or `parent RUNS KEY SCRIPT`: runs `/bin/sh -c SCRIPT` under a guard, prints whether the
/// result was found, and exits as the tool did.
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
