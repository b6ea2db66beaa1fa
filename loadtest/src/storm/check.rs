//! What must hold at the end of a round, over what people saw, what the API tells and what the target knows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::history::{Asked, Known};
use super::ledger::{Line, What};
use super::plan::{Kind, LIMITED, Plan};

/// How long after a cancel that was acknowledged work may still act, in nanoseconds, where nobody stands
/// still or is cut off.
const CANCEL_ACTS_MAX: u64 = 2_000_000_000;

/// How late the target may see that somebody is at work no more, in nanoseconds.
const SEEN_LATE_MAX: u64 = 500_000_000;

/// Something that must not happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Violation {
    /// The execution, unless it is none's.
    pub(super) number: Option<u64>,
    pub(super) what: String,
}

/// One execution with everything that is known of it.
pub(super) struct Case<'a> {
    pub(super) plan: &'a Plan,
    pub(super) known: &'a Known,
    /// As the API tells it; `None` if it does not.
    pub(super) execution: Option<&'a Value>,
    pub(super) lines: &'a [Line],
    /// Whether nobody stood still and nothing was cut off in the round.
    pub(super) is_gentle: bool,
    /// Whether nothing happened that lets somebody take work over from one who lives.
    pub(super) is_strict: bool,
}

impl Case<'_> {
    /// Everything that is wrong with it.
    pub(super) fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        found.extend(self.lost());
        found.extend(self.ends_badly());
        found.extend(self.goes_back());
        found.extend(self.silent());
        found.extend(self.doubled());
        found.extend(self.early());
        found.extend(self.overheard());
        found.extend(self.escaped());
        found.extend(self.shared());
        let number = Some(self.plan.number);
        found.into_iter().map(|what| Violation { number, what }).collect()
    }

    fn is_promised(&self) -> bool {
        self.known.id.is_some()
    }

    fn status(&self) -> &str {
        self.execution.and_then(|execution| execution["status"].as_str()).unwrap_or_default()
    }

    fn asked(&self, act: &str) -> bool {
        self.known
            .story
            .iter()
            .any(|one| matches!(one, Asked::Act { act: did, .. } if did.starts_with(act)))
    }

    fn lost(&self) -> Option<String> {
        let refused = self.known.story.iter().find_map(|one| match one {
            Asked::Refused { answer, .. } => Some(format!("refused: {answer}")),
            Asked::Missing { .. } => {
                Some("lost: it was not there though it was promised".to_owned())
            }
            Asked::Submit { .. }
            | Asked::Accepted { .. }
            | Asked::Act { .. }
            | Asked::Ended { .. }
            | Asked::Reopened { .. } => None,
        });
        let gone = self.is_promised() && self.execution.is_none();
        refused.or_else(|| gone.then(|| "lost: it is not there though it was promised".to_owned()))
    }

    /// Each succeeds, unless somebody cancelled it.
    fn ends_badly(&self) -> Option<String> {
        let execution = self.execution?;
        let status = self.status();
        if execution["endTime"].is_null() {
            let waits = &execution["waitingFor"];
            return Some(format!("stuck: it is {status}, and waits for {waits}"));
        }
        let is_well = status == "SUCCEEDED" || (status == "CANCELED" && self.asked("Cancel"));
        (!is_well).then(|| format!("wrong end: it is {status}"))
    }

    /// What was seen to have ended stays as it is, unless it was begun again.
    fn goes_back(&self) -> Option<String> {
        // Whoever looks while it is being begun again may see either.
        if self.execution.is_none() || self.asked("Restart") {
            return None;
        }
        let seen = self.known.ended.as_deref()?;
        let now = self.status();
        (seen != now).then(|| format!("backwards: it was {seen}, and is {now}"))
    }

    /// What succeeded was done.
    fn silent(&self) -> Vec<String> {
        let stages = self.execution.and_then(|one| one["stages"].as_array()).into_iter().flatten();
        let succeeded = stages.filter(|stage| stage["status"] == "SUCCEEDED");
        let places = succeeded.filter_map(|stage| stage["refId"].as_str()?.parse::<usize>().ok());
        let acting =
            places.filter(|at| self.plan.stages.get(*at).is_some_and(|one| one.kind.acts()));
        let acted = |at: &usize| self.acts().any(|line| line.stage == *at);
        acting.filter(|at| !acted(at)).map(|at| format!("lost: stage {at} never acted")).collect()
    }

    fn acts(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.what == What::Acted)
    }

    /// Each run of a stage acts once.
    fn doubled(&self) -> Vec<String> {
        let mut times = BTreeMap::<(usize, u32), Vec<&Line>>::new();
        for line in self.acts() {
            times.entry((line.stage, line.run)).or_default().push(line);
        }
        let doubled = times.into_iter().filter(|(_, lines)| lines.len() > 1);
        let told = |((stage, run), lines): ((usize, u32), Vec<&Line>)| {
            let by: Vec<_> =
                lines.iter().map(|line| format!("{} {}", line.worker, line.epoch)).collect();
            format!("doubled: stage {stage}, run {run} by {}", by.join(" and "))
        };
        doubled.map(told).collect()
    }

    /// No stage begins before those that it follows have acted, none is a stranger, and no two executions
    /// have one number.
    fn early(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        let executions: BTreeSet<_> = self.lines.iter().map(|line| &line.execution).collect();
        if executions.len() > 1 {
            found.insert(format!("doubled: it was asked for once, and is {executions:?}"));
        }
        for (at, line) in self.lines.iter().enumerate().filter(|(_, line)| line.what == What::Began)
        {
            let Some(stage) = self.plan.stages.get(line.stage) else {
                found.insert(format!("stranger: it has no stage {}", line.stage));
                continue;
            };
            let acting = stage.upstream.iter().filter(|up| self.plan.stages[**up].kind.acts());
            let acted = |up: &&usize| {
                self.lines[..at].iter().any(|one| one.what == What::Acted && one.stage == **up)
            };
            found.extend(acting.filter(|up| !acted(up)).map(|up| {
                format!("backwards: stage {} began before stage {up} had acted", line.stage)
            }));
        }
        found.into_iter().collect()
    }

    /// What follows a stage begins once one of those who had its newest epoch is done: the word of whoever
    /// had an older one counts for nothing. (Of what cannot be recognised, people say what became.)
    fn overheard(&self) -> Option<String> {
        if self.asked("Restart") {
            return None;
        }
        let began = self.lines.iter().enumerate().filter(|(_, line)| line.what == What::Began);
        began.into_iter().find_map(|(at, line)| {
            let upstream = &self.plan.stages.get(line.stage)?.upstream;
            let keyed = upstream.iter().filter(|up| self.plan.stages[**up].kind == Kind::Act);
            let mut left_behind = keyed.filter_map(|up| at_work(&self.lines[..at], *up));
            let (up, epoch, worker) = left_behind.next()?;
            Some(format!(
                "backwards: stage {} began while {worker} was at work on stage {up} with its newest epoch, \
                 {epoch}",
                line.stage
            ))
        })
    }

    /// Never two at one piece of work.
    fn shared(&self) -> Option<String> {
        let mut live = BTreeMap::<(usize, u32), BTreeMap<(&str, u64), u64>>::new();
        for line in self.lines.iter().filter(|_| self.is_strict) {
            let at_it = live.entry((line.stage, line.run)).or_default();
            let me = (line.worker.as_str(), line.epoch);
            if line.what == What::Began {
                at_it.insert(me, line.at);
            }
            let mut others = at_it.iter().filter(|(other, _)| **other != me);
            let since = |began: u64| line.at.saturating_sub(began) > SEEN_LATE_MAX;
            // Both have been at it for a while: it is not that the end of the first was seen late.
            if at_it.get(&me).is_some_and(|began| since(*began))
                && let Some((other, _)) = others.find(|(_, began)| since(**began))
            {
                return Some(format!("two at stage {}: {me:?} and {other:?}", line.stage));
            }
            if line.what == What::Left {
                at_it.remove(&me);
            }
        }
        None
    }

    /// What was cancelled acts no more.
    fn escaped(&self) -> Option<String> {
        if !self.is_gentle || self.asked("Restart") {
            return None;
        }
        let cancelled = self.known.story.iter().find_map(|one| match one {
            Asked::Act { act, answered, status: 200, .. } if act == "Cancel" => Some(*answered),
            Asked::Act { .. }
            | Asked::Submit { .. }
            | Asked::Accepted { .. }
            | Asked::Refused { .. }
            | Asked::Missing { .. }
            | Asked::Ended { .. }
            | Asked::Reopened { .. } => None,
        })?;
        let late = self.acts().find(|line| line.at > cancelled + CANCEL_ACTS_MAX)?;
        let after = (late.at - cancelled) / 1_000_000;
        Some(format!("escaped: stage {} acted {after} ms after the cancel", late.stage))
    }
}

/// Who has the newest epoch of a stage by what happened so far, unless somebody who had it is done.
fn at_work(lines: &[Line], stage: usize) -> Option<(usize, u64, &str)> {
    let of_it = lines.iter().filter(|line| line.stage == stage);
    let newest =
        of_it.clone().filter(|line| line.what == What::Began).max_by_key(|one| one.epoch)?;
    let is_done = |line: &Line| line.what == What::Left && line.epoch == newest.epoch;
    let is_open = !of_it.into_iter().any(is_done);
    is_open.then_some((stage, newest.epoch, newest.worker.as_str()))
}

/// Never more executions of a pipeline at once than may. One that began again has run in between, as its
/// times tell: it is not counted.
pub(super) fn over_limit<'a>(
    cases: impl Iterator<Item = (&'a Plan, &'a Known, &'a Value)>,
) -> Vec<Violation> {
    let mut spans = vec![Vec::new(); LIMITED.len()];
    for (plan, known, execution) in cases {
        let is_restarted = known.story.iter().any(|one| matches!(one, Asked::Reopened { .. }));
        let time = |key: &str| execution[key].as_i64();
        if let (Some(which), false, Some(span)) =
            (plan.limited, is_restarted, time("startTime").zip(time("endTime")))
        {
            spans[which].push((span, plan.number));
        }
    }
    let pipelines = LIMITED.iter().zip(&spans);
    pipelines.filter_map(|((name, max), spans)| crowded(name, *max, spans)).collect()
}

/// The first execution of a pipeline that began when as many ran as may, by when each ran, and its number.
fn crowded(name: &str, max: usize, spans: &[((i64, i64), u64)]) -> Option<Violation> {
    spans.iter().find_map(|((began, _), number)| {
        let running = spans.iter().filter(|((from, to), _)| from <= began && began < to).count();
        (running > max).then(|| Violation {
            number: Some(*number),
            what: format!("over limit: {running} executions of {name} at once"),
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(what: What, stage: usize, run: u32, at: u64) -> Line {
        Line {
            at,
            what,
            key: format!("e/{stage}/{run}"),
            epoch: at,
            worker: "w".into(),
            execution: "e".into(),
            number: 0,
            stage,
            run,
        }
    }

    /// Two stages, one behind the other, which act.
    fn plan() -> Plan {
        let plan = (0..).map(|number| Plan::of(0, number, false));
        let mut plan = { plan }.find(|plan| plan.limited.is_some()).unwrap();
        plan.number = 0;
        plan
    }

    fn found(known: &Known, execution: Option<Value>, lines: &[Line]) -> Vec<String> {
        let plan = plan();
        let execution = execution.as_ref();
        let case = Case { plan: &plan, known, execution, lines, is_gentle: true, is_strict: true };
        case.violations().into_iter().map(|one| one.what).collect()
    }

    fn known(story: Vec<Asked>) -> Known {
        Known { id: Some("e".into()), meddled: false, ended: None, story }
    }

    fn ended(status: &str) -> Value {
        let stage = |at: &str| json!({ "refId": at, "status": "SUCCEEDED" });
        json!({ "status": status, "startTime": 1, "endTime": 2, "stages": [stage("0"), stage("1")] })
    }

    fn well() -> Vec<Line> {
        let of = |stage: usize| [What::Began, What::Acted, What::Left].map(|what| (what, stage));
        let moments = of(0).into_iter().chain(of(1));
        let epoch = |line: Line| Line { epoch: 1, ..line };
        (1..).zip(moments).map(|(at, (what, stage))| epoch(line(what, stage, 1, at))).collect()
    }

    #[test]
    fn what_is_well_is_not_said_to_be_otherwise() {
        assert_eq!(found(&known(vec![]), Some(ended("SUCCEEDED")), &well()), [""; 0]);
    }

    #[test]
    fn each_violation_is_seen() {
        let none = known(vec![]);
        let of = |execution, lines: &[Line]| found(&none, execution, lines).concat();
        assert!(of(None, &well()).contains("lost: it is not there"));
        assert!(of(Some(ended("SUCCEEDED")), &well()[..3]).contains("stage 1 never acted"));
        assert!(of(Some(ended("TERMINAL")), &well()).contains("wrong end"));
        assert!(of(Some(ended("CANCELED")), &well()).contains("wrong end"));
        assert!(of(Some(json!({ "status": "RUNNING" })), &well()).contains("stuck"));
        let twice = [well(), vec![line(What::Acted, 1, 1, 9)]].concat();
        assert!(of(Some(ended("SUCCEEDED")), &twice).contains("doubled"));
        let again = [well(), vec![line(What::Acted, 1, 2, 9)]].concat();
        assert_eq!(of(Some(ended("SUCCEEDED")), &again), "", "a run of its own");
        let both = [
            Line { worker: "a".into(), ..line(What::Began, 0, 1, 1) },
            Line { worker: "b".into(), ..line(What::Began, 0, 1, 2) },
            Line { worker: "a".into(), ..line(What::Acted, 0, 1, 900_000_000) },
        ];
        let epochs = both.map(|line| Line { epoch: 1, ..line });
        assert!(of(Some(json!({})), &epochs).contains("two at stage 0"));
        let taken_over = Line { epoch: 2, worker: "v".into(), ..line(What::Began, 0, 1, 3) };
        let overheard = [&well()[..2], &[taken_over], &well()[2..]].concat();
        assert!(
            of(Some(ended("SUCCEEDED")), &overheard).contains("while v was at work on stage 0")
        );
        let early = [&well()[3..], &well()[..3]].concat();
        assert!(of(Some(ended("SUCCEEDED")), &early).contains("began before"));
        let back = Known { ended: Some("CANCELED".into()), ..known(vec![]) };
        assert!(found(&back, Some(ended("SUCCEEDED")), &well()).concat().contains("backwards"));
        let act = |act: &str, answered| Asked::Act {
            number: 0,
            act: act.into(),
            at: 0,
            answered,
            status: 200,
        };
        let cancelled = known(vec![act("Cancel", 5)]);
        let late = [&well()[..3], &[line(What::Acted, 1, 1, 6_000_000_000)]].concat();
        assert!(found(&cancelled, Some(ended("CANCELED")), &late).concat().contains("escaped"));
        assert_eq!(found(&cancelled, Some(ended("CANCELED")), &well()), [""; 0]);
    }

    #[test]
    fn more_than_may_are_seen() {
        let (plan, known) = (plan(), known(vec![]));
        let (_, max) = LIMITED[plan.limited.unwrap()];
        let execution = json!({ "startTime": 1, "endTime": 5 });
        let of = |count| over_limit(std::iter::repeat_n((&plan, &known, &execution), count)).len();
        assert_eq!((of(max), of(max + 1)), (0, 1));
    }
}
