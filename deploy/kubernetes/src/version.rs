//! Versions of objects that never change: `v000`, `v001` and so on (reference §3.1).
//!
//! Nothing is deployed so yet; the cases of the corpus hold it to Spinnaker's rules.

use serde_json::Value;

/// The version behind those that exist; what cannot be read as one does not count.
pub(crate) fn next<'a>(existing: impl Iterator<Item = &'a str>) -> u32 {
    existing.filter_map(number).max().map_or(0, |newest| newest + 1)
}

/// The version among those that were applied whose content is that of a manifest.
pub(crate) fn same_content<'a>(
    manifest: &Value,
    applied: impl Iterator<Item = &'a Value>,
) -> Option<u32> {
    let content = |value: &Value| value["data"].clone();
    let mut applied = applied.filter(|one| content(one) == content(manifest));
    applied.find_map(|one| number(one["version"].as_str()?))
}

/// What a version is called.
pub(crate) fn name(version: u32) -> String {
    format!("v{version:03}")
}

fn number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('v')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
