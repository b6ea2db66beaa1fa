//! A typed view of an execution in Gate's JSON, which stays as the server sent it.

use serde_json::Value;
use shared_model::Status;

/// An execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution(pub Value);

impl Execution {
    /// Its id.
    pub fn id(&self) -> &str {
        text(&self.0, "id")
    }

    /// The name of its pipeline.
    pub fn name(&self) -> &str {
        text(&self.0, "name")
    }

    /// Where it stands.
    pub fn status(&self) -> &str {
        text(&self.0, "status")
    }

    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        is_over(self.status())
    }

    /// Whether it did what it should.
    pub fn has_succeeded(&self) -> bool {
        self.status() == Status::Succeeded.name()
    }

    /// Its stages, in the server's order.
    pub fn stages(&self) -> impl Iterator<Item = Stage<'_>> {
        self.0["stages"].as_array().into_iter().flatten().map(Stage)
    }

    /// The stage that is named by its id, its `refId`, or a name that only one has.
    pub fn stage(&self, named: &str) -> Option<Stage<'_>> {
        let by_id = self.stages().find(|stage| stage.id() == named || stage.reference() == named);
        let mut by_name = self.stages().filter(|stage| stage.name() == named);
        by_id.or_else(|| by_name.next().filter(|_| by_name.next().is_none()))
    }

    /// What it waits for.
    pub fn waits(&self) -> impl Iterator<Item = Wait<'_>> {
        self.0["waitingFor"].as_array().into_iter().flatten().map(Wait)
    }
}

/// A stage of an execution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage<'a>(pub &'a Value);

impl<'a> Stage<'a> {
    /// Its id.
    pub fn id(self) -> &'a str {
        text(self.0, "id")
    }

    /// Its `refId`.
    pub fn reference(self) -> &'a str {
        text(self.0, "refId")
    }

    /// Its type.
    pub fn kind(self) -> &'a str {
        text(self.0, "type")
    }

    /// Its name.
    pub fn name(self) -> &'a str {
        text(self.0, "name")
    }

    /// Where it stands.
    pub fn status(self) -> &'a str {
        text(self.0, "status")
    }

    /// Whether nothing more will happen in it.
    pub fn is_over(self) -> bool {
        is_over(self.status())
    }

    /// Whether anything of it ever ran.
    pub fn has_begun(self) -> bool {
        self.0["tasks"].as_array().is_some_and(|tasks| !tasks.is_empty())
    }

    /// Why it failed.
    pub fn errors(self) -> impl Iterator<Item = &'a str> {
        let of_stage = self.0.pointer("/context/exception/details/errors");
        let tasks = self.0["tasks"].as_array().into_iter().flatten();
        let of_tasks =
            tasks.filter_map(|task| task.pointer("/taskExceptionDetails/exception/details/errors"));
        let errors = of_stage.into_iter().chain(of_tasks);
        errors.filter_map(Value::as_array).flatten().filter_map(Value::as_str)
    }
}

/// Something that an execution waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wait<'a>(pub &'a Value);

impl<'a> Wait<'a> {
    /// The id of the stage that waits.
    pub fn stage_id(self) -> &'a str {
        text(self.0, "stageId")
    }

    /// What kind of thing it waits for, e.g. `judgment` or `outcome`.
    pub fn kind(self) -> &'a str {
        text(self.0, "kind")
    }

    /// Whether a person has to judge, or to say what became of lost work.
    pub fn asks_somebody(self) -> bool {
        ["judgment", "outcome"].contains(&self.kind())
    }

    /// What ends it, for people.
    pub fn unblock(self) -> &'a str {
        text(self.0, "unblock")
    }
}

fn is_over(status: &str) -> bool {
    status.parse::<Status>().is_ok_and(Status::is_complete)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stage_is_named_by_id_reference_or_a_name_of_its_own() {
        let execution = Execution(json!({"stages": [
            {"id": "x1", "refId": "1", "name": "a"}, {"id": "x2", "refId": "2", "name": "b"},
            {"id": "x3", "refId": "b", "name": "a"},
        ]}));
        let id = |named| execution.stage(named).map(Stage::id);
        assert_eq!((id("x1"), id("2"), id("b")), (Some("x1"), Some("x2"), Some("x3")));
        assert_eq!((id("a"), id("none")), (None, None));
    }

    #[test]
    fn what_is_missing_is_empty() {
        let execution = Execution(json!({"status": "SOMETHING_NEW"}));
        assert_eq!((execution.id(), execution.stages().count()), ("", 0));
        assert!(!execution.is_over() && !execution.has_succeeded());
    }
}
