//! The rule of compare-and-append, the same in memory and in SQL.

use shared_model::ExecutionId;
use shared_ports::PortError;
use shared_ports::journal::{Appended, Version};

/// What an append is compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// How many times the execution was appended to; 0 if it does not exist.
    pub(crate) version: Version,
    /// How many stages it has.
    pub(crate) stages: u32,
}

/// What of an append the rule looks at.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    pub(crate) execution: &'a ExecutionId,
    pub(crate) expected: Version,
    pub(crate) has_document: bool,
    /// The indexes of the stages that it writes, ascending.
    pub(crate) stages: &'a [u32],
    /// Whether what it is to be stored with is not stored.
    pub(crate) is_with_a_conflict: bool,
}

impl Standing {
    /// Answers an append, and stands where the execution stands after it.
    ///
    /// # Errors
    /// [`PortError::Refused`] if it breaks the port's rules, so that it could not be loaded again.
    pub(crate) fn admit(&mut self, append: Admission<'_>) -> Result<Appended, PortError> {
        let Admission { execution, expected, has_document, stages, is_with_a_conflict } = append;
        if expected != self.version || is_with_a_conflict {
            return Ok(Appended::Conflict { found: self.version });
        }
        let refused =
            |why| PortError::Refused { doing: format!("storing execution {execution}"), why };
        if self.version == 0 && !has_document {
            return Err(refused("its first append has no document".to_owned()));
        }
        let mut count = self.stages;
        for &index in stages {
            if index > count {
                let why = format!("stage {index} comes after a gap, there are only {count}");
                return Err(refused(why));
            }
            count = count.max(index + 1);
        }
        *self = Self { version: self.version + 1, stages: count };
        Ok(Appended::Stored(self.version))
    }
}
