//! Operations on saved documents that are asked for as tasks, and how they ended.

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared_model::Object;
use shared_ports::{Documents, PortError};

use super::templates::Version;
use super::{Library, LibraryError, object, text};

const KIND: &str = "task";

/// Something to be done with saved documents.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// `createApplication`, `updateApplication`, `upsertApplication`: all of them save.
    SaveApplication(Object),
    /// `deleteApplication`.
    DeleteApplication(String),
    /// `savePipeline`; with Front50's check of the time if it is asked for.
    SavePipeline(Object, bool),
    /// `deletePipeline`.
    DeletePipeline(Object),
    /// `createV2PipelineTemplate`, `updateV2PipelineTemplate`: under a tag, new or there already.
    SaveTemplate(Object, Version, bool),
    /// `deleteV2PipelineTemplate`.
    DeleteTemplate(String, Version),
}

impl Operation {
    /// The operation that a job asks for; `None` if it is none on saved documents.
    pub fn of(job: &Value) -> Option<Self> {
        let part = |key: &str| job[key].as_object().cloned().unwrap_or_default();
        match job["type"].as_str()? {
            "createApplication" | "updateApplication" | "upsertApplication" => {
                Some(Self::SaveApplication(part("application")))
            }
            "deleteApplication" => {
                Some(Self::DeleteApplication(text(&part("application"), "name").to_owned()))
            }
            "savePipeline" => {
                let stale_check = job["staleCheck"].as_bool().unwrap_or_default();
                Some(Self::SavePipeline(pipeline(&job["pipeline"]), stale_check))
            }
            "deletePipeline" => Some(Self::DeletePipeline(pipeline(&job["pipeline"]))),
            "createV2PipelineTemplate" => Some(Self::save_template(job, true)),
            "updateV2PipelineTemplate" => Some(Self::save_template(job, false)),
            "deleteV2PipelineTemplate" => {
                let id = job["pipelineTemplateId"].as_str().unwrap_or_default().to_owned();
                let text = |key: &str| job[key].as_str().map(str::to_owned);
                Some(Self::DeleteTemplate(id, Version::of(text("tag"), text("digest"))))
            }
            _ => None,
        }
    }

    fn save_template(job: &Value, is_new: bool) -> Self {
        let mut template = pipeline(&job["pipelineTemplate"]);
        if let Some(id) = job["id"].as_str().filter(|_| !is_new) {
            template.insert("id".into(), id.into());
        }
        let tag = [job.get("tag"), template.get("tag")];
        let tag = tag.into_iter().flatten().find_map(Value::as_str).map(str::to_owned);
        Self::SaveTemplate(template, Version::of(tag, None), is_new)
    }
}

/// Gate sends a pipeline as base64 of its JSON; an object is understood too.
fn pipeline(written: &Value) -> Object {
    let decoded = written.as_str().and_then(|text| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    });
    decoded.as_ref().unwrap_or(written).as_object().cloned().unwrap_or_default()
}

impl Library {
    /// Carries an operation out.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing was changed then.
    pub async fn carry_out(&self, operation: Operation, by: &str) -> Result<(), LibraryError> {
        match operation {
            Operation::SaveApplication(attributes) => {
                self.save_application(attributes, by).await.map(drop)
            }
            Operation::DeleteApplication(name) => self.delete_application(&name, by).await,
            Operation::SavePipeline(document, stale_check) => {
                self.save_pipeline(document, stale_check, by).await.map(drop)
            }
            Operation::DeletePipeline(pipeline) => {
                let (application, name) = (text(&pipeline, "application"), text(&pipeline, "name"));
                self.delete_pipeline(application, name, by).await
            }
            Operation::SaveTemplate(template, version, is_new) => {
                self.save_template(template, &version, is_new, by).await.map(drop)
            }
            Operation::DeleteTemplate(id, version) => self.delete_template(&id, &version, by).await,
        }
    }

    /// Keeps what became of a request for operations; answers the task's id.
    ///
    /// # Errors
    /// [`LibraryError::Port`].
    pub async fn keep_task(
        &self,
        asked: &Object,
        failure: Option<String>,
        by: &str,
    ) -> Result<String, LibraryError> {
        let id = self.clock.new_id();
        let now = self.now().as_millisecond();
        let status = if failure.is_some() { "TERMINAL" } else { "SUCCEEDED" };
        let mut variables = vec![json!({ "key": "user", "value": by })];
        variables.extend(failure.map(|why| {
            let exception = json!({ "details": { "errors": [why] } });
            json!({ "key": "exception", "value": exception })
        }));
        let task = json!({
            "id": id, "name": text(asked, "description"), "application": text(asked, "application"),
            "status": status, "buildTime": now, "startTime": now, "endTime": now,
            "variables": variables, "steps": [],
        });
        let body = task.as_object().cloned();
        self.store((KIND, &id), 0, body, by).await?;
        Ok(id)
    }

    /// A task that was kept; `None` if there is none.
    ///
    /// # Errors
    /// [`LibraryError::Port`].
    pub async fn task(&self, id: &str) -> Result<Option<Object>, LibraryError> {
        Ok(self.documents.get(KIND, id).await?.as_ref().map(object))
    }

    /// Removes a task that was kept; says whether there was one.
    ///
    /// # Errors
    /// [`LibraryError::Port`].
    pub async fn remove_task(&self, id: &str) -> Result<bool, LibraryError> {
        if self.documents.get(KIND, id).await?.is_none() {
            return Ok(false);
        }
        self.documents.forget(KIND, &[id.to_owned()]).await?;
        Ok(true)
    }
}

/// Forgets the tasks that were kept before `until`.
///
/// # Errors
/// [`PortError`] if some may still be there.
pub(crate) async fn forget_tasks(
    documents: &dyn Documents,
    until: Timestamp,
) -> Result<(), PortError> {
    const SOME: u32 = 200;
    loop {
        let old = documents.stored_before(KIND, until, SOME).await?;
        documents.forget(KIND, &old).await?;
        if old.len() < SOME as usize {
            return Ok(());
        }
    }
}
