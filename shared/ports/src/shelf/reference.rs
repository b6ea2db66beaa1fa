//! References: what stands in the place of what was put away.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared_model::{Artifact, Object};

use crate::BlobRef;

/// How long a text may be that stays where it is, in bytes, and a manifest.
const LEFT_BYTES_MAX: usize = 1024;
/// How a reference begins.
const MARK: &str = "capstan-blob:";
/// Lists of manifests, by their keys.
const MANIFESTS: [&str; 2] = ["manifests", "outputs.manifests"];
/// How long a list of artifacts may be that stays where it is, in bytes.
const LIST_BYTES_MAX: usize = 4 * 1024;
/// The only key of an artifact that stands for a list of them.
pub(super) const LIST: &str = "capstan-blob";
/// Length of a hash, in hexadecimal digits.
const SHA256_DIGITS: usize = 64;

/// The blobs to which a JSON text refers, by their SHA-256.
pub fn named_in(json: &str) -> BTreeSet<&str> {
    let after = json.split(MARK).skip(1).filter_map(|rest| {
        let (_, rest) = rest.split_once(':')?;
        rest.get(..SHA256_DIGITS).filter(|digits| is_hash(digits))
    });
    after.collect()
}

fn is_hash(text: &str) -> bool {
    text.len() == SHA256_DIGITS
        && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// In which form something was put away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

pub(super) fn put_aside(key: &str, value: &mut Value, aside: &mut BTreeMap<BlobRef, Bytes>) {
    match value {
        Value::String(text) if text.len() > LEFT_BYTES_MAX || text.starts_with(MARK) => {
            let bytes = Bytes::from(std::mem::take(text));
            *text = reference(Form::Text, bytes, aside);
        }
        Value::Array(list) if MANIFESTS.contains(&key) => {
            list.iter_mut().for_each(|manifest| put_manifest_aside(manifest, aside));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| put_aside("", value, aside)),
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| put_aside(key, value, aside)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn put_manifest_aside(manifest: &mut Value, aside: &mut BTreeMap<BlobRef, Bytes>) {
    let json = if manifest.is_object() { manifest.to_string() } else { String::new() };
    if json.len() > LEFT_BYTES_MAX {
        *manifest = reference(Form::Json, Bytes::from(json), aside).into();
    } else {
        put_aside("", manifest, aside);
    }
}

fn reference(form: Form, bytes: Bytes, aside: &mut BTreeMap<BlobRef, Bytes>) -> String {
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let name = BlobRef { sha256, bytes: bytes.len() as u64 };
    let form = match form {
        Form::Text => "text",
        Form::Json => "json",
    };
    let text = format!("{MARK}{form}:{}:{}", name.sha256, name.bytes);
    aside.insert(name, bytes);
    text
}

/// What stands for a list of artifacts that is long.
pub(super) fn list_aside(
    list: &impl Serialize,
    aside: &mut BTreeMap<BlobRef, Bytes>,
) -> Option<Artifact> {
    let json = serde_json::to_vec(list).ok().filter(|json| json.len() > LIST_BYTES_MAX)?;
    let text = reference(Form::Json, Bytes::from(json), aside);
    Some(Artifact(Object::from_iter([(LIST.to_owned(), text.into())])))
}

/// The list that an artifact stands for. Nobody else can make one up: their reference would have been
/// put away itself, as a text.
pub(super) fn list_name(artifact: &Artifact) -> Option<BlobRef> {
    let text = artifact.0.get(LIST).filter(|_| artifact.0.len() == 1)?.as_str()?;
    read(text).filter(|(form, _)| *form == Form::Json).map(|(_, name)| name)
}

fn read(text: &str) -> Option<(Form, BlobRef)> {
    let (form, rest) = text.strip_prefix(MARK)?.split_once(':')?;
    let (sha256, bytes) = rest.split_once(':')?;
    let form = match form {
        "text" => Form::Text,
        "json" => Form::Json,
        _ => return None,
    };
    let bytes = bytes.parse().ok().filter(|_| is_hash(sha256))?;
    Some((form, BlobRef { sha256: sha256.to_owned(), bytes }))
}

pub(super) fn look_for(value: &Value, wanted: &mut BTreeSet<BlobRef>) {
    match value {
        Value::String(text) => wanted.extend(read(text).map(|(_, name)| name)),
        Value::Array(list) => list.iter().for_each(|value| look_for(value, wanted)),
        Value::Object(map) => map.values().for_each(|value| look_for(value, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

pub(super) fn put_back(value: &mut Value, found: &BTreeMap<BlobRef, Bytes>) {
    match value {
        Value::String(text) => {
            let back = read(text).and_then(|(form, name)| {
                let bytes = found.get(&name)?;
                match form {
                    Form::Text => std::str::from_utf8(bytes).ok().map(Value::from),
                    Form::Json => serde_json::from_slice(bytes).ok(),
                }
            });
            if let Some(back) = back {
                *value = back;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| put_back(value, found)),
        Value::Object(map) => map.values_mut().for_each(|value| put_back(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
