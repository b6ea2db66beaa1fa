//! From `inputArtifacts` to where their bytes are.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Map, Value};
use shared_model::Artifact;
use shared_model::artifact::EMBEDDED_BASE64;
use shared_plugin::TaskContext;
use shared_plugin::context::embedded_bytes;

use crate::InputError;
use crate::local;

/// The type of an artifact whose reference is a path under the artifact root.
pub(crate) const LOCAL_FILE: &str = "local/file";

/// Where an input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// What people call it.
    pub(crate) name: String,
    pub(crate) place: Place,
}

impl Source {
    /// All of it, which is a file.
    pub(crate) fn bytes(&self, bytes_max: u64, limit: &'static str) -> Result<Vec<u8>, InputError> {
        let path = &self.name;
        match &self.place {
            Place::Bytes(bytes) if bytes.len() as u64 > bytes_max => {
                Err(InputError::TooLarge { path: path.clone(), bytes_max, limit })
            }
            Place::Bytes(bytes) => Ok(bytes.to_vec()),
            Place::Local { path: at, .. } => local::read(at, path, bytes_max, limit),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Here.
    Bytes(Bytes),
    /// At this path, which is free of links and inside `root`.
    Local { path: PathBuf, root: PathBuf },
}

/// An entry of `inputArtifacts` and the artifact that it means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Input {
    field: String,
    artifact: Artifact,
}

/// What a stage bakes from: the chart, then values files, in order. Nothing is looked up yet.
pub(crate) fn inputs(cx: &TaskContext) -> Result<(Input, Vec<Input>), InputError> {
    let entries = cx.context().get("inputArtifacts").and_then(Value::as_array);
    let entries = entries.map(Vec::as_slice).unwrap_or_default();
    let mut inputs = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let field = format!("inputArtifacts[{index}]");
        let artifact = artifact(&field, entry, cx)?;
        inputs.push(Input { field, artifact });
    }
    if inputs.is_empty() {
        return Err(InputError::None);
    }
    let chart = inputs.remove(0);
    Ok((chart, inputs))
}

fn artifact(field: &str, entry: &Value, cx: &TaskContext) -> Result<Artifact, InputError> {
    let no_reference = || InputError::NoReference { field: field.to_owned() };
    let entry = entry.as_object().ok_or_else(no_reference)?;
    if let Some(id) = entry.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        return Ok(cx.bound(&format!("{field}.id"), id)?);
    }
    let inline = entry.get("artifact").and_then(Value::as_object).filter(|found| !found.is_empty());
    inline.map(|found: &Map<String, Value>| Artifact(found.clone())).ok_or_else(no_reference)
}

/// The artifact that `<field>Id` or `<field>` of the stage means.
pub(crate) fn named(cx: &TaskContext, field: &str) -> Result<Input, InputError> {
    let artifact = cx.artifact(field)?;
    Ok(Input { field: field.to_owned(), artifact })
}

impl Input {
    /// What people call it: its path if it has one, else its name, else where it stands.
    pub(crate) fn name(&self) -> &str {
        let Self { field, artifact } = self;
        let name = match artifact.kind() {
            LOCAL_FILE => artifact.reference(),
            _ => artifact.name(),
        };
        if name.is_empty() { field } else { name }
    }

    /// Looks up where its bytes are.
    pub(crate) fn source(&self, root: &Path) -> Result<Source, InputError> {
        let place = match self.artifact.kind() {
            EMBEDDED_BASE64 => Place::Bytes(embedded_bytes(&self.artifact)?),
            LOCAL_FILE => {
                let (path, root) = local::resolve(root, self.artifact.reference())?;
                Place::Local { path, root }
            }
            kind => {
                let (field, kind) = (self.field.clone(), kind.to_owned());
                return Err(InputError::Kind { field, kind });
            }
        };
        Ok(Source { name: self.name().to_owned(), place })
    }
}
