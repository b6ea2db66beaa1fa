//! What suites store, and chance that repeats itself.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared_model::{ExecutionId, Status};

use crate::journal::{Append, Head, HistoryEntry, Kind, RunningMax, StageBody, StageRow, Version};

/// Numbers by chance, the same in every run.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        // Knuth's MMIX generator; its high bits are the good ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

pub(super) fn id(text: &str) -> ExecutionId {
    ExecutionId::new(text)
}

/// An instant of which no digit is zero.
pub(super) fn instant(seconds: i64) -> Timestamp {
    Timestamp::new(1_767_225_600 + seconds, 123_456_789).expect("an instant of this century")
}

/// JSON that is easily changed on its way: order of keys, digits, signs, texts.
pub(super) fn awkward() -> Value {
    json!({
        "z": 1, "a": 2, "": "empty key",
        "numbers": [0, -1, i64::MIN, u64::MAX, 0.1, 0.30000000000000004, 1e300, -2.5e-8, 100.0],
        "texts": ["", "\u{0}", "\"\\/\u{8}\n\t", "héé 日本 🚀", "${ 1 + 1 }"],
        "nested": {"b": [[], {}, null, true, false], "a": {"y": 1, "x": [1, [2, [3]]]}},
    })
}

pub(super) fn head(status: Status) -> Head {
    Head {
        kind: Kind::Pipeline,
        application: "Shop".to_owned(),
        name: "release".to_owned(),
        pipeline_config_id: Some("pipeline-1".to_owned()),
        status,
        build_time: instant(0),
        start_time: Some(instant(1)),
        end_time: None,
        state: Bytes::from_static(b"\x00head\xff"),
    }
}

pub(super) fn body(text: &str) -> StageBody {
    let object = |key: &str| {
        let mut object = shared_model::Object::new();
        object.insert(key.to_owned(), Value::from(text));
        object.insert("more".to_owned(), awkward());
        object
    };
    StageBody {
        context: object("context"),
        outputs: object("outputs"),
        evaluated: vec!["/context".to_owned()],
        checkpoints: [(2, json!({"at": text}))].into(),
        failures: [(1, json!({"why": text}))].into(),
    }
}

/// A stage's row, with a body.
pub(super) fn stage(index: u32, text: &str) -> StageRow {
    let state = Bytes::from(format!("state of {index}: {text}"));
    StageRow { index, state, body: Some(body(text)) }
}

pub(super) fn entry(text: &str) -> HistoryEntry {
    HistoryEntry {
        at: instant(2),
        stage: Some("1".to_owned()),
        kind: "stage-started".to_owned(),
        text: text.to_owned(),
    }
}

/// The append that creates an execution of two stages.
pub(super) fn creation(execution: &str) -> Append {
    Append {
        execution: id(execution),
        expected: 0,
        head: head(Status::Running),
        document: Some(awkward()),
        stages: vec![stage(0, "first"), stage(1, "second")],
        history: vec![entry("created")],
        with: None,
        running_max: None,
        running_max_beyond: RunningMax::default(),
    }
}

/// An append that changes no more than the head's state.
pub(super) fn step(execution: &str, expected: Version) -> Append {
    let state = Bytes::from(format!("head after {expected}"));
    Append {
        execution: id(execution),
        expected,
        head: Head { state, ..head(Status::Running) },
        document: None,
        stages: Vec::new(),
        history: Vec::new(),
        with: None,
        running_max: None,
        running_max_beyond: RunningMax::default(),
    }
}
