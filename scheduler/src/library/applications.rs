//! Applications: who owns what, by name; names compare without case (D28).

use serde_json::Value;
use shared_model::Object;

use super::{Library, LibraryError, object, text};

const KIND: &str = "application";
/// Length of an application's name, in bytes.
const NAME_BYTES_MAX: usize = 250;

impl Library {
    /// The attributes of every application, by name.
    ///
    /// # Errors
    /// [`LibraryError::Port`].
    pub async fn applications(&self) -> Result<Vec<Object>, LibraryError> {
        Ok(self.all(KIND, "").await?.iter().map(object).collect())
    }

    /// The attributes of one application; `None` if there is none.
    ///
    /// # Errors
    /// [`LibraryError::Port`].
    pub async fn application(&self, name: &str) -> Result<Option<Object>, LibraryError> {
        let found = self.documents.get(KIND, &key(name)).await?;
        Ok(found.as_ref().map(object))
    }

    /// Creates an application, or lays these attributes over those that it has.
    ///
    /// # Errors
    /// [`LibraryError::Invalid`] for a name that is none, [`LibraryError::Conflict`] if somebody
    /// else saves it at the same time.
    pub async fn save_application(
        &self,
        mut attributes: Object,
        by: &str,
    ) -> Result<Object, LibraryError> {
        let name = text(&attributes, "name").trim().to_owned();
        check_name(&name)?;
        let id = key(&name);
        let old = self.documents.get(KIND, &id).await?;
        let (version, mut saved) =
            old.map_or((0, Object::new()), |old| (old.version, object(&old)));
        // The name stays as it was first written.
        if saved.contains_key("name") {
            attributes.remove("name");
        }
        saved.extend(attributes);
        let now = Value::from(self.now().as_millisecond().to_string());
        saved.entry("createTs").or_insert_with(|| now.clone());
        saved.insert("updateTs".into(), now);
        saved.insert("lastModifiedBy".into(), by.into());
        self.store((KIND, &id), version, Some(saved.clone()), by).await?;
        Ok(saved)
    }

    /// Makes sure that an application is there.
    pub(super) async fn have_application(&self, name: &str, by: &str) -> Result<(), LibraryError> {
        if self.application(name).await?.is_some() {
            return Ok(());
        }
        let attributes = Object::from_iter([("name".to_owned(), Value::from(name))]);
        match self.save_application(attributes, by).await {
            // Somebody else made it: it is there.
            Ok(_) | Err(LibraryError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes an application and its pipelines; their histories stay.
    ///
    /// # Errors
    /// [`LibraryError::NotFound`] if there is none.
    pub async fn delete_application(&self, name: &str, by: &str) -> Result<(), LibraryError> {
        let id = key(name);
        let found = self.documents.get(KIND, &id).await?;
        let found = found.ok_or_else(|| not_found(name))?;
        for pipeline in self.pipelines(name).await? {
            self.delete_pipeline(name, text(&pipeline, "name"), by).await?;
        }
        self.store((KIND, &id), found.version, None, by).await
    }
}

/// Spinnaker compares names of applications without case.
pub(super) fn key(name: &str) -> String {
    name.to_lowercase()
}

fn not_found(name: &str) -> LibraryError {
    LibraryError::NotFound { what: format!("application `{name}`") }
}

pub(super) fn check_name(name: &str) -> Result<(), LibraryError> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(fits) {
        return Ok(());
    }
    let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    let why = format!("`{shown}` is no name of an application");
    let hint = "use 1 to 250 letters, digits, `-`, `_` and `.` (name_bytes_max)";
    Err(LibraryError::invalid("application-name", "/application", why, hint))
}
