//! The programs that the tests start: a load balancer, the sample service, and services that fail.

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next().and_then(|first| first.into_string().ok()).as_deref() {
        Some("balancer") => deploy_local::balancer_main(args),
        Some("sample") => deploy_local::sample::main(),
        Some("crash") => {
            eprintln!("cannot reach the database");
            ExitCode::from(3)
        }
        Some("deaf") => {
            eprintln!("warming up for ever");
            std::thread::sleep(Duration::from_secs(60));
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}
