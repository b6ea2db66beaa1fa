//! Those who let accidents happen. They live as long as the storm: what they start again ends with them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::Duration;

use anyhow::{Context, Result};
use shared_testkit::deadline::Stopwatch;

use super::faults;
use super::messages::Copies;
use super::schedule::Accident;
use super::site::{Site, lock};

/// As many as there are accidents at once, and one for what takes longer than it should.
const DOERS: usize = 4;
/// How late an accident may happen: beyond that it would meet others than it was drawn beside.
const LATE_MAX: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(100);

/// An accident that will happen.
pub(super) struct Job {
    pub(super) began: Stopwatch,
    pub(super) accident: Accident,
}

/// They end when this is dropped.
pub(super) struct Doers {
    jobs: Sender<Job>,
    shared: std::sync::Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    open: Mutex<usize>,
    /// Those that happened, and how that went.
    happened: Mutex<Vec<(Accident, Result<()>)>>,
    /// Whether what has not begun will not.
    is_off: AtomicBool,
    copies: Copies,
}

impl Doers {
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, site: &'scope Site) -> Self {
        let (jobs, waiting) = channel();
        let waiting = std::sync::Arc::new(Mutex::new(waiting));
        let shared = std::sync::Arc::<Shared>::default();
        for _ in 0..DOERS {
            let (waiting, shared) = (waiting.clone(), shared.clone());
            scope.spawn(move || {
                while let Some(job) = next(&waiting) {
                    shared.let_happen(site, &job);
                    *lock(&shared.open) -= 1;
                }
            });
        }
        Self { jobs, shared }
    }

    /// Lets all of these happen in their time.
    pub(super) fn plan(&self, began: Stopwatch, accidents: &[Accident]) -> Result<()> {
        self.shared.is_off.store(false, Ordering::SeqCst);
        *lock(&self.shared.open) = accidents.len();
        accidents.iter().try_for_each(|accident| {
            let job = Job { began, accident: *accident };
            self.jobs.send(job).ok().context("nobody lets accidents happen any more")
        })
    }

    /// Lets no more happen, waits until all are healed, and says which happened.
    ///
    /// # Errors
    /// What could not be healed.
    pub(super) fn end(&self) -> Result<Vec<Accident>> {
        self.shared.is_off.store(true, Ordering::SeqCst);
        while *lock(&self.shared.open) > 0 {
            std::thread::sleep(PAUSE);
        }
        let happened = std::mem::take(&mut *lock(&self.shared.happened));
        let all = happened.into_iter().map(|(accident, went)| {
            went.with_context(|| format!("{accident:?} could not be healed"))?;
            Ok(accident)
        });
        all.collect()
    }
}

fn next(waiting: &Mutex<Receiver<Job>>) -> Option<Job> {
    lock(waiting).recv().ok()
}

impl Shared {
    fn let_happen(&self, site: &Site, job: &Job) {
        while job.began.elapsed() < job.accident.at {
            if self.is_off.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        let is_late = job.began.elapsed() > job.accident.at + LATE_MAX;
        if is_late || self.is_off.load(Ordering::SeqCst) {
            return;
        }
        eprintln!("{:>5} s  {:?}", job.began.elapsed().as_secs(), job.accident.fault);
        let went = faults::happen(site, &self.copies, &job.accident);
        lock(&self.happened).push((job.accident, went));
    }
}
