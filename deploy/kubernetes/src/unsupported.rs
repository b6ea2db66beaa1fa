//! What a document asks for and nobody carries out yet: named, never silently ignored (D18).

use serde_json::Value;
use shared_model::{Object, TaskError};

use crate::manifest::Manifest;
use crate::secrets::is_unread;

const PREFIX: &str = "strategy.spinnaker.io/";

/// Refuses a stage's fields that change what a deploy does.
pub(crate) fn check_fields(context: &Object) -> Result<(), TaskError> {
    let at = |pointer: &str| {
        let mut parts = pointer.split('/');
        let first = context.get(parts.next()?)?;
        parts.try_fold(first, |value, key| value.get(key))
    };
    let truth = |pointer: &str| match at(pointer) {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    };
    let listed = at("labelSelectors/selectors").and_then(Value::as_array);
    let asked = [
        ("trafficManagement", truth("trafficManagement/enabled")),
        ("labelSelectors", listed.is_some_and(|list| !list.is_empty())),
        ("versioned", truth("versioned")),
    ];
    match asked.into_iter().find(|(_, asked)| *asked) {
        None => Ok(()),
        Some((field, _)) => Err(refusal(&format!("the stage asks for `{field}`"), field)),
    }
}

/// Refuses annotations that change what a deploy does.
pub(crate) fn check_manifest(manifest: &Manifest) -> Result<(), TaskError> {
    let annotations = manifest.value.pointer("/metadata/annotations").and_then(Value::as_object);
    for (key, value) in annotations.into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let off = value.eq_ignore_ascii_case("false");
        let asks = match key.strip_prefix(PREFIX) {
            Some("server-side-apply") => !["true", "false", "force-conflicts"].contains(&value),
            Some("versioned" | "recreate" | "replace" | "use-source-capacity") => !off,
            Some(_) => true,
            None => key == "traffic.spinnaker.io/load-balancers",
        };
        if asks {
            let what =
                format!("`{}` asks for the annotation `{key}: {value}`", manifest.full_name());
            return Err(refusal(&what, key));
        }
    }
    Ok(())
}

fn refusal(what: &str, field: &str) -> TaskError {
    TaskError::new("UnsupportedField", format!("{what}, which is not carried out yet"))
        .and(format!("remove `{field}`, or deploy without what it stands for"))
}

/// What is done differently and should be known.
pub(crate) fn warnings(manifests: &[Manifest]) -> Vec<String> {
    let versioned = manifests.iter().filter(|manifest| {
        ["ConfigMap", "Secret"].contains(&manifest.kind())
            && manifest.annotation("strategy.spinnaker.io/versioned") != Some("false")
    });
    let unread = manifests.iter().filter(|manifest| is_unread(manifest)).map(|manifest| {
        format!(
            "`{}` has a reference to a secret, which is applied as it is: it is read only in `stringData` \
             and `data` of a Secret",
            manifest.full_name()
        )
    });
    let versioned = versioned.map(|manifest| {
        format!(
            "`{}` is applied without a version: its name stays as it is, and pods that use it are \
                 not restarted by it",
            manifest.full_name()
        )
    });
    versioned.chain(unread).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_is_named() {
        let fields = |value: Value| check_fields(value.as_object().unwrap());
        let error = fields(json!({"trafficManagement": {"enabled": true}})).unwrap_err();
        assert!(error.messages[0].contains("trafficManagement"));
        assert!(
            fields(json!({"trafficManagement": {"enabled": false}, "labelSelectors": {}})).is_ok()
        );
        let annotated = |key: &str, value: &str| {
            check_manifest(&Manifest {
                value: json!({"kind": "Pod", "metadata": {"annotations": {key: value}}}),
            })
        };
        assert!(annotated("strategy.spinnaker.io/recreate", "true").is_err());
        assert!(annotated("strategy.spinnaker.io/versioned", "false").is_ok());
        assert!(annotated("strategy.spinnaker.io/max-version-history", "2").is_err());
        assert!(annotated("strategy.spinnaker.io/server-side-apply", "force-conflicts").is_ok());
        assert!(annotated("caching.spinnaker.io/ignore", "true").is_ok());
    }
}
