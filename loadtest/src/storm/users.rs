//! People: they submit, cancel, pause, restart and edit, answer what is asked, and look at what became of
//! it, each over whichever scheduler answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::history::{Asked, Record};
use super::plan::{self, APPLICATION, Act, LIMITED, Plan};
use super::site::{Site, lock};
use crate::serve::http::Connection;
use crate::stand::working::nanoseconds;

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// How often everything that is unfinished is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often an unknown outcome is seen before somebody answers: whoever seems gone may only stand still, or
/// be cut off, and act later. Once the storm is over nobody is.
const LOOKS_BEFORE_TELLING: u32 = 75;
const LOOKS_IN_CALM: u32 = 8;
/// How often a request is tried.
const TRIES_MAX: u32 = 20;

/// All of them, in one round.
pub(super) struct People<'a> {
    site: &'a Site,
    seed: u64,
    at_once: usize,
    /// The number of the next execution.
    next: AtomicU64,
    /// Whether no more are submitted.
    pub(super) is_over: AtomicBool,
    /// Whether nobody looks any more.
    pub(super) has_ended: AtomicBool,
    pub(super) is_meddling: AtomicBool,
    /// Whether no accident happens any more.
    pub(super) is_calm: AtomicBool,
    pub(super) record: Record,
    due: Mutex<BTreeMap<(u64, u64), Act>>,
    told: Mutex<BTreeMap<String, u32>>,
    edits: AtomicU64,
    /// Answers that say that the server failed.
    pub(super) failures: AtomicUsize,
}

impl<'a> People<'a> {
    pub(super) fn of(site: &'a Site, seed: u64, at_once: usize, next: u64, record: Record) -> Self {
        Self {
            site,
            seed,
            at_once,
            next: AtomicU64::new(next),
            is_over: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            is_meddling: AtomicBool::new(false),
            is_calm: AtomicBool::new(false),
            record,
            due: Mutex::default(),
            told: Mutex::default(),
            edits: AtomicU64::new(0),
            failures: AtomicUsize::new(0),
        }
    }

    /// What an execution of a number is.
    pub(super) fn plan(&self, number: u64, meddled: bool) -> Plan {
        Plan::of(self.seed, number, meddled)
    }

    /// Saves what is started by its name.
    pub(super) fn save(&self) -> Result<()> {
        for which in 0..LIMITED.len() {
            let answer = self.ask("POST", "/pipelines", &plan::saved(which, 0));
            anyhow::ensure!(
                answer.as_ref().is_some_and(|(status, _)| *status == 200),
                "{answer:?}"
            );
        }
        Ok(())
    }

    /// Submits as long as there is room.
    pub(super) fn submit(&self) -> Result<()> {
        while !self.is_over.load(Ordering::SeqCst) {
            if self.record.open().len() >= self.at_once {
                std::thread::sleep(PAUSE);
                continue;
            }
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let meddled = self.is_meddling.load(Ordering::SeqCst);
            let plan = Plan::of(self.seed, number, meddled);
            let (path, body) = plan.request();
            self.record.asked(&Asked::Submit { number, meddled })?;
            // Without an answer nothing was promised, and it is not tried again: it may run.
            let Some((status, answer)) = self.once("POST", &path, &body) else {
                std::thread::sleep(PAUSE);
                continue;
            };
            let id = answer["ref"].as_str().and_then(|path| path.rsplit('/').next());
            match (status, id) {
                (202, Some(id)) => {
                    self.record.asked(&Asked::Accepted { number, id: id.to_owned() })?;
                    let now = nanoseconds();
                    let due = |(after, act): &(Duration, Act)| {
                        ((now + after.as_nanos() as u64, number), *act)
                    };
                    lock(&self.due).extend(plan.acts.iter().map(due));
                }
                (429 | 500.., _) => std::thread::sleep(PAUSE),
                _ => self.record.asked(&Asked::Refused { number, answer: answer.to_string() })?,
            }
        }
        Ok(())
    }

    /// Does what is due, until nothing is and nothing more will be.
    pub(super) fn meddle(&self) -> Result<()> {
        loop {
            let next = lock(&self.due).pop_first();
            let Some(((at, number), act)) = next else {
                if self.is_over.load(Ordering::SeqCst) {
                    return Ok(());
                }
                std::thread::sleep(PAUSE);
                continue;
            };
            if self.has_ended.load(Ordering::SeqCst) {
                return Ok(());
            }
            if at > nanoseconds() {
                lock(&self.due).insert((at, number), act);
                std::thread::sleep(PAUSE);
                continue;
            }
            self.act(number, act)?;
        }
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        lock(&self.due).is_empty()
    }

    fn act(&self, number: u64, act: Act) -> Result<()> {
        let Some(id) = self.record.id(number) else { return Ok(()) };
        let at = nanoseconds();
        let none = Value::Null;
        let answer = match act {
            Act::Cancel => self.ask("PUT", &format!("/pipelines/{id}/cancel?reason=storm"), &none),
            Act::Pause => self.ask("PUT", &format!("/pipelines/{id}/pause"), &none),
            Act::Resume => self.ask("PUT", &format!("/pipelines/{id}/resume"), &none),
            Act::Restart(stage) => {
                // Whatever it looked like before, it may run from now on.
                self.record.reopen(number);
                self.ask("PUT", &format!("/pipelines/{id}/stages/{stage}/restart"), &none)
            }
            Act::Edit => {
                let word = self.edits.fetch_add(1, Ordering::SeqCst);
                let which = usize::try_from(number)? % LIMITED.len();
                self.ask("POST", "/pipelines", &plan::saved(which, word))
            }
        };
        let status = answer.map_or(0, |(status, _)| status);
        self.record.asked(&Asked::Act {
            number,
            act: format!("{act:?}"),
            at,
            answered: nanoseconds(),
            status,
        })
    }

    /// Answers what is asked, and notes what has ended, until nobody needs to any more.
    pub(super) fn look(&self) -> Result<()> {
        while !self.has_ended.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK_INTERVAL);
            // Before the list: what is submitted behind it is not missed in it.
            let open = self.record.open();
            let Some(unfinished) = self.unfinished() else { continue };
            for execution in &unfinished {
                self.answer(execution);
            }
            let running: BTreeSet<&str> =
                unfinished.iter().filter_map(|one| one["id"].as_str()).collect();
            for (number, id) in open {
                if !running.contains(id.as_str()) && !self.has_ended.load(Ordering::SeqCst) {
                    self.look_at(number, &id)?;
                }
            }
        }
        Ok(())
    }

    fn look_at(&self, number: u64, id: &str) -> Result<()> {
        let Some((status, execution)) = self.once("GET", &format!("/pipelines/{id}"), &Value::Null)
        else {
            return Ok(());
        };
        let ended = execution["status"].as_str().filter(|_| !execution["endTime"].is_null());
        match (status, ended) {
            (200, Some(ended)) => self.record.ended(number, ended),
            (404, _) => self.record.asked(&Asked::Missing { number }),
            _ => Ok(()),
        }
    }

    /// Everything that has not ended; `None` if nobody answers.
    pub(super) fn unfinished(&self) -> Option<Vec<Value>> {
        let path = format!(
            "/applications/{APPLICATION}/pipelines?expand=true&limit=1000\
             &statuses=RUNNING,NOT_STARTED,PAUSED,SUSPENDED,BUFFERED"
        );
        let (status, answer) = self.once("GET", &path, &Value::Null)?;
        (status == 200).then(|| answer.as_array().cloned())?
    }

    fn answer(&self, execution: &Value) {
        let id = execution["id"].as_str().unwrap_or_default();
        if self.is_calm.load(Ordering::SeqCst) && execution["status"] == "PAUSED" {
            drop(self.once("PUT", &format!("/pipelines/{id}/resume"), &Value::Null));
        }
        let stages = execution["stages"].as_array().into_iter().flatten();
        let judged =
            |stage: &&Value| stage["type"] == "manualJudgment" && stage["status"] == "RUNNING";
        for stage in stages.clone().filter(judged) {
            let path =
                format!("/pipelines/{id}/stages/{}", stage["id"].as_str().unwrap_or_default());
            drop(self.once("PATCH", &path, &json!({ "judgmentStatus": "continue" })));
        }
        let waits = execution["waitingFor"].as_array().into_iter().flatten();
        for wait in waits.filter(|wait| wait["kind"] == "outcome") {
            let stage = wait["stage"].as_str().unwrap_or_default();
            let looks = {
                let mut told = lock(&self.told);
                let looks = told.entry(format!("{id}/{stage}")).or_default();
                *looks += 1;
                *looks
            };
            let asked =
                stages.clone().find(|one| [&one["id"], &one["refId"]].contains(&&wait["stage"]));
            let wanted = if self.is_calm.load(Ordering::SeqCst) {
                LOOKS_IN_CALM
            } else {
                LOOKS_BEFORE_TELLING
            };
            if looks >= wanted
                && let Some(asked) = asked
            {
                self.tell(id, asked);
                lock(&self.told).remove(&format!("{id}/{stage}"));
            }
        }
    }

    /// Looks at the target, and says what became of a stage's work.
    fn tell(&self, id: &str, stage: &Value) {
        let reference = stage["refId"].as_str().unwrap_or_default();
        let Ok(run) = self.record.newest_run(&self.site.shape.folder, id, reference) else {
            return;
        };
        let key = format!("{id}/{reference}/{run}/0/0");
        let Ok(was_done) = self.site.ask_ledger().and_then(|mut ledger| ledger.has(&key)) else {
            return;
        };
        let outcome = json!({ "outcome": if was_done { "done" } else { "repeat" } });
        let path = format!("/pipelines/{id}/stages/{reference}");
        drop(self.once("PATCH", &path, &outcome));
    }

    /// Asks until somebody gives an answer that trying again would not change.
    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        for _ in 0..TRIES_MAX {
            let answer = self.once(method, path, body);
            if let Some((status, _)) = &answer
                && *status < 500
                && *status != 429
            {
                return answer;
            }
            std::thread::sleep(PAUSE * 5);
        }
        None
    }

    /// Asks one of the schedulers, each in its turn; `None` without an answer.
    fn once(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let addresses = self.site.addresses();
        let turn = self.record.turn().checked_rem(addresses.len())?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut connection = Connection::open_within(&addresses[turn], ANSWER_LIMIT).ok()?;
        let (status, answer) = connection.send(method, path, &body).ok()?;
        self.failures.fetch_add(usize::from(status >= 500), Ordering::SeqCst);
        Some((status, serde_json::from_str(&answer).unwrap_or_default()))
    }
}

/// Adds a line to a file, which is there then whatever happens to us.
pub(super) fn add_line(file: &Path, line: &str) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    Ok(file.write_all(format!("{line}\n").as_bytes())?)
}

/// Where a round is written down.
pub(super) fn file_of(folder: &Path, round: u64) -> PathBuf {
    folder.join(format!("round-{round}"))
}
