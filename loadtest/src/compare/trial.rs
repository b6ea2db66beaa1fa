//! What is measured of everybody.

use serde::{Deserialize, Serialize};

use crate::workload::graph::Graph;

/// A workload of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Chains of ten stages: as many as are carried, then one at a time.
    Chain10,
    /// One stage, one execution at a time.
    Noop1,
    /// A hundred stages at once, and a join; one execution at a time.
    Fan100,
}

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Trial {
    /// Chains of ten, so many at once that more of them add nothing.
    Chain10,
    /// One chain of ten after the other.
    Chain10Alone,
    /// One execution of one stage after the other.
    Noop1,
    /// One fan of a hundred after the other.
    Fan100,
}

/// A figure of which the ratio is told: its name, and where it is.
pub(super) type Figure = (&'static str, &'static str);

const RATE: Figure = ("stages/s", "/stages per second");
const CPU: Figure = ("CPU µs/stage", "/CPU per stage, us/without the load");
const NEXT_P50: Figure = ("stage to next, ms, p50", "/stage to next stage, ms/p50");
const NEXT_P99: Figure = ("stage to next, ms, p99", "/stage to next stage, ms/p99");
const END_P50: Figure = ("request to end, ms, p50", "/request to the end, ms/p50");
const END_P99: Figure = ("request to end, ms, p99", "/request to the end, ms/p99");
const LAST_P50: Figure = ("request to join, ms, p50", "/request to the last stage, ms/p50");
const LAST_P99: Figure = ("request to join, ms, p99", "/request to the last stage, ms/p99");

impl Workload {
    pub(super) fn trials(self) -> &'static [Trial] {
        match self {
            Self::Chain10 => &[Trial::Chain10, Trial::Chain10Alone],
            Self::Noop1 => &[Trial::Noop1],
            Self::Fan100 => &[Trial::Fan100],
        }
    }
}

impl Trial {
    /// As it is called in figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chain10 => "chain10",
            Self::Chain10Alone => "chain10, one at a time",
            Self::Noop1 => "noop1",
            Self::Fan100 => "fan100",
        }
    }

    /// The stages of one execution of ours.
    pub(super) fn graph(self) -> Graph {
        match self {
            Self::Chain10 | Self::Chain10Alone => Graph::Chain { stages: 10 },
            Self::Noop1 => Graph::Chain { stages: 1 },
            Self::Fan100 => Graph::Fan { branches: 100 },
        }
    }

    /// What is told of it as a ratio.
    pub(super) fn figures(self) -> &'static [Figure] {
        match self {
            Self::Chain10 => &[RATE, CPU],
            Self::Chain10Alone => &[NEXT_P50, NEXT_P99],
            Self::Noop1 => &[END_P50, END_P99],
            Self::Fan100 => &[LAST_P50, LAST_P99],
        }
    }
}
