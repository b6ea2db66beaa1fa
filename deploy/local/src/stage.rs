//! The stage types, and what they have in common.

mod deploy;
mod operation;

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared_model::{Capability, Effects, Object, Retry, TaskAnswer, TaskError, TaskResult};
use shared_plugin::{TaskContext, TaskDescriptor, When};

pub use self::deploy::DeployLocal;
pub use self::operation::{OperateLocal, Operation};
use crate::error::LocalError;
use crate::operate::Halt;

/// How long a stage may take where the document does not say.
const STAGE_TIMEOUT: SignedDuration = SignedDuration::from_mins(30);

fn task(name: &str, effects: Effects) -> TaskDescriptor {
    TaskDescriptor {
        name: name.into(),
        capability: Capability::new("deploy.local"),
        effects,
        when: When::Always,
    }
}

/// Why a task ended early, and what it had done by then, line by line.
struct Ended {
    halt: Halt,
    done: Vec<String>,
}

impl From<LocalError> for Ended {
    fn from(error: LocalError) -> Self {
        Self { halt: error.into(), done: Vec::new() }
    }
}

impl From<Halt> for Ended {
    fn from(halt: Halt) -> Self {
        Self { halt, done: Vec::new() }
    }
}

impl Ended {
    /// What was done is told in either case: nothing half-done in silence.
    fn answer(self, cx: &TaskContext) -> TaskAnswer {
        let Self { halt, done } = self;
        match halt {
            Halt::HandedOver => cx.handed_over(),
            Halt::Cancelled => {
                let details = json!({ "details": { "errors": done } });
                let context = object(json!({ "messages": done, "exception": details }));
                TaskAnswer::Canceled { result: TaskResult { context, ..TaskResult::default() } }
            }
            Halt::Failed(error) => {
                let told = done.iter().cloned();
                let mut failure = error.task_error();
                failure.messages.extend(told);
                let context = object(json!({ "messages": failure.messages }));
                let result = TaskResult { context, ..TaskResult::default() };
                TaskAnswer::Failed { error: failure, retry: error.retry(), result }
            }
        }
    }
}

fn no_such_task(name: &str) -> TaskAnswer {
    let error = TaskError::new("NoSuchTask", format!("no task `{name}`"));
    TaskAnswer::Failed { error, retry: Retry::Never, result: TaskResult::default() }
}

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap_or_default()
}

/// Done, with this for the stage's later tasks and, if it is for others, downstream.
fn succeeded(context: Value, outputs: Value) -> TaskAnswer {
    let (context, outputs) = (object(context), object(outputs));
    TaskAnswer::Succeeded { result: TaskResult { context, outputs, ..TaskResult::default() } }
}

/// Texts of a list in the context.
fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
