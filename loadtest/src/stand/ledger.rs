//! What workers say of the work that they did, as a target would see it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

/// What happened to one piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It began.
    Began,
    /// It was done.
    Done,
}

/// One line of the ledger.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The execution.
    pub execution: Arc<str>,
    /// The stage's `refId`, counted from 0.
    pub stage: u32,
    /// What happened.
    pub moment: Moment,
    /// Nanoseconds of the machine's clock.
    pub at: u64,
    /// Which worker says so.
    pub worker: u32,
}

/// Everything that every worker said, in the order of its arrival.
#[derive(Clone, Default)]
pub struct Ledger {
    entries: Arc<Mutex<Vec<Entry>>>,
    finished: Arc<Mutex<BTreeMap<Arc<str>, u64>>>,
}

impl Ledger {
    /// Listens at a path for workers.
    pub(crate) fn listen(path: &Path) -> Result<Self> {
        let listener = UnixListener::bind(path)
            .with_context(|| format!("failed to listen at {}", path.display()))?;
        let ledger = Self::default();
        let of_thread = ledger.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let ledger = of_thread.clone();
                std::thread::spawn(move || ledger.read(stream));
            }
        });
        Ok(ledger)
    }

    /// A line that is cut off where its worker was killed is none.
    fn read(&self, stream: UnixStream) {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if let Some((entry, is_last)) = std::str::from_utf8(&line).ok().and_then(parse) {
                if is_last && entry.moment == Moment::Done {
                    lock(&self.finished).entry(Arc::clone(&entry.execution)).or_insert(entry.at);
                }
                lock(&self.entries).push(entry);
            }
        }
    }

    /// Forgets all of it, once nothing runs: what comes after that is somebody else's.
    pub(crate) fn clear(&self) {
        lock(&self.finished).clear();
        lock(&self.entries).clear();
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        lock(&self.entries).len()
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many executions did the work of their last stage.
    pub fn finished(&self) -> usize {
        lock(&self.finished).len()
    }

    /// Whether an execution did.
    pub(crate) fn has_finished(&self, execution: &str) -> bool {
        lock(&self.finished).contains_key(execution)
    }

    /// When each of them did, in nanoseconds of the machine's clock.
    pub(crate) fn finish_times(&self) -> BTreeMap<Arc<str>, u64> {
        lock(&self.finished).clone()
    }

    /// Everything from a line on.
    pub fn from(&self, line: usize) -> Vec<Entry> {
        lock(&self.entries)[line..].to_vec()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `worker execution stage last? B|D nanoseconds`.
fn parse(line: &str) -> Option<(Entry, bool)> {
    let mut words = line.split(' ');
    let worker = words.next()?.parse().ok()?;
    let execution = Arc::from(words.next()?);
    let stage = words.next()?.parse().ok()?;
    let is_last = words.next()? == "1";
    let moment = match words.next()? {
        "B" => Moment::Began,
        "D" => Moment::Done,
        _ => return None,
    };
    let at = words.next()?.parse().ok()?;
    Some((Entry { execution, stage, moment, at, worker }, is_last))
}
