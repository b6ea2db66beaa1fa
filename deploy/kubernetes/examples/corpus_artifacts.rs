//! Runs the cases of artifacts that are about manifests: `cargo xtask corpus artifacts FILE`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, io};

use deploy_kubernetes::corpus::artifacts;
use shared_testkit::corpus::Tally;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let file: PathBuf = env::args_os().nth(1).ok_or("name the file of cases")?.into();
    let cases = artifacts::run(&file)
        .map_err(|error| format!("failed to read the cases in {}: {error}", file.display()))?;
    let mut tally = Tally::default();
    for case in cases {
        match case.passed {
            true => tally.pass(),
            false => tally.fail(&case.id, &case.expected, &case.got),
        }
    }
    Ok(tally.print(&mut io::stdout().lock())?)
}
