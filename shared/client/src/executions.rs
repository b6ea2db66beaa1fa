//! Executions: lists, one, and what users do to them.

use reqwest::Method;
use serde_json::Value;

use crate::{Client, Error, Execution};

/// Whose executions are listed.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// Those of an application.
    Application(&'a str),
    /// Those of one pipeline, by its id.
    Pipeline(&'a str),
}

/// What is listed of them.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Only these statuses, if any are named.
    pub statuses: Vec<String>,
    /// At most so many; of an application, so many of each pipeline.
    pub limit: u32,
}

impl Client {
    /// Lists executions, newest first.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn executions(
        &self,
        which: Which<'_>,
        listing: &Listing,
    ) -> Result<Vec<Execution>, Error> {
        let (statuses, limit) = (listing.statuses.join(","), listing.limit.to_string());
        let mut query = vec![("limit", limit.as_str())];
        if !statuses.is_empty() {
            query.push(("statuses", &statuses));
        }
        let found = match which {
            Which::Application(name) => {
                query.push(("expand", "true"));
                self.list(&["applications", name, "pipelines"], &query).await?
            }
            Which::Pipeline(id) => {
                query.push(("pipelineConfigIds", id));
                self.list(&["executions"], &query).await?
            }
        };
        Ok(found.into_iter().map(Execution).collect())
    }

    /// One execution.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn execution(&self, id: &str) -> Result<Execution, Error> {
        Ok(Execution(self.get(&["pipelines", id], &[]).await?))
    }

    /// Executions by their ids; those that are not there are left out.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn executions_by_id(&self, ids: &[&str]) -> Result<Vec<Execution>, Error> {
        let found = self.list(&["executions"], &[("executionIds", &ids.join(","))]).await?;
        Ok(found.into_iter().map(Execution).collect())
    }

    /// Ends an execution.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn cancel(&self, id: &str, reason: Option<&str>) -> Result<(), Error> {
        let query: Vec<_> = reason.map(|reason| ("reason", reason)).into_iter().collect();
        self.change(Method::PUT, &["pipelines", id, "cancel"], &query, None).await?;
        Ok(())
    }

    /// Removes an execution that has ended.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn delete_execution(&self, id: &str) -> Result<(), Error> {
        self.change(Method::DELETE, &["pipelines", id], &[], None).await?;
        Ok(())
    }

    /// Puts values into a stage's context: answers a judgment, ends a wait.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is no such stage.
    pub async fn patch_stage(
        &self,
        id: &str,
        stage: &str,
        patch: &Value,
    ) -> Result<Execution, Error> {
        let segments = ["pipelines", id, "stages", stage];
        let answer = self.change(Method::PATCH, &segments, &[], Some(patch)).await?;
        serde_json::from_slice(&answer).map(Execution).map_err(|error| {
            self.foreign("PATCH /pipelines/…", format!("the answer is not readable: {error}"))
        })
    }
}
