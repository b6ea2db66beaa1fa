//! Runs the cases of artifacts, but for those about manifests: `cargo xtask corpus artifacts FILE`.

use std::io::stdout;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use scheduler::control::corpus;
use shared_testkit::corpus::Tally;

/// The kinds of case that `deploy-kubernetes` runs.
const OF_MANIFESTS: [&str; 6] =
    ["bind", "find", "image-name", "key-equal", "next-version", "to-artifact"];

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode> {
    let file: PathBuf = std::env::args_os().nth(1).context("name the file of cases")?.into();
    Ok(judge(&file)?.print(&mut stdout().lock())?)
}

fn judge(file: &Path) -> Result<Tally> {
    let cases = corpus::artifacts(file, &OF_MANIFESTS);
    let cases = cases.with_context(|| format!("`{}` cannot be read", file.display()))?;
    let mut tally = Tally::default();
    for case in cases {
        match case.passed {
            true => tally.pass(),
            false => tally.fail(&case.id, &case.expected.to_string(), &case.got.to_string()),
        }
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_cases_agree() {
        let file = shared_testkit::env::corpus_dir().join("artifacts.jsonl");
        let tally = judge(&file).unwrap();
        assert!(tally.passed() > 0);
        assert!(tally.failures().is_empty(), "{:#?}", tally.failures());
    }
}
