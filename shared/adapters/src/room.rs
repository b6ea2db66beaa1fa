//! Room for executions that run, the same in memory and in SQL: among those of a saved pipeline, of an
//! application, and among all.

use std::collections::{BTreeMap, BTreeSet};

use shared_model::{ExecutionId, Status};
use shared_ports::journal::{Head, Kind, RunningMax, TAKES_ROOM};

/// Executions among which there is room or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum House {
    /// Those of a saved pipeline.
    Pipeline(String),
    /// Those of an application, in lower case.
    Application(String),
    /// All of them.
    All,
}

/// The houses whose room is asked for in a transaction, and the executions that take it up.
#[derive(Debug, Default, Clone)]
pub(crate) struct Room {
    running: BTreeMap<House, BTreeSet<ExecutionId>>,
}

/// How many may run in each house of an execution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) of_pipeline: Option<u32>,
    pub(crate) beyond: RunningMax,
}

/// What of an execution's row the rule looks at.
pub(crate) trait Occupant {
    /// What it was made of.
    fn is_pipeline(&self) -> bool;
    /// The application.
    fn application(&self) -> &str;
    /// The saved pipeline.
    fn line(&self) -> Option<&str>;
    /// Whether it takes up room.
    fn takes_room(&self) -> bool;

    /// Where it takes up room if it does.
    fn houses(&self) -> Vec<House> {
        if !self.is_pipeline() {
            return Vec::new();
        }
        let pipeline = self.line().map(|line| House::Pipeline(line.to_owned()));
        let application = House::Application(self.application().to_lowercase());
        pipeline.into_iter().chain([application, House::All]).collect()
    }
}

impl Occupant for Head {
    fn is_pipeline(&self) -> bool {
        self.kind == Kind::Pipeline
    }

    fn application(&self) -> &str {
        &self.application
    }

    fn line(&self) -> Option<&str> {
        self.pipeline_config_id.as_deref()
    }

    fn takes_room(&self) -> bool {
        takes_room(self.status)
    }
}

/// Whether an execution of this status takes up room.
pub(crate) fn takes_room(status: Status) -> bool {
    TAKES_ROOM.contains(&status)
}

/// Whether an execution takes up room in this house.
pub(crate) fn is_of(occupant: &impl Occupant, house: &House) -> bool {
    occupant.takes_room() && occupant.houses().contains(house)
}

impl Asked {
    /// How many may run in a house; `None` for any number.
    fn most(self, house: &House) -> Option<u32> {
        match house {
            House::Pipeline(_) => self.of_pipeline,
            House::Application(_) => self.beyond.of_application,
            House::All => self.beyond.of_all,
        }
    }

    fn is_nothing(self) -> bool {
        let Self { of_pipeline, beyond: RunningMax { of_application, of_all } } = self;
        of_pipeline.is_none() && of_application.is_none() && of_all.is_none()
    }
}

impl Room {
    /// The houses whose running executions must be known to answer an append, and are not yet.
    pub(crate) fn asked_for(&self, asked: Asked, occupant: &impl Occupant) -> Vec<House> {
        if asked.is_nothing() {
            return Vec::new();
        }
        let mut houses = occupant.houses();
        houses.retain(|house| asked.most(house).is_some() && !self.running.contains_key(house));
        houses
    }

    /// Says which executions take up room of a house in the store.
    pub(crate) fn found(&mut self, house: House, running: BTreeSet<ExecutionId>) {
        self.running.insert(house, running);
    }

    /// Whether an execution may take up room now.
    pub(crate) fn has_room(
        &self,
        execution: &ExecutionId,
        occupant: &impl Occupant,
        asked: Asked,
    ) -> bool {
        if asked.is_nothing() || !occupant.takes_room() {
            return true;
        }
        let fits = |house: &House| {
            let Some(most) = asked.most(house) else { return true };
            let running = self.running.get(house);
            let others = running.into_iter().flatten().filter(|other| *other != execution).count();
            u32::try_from(others).unwrap_or(u32::MAX) < most
        };
        occupant.houses().iter().all(fits)
    }

    /// Takes note of what is stored in the same transaction.
    pub(crate) fn note(&mut self, execution: &ExecutionId, occupant: &impl Occupant) {
        if self.running.is_empty() {
            return;
        }
        for house in occupant.houses() {
            let Some(running) = self.running.get_mut(&house) else { continue };
            if occupant.takes_room() {
                running.insert(execution.clone());
            } else {
                running.remove(execution);
            }
        }
    }
}
