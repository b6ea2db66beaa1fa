//! Secrets that stand in files of their own: `url_file` beside `url`.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::entry::Entry;
use super::shape::{FILE, Found, Shape};

/// Size of a file with one secret in it.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Reads the files that entries of one source name, in their place.
///
/// # Errors
/// If a secret is given twice, or a file cannot be read or is empty.
pub(super) fn resolve(shape: &Shape, entries: Vec<Entry>) -> Result<Vec<Entry>> {
    let keys: Vec<_> = entries.iter().map(|entry| entry.path.clone()).collect();
    let read = entries.into_iter().map(|entry| match shape.find(&entry.path) {
        Found::SecretFile => read_file(entry, &keys),
        Found::Value(_) | Found::Secret | Found::Section(_) | Found::Nothing { .. } => Ok(entry),
    });
    read.collect()
}

fn read_file(entry: Entry, keys: &[Vec<String>]) -> Result<Entry> {
    let Entry { mut path, value, source } = entry;
    let key = path.join(".");
    let Value::String(file) = value else { bail!("{source}: `{key}` is no text; name a file") };
    let last = path.pop().unwrap_or_default();
    path.push(last.strip_suffix(FILE).unwrap_or(&last).to_owned());
    let secret = path.join(".");
    ensure!(
        !keys.contains(&path),
        "{source}: there is `{secret}`, and there is `{key}`; give one of them"
    );
    let mut text = String::new();
    let read = File::open(&file).and_then(|f| f.take(SECRET_BYTES_MAX).read_to_string(&mut text));
    read.with_context(|| {
        format!(
            "{source}: the file `{file}` of `{key}` cannot be read; name one that holds the secret"
        )
    })?;
    let text = text.trim();
    ensure!(
        !text.is_empty(),
        "{source}: the file `{file}` of `{key}` is empty; write the secret into it"
    );
    let source = format!("{file}, which {source} names");
    Ok(Entry { path, value: text.into(), source })
}
