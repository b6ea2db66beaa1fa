//! Gathers everything that is known of a round, and judges it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use shared_testkit::deadline::Deadline;

use super::check::{Case, Violation, over_limit};
use super::history::{Asked, Known};
use super::ledger::{Line, What};
use super::plan::Plan;
use super::report;
use super::resume::Tally;
use super::schedule::{Accident, Kind};
use super::site::{Site, lock};
use super::users::People;
use crate::stand::left;

/// How long until nothing is left behind; RabbitMQ counts every five seconds.
const LEFT_LIMIT: Duration = Duration::from_secs(60);
/// Requests at once.
const ASKED_AT_ONCE: usize = 4;
/// Violations that are told in full.
const TOLD_MAX: usize = 5;

/// Accidents that let nobody take work over from one who lives: whoever is killed is gone at once.
const TAKE_NOTHING_OVER: [Kind; 7] =
    [Kind::F1, Kind::F3, Kind::F12, Kind::F15, Kind::F16, Kind::F17, Kind::F18];

/// Accidents that hold nobody up who is told to end.
const HOLD_NOBODY_UP: [Kind; 2] = [Kind::F12, Kind::F18];

/// What became of a round.
pub(super) struct Judged {
    pub(super) violations: Vec<String>,
    /// Of the first of them, in full.
    pub(super) stories: Vec<String>,
    pub(super) tally: Tally,
}

/// Without accidents that are known, as where the load test was ended in between, any may have happened.
pub(super) fn judge(
    site: &Site,
    people: &People,
    accidents: Option<&[Accident]>,
) -> Result<Judged> {
    let all = people.record.all();
    let mut lines = BTreeMap::<u64, Vec<Line>>::new();
    for line in Line::read(&site.shape.folder.join("ledger"), people.record.ledger_from)? {
        // Of an earlier round it may be: a message of long ago came again.
        if all.contains_key(&line.number) {
            lines.entry(line.number).or_default().push(line);
        }
    }
    let executions = ask_all(people, &all, &lines);
    let plans: BTreeMap<u64, Plan> =
        all.iter().map(|(number, known)| (*number, people.plan(*number, known.meddled))).collect();
    let are_all = |kinds: &[Kind]| {
        accidents.is_some_and(|all| all.iter().all(|one| kinds.contains(&one.kind)))
    };
    let (is_gentle, is_strict) = (are_all(&HOLD_NOBODY_UP), are_all(&TAKE_NOTHING_OVER));
    let none = Vec::new();
    let mut violations = Vec::new();
    for (number, known) in &all {
        let lines = lines.get(number).unwrap_or(&none);
        let execution = executions.get(number);
        let case = Case { plan: &plans[number], known, execution, lines, is_gentle, is_strict };
        violations.extend(case.violations());
    }
    let told = executions.iter().map(|(number, one)| (&plans[number], &all[number], one));
    violations.extend(over_limit(told));
    violations.extend(left_behind(site)?);
    let mut stories = Vec::new();
    for violation in violations.iter().take(TOLD_MAX) {
        let number = violation.number.unwrap_or(u64::MAX);
        let lines = lines.get(&number).unwrap_or(&none);
        stories.push(report::story(
            site,
            violation,
            all.get(&number),
            executions.get(&number),
            lines,
        )?);
    }
    let mut tally = count(&all, &executions, &lines);
    tally.set_aside = set_aside(site)?;
    let violations = violations.into_iter().map(in_words).collect();
    Ok(Judged { violations, stories, tally })
}

fn in_words(violation: Violation) -> String {
    let of = violation.number.map(|number| format!("execution {number}: ")).unwrap_or_default();
    format!("{of}{}", violation.what)
}

/// Every execution that anybody knows of, as the API tells it.
fn ask_all(
    people: &People,
    all: &BTreeMap<u64, Known>,
    lines: &BTreeMap<u64, Vec<Line>>,
) -> BTreeMap<u64, Value> {
    let id = |(number, known): (&u64, &Known)| {
        let of_target = lines.get(number).and_then(|lines| Some(lines.first()?.execution.clone()));
        Some((*number, known.id.clone().or(of_target)?))
    };
    let ids: Vec<_> = all.iter().filter_map(id).collect();
    let found = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for part in ids.chunks(ids.len().div_ceil(ASKED_AT_ONCE).max(1)) {
            let found = &found;
            scope.spawn(move || {
                for (number, id) in part {
                    let answer = people.ask("GET", &format!("/pipelines/{id}"), &Value::Null);
                    if let Some((200, execution)) = answer {
                        lock(found).insert(*number, execution);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_default()
}

/// No message waits, no lease is held, no row says that something runs.
fn left_behind(site: &Site) -> Result<Vec<Violation>> {
    let mut left = Vec::new();
    let nothing = Deadline::after(LEFT_LIMIT).poll(|| {
        left = what_is_left(site)?;
        anyhow::Ok(left.is_empty().then_some(()))
    })?;
    let violation = |what| Violation { number: None, what };
    Ok(if nothing.is_some() { Vec::new() } else { left.into_iter().map(violation).collect() })
}

fn what_is_left(site: &Site) -> Result<Vec<String>> {
    let rabbitmq = lock(&site.rabbitmq).management();
    left::behind(&rabbitmq, &lock(&site.redis), &lock(&site.store))
}

fn set_aside(site: &Site) -> Result<u64> {
    let rabbitmq = lock(&site.rabbitmq).management();
    let listed: Value =
        serde_json::from_str(&rabbitmq.request("GET", "/api/queues/%2f", "")?.body)?;
    let dead = |one: &&Value| one["name"].as_str().is_some_and(|name| name.contains(".dead."));
    let dead = listed.as_array().into_iter().flatten().filter(dead);
    Ok(dead.filter_map(|one| one["messages"].as_u64()).sum())
}

fn count(
    all: &BTreeMap<u64, Known>,
    executions: &BTreeMap<u64, Value>,
    lines: &BTreeMap<u64, Vec<Line>>,
) -> Tally {
    let of = |what: What| lines.values().flatten().filter(|line| line.what == what).count() as u64;
    let did = |name: &str| {
        let acts = all.values().flat_map(|known| &known.story).filter(
            |one| matches!(one, Asked::Act { act, status: 200, .. } if act.starts_with(name)),
        );
        acts.count() as u64
    };
    let stages = executions.values().filter_map(|one| one["stages"].as_array()).flatten();
    let begun: std::collections::BTreeSet<_> = lines
        .values()
        .flatten()
        .filter(|line| line.what == What::Began)
        .map(|line| (line.number, line.stage, line.run))
        .collect();
    let promised = |number: &&u64| all[*number].id.is_some();
    Tally {
        executions: executions.len() as u64,
        unpromised: executions.keys().filter(|number| !promised(number)).count() as u64,
        stages: stages.filter(|stage| !stage["endTime"].is_null()).count() as u64,
        effects: of(What::Acted),
        begun_again: of(What::Began) - begun.len() as u64,
        known_effects: of(What::Known),
        cancels: did("Cancel"),
        pauses: did("Pause"),
        restarts: did("Restart"),
        edits: did("Edit"),
        ..Tally::default()
    }
}
