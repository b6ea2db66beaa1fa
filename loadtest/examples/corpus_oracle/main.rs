//! Plays the pipelines that a real Orca was given, and compares: `cargo xtask corpus oracle FILE [--full]`.
//!
//! Everything goes through the API: of a Capstan in this process, or of the one that `--server` names.

#![expect(clippy::print_stdout, reason = "it is what this tool prints")]

mod case;
mod compare;
mod differences;
mod play;
mod served;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::Value;
use shared_ports::Clock;

use self::case::{Case, Marks};
use self::compare::Depth;
use self::differences::Listed;
use self::play::Answer;
use self::served::Embedded;

/// Cases that run at once; most of them sleep most of the time.
const AT_ONCE: usize = 64;
/// Of a hundred cases, so many may differ for a reason of our own.
const LISTED_PERCENT_MAX: usize = 3;

/// Plays the cases of a file.
#[derive(Parser)]
struct Arguments {
    /// The cases, one a line.
    file: PathBuf,
    /// Compares every key of the stages' contexts, too.
    #[arg(long)]
    full: bool,
    /// A server to ask, as HOST:PORT or http://HOST:PORT, instead of one in this process. Its workers
    /// must be allowed to send webhooks to 127.0.0.1.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Plays only the cases whose id begins so.
    #[arg(long, value_name = "ID")]
    only: Option<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(asked: &Arguments) -> Result<ExitCode> {
    played(asked)?.print()
}

fn played(asked: &Arguments) -> Result<Report> {
    let stub = served::stub()?;
    let run = shared_adapters::SystemClock::default().new_id();
    let marks = Marks { run, stub: stub.url("").trim_end_matches('/').to_owned() };
    let mut cases = case::all(&asked.file, &marks)?;
    if let Some(only) = &asked.only {
        cases.retain(|case| case.id.starts_with(only));
    }
    ensure!(!cases.is_empty(), "there is no case to play in `{}`", asked.file.display());
    let children = children(&asked.file)?;
    let depth = if asked.full { Depth::Full } else { Depth::Core };
    let answers = match &asked.server {
        Some(server) => {
            let server = server.trim_start_matches("http://").trim_end_matches('/');
            play_all(server, &children, &cases)?
        }
        None => play_embedded(&children, &cases)?,
    };
    Report::of(&cases, &answers, depth)
}

/// The pipelines that cases start, which lie beside the cases; none if the file is not there.
fn children(file: &Path) -> Result<Vec<Value>> {
    let path = file.with_file_name("oracle-children.json");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path)?;
    serde_json::from_str(&text).with_context(|| format!("`{}` is no list", path.display()))
}

fn play_embedded(children: &[Value], cases: &[Case]) -> Result<Vec<Result<Answer>>> {
    let folder = tempfile::tempdir()?;
    let server = Embedded::start(&folder.path().join("data"))?;
    let answers = play_all(&server.address, children, cases);
    server.stop()?;
    answers
}

fn play_all(server: &str, children: &[Value], cases: &[Case]) -> Result<Vec<Result<Answer>>> {
    play::save(server, children)?;
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(cases.len()) {
            scope.spawn(|| {
                while let Some((at, case)) = next_of(cases, &next) {
                    let answer = play::play(server, case);
                    done.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .insert(at, answer);
                }
            });
        }
    });
    Ok(done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_values().collect())
}

fn next_of<'a>(cases: &'a [Case], next: &AtomicUsize) -> Option<(usize, &'a Case)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    cases.get(at).map(|case| (at, case))
}

/// How the cases of one category went.
#[derive(Default)]
struct Count {
    agree: usize,
    decided: usize,
    listed: usize,
    differ: usize,
}

/// How all went.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    /// The cases that differ without a reason.
    different: Vec<String>,
    counts: BTreeMap<String, Count>,
}

impl Report {
    fn of(cases: &[Case], answers: &[Result<Answer>], depth: Depth) -> Result<Self> {
        let (mut report, listed) = (Self::default(), Listed::read()?);
        for (case, answer) in cases.iter().zip(answers) {
            report.add(case, answer, depth, &listed);
        }
        Ok(report)
    }

    fn add(&mut self, case: &Case, answer: &Result<Answer>, depth: Depth, listed: &Listed) {
        let count = self.counts.entry(case.category.clone()).or_default();
        let (found, decided) = match answer {
            Ok(answer) => (compare::all(case, answer, depth), differences::decided(case, answer)),
            Err(error) => (vec![format!("it could not be played: {error:#}")], None),
        };
        let reason = listed.reason(&case.id, depth);
        let line = match (found.is_empty(), decided, reason) {
            (true, _, None) => {
                count.agree += 1;
                return;
            }
            (true, _, Some(_)) => {
                count.agree += 1;
                format!("note: {} is listed and does not differ", case.id)
            }
            (false, Some(why), _) => {
                count.decided += 1;
                format!("decided: {}: {why}", case.id)
            }
            (false, None, Some(why)) => {
                count.listed += 1;
                format!("listed: {}: {why}", case.id)
            }
            (false, None, None) => {
                count.differ += 1;
                self.different.push(case.id.clone());
                format!("DIFFERS: {} ({}):\n    {}", case.id, case.what, found.join("\n    "))
            }
        };
        self.lines.push(line);
    }

    fn print(&self) -> Result<ExitCode> {
        self.lines.iter().for_each(|line| println!("{line}"));
        let mut sum = Count::default();
        for (category, count) in &self.counts {
            line(category, count);
            sum.agree += count.agree;
            sum.decided += count.decided;
            sum.listed += count.listed;
            sum.differ += count.differ;
        }
        line("all", &sum);
        let cases = sum.agree + sum.decided + sum.listed + sum.differ;
        let too_many = sum.listed * 100 > LISTED_PERCENT_MAX * cases.max(100);
        if too_many {
            println!("more than {LISTED_PERCENT_MAX} % are listed as different");
        }
        let passed = sum.differ == 0 && !too_many;
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn line(name: &str, Count { agree, decided, listed, differ }: &Count) {
    let cases = agree + decided + listed + differ;
    let share = 100.0 * (agree + decided) as f64 / cases.max(1) as f64;
    println!(
        "{name:<14} {agree:>4} agree, {decided} differ as the corpus decides, {listed} as listed, \
         {differ} differ otherwise; {share:.1} % agree"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What deletes executions is not built yet.
    const OPEN: [&str; 1] = ["d-delete"];

    #[test]
    fn what_orca_answered_is_what_we_answer() {
        let file = shared_testkit::env::corpus_dir().join("oracle.jsonl");
        let report = played(&Arguments { file, full: false, server: None, only: None }).unwrap();
        let different = report.different.iter().filter(|id| !OPEN.contains(&id.as_str()));
        assert_eq!(different.count(), 0, "{}", report.lines.join("\n"));
    }
}
