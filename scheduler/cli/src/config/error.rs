//! What is wrong with a value, in words: never with the value of a secret.

use figment2::error::Kind;

use super::PREFIX;
use super::shape::{Found, Shape};

/// The first thing that is wrong.
pub(super) fn explained(shape: &Shape, error: figment2::Error) -> anyhow::Error {
    let path = error.path.clone();
    let key = path.join(".");
    let source = error.metadata.as_ref().map_or("settings".into(), |about| about.name.clone());
    if let Kind::MissingField(field) = &error.kind {
        let key = [path, vec![field.to_string()]].concat().join(".");
        return missing(&key, "what else stands in its section means nothing without it");
    }
    if matches!(shape.find(&path), Found::Secret | Found::SecretFile) {
        return anyhow::anyhow!("{source}: `{key}` is no text; write it in quotation marks");
    }
    anyhow::anyhow!("{source}: `{key}` cannot be used: {}", error.kind)
}

/// A setting that has to be there.
pub(crate) fn missing(key: &str, why: &str) -> anyhow::Error {
    let variable = key.to_uppercase().replace('.', "__");
    anyhow::anyhow!(
        "`{key}` is not set: {why}; set it in the file that --config names, as {PREFIX}{variable}, or \
         with --set {key}=…"
    )
}
