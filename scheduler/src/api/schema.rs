//! The bodies of answers that are ours to the last field; what people bring is open (`documents`).

mod documents;

use std::fmt::Display;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared_model::{Object, Problem};
use utoipa::ToSchema;

pub(super) use self::documents::{
    Attributes, Evaluation, Execution, Job, NewPipeline, Operations, Pipeline, SavedTemplate,
    StagePatch, StartedPipeline, Template, Trigger,
};
use crate::access::Token;

/// An object without fields.
#[derive(Serialize, ToSchema)]
pub(super) struct Empty {}

/// An application.
#[derive(Serialize, ToSchema)]
pub(super) struct Application {
    /// Its name, as it was first written.
    #[schema(value_type = String)]
    name: Value,
    #[schema(value_type = Attributes)]
    attributes: Object,
    /// Its clusters; empty, because no cluster is watched yet.
    clusters: Object,
}

impl Application {
    pub(super) fn of(attributes: Object) -> Self {
        let name = attributes.get("name").cloned().unwrap_or_default();
        Self { name, attributes, clusters: Object::new() }
    }
}

/// Where to look at what was started.
#[derive(Serialize, ToSchema)]
pub(super) struct Reference {
    /// A path of this API.
    #[serde(rename = "ref")]
    #[schema(example = "/pipelines/01hzy")]
    reference: String,
}

impl Reference {
    pub(super) fn to(kind: &str, id: impl Display) -> Self {
        Self { reference: format!("/{kind}/{id}") }
    }
}

/// As whom a request acts, in Gate's shape.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    username: String,
    email: String,
    first_name: String,
    last_name: &'static str,
    roles: Vec<String>,
    allowed_accounts: [String; 0],
    authorities: [String; 0],
    is_admin: bool,
    enabled: bool,
    account_non_expired: bool,
    account_non_locked: bool,
    credentials_non_expired: bool,
}

impl User {
    pub(super) fn named(name: &str, roles: Vec<String>) -> Self {
        Self {
            username: name.to_owned(),
            email: name.to_owned(),
            first_name: name.to_owned(),
            last_name: "",
            roles,
            allowed_accounts: [],
            authorities: [],
            is_admin: false,
            enabled: true,
            account_non_expired: true,
            account_non_locked: true,
            credentials_non_expired: true,
        }
    }
}

/// Whether it is there.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    pub(super) status: &'static str,
}

/// Which version it is.
#[derive(Serialize, ToSchema)]
pub(super) struct Version {
    pub(super) version: &'static str,
}

/// Whether it can work.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    /// `ready`, `degraded` or `not ready`.
    pub(super) status: &'static str,
    pub(super) checks: Vec<Check>,
}

/// One thing that work needs.
#[derive(Serialize, ToSchema)]
pub(super) struct Check {
    pub(super) name: &'static str,
    /// `ok`, `degraded` (some work waits without it) or `failed`.
    pub(super) status: &'static str,
    /// Why it is not well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

/// Something that happened to an execution.
#[derive(Serialize, ToSchema)]
pub(super) struct Entry {
    /// Counts up within the execution, from 1.
    pub(super) number: u64,
    pub(super) at: Timestamp,
    /// The `refId` of the stage that it is about.
    pub(super) stage: Option<String>,
    /// A stable name, e.g. `attempt-lost`.
    pub(super) kind: String,
    /// In words.
    pub(super) text: String,
}

/// What is wrong with a document.
#[derive(Serialize, ToSchema)]
pub(super) struct Problems {
    #[schema(value_type = Vec<documents::Problem>)]
    pub(super) problems: Vec<Problem>,
}

/// A token that was just made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeToken {
    #[serde(flatten)]
    pub(super) kept: Token,
    /// Its text, for `Authorization: Bearer …`: nowhere kept, and not shown again.
    pub(super) token: String,
}

/// An error as Spring writes it: on every route of Gate.
#[derive(Serialize, ToSchema)]
pub(super) struct SpringError {
    /// When, in milliseconds since 1970.
    pub(super) timestamp: i64,
    pub(super) status: u16,
    /// The words of the status.
    pub(super) error: &'static str,
    /// A stable name of what is wrong, e.g. `not-found`.
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The path that was asked for.
    pub(super) path: String,
    /// Everything that is wrong with a document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<documents::Problem>>)]
    pub(super) errors: Vec<Problem>,
}

/// An error as problem details (RFC 9457): on every route below `/v1`.
#[derive(Serialize, ToSchema)]
pub(super) struct ProblemDetails {
    /// `about:blank`: `code` says more.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// The words of the status.
    pub(super) title: &'static str,
    pub(super) status: u16,
    /// What is wrong, in words.
    pub(super) detail: String,
    /// The path that was asked for.
    pub(super) instance: String,
    /// A stable name of what is wrong, e.g. `not-found`.
    pub(super) code: &'static str,
    /// Everything that is wrong with a document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<documents::Problem>>)]
    pub(super) errors: Vec<Problem>,
}
