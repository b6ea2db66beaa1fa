//! How many executions of each application have not ended: one application must not use up what all
//! of them may have.

use std::collections::BTreeMap;
use std::sync::Arc;

use shared_model::ExecutionId;

/// Executions that have not ended, by application.
#[derive(Default)]
pub(crate) struct Admission {
    applications: BTreeMap<ExecutionId, Arc<str>>,
    counts: BTreeMap<Arc<str>, usize>,
}

impl Admission {
    /// An execution has not ended. It may be said again and again.
    pub(crate) fn note(&mut self, id: &ExecutionId, application: &str) {
        if self.applications.contains_key(id) {
            return;
        }
        let name = key(application);
        let name =
            self.counts.get_key_value(&*name).map_or(Arc::from(name), |(own, _)| own.clone());
        *self.counts.entry(name.clone()).or_default() += 1;
        self.applications.insert(id.clone(), name);
    }

    /// An execution has ended, or is another scheduler's.
    pub(crate) fn forget(&mut self, id: &ExecutionId) {
        let Some(name) = self.applications.remove(id) else { return };
        if let Some(count) = self.counts.get_mut(&name) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&name);
            }
        }
    }

    /// How many an application has.
    pub(crate) fn of(&self, application: &str) -> usize {
        self.counts.get(&*key(application)).copied().unwrap_or_default()
    }
}

/// However its name is written.
fn key(application: &str) -> String {
    application.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_once_and_under_one_name() {
        let (mut admission, id) = (Admission::default(), |name: &str| ExecutionId::new(name));
        for (execution, application) in [("a", "Shop"), ("a", "shop"), ("b", "shop"), ("c", "x")] {
            admission.note(&id(execution), application);
        }
        assert_eq!((admission.of("SHOP"), admission.of("x"), admission.of("y")), (2, 1, 0));
        for execution in ["a", "a", "b", "nobody"] {
            admission.forget(&id(execution));
        }
        assert_eq!((admission.of("shop"), admission.of("x")), (0, 1));
        assert_eq!(admission.counts.len(), 1, "nothing stays of what has ended");
    }
}
