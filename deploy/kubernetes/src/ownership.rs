//! Fields that `kubectl apply` owned become ours on first touch (D30): else what is dropped from a
//! manifest would stay in the cluster for ever.

use serde_json::{Value, json};

/// Our name as a field manager.
pub(crate) const FIELD_MANAGER: &str = "capstan";
const CLIENT_SIDE: &str = "kubectl-client-side-apply";

/// The merge patch that hands the fields of client-side apply over to us; `None` if there are none.
pub(crate) fn migration(live: &Value) -> Option<Value> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let (theirs, mut kept): (Vec<Value>, Vec<Value>) =
        entries.iter().cloned().partition(|entry| is(entry, CLIENT_SIDE, "Update"));
    let mut theirs = theirs.into_iter();
    let first = theirs.next()?;
    if !kept.iter().any(|entry| is(entry, FIELD_MANAGER, "Apply")) {
        kept.insert(0, taken_over(&first));
    }
    let ours = kept.iter_mut().find(|entry| is(entry, FIELD_MANAGER, "Apply"))?;
    // Fields that nobody owned afterwards would stay in the cluster for ever.
    for entry in std::iter::once(first).chain(theirs) {
        unite(&mut ours["fieldsV1"], &entry["fieldsV1"]);
    }
    let version = live.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
    // With the version that was read: somebody else's change in between makes it a conflict.
    Some(json!({ "metadata": { "managedFields": kept, "resourceVersion": version } }))
}

fn is(entry: &Value, manager: &str, operation: &str) -> bool {
    entry["manager"] == manager && entry["operation"] == operation && entry["subresource"].is_null()
}

fn taken_over(entry: &Value) -> Value {
    let mut ours = entry.clone();
    ours["manager"] = FIELD_MANAGER.into();
    ours["operation"] = "Apply".into();
    ours
}

/// Adds a set of fields to another: a tree of names, whose leaves are empty objects.
fn unite(fields: &mut Value, more: &Value) {
    let (Value::Object(fields), Value::Object(more)) = (fields, more) else { return };
    for (name, below) in more {
        unite(fields.entry(name.clone()).or_insert_with(|| json!({})), below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_side_fields_become_ours_once() {
        let live = json!({"metadata": {"resourceVersion": "7", "managedFields": [
            {"manager": CLIENT_SIDE, "operation": "Update", "fieldsV1": {"f:spec": {}}},
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status"},
        ]}});
        let patch = migration(&live).unwrap();
        assert_eq!(patch["metadata"]["managedFields"][0]["manager"], "capstan");
        assert_eq!(patch["metadata"]["managedFields"][0]["operation"], "Apply");
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let ours =
            json!({"metadata": {"managedFields": [{"manager": "capstan", "operation": "Apply"}]}});
        assert_eq!(migration(&ours), None);
    }

    #[test]
    fn fields_of_both_are_united() {
        let live = json!({"metadata": {"resourceVersion": "7", "managedFields": [
            {"manager": "capstan", "operation": "Apply", "fieldsV1": {"f:data": {"f:a": {}}}},
            {"manager": CLIENT_SIDE, "operation": "Update", "fieldsV1": {"f:data": {".": {}, "f:b": {}}, "f:spec": {}}},
        ]}});
        let patch = migration(&live).unwrap();
        let entries = patch["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(
            entries[0]["fieldsV1"],
            json!({"f:data": {"f:a": {}, ".": {}, "f:b": {}}, "f:spec": {}})
        );
    }
}
