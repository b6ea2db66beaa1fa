//! Pipeline documents, and their starts.

use reqwest::Method;
use serde_json::{Value, json};
use shared_model::{Object, Problem};

use crate::{Client, Error};

impl Client {
    /// The documents of an application.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn pipelines(&self, application: &str) -> Result<Vec<Value>, Error> {
        self.list(&["applications", application, "pipelineConfigs"], &[]).await
    }

    /// One document.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn pipeline(&self, application: &str, name: &str) -> Result<Value, Error> {
        self.get(&["applications", application, "pipelineConfigs", name], &[]).await
    }

    /// Saves a document.
    ///
    /// # Errors
    /// [`Error`]; a [`Refusal`](crate::Refusal) lists everything that is wrong with it.
    pub async fn save_pipeline(&self, document: &Value) -> Result<(), Error> {
        self.change(Method::POST, &["pipelines"], &[], Some(document)).await?;
        Ok(())
    }

    /// Everything that a server finds wrong or odd about a document; nothing of it that this
    /// client cannot read.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn validate(&self, document: &Value) -> Result<Vec<Problem>, Error> {
        let segments = ["v1", "pipelines", "validate"];
        let answer = self.change(Method::POST, &segments, &[], Some(document)).await?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let found = answer["problems"].as_array().into_iter().flatten();
        Ok(found.filter_map(|one| serde_json::from_value(one.clone()).ok()).collect())
    }

    /// Deletes a document; its executions stay.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn delete_pipeline(&self, application: &str, name: &str) -> Result<(), Error> {
        self.change(Method::DELETE, &["pipelines", application, name], &[], None).await?;
        Ok(())
    }

    /// Starts a pipeline; the id of its execution.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is no such pipeline.
    pub async fn execute(
        &self,
        application: &str,
        name_or_id: &str,
        parameters: &Object,
    ) -> Result<String, Error> {
        let mut trigger = json!({ "type": "manual" });
        if !parameters.is_empty() {
            trigger["parameters"] = Value::Object(parameters.clone());
        }
        let segments = ["pipelines", application, name_or_id];
        let answer = self.change(Method::POST, &segments, &[], Some(&trigger)).await?;
        self.reference("POST /pipelines/…", &answer)
    }
}
