//! A load that stays as it is, and one that rises.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::figures::{between_stages, quantiles};
use super::graph::Graph;
use super::load::{Ended, Load, Pace, Work};
use super::window::Window;
use super::{Plan, WARM_UP};
use crate::stand::{Shape, Stand};

/// Executions a second with which a rising load begins.
const RATE_FIRST: f64 = 25.0;
/// How often it doubles at most.
const RATE_STEPS_MAX: u32 = 8;
/// A rate is too much where so much of a second of it is left at the end of its time.
const BACKLOG_SECONDS_MAX: f64 = 1.0;

/// One load, measured once it has warmed up, and verified.
struct Measured {
    stand: Stand,
    window: Window,
    memory: Value,
    ended: Ended,
    /// Executions that were submitted and had not finished when the measuring ended.
    backlog: usize,
}

impl Measured {
    fn stages_per_second(&self) -> f64 {
        (self.window.stages() as f64 / self.window.seconds).round()
    }

    fn executions(&self) -> Value {
        self.window.executions(&self.stand.ledger, &self.ended)
    }
}

fn measure(shape: Shape, duration: Duration, pace: Pace, work: Work) -> Result<Measured> {
    let stand = Stand::start(shape)?;
    let load = Load::start(&stand, pace, work);
    std::thread::sleep(WARM_UP);
    let window = Window::open(&stand.ledger, duration, &[])?;
    let memory = stand.memory()?;
    let backlog = load.submitted().saturating_sub(stand.ledger.finished());
    let ended = load.end(&stand)?;
    ensure!(window.stages() > 0, "no stage was worked on in {duration:?}");
    ensure!(ended.repeated == 0, "{} stages were worked on twice", ended.repeated);
    Ok(Measured { stand, window, memory, ended, backlog })
}

pub(super) fn run(plan: &Plan, pace: Pace, work: Work) -> Result<Value> {
    let measured = measure(plan.shape.clone(), plan.duration, pace, work)?;
    let window = &measured.window;
    let mut figures = json!({
        "pace": format!("{pace:?}"),
        "stages of one": work.graph.len(),
        "stages per second": measured.stages_per_second(),
        "CPU per stage, us": window.per_stage(),
        "executions": measured.executions(),
        "memory at the end": measured.memory,
        "written per stage, bytes": window.written / window.stages() as u64,
        "verified": measured.ended.summary(),
    });
    if matches!(work.graph, Graph::Chain { .. }) {
        figures["stage to next stage, ms"] = quantiles(&between_stages(&measured.window.entries));
    }
    Ok(figures)
}

/// Doubles the rate until more comes than goes; the highest rate that went.
pub(super) fn rise(plan: &Plan, graph: Graph) -> Result<Value> {
    let mut steps = Vec::new();
    let mut rate = plan.per_second.unwrap_or(RATE_FIRST);
    for _ in 0..RATE_STEPS_MAX {
        let step = one_rate(plan, graph, rate, steps.len())?;
        let is_too_much = step["backlog, executions"].as_f64() > Some(rate * BACKLOG_SECONDS_MAX);
        steps.push(step);
        if is_too_much {
            break;
        }
        rate *= 2.0;
    }
    Ok(json!({ "stages of one": graph.len(), "steps": steps }))
}

fn one_rate(plan: &Plan, graph: Graph, rate: f64, step: usize) -> Result<Value> {
    let mut shape = plan.shape.clone();
    shape.folder = shape.folder.join(format!("step{step}"));
    let work = Work { graph, stage_bytes: 0 };
    let measured = measure(shape, plan.duration, Pace::PerSecond(rate), work)?;
    Ok(json!({
        "executions a second": rate,
        "backlog, executions": measured.backlog,
        "stages per second": measured.stages_per_second(),
        "CPU per stage, us": measured.window.per_stage(),
        "executions": measured.executions(),
        "verified": measured.ended.summary(),
    }))
}
