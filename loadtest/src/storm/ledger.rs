//! The target: a process of its own that counts what was done to it, and syncs before it answers.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::schedule::Mood;
use crate::stand::working::nanoseconds;

/// Lines that may wait to be written.
const WAITING_MAX: usize = 10_000;
/// Lines that are synced together.
const BATCH_MAX: usize = 256;
/// How long somebody waits for an answer of the ledger when it is well.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// What was told to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Work began.
    Began,
    /// Whoever was at it is not any more.
    Left,
    /// Something was done.
    Acted,
    /// It was asked to do something that it had done under that key.
    Known,
}

/// One line of the ledger: `nanoseconds what key epoch worker execution number stage run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Nanoseconds of the machine's clock.
    pub(super) at: u64,
    pub(super) what: What,
    pub(super) key: String,
    pub(super) epoch: u64,
    pub(super) worker: String,
    pub(super) execution: String,
    /// The number of its plan.
    pub(super) number: u64,
    pub(super) stage: usize,
    pub(super) run: u32,
}

impl Line {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let at = words.next()?.parse().ok()?;
        let what = match words.next()? {
            "began" => What::Began,
            "left" => What::Left,
            "acted" => What::Acted,
            "known" => What::Known,
            _ => return None,
        };
        let mut word = || words.next();
        let line = Self {
            at,
            what,
            key: word()?.to_owned(),
            epoch: word()?.parse().ok()?,
            worker: word()?.to_owned(),
            execution: word()?.to_owned(),
            number: word()?.parse().ok()?,
            stage: word()?.parse().ok()?,
            run: word()?.parse().ok()?,
        };
        words.next().is_none().then_some(line)
    }

    /// Everything that a ledger has from a byte on; a line that was cut off is none.
    pub(super) fn read(path: &Path, from: u64) -> Result<Vec<Self>> {
        let mut file =
            File::open(path).with_context(|| format!("no ledger at {}", path.display()))?;
        file.seek(SeekFrom::Start(from))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        Ok(whole.filter_map(Self::parse).collect())
    }
}

/// The process.
#[derive(Debug, clap::Args)]
pub struct Ledger {
    /// Where it listens, on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Where it keeps what it knows.
    #[arg(long)]
    file: PathBuf,
}

/// What all connections share.
struct Shared {
    known: Mutex<BTreeSet<String>>,
    acted: Mutex<u64>,
    mood: Mutex<Mood>,
    lines: SyncSender<(String, SyncSender<()>)>,
}

impl Ledger {
    /// Serves until it is killed.
    ///
    /// # Errors
    /// The port is taken, or the file cannot be written.
    pub fn run(&self) -> Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))?;
        let earlier = if self.file.exists() { Line::read(&self.file, 0)? } else { Vec::new() };
        let acts = earlier.into_iter().filter(|line| line.what == What::Acted);
        let known: Vec<_> = acts.map(|line| line.key).collect();
        let file = OpenOptions::new().create(true).append(true).open(&self.file)?;
        let (lines, waiting) = sync_channel(WAITING_MAX);
        std::thread::spawn(move || write(file, &waiting));
        let shared = Arc::new(Shared {
            acted: Mutex::new(known.len() as u64),
            known: Mutex::new(known.into_iter().collect()),
            mood: Mutex::new(Mood::Well),
            lines,
        });
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            // Whoever goes away has no answer.
            std::thread::spawn(move || drop(shared.serve(stream)));
        }
        Ok(())
    }
}

/// Writes what waits, and syncs it once for all of it.
fn write(mut file: File, waiting: &Receiver<(String, SyncSender<()>)>) -> std::io::Result<()> {
    while let Ok(first) = waiting.recv() {
        let more = std::iter::from_fn(|| waiting.try_recv().ok()).take(BATCH_MAX);
        let (text, told): (Vec<_>, Vec<_>) = std::iter::once(first).chain(more).unzip();
        file.write_all(text.concat().as_bytes())?;
        file.sync_data()?;
        for told in told {
            let _gone = told.send(());
        }
    }
    Ok(())
}

impl Shared {
    /// Answers one client; whoever began something here and hangs up is at it no more.
    fn serve(&self, stream: TcpStream) -> Result<()> {
        let mut began = None;
        let answered = self.answer_all(stream, &mut began);
        began.map_or(answered, |rest: String| self.note("left", &rest))
    }

    fn answer_all(&self, mut stream: TcpStream, began: &mut Option<String>) -> Result<()> {
        stream.set_nodelay(true)?;
        for line in BufReader::new(stream.try_clone()?).lines() {
            let line = line?;
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let answer = match word {
                "mood" => {
                    *lock(&self.mood) = mood(rest).context("no such mood")?;
                    "ok".to_owned()
                }
                "count" => lock(&self.acted).to_string(),
                "look" => lock(&self.known).contains(rest).to_string(),
                "began" => {
                    self.note("began", rest)?;
                    *began = Some(rest.to_owned());
                    "ok".to_owned()
                }
                "left" => {
                    self.note("left", rest)?;
                    *began = None;
                    "ok".to_owned()
                }
                "act" | "act-once" => match self.act(rest, word == "act")? {
                    Some(answer) => answer.to_owned(),
                    // It says nothing, until the other side has gone.
                    None => continue,
                },
                _ => "what?".to_owned(),
            };
            stream.write_all(format!("{answer}\n").as_bytes())?;
        }
        Ok(())
    }

    /// What it answers, if it does.
    fn act(&self, rest: &str, is_keyed: bool) -> Result<Option<&'static str>> {
        let mood = *lock(&self.mood);
        match mood {
            Mood::Fails => return Ok(Some("fails")),
            Mood::Hangs => return Ok(None),
            Mood::Well | Mood::Silent => {}
        }
        let key = rest.split(' ').next().unwrap_or_default();
        let is_new = lock(&self.known).insert(key.to_owned()) || !is_keyed;
        self.note(if is_new { "acted" } else { "known" }, rest)?;
        *lock(&self.acted) += u64::from(is_new);
        Ok((mood == Mood::Well).then_some(if is_new { "acted" } else { "known" }))
    }

    /// Returns once it is on the disk.
    fn note(&self, what: &str, rest: &str) -> Result<()> {
        let (done, is_done) = sync_channel(1);
        self.lines.send((format!("{} {what} {rest}\n", nanoseconds()), done))?;
        Ok(is_done.recv()?)
    }
}

fn mood(word: &str) -> Option<Mood> {
    Some(match word {
        "well" => Mood::Well,
        "fails" => Mood::Fails,
        "hangs" => Mood::Hangs,
        "silent" => Mood::Silent,
        _ => return None,
    })
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Somebody who asks the ledger about itself.
pub(super) struct Asking(BufReader<TcpStream>);

impl Asking {
    pub(super) fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        self.0.get_mut().write_all(format!("{question}\n").as_bytes())?;
        let mut answer = String::new();
        ensure!(self.0.read_line(&mut answer)? > 0, "the ledger has gone");
        Ok(answer.trim_end().to_owned())
    }

    /// How much was done so far.
    pub(super) fn count(&mut self) -> Result<u64> {
        Ok(self.ask("count")?.parse()?)
    }

    /// Whether something was done under a key.
    pub(super) fn has(&mut self, key: &str) -> Result<bool> {
        Ok(self.ask(&format!("look {key}"))? == "true")
    }

    pub(super) fn be(&mut self, mood: Mood) -> Result<()> {
        let word = match mood {
            Mood::Well => "well",
            Mood::Fails => "fails",
            Mood::Hangs => "hangs",
            Mood::Silent => "silent",
        };
        ensure!(self.ask(&format!("mood {word}"))? == "ok", "the ledger has no mood `{word}`");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (file, text) = (folder.path().join("ledger"), "7 acted e/1/1/0/0 3 worker-0 e 12 1 1");
        std::fs::write(&file, format!("{text}\n{text}")).unwrap();
        let lines = Line::read(&file, 0).unwrap();
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((line.at, line.what, line.epoch, line.number), (7, What::Acted, 3, 12));
        assert!(Line::parse(&format!("{text} x")).is_none());
    }
}
