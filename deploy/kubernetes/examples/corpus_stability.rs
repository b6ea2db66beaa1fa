//! Runs a folder of stability cases: `cargo xtask corpus stability FOLDER`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, io};

use deploy_kubernetes::corpus;
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
    let folder: PathBuf = env::args_os().nth(1).ok_or("name the folder of stability cases")?.into();
    let cases = corpus::run(&folder)
        .map_err(|error| format!("failed to read the cases in {}: {error}", folder.display()))?;
    let mut tally = Tally::default();
    for case in cases {
        if case.passed {
            tally.pass();
        } else {
            tally.fail(&case.id, &case.expected, &case.got);
        }
    }
    Ok(tally.print(&mut io::stdout().lock())?)
}
