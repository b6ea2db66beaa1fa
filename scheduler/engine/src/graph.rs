//! Document → graph: who waits for whom, and everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use shared_model::{Limits, Pipeline, Problem, StageRef, StageView};

use crate::event::StageIndex;

mod names;

/// A pipeline's stages, by their place in the document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// The stages.
    pub stages: Vec<Node>,
}

/// The code of the problem that there are too many stages.
const TOO_MANY_STAGES: &str = "too-many-stages";

/// One stage's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its `refId`.
    pub reference: StageRef,
    /// The stages that it waits for, each once, in the document's order.
    pub requires: Vec<StageIndex>,
}

/// Reads a pipeline's graph; `None` if anything is wrong that keeps it from running. The problems
/// hold warnings too.
pub fn graph(pipeline: &Pipeline, limits: &Limits) -> (Option<Graph>, Vec<Problem>) {
    let mut problems = names::check(pipeline, limits);
    let stages = pipeline.stages();
    problems.extend(count_problem(stages.len(), limits));
    problems.extend(not_a_list(pipeline));
    if pipeline.list("stages").len() != stages.len() {
        problems.push(not_objects());
    }
    let references = references(pipeline, &stages, &mut problems);
    let nodes = edges(pipeline, &stages, &references, &mut problems);
    let too_large = problems.iter().any(|problem| problem.code == TOO_MANY_STAGES);
    match edge_count_problem(&nodes, limits) {
        Some(problem) => problems.push(problem),
        None if too_large => {}
        None => problems.extend(cycle(&unambiguous(&nodes))),
    }
    let failed = problems.iter().any(|problem| problem.severity == shared_model::Severity::Error);
    ((!failed).then_some(Graph { stages: nodes }), problems)
}

/// The graph without edges to a reference that several stages have: nobody knows which is meant.
fn unambiguous(nodes: &[Node]) -> Vec<Node> {
    let mut times: BTreeMap<&StageRef, usize> = BTreeMap::new();
    nodes.iter().for_each(|node| *times.entry(&node.reference).or_default() += 1);
    let is_one = |at: &StageIndex| times[&nodes[*at as usize].reference] == 1;
    let cut = |node: &Node| Node {
        reference: node.reference.clone(),
        requires: node.requires.iter().copied().filter(is_one).collect(),
    };
    nodes.iter().map(cut).collect()
}

fn count_problem(count: usize, limits: &Limits) -> Option<Problem> {
    let max = limits.stages_max;
    (count > max).then(|| {
        Problem::error(
            TOO_MANY_STAGES,
            "/stages",
            format!("the pipeline has {count} stages, the limit is {max} (stages_max)"),
            "split it into pipelines that start one another, or raise the limit",
        )
    })
}

fn not_a_list(pipeline: &Pipeline) -> Option<Problem> {
    let stages = pipeline.raw.get("stages").filter(|stages| !stages.is_null())?;
    (!stages.is_array()).then(|| {
        Problem::error(
            "stages-not-a-list",
            "/stages",
            "`stages` is no list",
            "write the stages between [ and ]",
        )
    })
}

fn not_objects() -> Problem {
    Problem::error(
        "stage-not-an-object",
        "/stages",
        "every stage is a JSON object",
        "remove the others",
    )
}

fn edge_count_problem(nodes: &[Node], limits: &Limits) -> Option<Problem> {
    let (count, max) =
        (nodes.iter().map(|node| node.requires.len()).sum::<usize>(), limits.edges_max);
    (count > max).then(|| {
        Problem::error(
            "too-many-edges",
            "/stages",
            format!("the pipeline has {count} edges, the limit is {max} (edges_max)"),
            "let stages wait for fewer others, or raise the limit",
        )
    })
}

/// Every stage's reference; old linear documents have none, and count from 0.
fn references(
    pipeline: &Pipeline,
    stages: &[StageView<'_>],
    problems: &mut Vec<Problem>,
) -> Vec<StageRef> {
    let linear = pipeline.is_linear();
    let mut seen: BTreeMap<StageRef, usize> = BTreeMap::new();
    let mut found = Vec::with_capacity(stages.len());
    for (index, stage) in stages.iter().enumerate() {
        let reference = if linear { None } else { stage.ref_id() };
        if reference.is_none() && !linear {
            problems.push(no_reference(index, stage));
        }
        let reference = reference.unwrap_or_else(|| StageRef::new(index.to_string()));
        match seen.insert(reference.clone(), index) {
            Some(first) if !linear => problems.push(duplicate(index, first, &reference)),
            Some(_) | None => {}
        }
        found.push(reference);
    }
    found
}

fn no_reference(index: usize, stage: &StageView<'_>) -> Problem {
    Problem::error(
        "stage-without-ref-id",
        format!("/stages/{index}"),
        format!("stage `{}` has no refId although others have one", stage.name()),
        "give it a refId of its own, as text or as a number",
    )
}

fn duplicate(index: usize, first: usize, reference: &StageRef) -> Problem {
    Problem::error(
        "duplicate-ref-id",
        format!("/stages/{index}/refId"),
        format!("refId `{reference}` is taken by stage {first} (counted from 0) already"),
        "give each stage a refId of its own",
    )
}

fn edges(
    pipeline: &Pipeline,
    stages: &[StageView<'_>],
    references: &[StageRef],
    problems: &mut Vec<Problem>,
) -> Vec<Node> {
    let linear = pipeline.is_linear();
    let places: BTreeMap<&StageRef, StageIndex> = references.iter().zip(0..).collect();
    let mut nodes = Vec::with_capacity(stages.len());
    for (index, (stage, reference)) in stages.iter().zip(references).enumerate() {
        let requires = if linear {
            StageIndex::try_from(index).ok().and_then(|i| i.checked_sub(1)).into_iter().collect()
        } else {
            requires(index, stage, reference, &places, problems)
        };
        nodes.push(Node { reference: reference.clone(), requires });
    }
    nodes
}

/// The stages that a stage waits for. Spinnaker ignores those that do not exist; a stage all of
/// whose edges lead nowhere hangs there for ever, and is an error here.
fn requires(
    index: usize,
    stage: &StageView<'_>,
    reference: &StageRef,
    places: &BTreeMap<&StageRef, StageIndex>,
    problems: &mut Vec<Problem>,
) -> Vec<StageIndex> {
    let asked = stage.requisites();
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let mut missing = Vec::new();
    for (position, requisite) in asked.iter().enumerate() {
        let pointer = format!("/stages/{index}/requisiteStageRefIds/{position}");
        match requisite {
            None => problems.push(odd_edge(pointer)),
            Some(up) if up == reference => problems.push(self_edge(pointer, reference)),
            Some(up) => match places.get(up) {
                Some(place) if !seen.insert(*place) => {}
                Some(place) => found.push(*place),
                None => missing.push((pointer, up)),
            },
        }
    }
    let leads_nowhere = found.is_empty() && missing.len() == asked.len() && !missing.is_empty();
    for (pointer, up) in missing {
        problems.push(missing_edge(pointer, up, reference, leads_nowhere));
    }
    found
}

fn odd_edge(pointer: String) -> Problem {
    Problem::error(
        "edge-not-a-ref-id",
        pointer,
        "an edge is a refId, as text or as a number",
        "mend it",
    )
}

fn self_edge(pointer: String, reference: &StageRef) -> Problem {
    Problem::error(
        "self-edge",
        pointer,
        format!("stage `{reference}` waits for itself"),
        "remove the edge",
    )
}

fn missing_edge(pointer: String, up: &StageRef, reference: &StageRef, nowhere: bool) -> Problem {
    let message = format!("stage `{reference}` waits for `{up}`, which does not exist");
    if nowhere {
        let hint = "it would wait for ever; name a stage that exists, or none to start at once";
        return Problem::error("edges-lead-nowhere", pointer, message, hint);
    }
    Problem::warning(
        "edge-to-missing-stage",
        pointer,
        format!("{message}; the edge is ignored"),
        "remove it",
    )
}

/// A cycle, if there is one: takes stages without open predecessors away until none is left.
fn cycle(nodes: &[Node]) -> Option<Problem> {
    let mut open: Vec<usize> = nodes.iter().map(|node| node.requires.len()).collect();
    let mut downstream: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for up in &node.requires {
            downstream[*up as usize].push(index);
        }
    }
    let mut ready: Vec<usize> = (0..nodes.len()).filter(|index| open[*index] == 0).collect();
    while let Some(index) = ready.pop() {
        for next in &downstream[index] {
            open[*next] -= 1;
            if open[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    let start = open.iter().position(|left| *left > 0)?;
    Some(cycle_problem(nodes, &walk(nodes, &open, start)))
}

/// Walks backwards through stages that are still open until one comes round again.
fn walk(nodes: &[Node], open: &[usize], start: usize) -> Vec<usize> {
    let (mut path, mut at) = (vec![start], start);
    let mut places = BTreeMap::from([(start, 0)]);
    while let Some(up) = nodes[at].requires.iter().find(|up| open[**up as usize] > 0) {
        at = *up as usize;
        if let Some(seen) = places.insert(at, path.len()) {
            path.drain(..seen);
            break;
        }
        path.push(at);
    }
    path.reverse();
    path
}

fn cycle_problem(nodes: &[Node], path: &[usize]) -> Problem {
    const SHOWN_MAX: usize = 20;
    let mut names: Vec<&str> =
        path.iter().take(SHOWN_MAX).map(|index| nodes[*index].reference.as_str()).collect();
    if path.len() > SHOWN_MAX {
        names.push("…");
    }
    names.extend(path.first().map(|index| nodes[*index].reference.as_str()));
    let first = path.first().copied().unwrap_or_default();
    Problem::error(
        "stage-cycle",
        format!("/stages/{first}/requisiteStageRefIds"),
        format!("stages wait for one another in a circle: {}", names.join(" → ")),
        "remove one of these edges",
    )
}
