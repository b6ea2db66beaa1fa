//! What may hold long texts.

use serde_json::Value;
use shared_model::{Artifact, Object};

use crate::journal::{Append, StageBody};
use crate::messages::TaskInput;

/// Something that may hold long texts.
pub trait Holds {
    /// Every value in it, each with its key.
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value));
}

impl Holds for Value {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        visit("", self);
    }
}

impl Holds for Object {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        self.iter_mut().for_each(|(key, value)| visit(key, value));
    }
}

impl Holds for Artifact {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        self.0.each(visit);
    }
}

impl Holds for StageBody {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        let Self { context, outputs, evaluated: _, checkpoints, failures } = self;
        context.each(visit);
        outputs.each(visit);
        checkpoints.values_mut().chain(failures.values_mut()).for_each(|value| visit("", value));
    }
}

impl Holds for Append {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        self.document.iter_mut().for_each(|document| document.each(visit));
        let bodies = self.stages.iter_mut().filter_map(|stage| stage.body.as_mut());
        bodies.for_each(|body| body.each(visit));
    }
}

impl Holds for TaskInput {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        self.context.each(visit);
        self.artifacts.iter_mut().for_each(|artifact| artifact.each(visit));
        self.bound.values_mut().for_each(|artifact| artifact.each(visit));
        self.checkpoint.iter_mut().for_each(|checkpoint| checkpoint.each(visit));
    }
}

impl<T: Holds> Holds for Vec<T> {
    fn each(&mut self, visit: &mut dyn FnMut(&str, &mut Value)) {
        self.iter_mut().for_each(|one| one.each(visit));
    }
}
