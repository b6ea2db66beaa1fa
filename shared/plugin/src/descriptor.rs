//! What a stage type says of itself. Stored as a document when first announced (D18).

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_model::{Capability, Effects, Object};

/// The format, in a stage's schema, of a field that names an account.
const ACCOUNT_FORMAT: &str = "account";

/// Everything the scheduler knows about a kind of stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageDescriptor {
    /// The stage's `type`, e.g. `deployManifest`.
    pub name: String,
    /// Other names under which documents ask for it.
    pub aliases: Vec<String>,
    /// One sentence.
    pub summary: String,
    /// JSON Schema of the stage's own fields.
    pub schema: Value,
    /// Its tasks, in order.
    pub tasks: Vec<TaskDescriptor>,
    /// How long the stage may take where the document does not say (`stageTimeoutMs`).
    pub timeout: SignedDuration,
}

/// One task of a stage type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskDescriptor {
    /// Spinnaker's name of it, e.g. `waitForManifestToStabilize`.
    pub name: String,
    /// What a worker must be able to do to take it.
    pub capability: Capability,
    /// What it does to the outside world.
    pub effects: Effects,
    /// Which stages have it.
    #[serde(default, skip_serializing_if = "When::is_always")]
    pub when: When,
}

/// Which stages of a type have a task: decided by fields of the stage when it is planned. A field is
/// set if it is true, or a number above 0, as itself or as a text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// Every stage.
    #[default]
    Always,
    /// Those in which all of these fields are set.
    AllSet(Vec<String>),
    /// All others than those in which all of these fields are set.
    NotAllSet(Vec<String>),
}

impl When {
    fn is_always(&self) -> bool {
        *self == Self::Always
    }

    /// Whether a stage with this context has the task.
    pub fn holds(&self, context: &Object) -> bool {
        let all = |fields: &[String]| fields.iter().all(|field| is_set(context.get(field)));
        match self {
            Self::Always => true,
            Self::AllSet(fields) => all(fields),
            Self::NotAllSet(fields) => !all(fields),
        }
    }
}

fn is_set(value: Option<&Value>) -> bool {
    let number = |number: f64| number > 0.0;
    match value {
        None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => false,
        Some(Value::Bool(truth)) => *truth,
        Some(Value::Number(found)) => found.as_f64().is_some_and(number),
        Some(Value::String(text)) => {
            let text = text.trim();
            text.eq_ignore_ascii_case("true") || text.parse().is_ok_and(number)
        }
    }
}

impl StageDescriptor {
    /// Whether a document that asks for `name` means this stage type.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// The fields of its stages that name an account: those of the schema's format `account`. Of
    /// several that are set the first counts.
    pub fn account_fields(&self) -> impl Iterator<Item = &str> {
        let properties = self.schema.get("properties").and_then(Value::as_object);
        let is_one = |schema: &Value| schema.get("format") == Some(&Value::from(ACCOUNT_FORMAT));
        let named = properties.into_iter().flatten().filter(move |(_, schema)| is_one(schema));
        named.map(|(field, _)| field.as_str())
    }

    /// The account that a stage with this context names.
    pub fn account<'a>(&'a self, context: &'a Object) -> Option<&'a str> {
        let named = self.account_fields().filter_map(|field| context.get(field)?.as_str());
        named.into_iter().find(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_is_where_its_fields_are_set() {
        let fields = vec!["waits".to_owned(), "seconds".to_owned()];
        for (context, all) in [
            (json!({ "waits": true, "seconds": 1 }), true),
            (json!({ "waits": "True", "seconds": " 0.5 " }), true),
            (json!({ "waits": true, "seconds": 0 }), false),
            (json!({ "waits": "no", "seconds": 1 }), false),
            (json!({ "waits": true, "seconds": [1] }), false),
            (json!({ "waits": true }), false),
        ] {
            let context = context.as_object().unwrap();
            assert_eq!(When::AllSet(fields.clone()).holds(context), all, "{context:?}");
            assert_eq!(When::NotAllSet(fields.clone()).holds(context), !all, "{context:?}");
            assert!(When::Always.holds(context));
        }
    }

    #[test]
    fn the_account_of_a_stage_is_in_the_first_field_that_names_one() {
        let descriptor = StageDescriptor {
            name: "deploy".into(),
            aliases: Vec::new(),
            summary: String::new(),
            schema: json!({ "properties": {
                "account": { "type": "string", "format": "account" },
                "credentials": { "type": "string", "format": "account" },
                "name": { "type": "string" },
            } }),
            tasks: Vec::new(),
            timeout: SignedDuration::from_mins(1),
        };
        for (context, account) in [
            (json!({ "account": "prod", "credentials": "test" }), Some("prod")),
            (json!({ "account": "", "credentials": "test" }), Some("test")),
            (json!({ "name": "prod", "account": 7 }), None),
        ] {
            assert_eq!(descriptor.account(context.as_object().unwrap()), account, "{context}");
        }
    }

    #[test]
    fn what_an_older_worker_says_of_a_task_holds_for_every_stage() {
        let old = json!({ "name": "t", "capability": "c", "effects": "none" });
        let task: TaskDescriptor = serde_json::from_value(old.clone()).unwrap();
        assert_eq!(task.when, When::Always);
        assert_eq!(serde_json::to_value(&task).unwrap(), old);
    }
}
