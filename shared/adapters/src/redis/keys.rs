use shared_model::AttemptId;

/// Names of what lies in Redis. The prefix stands in braces, which makes it the *hash tag*: all
/// keys are in one slot of a cluster, as scripts of several keys need it.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: format!("{{{prefix}}}") }
    }

    /// Since when Redis holds what is written here.
    pub(super) fn born(&self) -> String {
        format!("{}:born", self.prefix)
    }

    /// Workers by when their life ends.
    pub(super) fn alive(&self) -> String {
        format!("{}:alive", self.prefix)
    }

    /// The last beat of each worker.
    pub(super) fn beats(&self) -> String {
        format!("{}:beats", self.prefix)
    }

    /// What processes say about a topic, by when it ends.
    pub(super) fn notes(&self, topic: &str) -> String {
        format!("{}:notes:{topic}", self.prefix)
    }

    /// The words themselves.
    pub(super) fn bodies(&self, topic: &str) -> String {
        format!("{}:bodies:{topic}", self.prefix)
    }

    /// Which process has a worker's name, and until when.
    pub(super) fn names(&self) -> String {
        format!("{}:names", self.prefix)
    }

    pub(super) fn lease(&self, attempt: &AttemptId) -> String {
        let AttemptId { execution, stage, run, task, number } = attempt;
        format!("{}:lease:{execution}/{stage}/{run}/{task}#{number}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use shared_model::{ExecutionId, StageRef};

    use super::*;

    #[test]
    fn all_keys_have_the_prefix_as_their_hash_tag() {
        let keys = Keys::new("capstan");
        let (execution, stage) = (ExecutionId::new("e{x}"), StageRef::new("1"));
        let attempt = AttemptId { execution, stage, run: 2, task: 0, number: 3 };
        assert_eq!(keys.lease(&attempt), "{capstan}:lease:e{x}/1/2/0#3");
        for key in [keys.born(), keys.alive(), keys.beats(), keys.names(), keys.lease(&attempt)] {
            assert!(key.starts_with("{capstan}:"), "{key}");
        }
    }
}
