//! A guard, and a parent that runs one tool and can be killed: what `capstan` does, alone.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use shared_runtime::tool::{LineSink, ToolRun, Tools};
use tokio_util::sync::CancellationToken;

struct Silent;

#[async_trait]
impl LineSink for Silent {
    async fn line(&self, _: &str) {}
}

/// `guard`, or `parent RUNS KEY SCRIPT…`: runs `/bin/sh -c SCRIPT` under a guard.
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("guard") => std::process::exit(shared_runtime::guard::main()),
        Some("parent") => std::process::exit(parent(&args[1..])),
        _ => std::process::exit(64),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn parent(args: &[String]) -> i32 {
    let me = std::env::current_exe().unwrap_or_default();
    let tools = Tools {
        guard: (me, vec!["guard".into()]),
        runs: PathBuf::from(&args[0]),
        path: "/usr/bin:/bin".into(),
    };
    let run = ToolRun {
        effect_key: args[1].clone(),
        program: "sh".into(),
        args: vec!["-c".into(), args[2].clone()],
        env: Vec::new(),
        folder: "/".into(),
        stdout_is_log: false,
        timeout: Duration::from_secs(60),
    };
    match tools.run(&run, &Silent, &CancellationToken::new()).await {
        Ok(finished) => finished.ending.code.unwrap_or(99),
        Err(_) => 98,
    }
}
