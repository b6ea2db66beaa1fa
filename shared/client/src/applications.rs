//! The server itself, its applications, and the tasks that change them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use shared_model::Status;

use crate::{Client, Error};

/// How long a task is waited for.
const TASK_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest pause between two looks at a task.
const TASK_POLL_INTERVAL_MAX: Duration = Duration::from_secs(2);

/// A change that the server carries out by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its name.
    pub id: String,
    /// Where it stands, as the server says it.
    pub status: String,
    /// All that the server says.
    pub body: Value,
}

impl Task {
    /// Whether it did what was asked.
    pub fn has_succeeded(&self) -> bool {
        matches!(self.status.as_str(), "SUCCEEDED" | "STOPPED" | "SKIPPED")
    }

    /// Why it failed, if it says so.
    pub fn failure(&self) -> Option<&str> {
        let variables = self.body["variables"].as_array().into_iter().flatten();
        let exception = variables
            .filter(|variable| variable["key"] == "exception")
            .find_map(|variable| variable.pointer("/value/details/errors/0")?.as_str());
        let stages = self.body["execution"]["stages"].as_array().into_iter().flatten();
        let in_stage = stages.clone().find_map(|stage| {
            stage.pointer("/context/exception/details/errors/0").and_then(Value::as_str)
        });
        exception.or(in_stage)
    }

    fn is_over(&self) -> bool {
        self.status.parse::<Status>().is_ok_and(Status::is_complete)
    }
}

impl Client {
    /// The server's version.
    ///
    /// # Errors
    /// [`Error`], of which [`Error::Foreign`] says that it is another server.
    pub async fn version(&self) -> Result<String, Error> {
        let body = self.get(&["version"], &[]).await?;
        let version = body["version"].as_str().map(str::to_owned);
        version.ok_or_else(|| self.foreign("GET /version", "the answer has no `version`"))
    }

    /// The server's health, `UP` if it is well.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn health(&self) -> Result<String, Error> {
        let body = self.get(&["health"], &[]).await?;
        let status = body["status"].as_str().map(str::to_owned);
        status.ok_or_else(|| self.foreign("GET /health", "the answer has no `status`"))
    }

    /// All applications.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn applications(&self) -> Result<Vec<Value>, Error> {
        self.list(&["applications"], &[]).await
    }

    /// One application, in Gate's shape.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn application(&self, name: &str) -> Result<Value, Error> {
        self.get(&["applications", name], &[]).await
    }

    /// Creates an application, or changes the attributes of the one that is there.
    ///
    /// # Errors
    /// [`Error`]; the task may also fail.
    pub async fn save_application(&self, name: &str, attributes: &Value) -> Result<Task, Error> {
        let kind = match self.application(name).await {
            Ok(_) => ("updateApplication", "Update Application"),
            Err(error) if error.is_not_found() => ("createApplication", "Create Application"),
            Err(error) => return Err(error),
        };
        self.do_to_application(kind, name, attributes).await
    }

    /// Deletes an application.
    ///
    /// # Errors
    /// [`Error`]; the task may also fail.
    pub async fn delete_application(&self, name: &str) -> Result<Task, Error> {
        self.application(name).await?;
        let kind = ("deleteApplication", "Delete Application");
        self.do_to_application(kind, name, &json!({ "name": name })).await
    }

    /// One task.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn task(&self, id: &str) -> Result<Task, Error> {
        let body = self.get(&["tasks", id], &[]).await?;
        let status = body["status"].as_str().map(str::to_owned);
        let status = status.ok_or_else(|| {
            self.foreign(&format!("GET /tasks/{id}"), "the answer has no `status`")
        })?;
        Ok(Task { id: id.to_owned(), status, body })
    }

    async fn do_to_application(
        &self,
        (kind, words): (&str, &str),
        name: &str,
        attributes: &Value,
    ) -> Result<Task, Error> {
        let body = json!({
            "application": name,
            "description": format!("{words}: {name}"),
            "job": [{ "type": kind, "application": attributes }],
        });
        let answer = self.change(Method::POST, &["tasks"], &[], Some(&body)).await?;
        let id = self.reference("POST /tasks", &answer)?;
        self.wait_for_task(&id).await
    }

    async fn wait_for_task(&self, id: &str) -> Result<Task, Error> {
        let wait = async {
            let mut pause = Duration::from_millis(50);
            loop {
                let task = self.task(id).await?;
                if task.is_over() {
                    return Ok(task);
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(TASK_POLL_INTERVAL_MAX);
            }
        };
        let done = tokio::time::timeout(TASK_TIMEOUT, wait).await;
        done.unwrap_or_else(|_| Err(self.too_slow(&format!("task {id}"), TASK_TIMEOUT)))
    }

    /// The id in an answer `{"ref": "/…/ID"}`.
    pub(crate) fn reference(&self, call: &str, answer: &[u8]) -> Result<String, Error> {
        let body: Value = serde_json::from_slice(answer).unwrap_or_default();
        let id = body["ref"].as_str().and_then(|text| text.rsplit('/').next());
        let id = id.filter(|id| !id.is_empty()).map(str::to_owned);
        id.ok_or_else(|| self.foreign(call, "the answer has no `ref`"))
    }

    pub(crate) async fn list(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, Error> {
        let Value::Array(list) = self.get(segments, query).await? else {
            let call = format!("GET /{}", segments.join("/"));
            return Err(self.foreign(&call, "the answer is no list"));
        };
        Ok(list)
    }
}
