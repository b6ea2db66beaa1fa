//! Pipelines: saved as they were written, with an id, a time and whoever saved them.

use serde_json::Value;
use shared_model::{Object, Pipeline, Problem, Severity};

use super::applications::{check_name, key};
use super::{Library, LibraryError, difference, object, text};
use crate::start;

const KIND: &str = "pipeline";
/// Claims a name within an application.
const NAME: &str = "pipeline-name";
/// Errors that concern a run of the document only: it can be kept, and run once that is built.
const RUN_ONLY: [&str; 1] = ["template-unsupported"];

impl Library {
    /// The pipelines of an application, by `index`, then name.
    ///
    /// # Errors
    /// [`LibraryError::Port`].
    pub async fn pipelines(&self, application: &str) -> Result<Vec<Object>, LibraryError> {
        let mut found = Vec::new();
        for claim in self.all(NAME, &format!("{}/", key(application))).await? {
            let id = text(&object(&claim), "id").to_owned();
            found.extend(self.claimed(&claim.id, &id).await?);
        }
        let index = |pipeline: &Object| pipeline.get("index").and_then(Value::as_i64);
        found.sort_by_key(|pipeline| index(pipeline).unwrap_or(i64::MAX));
        Ok(found)
    }

    /// A pipeline by its name or its id; `None` if the application has none such.
    ///
    /// # Errors
    /// [`LibraryError::Port`].
    pub async fn pipeline(
        &self,
        application: &str,
        name_or_id: &str,
    ) -> Result<Option<Object>, LibraryError> {
        let name = claim_id(application, name_or_id);
        if let Some(claim) = self.documents.get(NAME, &name).await? {
            let id = text(&object(&claim), "id").to_owned();
            if let Some(found) = self.claimed(&name, &id).await? {
                return Ok(Some(found));
            }
        }
        let found = self.pipeline_by_id(name_or_id).await?;
        Ok(found.filter(|found| key(text(found, "application")) == key(application)))
    }

    /// A pipeline by its id; `None` if there is none.
    ///
    /// # Errors
    /// [`LibraryError::Port`].
    pub async fn pipeline_by_id(&self, id: &str) -> Result<Option<Object>, LibraryError> {
        Ok(self.documents.get(KIND, id).await?.as_ref().map(object))
    }

    /// The versions of a pipeline, newest first; a deletion is left out.
    ///
    /// # Errors
    /// [`LibraryError::Port`].
    pub async fn pipeline_history(
        &self,
        id: &str,
        limit: u32,
    ) -> Result<Vec<Object>, LibraryError> {
        let versions = self.documents.history(KIND, id, limit).await?;
        Ok(versions.iter().filter_map(|version| version.body.as_object().cloned()).collect())
    }

    /// Saves a pipeline: a new one, or the next version of the one with its `id`. Answers what was
    /// saved. With `stale_check` a document whose `updateTs` is not that of the saved one is refused.
    ///
    /// # Errors
    /// [`LibraryError::Invalid`] lists everything that is wrong with it; [`LibraryError::Conflict`]
    /// if another pipeline has its name, or somebody saved it meanwhile.
    pub async fn save_pipeline(
        &self,
        mut document: Object,
        stale_check: bool,
        by: &str,
    ) -> Result<Object, LibraryError> {
        self.check_pipeline(&document)?;
        let application = text(&document, "application").to_owned();
        let id = match text(&document, "id") {
            "" => self.clock.new_id(),
            id => id.to_owned(),
        };
        let old = self.documents.get(KIND, &id).await?;
        let (version, old) = old.map_or((0, None), |old| (old.version, Some(object(&old))));
        if let (true, Some(old)) = (stale_check, &old) {
            check_stale(old, &document)?;
        }
        let name = claim_id(&application, text(&document, "name"));
        self.have_application(&application, by).await?;
        self.claim(&name, &id, by).await?;
        document.insert("id".into(), id.as_str().into());
        let sent = document.clone();
        let now = self.saved_after(old.as_ref());
        document.insert("updateTs".into(), now.to_string().into());
        document.insert("lastModifiedBy".into(), by.into());
        let stored = self.store((KIND, &id), version, Some(document.clone()), by).await;
        if let Err(error) = stored {
            return Err(self.with_difference(&id, &sent, error).await);
        }
        if let Some(old) = old {
            self.release(&claim_id(text(&old, "application"), text(&old, "name")), &name, by)
                .await?;
        }
        Ok(document)
    }

    /// When something is saved that replaces something, in milliseconds since 1970: whoever read that can
    /// tell, however soon it comes.
    fn saved_after(&self, old: Option<&Object>) -> i64 {
        let before = old.and_then(|old| text(old, "updateTs").parse::<i64>().ok());
        let now = self.now().as_millisecond();
        before.map_or(now, |before| now.max(before.saturating_add(1)))
    }

    /// Somebody was faster between our reading and our saving: whoever sent this reads what differs now.
    async fn with_difference(&self, id: &str, sent: &Object, error: LibraryError) -> LibraryError {
        match (&error, self.documents.get(KIND, id).await) {
            (LibraryError::Conflict { .. }, Ok(Some(saved))) => {
                check_stale(&object(&saved), sent).err().unwrap_or(error)
            }
            _ => error,
        }
    }

    /// Deletes a pipeline by its name or its id; its history stays.
    ///
    /// # Errors
    /// [`LibraryError::NotFound`] if there is none.
    pub async fn delete_pipeline(
        &self,
        application: &str,
        name_or_id: &str,
        by: &str,
    ) -> Result<(), LibraryError> {
        let what = || format!("pipeline `{name_or_id}` of application `{application}`");
        let found = self.pipeline(application, name_or_id).await?;
        let found = found.ok_or_else(|| LibraryError::NotFound { what: what() })?;
        let id = text(&found, "id");
        let Some(stored) = self.documents.get(KIND, id).await? else { return Ok(()) };
        self.store((KIND, id), stored.version, None, by).await?;
        self.release(&claim_id(application, text(&found, "name")), "", by).await
    }

    fn check_pipeline(&self, document: &Object) -> Result<(), LibraryError> {
        let value = Value::Object(document.clone());
        let mut problems = start::check(&value, None, &self.registry, &self.limits);
        problems.retain(|problem| !RUN_ONLY.contains(&problem.code.as_ref()));
        problems.extend(missing_names(document));
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(LibraryError::Invalid { problems });
        }
        check_name(Pipeline { raw: document.clone() }.application())
    }

    /// Takes a name for a pipeline, unless another one has it.
    async fn claim(&self, name: &str, id: &str, by: &str) -> Result<(), LibraryError> {
        let old = self.documents.get(NAME, name).await?;
        let holder = old.as_ref().map(|old| text(&object(old), "id").to_owned());
        if holder.as_deref() == Some(id) {
            return Ok(());
        }
        if let Some(holder) = &holder
            && self.claimed(name, holder).await?.is_some()
        {
            return Err(LibraryError::Conflict {
                why: format!(
                    "a pipeline of that name exists already (`{name}`, id {holder}); send its id \
                     to change it, or choose another name"
                ),
            });
        }
        let version = old.map_or(0, |old| old.version);
        let body = Object::from_iter([("id".to_owned(), Value::from(id))]);
        self.store((NAME, name), version, Some(body), by).await
    }

    /// Gives a name back that is not in use any more.
    async fn release(&self, old: &str, new: &str, by: &str) -> Result<(), LibraryError> {
        if old == new {
            return Ok(());
        }
        match self.documents.get(NAME, old).await? {
            Some(claim) => self.store((NAME, old), claim.version, None, by).await,
            None => Ok(()),
        }
    }

    /// The pipeline that a name is claimed for. A crash between claim and save leaves a claim that
    /// nothing stands behind: it counts as none.
    async fn claimed(&self, name: &str, id: &str) -> Result<Option<Object>, LibraryError> {
        let found = self.pipeline_by_id(id).await?;
        let own = |found: &Object| claim_id(text(found, "application"), text(found, "name"));
        Ok(found.filter(|found| own(found) == name))
    }
}

fn claim_id(application: &str, name: &str) -> String {
    format!("{}/{}", key(application), name.to_lowercase())
}

fn missing_names(document: &Object) -> Vec<Problem> {
    let missing =
        ["application", "name"].into_iter().filter(|key| text(document, key).trim().is_empty());
    missing
        .map(|key| {
            let why = format!("a saved pipeline needs `{key}`");
            Problem::error("field-missing", format!("/{key}"), why, "add it, as text")
        })
        .collect()
}

/// Front50's check: whoever saves must have read the newest version.
fn check_stale(old: &Object, new: &Object) -> Result<(), LibraryError> {
    let (saved, read) = (text(old, "updateTs"), text(new, "updateTs"));
    if saved == read {
        return Ok(());
    }
    let found = difference::of(old, new);
    let told = if found.is_empty() { "nothing".to_owned() } else { found.join("; ") };
    Err(LibraryError::Conflict {
        why: format!(
            "the pipeline was saved by `{}` at {saved} since you read it (at `{read}`); read it \
             again and bring your change into it; what differs: {told}",
            text(old, "lastModifiedBy")
        ),
    })
}
