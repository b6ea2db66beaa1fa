//! Looks at the figure that autoscaling goes by, again and again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::super::clients::Client;
use crate::serve::now;
use crate::stand::working::nanoseconds;

const INTERVAL: Duration = Duration::from_millis(100);
/// What the workers of a stand can do, as a label.
const CAPABILITY: &str = "capability=\"nothing\"";

/// What was told at a time of the machine's clock, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) at: u64,
    /// Attempts that wait.
    pub(super) ready: u64,
    /// Workers that are wanted.
    pub(super) wanted: u64,
}

/// One look.
pub(super) fn scrape(client: &mut Client) -> Result<Seen> {
    let (status, text) = client.send("GET", "/metrics", "")?;
    ensure!(status == 200, "/metrics was refused ({status}): {text}");
    let number = |name: &str, label: &str| {
        let is_it = |line: &&str| {
            line.starts_with(name) && line.contains(CAPABILITY) && line.contains(label)
        };
        let line = text.lines().find(is_it);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).map(|found| found as u64)
    };
    let ready = number("capstan_slot_demand", "state=\"ready\"").unwrap_or_default();
    let wanted = number("capstan_wanted_workers", "").context("no worker is wanted or not")?;
    Ok(Seen { at: nanoseconds(), ready, wanted })
}

/// Looks until it is told to end.
pub(super) struct Watch {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Ends once so much was seen to wait.
    until: Arc<AtomicU64>,
    thread: JoinHandle<Result<()>>,
}

impl Watch {
    pub(super) fn start(address: &str) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let until = Arc::new(AtomicU64::new(u64::MAX));
        let mut client = Client::open(address)?;
        let (of_thread, until_of_thread) = (Arc::clone(&seen), Arc::clone(&until));
        let thread = std::thread::spawn(move || {
            loop {
                let one = scrape(&mut client)?;
                of_thread.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                if one.ready >= until_of_thread.load(Ordering::SeqCst) {
                    return Ok(());
                }
                std::thread::sleep(INTERVAL);
            }
        });
        Ok(Self { seen, until, thread })
    }

    /// Everything that was seen up to when so many are told to wait, and no more are.
    pub(super) fn end_at(self, ready: u64, limit: Duration) -> Result<Vec<Seen>> {
        self.until.store(ready, Ordering::SeqCst);
        let began = now();
        while !self.thread.is_finished() {
            ensure!(began.elapsed() < limit, "{ready} attempts wait, and that is not told");
            std::thread::sleep(INTERVAL);
        }
        self.thread.join().map_err(|_| anyhow!("the watch broke down"))??;
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let told = seen.last().map(|one| one.ready);
        ensure!(told == Some(ready), "{ready} attempts wait, and {told:?} are told to");
        Ok(seen)
    }
}
