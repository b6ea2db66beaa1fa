//! Runs a file of expression cases: `cargo xtask corpus expressions FILE`.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::{env, fs, io};

use scheduler_expression::corpus;
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
    let file = env::args_os().nth(1).ok_or("name the file of expression cases")?;
    let text = fs::read_to_string(&file)
        .map_err(|error| format!("failed to read {}: {error}", file.display()))?;
    let (mut tally, mut output) = (Tally::default(), io::stdout().lock());
    for case in corpus::run(&text) {
        if case.passed {
            tally.pass();
        } else if corpus::is_listed(&case.id) {
            writeln!(output, "{} differs on purpose; README.md says why", case.id)?;
        } else {
            tally.fail(&case.id, &case.expected, &case.got);
        }
    }
    Ok(tally.print(&mut output)?)
}
