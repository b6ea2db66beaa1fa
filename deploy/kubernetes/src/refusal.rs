//! What a server's refusal means, and what to do. Pure.

use kube::core::Status;
use serde_json::Value;
use shared_model::{Retry, TaskError};

use crate::credentials;
use crate::manifest::Manifest;

/// Longest text of a server that is shown, in characters: a refused pod comes with all its fields.
const SAID_CHARS_MAX: usize = 600;

/// Why a manifest was not applied.
#[derive(Debug)]
pub(crate) struct ApplyFailure {
    pub(crate) error: TaskError,
    pub(crate) retry: Retry,
}

/// Trying again gives the same answer.
pub(crate) fn never(kind: &str, why: String) -> ApplyFailure {
    ApplyFailure { error: TaskError::new(kind, why), retry: Retry::Never }
}

fn later(kind: &str, why: String) -> ApplyFailure {
    ApplyFailure { error: TaskError::new(kind, why), retry: Retry::Later }
}

/// Says what went wrong with a manifest, `doing` what, in the cluster of the account `cluster`.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the client's own errors only a server's answer is told apart; the rest is the way there"
)]
pub(crate) fn explain(
    cluster: &str,
    manifest: &Manifest,
    doing: &str,
    error: &kube::Error,
) -> ApplyFailure {
    match error {
        kube::Error::Api(status) => of_status(cluster, manifest, doing, status),
        other => on_the_way(cluster, &format!("{doing} `{}`", manifest.full_name()), &chain(other)),
    }
}

fn on_the_way(cluster: &str, doing: &str, why: &str) -> ApplyFailure {
    if why.contains("invalid peer certificate") {
        let hint = "check the certificate authority and the address in the kubeconfig";
        let why = format!("the cluster `{cluster}` cannot be trusted ({doing}): {why}; {hint}");
        return never("ClusterUntrusted", why);
    }
    let hint = "check its address in the kubeconfig, the network, and whether the API server runs";
    let why = format!("the cluster `{cluster}` cannot be reached ({doing}): {why}; {hint}");
    later("ClusterUnavailable", why)
}

fn of_status(cluster: &str, manifest: &Manifest, doing: &str, status: &Status) -> ApplyFailure {
    let what = manifest.full_name();
    let said = shortened(&status.message);
    match status.code {
        401 => never(
            "Unauthorized",
            format!(
                "the cluster `{cluster}` does not know us ({doing} `{what}`): {said}; renew the credentials in the kubeconfig"
            ),
        ),
        403 => never(
            "Forbidden",
            format!(
                "the cluster `{cluster}` forbids {doing} `{what}`: {said}; {}",
                right(&status.message)
            ),
        ),
        404 => never("NotFound", format!("{doing} `{what}`: {said}; does its namespace exist?")),
        400 if said.contains("HTTP request to an HTTPS server") => never(
            "ClusterUnavailable",
            format!(
                "the cluster `{cluster}` expects https ({doing} `{what}`): {said}; write its address \
                 with https:// in the kubeconfig"
            ),
        ),
        409 if is_field_conflict(status) => conflict(&what, &said),
        409 => later(
            "Conflict",
            format!(
                "`{what}` was changed or is being deleted by somebody else just now ({doing}): {said}; \
                 deploy again once that is done"
            ),
        ),
        422 if is_immutable(&status.message) => immutable(cluster, manifest, &said),
        code if code == 429 || (code >= 500 && !is_untyped(&status.message)) => later(
            "ClusterUnavailable",
            format!(
                "the cluster `{cluster}` cannot do it now ({doing} `{what}`): {}",
                without_data(manifest, &status.message)
            ),
        ),
        _ => never(
            "InvalidManifest",
            format!(
                "the cluster `{cluster}` refused {doing} `{what}`: {}; mend the manifest",
                without_data(manifest, &status.message)
            ),
        ),
    }
}

/// What gives the right that is missing.
fn right(said: &str) -> &'static str {
    match () {
        () if names_missing_service_account(said) => {
            "create that service account, or name one that exists"
        }
        () if said.contains("being terminated") => {
            "wait until that namespace is gone, or use another"
        }
        () if said.contains("exceeded quota") => "raise the quota, or ask for less",
        () => "give the account that right, or use another account",
    }
}

/// A pod in a namespace that is seconds old finds no service account yet.
fn names_missing_service_account(said: &str) -> bool {
    said.contains("error looking up service account")
}

/// Whether the same may be accepted in a moment.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only a server's answer can say so, whatever else the client knows"
)]
pub(crate) fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            (status.code == 403 && names_missing_service_account(&status.message))
                || (status.code == 409 && !is_field_conflict(status))
        }
        _ => false,
    }
}

fn is_field_conflict(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict")
}

/// The server's words for a field that stays as it was made; there is no code for it.
fn is_immutable(said: &str) -> bool {
    ["is immutable", "Forbidden: updates to", "may not change", "cannot change roleRef"]
        .iter()
        .any(|words| said.contains(words))
}

/// A field that the kind does not have, a value of another type or form: the server answers 500.
fn is_untyped(said: &str) -> bool {
    ["failed to create typed patch object", "failed to convert new object"]
        .iter()
        .any(|words| said.contains(words))
}

fn immutable(cluster: &str, manifest: &Manifest, said: &str) -> ApplyFailure {
    let what = manifest.full_name();
    let mut failure = never(
        "ImmutableField",
        format!(
            "`{what}` exists in the cluster `{cluster}` and cannot be changed like this: {said}"
        ),
    );
    let place = match manifest.namespace() {
        "" => String::new(),
        namespace => format!(" -n {namespace}"),
    };
    failure.error = failure.error.and(format!(
        "take that change back, give the object another name, or delete it and deploy again: \
         kubectl{place} delete {} {}",
        manifest.kind().to_ascii_lowercase(),
        manifest.name()
    ));
    failure
}

fn conflict(what: &str, said: &str) -> ApplyFailure {
    let mut failure =
        never("FieldConflict", format!("`{what}` has fields that somebody else owns: {said}"));
    failure.error = failure.error.and(
        "remove those fields from the manifest, or take them over with the annotation \
         strategy.spinnaker.io/server-side-apply: force-conflicts",
    );
    failure
}

fn shortened(said: &str) -> String {
    match said.char_indices().nth(SAID_CHARS_MAX) {
        None => said.to_owned(),
        Some((at, _)) => format!("{}…", said[..at].trim_end()),
    }
}

/// A server quotes what it refuses. Of a Secret only the names of the fields are passed on.
fn without_data(manifest: &Manifest, said: &str) -> String {
    if manifest.kind() != "Secret" {
        return shortened(said);
    }
    let mut named = Vec::new();
    for field in ["data", "stringData"] {
        let map = manifest.value.get(field).and_then(Value::as_object);
        let keys = map.into_iter().flat_map(|map| map.keys());
        let paths = keys.map(|key| format!(".{field}.{key}"));
        named.extend(paths.filter(|path| said.contains(path.as_str())));
    }
    let at = if named.is_empty() { String::new() } else { format!(" at {}", named.join(", ")) };
    format!(
        "something is wrong{at} (the server's own words are left out, they may quote the data); values of \
         `data` are base64 texts, those of `stringData` are texts"
    )
}

/// An error with its causes; addresses stay, nothing else of the configuration is in it.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(why) = credentials::of_plugin(error) {
        return why;
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
