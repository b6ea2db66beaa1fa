//! Which executions' contents are in memory, and how much of it they take. What was not used for longest
//! goes first; it is read again when it is needed.

use std::collections::BTreeMap;

use serde_json::Value;
use shared_model::{ExecutionId, Object};
use shared_ports::journal::StageBody;

/// What a JSON value takes beside its texts: itself, and its place in its container, about.
const VALUE_BYTES: usize = 64;

/// The executions whose content is in memory.
#[derive(Default)]
pub(super) struct Contents {
    of: BTreeMap<ExecutionId, Entry>,
    /// Least recently used first.
    order: BTreeMap<u64, ExecutionId>,
    bytes: usize,
    uses: u64,
}

struct Entry {
    used: u64,
    bytes: usize,
}

impl Contents {
    /// An execution's content, of so many bytes, was used.
    pub(super) fn note(&mut self, id: &ExecutionId, bytes: usize) {
        self.forget(id);
        self.uses += 1;
        self.bytes += bytes;
        self.of.insert(id.clone(), Entry { used: self.uses, bytes });
        self.order.insert(self.uses, id.clone());
    }

    /// It is no more in memory.
    pub(super) fn forget(&mut self, id: &ExecutionId) {
        if let Some(entry) = self.of.remove(id) {
            self.order.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }

    /// The one to drop next, where they take more than so many bytes.
    pub(super) fn take_oldest_beyond(&mut self, bytes_max: usize) -> Option<ExecutionId> {
        let (_, oldest) = self.order.first_key_value().filter(|_| self.bytes > bytes_max)?;
        let oldest = oldest.clone();
        self.forget(&oldest);
        Some(oldest)
    }
}

/// About how many bytes of memory a stage's body takes.
pub(super) fn body_bytes(body: &StageBody) -> usize {
    let StageBody { context, outputs, evaluated, checkpoints, failures } = body;
    let pointers: usize = evaluated.iter().map(|pointer| VALUE_BYTES + pointer.len()).sum();
    let more: usize = checkpoints.values().chain(failures.values()).map(value_bytes).sum();
    object_bytes(context) + object_bytes(outputs) + pointers + more
}

/// About how many bytes of memory a value takes.
pub(super) fn value_bytes(value: &Value) -> usize {
    let below = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(value_bytes).sum(),
        Value::Object(members) => object_bytes(members),
    };
    VALUE_BYTES + below
}

fn object_bytes(members: &Object) -> usize {
    members.iter().map(|(key, value)| key.len() + value_bytes(value)).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut contents = Contents::default();
        let [one, two, three] = ["1", "2", "3"].map(ExecutionId::new);
        contents.note(&one, 10);
        contents.note(&two, 10);
        contents.note(&one, 30);
        assert_eq!(contents.take_oldest_beyond(40), None);
        contents.note(&three, 1);
        assert_eq!(contents.take_oldest_beyond(40), Some(two));
        assert_eq!(contents.take_oldest_beyond(40), None);
        contents.forget(&one);
        assert_eq!(contents.take_oldest_beyond(0), Some(three));
        assert_eq!((contents.take_oldest_beyond(0), contents.bytes), (None, 0));
    }

    #[test]
    fn texts_count_wherever_they_are() {
        let text = "x".repeat(1_000);
        assert!(value_bytes(&json!({ "a": [{ "b": text }] })) > 1_000);
        let body = StageBody {
            outputs: json!({ "a": text }).as_object().cloned().unwrap(),
            ..StageBody::default()
        };
        assert!(body_bytes(&body) > 1_000);
    }
}
