//! Pipeline templates, version 2, as Front50 keeps them: each tag names a version, each version has the
//! digest of what it says.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use shared_model::{Object, Problem};

use super::{Library, LibraryError, object, text};
use crate::template;

const KIND: &str = "pipelineTemplate";
/// The tag that is meant where none is named.
const LATEST: &str = "latest";
/// The tags that there may be.
const TAGS: [&str; 6] = ["latest", "stable", "unstable", "experimental", "test", "canary"];
/// Dependents that a refusal names.
const DEPENDENTS_SHOWN: usize = 10;

/// Which version of a template is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// That of a tag.
    Tag(String),
    /// That of a SHA-256 digest, in hexadecimal.
    Digest(String),
}

impl Version {
    /// A version by what a request names.
    pub fn of(tag: Option<String>, digest: Option<String>) -> Self {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        match given(digest) {
            Some(digest) => Self::Digest(digest.trim_start_matches("sha256:").to_owned()),
            None => Self::Tag(given(tag).unwrap_or_else(|| LATEST.to_owned())),
        }
    }

    /// The template and the version that a reference means: `spinnaker://ID[:TAG|@sha256:DIGEST]`.
    fn read(reference: &str) -> (&str, Self) {
        let reference = reference.strip_prefix("spinnaker://").unwrap_or(reference);
        if let Some((id, digest)) = reference.split_once("@sha256:") {
            return (id, Self::Digest(digest.to_owned()));
        }
        let (id, tag) = reference.split_once(':').unwrap_or((reference, LATEST));
        (id, Self::Tag(tag.to_owned()))
    }

    fn document_id(&self, id: &str) -> String {
        match self {
            Self::Tag(tag) => format!("{id}:{tag}"),
            Self::Digest(digest) => format!("{id}@sha256:{digest}"),
        }
    }
}

/// A tag that may be used.
fn check_tag(version: &Version) -> Result<(), LibraryError> {
    match version {
        Version::Tag(tag) if !TAGS.contains(&tag.as_str()) => Err(LibraryError::invalid(
            "template-tag",
            "/tag",
            format!("`{}` is no tag of templates", tag.escape_default()),
            "use latest, stable, unstable, experimental, test or canary",
        )),
        Version::Tag(_) | Version::Digest(_) => Ok(()),
    }
}

impl Library {
    /// The templates of every tag, by id; with scopes only those that have one of them, or none.
    ///
    /// # Errors
    /// [`LibraryError::Port`].
    pub async fn templates(&self, scopes: &[String]) -> Result<Vec<Object>, LibraryError> {
        let all = self.all(KIND, "").await?;
        let tagged = all.iter().filter(|document| !document.id.contains('@')).map(object);
        let is_wanted = |template: &Object| {
            let own = template.get("metadata").and_then(|metadata| metadata["scopes"].as_array());
            scopes.is_empty()
                || own.is_none_or(|own| {
                    own.is_empty()
                        || own.iter().any(|scope| {
                            scope == "global" || scopes.iter().any(|wanted| scope == wanted)
                        })
                })
        };
        Ok(tagged.filter(is_wanted).collect())
    }

    /// A version of a template; `None` if there is none.
    ///
    /// # Errors
    /// [`LibraryError::Port`].
    pub async fn template(
        &self,
        id: &str,
        version: &Version,
    ) -> Result<Option<Object>, LibraryError> {
        Ok(self.documents.get(KIND, &version.document_id(id)).await?.as_ref().map(object))
    }

    /// Saves a template under a tag; what it says stays to be had by its digest. Answers what was
    /// saved.
    ///
    /// # Errors
    /// [`LibraryError::Invalid`] lists everything that is wrong; [`LibraryError::Conflict`] if a new one
    /// is there already, [`LibraryError::NotFound`] if one to be changed is not.
    pub async fn save_template(
        &self,
        mut template: Object,
        version: &Version,
        is_new: bool,
        by: &str,
    ) -> Result<Object, LibraryError> {
        check_tag(version)?;
        let problems = template::check(&template);
        if !problems.is_empty() {
            return Err(LibraryError::Invalid { problems });
        }
        let id = text(&template, "id").to_owned();
        let place = version.document_id(&id);
        let old = self.documents.get(KIND, &place).await?;
        match (&old, is_new) {
            (Some(_), true) => {
                let why = format!("template `{place}` exists already; update it instead");
                return Err(LibraryError::Conflict { why });
            }
            (None, false) => {
                return Err(LibraryError::NotFound { what: format!("template `{place}`") });
            }
            (Some(_), false) | (None, true) => {}
        }
        for made_here in ["digest", "tag", "updateTs", "lastModifiedBy"] {
            template.remove(made_here);
        }
        let digest = hex::encode(Sha256::digest(Value::from(template.clone()).to_string()));
        template.insert("digest".into(), digest.as_str().into());
        template.insert("updateTs".into(), self.now().as_millisecond().to_string().into());
        template.insert("lastModifiedBy".into(), by.into());
        let kept = Version::Digest(digest).document_id(&id);
        if self.documents.get(KIND, &kept).await?.is_none() {
            self.store((KIND, &kept), 0, Some(template.clone()), by).await?;
        }
        if let Version::Tag(tag) = version {
            template.insert("tag".into(), tag.as_str().into());
        }
        let expected = old.map_or(0, |old| old.version);
        self.store((KIND, &place), expected, Some(template.clone()), by).await?;
        Ok(template)
    }

    /// Deletes a version of a template that no pipeline is made of.
    ///
    /// # Errors
    /// [`LibraryError::Conflict`] names the pipelines that are.
    pub async fn delete_template(
        &self,
        id: &str,
        version: &Version,
        by: &str,
    ) -> Result<(), LibraryError> {
        let place = version.document_id(id);
        let found = self.documents.get(KIND, &place).await?;
        let what = || format!("template `{place}`");
        let found = found.ok_or_else(|| LibraryError::NotFound { what: what() })?;
        let dependents = self.template_dependents(id, Some(version)).await?;
        if !dependents.is_empty() {
            let name =
                |one: &Object| format!("`{}/{}`", text(one, "application"), text(one, "name"));
            let names: Vec<String> = dependents.iter().take(DEPENDENTS_SHOWN).map(name).collect();
            let why = format!(
                "{} pipelines are made of template `{place}`: {}; delete them, or make them of another one",
                dependents.len(),
                names.join(", ")
            );
            return Err(LibraryError::Conflict { why });
        }
        self.store((KIND, &place), found.version, None, by).await
    }

    /// The pipelines that are made of a template, of any version or of one.
    ///
    /// # Errors
    /// [`LibraryError::Port`].
    pub async fn template_dependents(
        &self,
        id: &str,
        version: Option<&Version>,
    ) -> Result<Vec<Object>, LibraryError> {
        let pipelines = self.all("pipeline", "").await?;
        let is_made_of = |pipeline: &Object| {
            let reference = pipeline.get("template").and_then(|one| one["reference"].as_str());
            reference.map(Version::read).is_some_and(|(of, found)| {
                of == id && version.is_none_or(|version| *version == found)
            })
        };
        Ok(pipelines.iter().map(object).filter(is_made_of).collect())
    }

    /// A document as it is to be run: what a configuration makes of its template, anything else as it
    /// is.
    ///
    /// # Errors
    /// [`LibraryError::Invalid`] lists everything that is wrong with a configuration.
    pub async fn expanded(&self, document: Value) -> Result<Value, LibraryError> {
        let Some(config) = document.as_object().filter(|one| template::is_configuration(one))
        else {
            return Ok(document);
        };
        let reference = config.get("template").and_then(|one| one["reference"].as_str());
        let (id, version) = Version::read(reference.unwrap_or_default());
        let Some(template) = self.template(id, &version).await? else {
            let why = format!("there is no template `{}`", version.document_id(id));
            let hint = "save the template first, or refer to one that is there";
            let problem = Problem::error("template-unknown", "/template/reference", why, hint);
            return Err(LibraryError::Invalid { problems: vec![problem] });
        };
        let made = template::expand(&template, config);
        made.map(Value::Object).map_err(|problems| LibraryError::Invalid { problems })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_a_tag_or_a_digest() {
        let tag = |tag: &str| Version::Tag(tag.to_owned());
        assert_eq!(Version::read("spinnaker://a"), ("a", tag("latest")));
        assert_eq!(Version::read("spinnaker://a:stable"), ("a", tag("stable")));
        assert_eq!(
            Version::read("spinnaker://a@sha256:12"),
            ("a", Version::Digest("12".to_owned()))
        );
        assert!(check_tag(&tag("newest")).is_err());
    }
}
