//! Fields that `kubectl apply` owned become ours on first touch (D30): else what is dropped from a
//! manifest would stay in the cluster for ever.

use serde_json::{Value, json};

/// Our name as a field manager.
pub(crate) const FIELD_MANAGER: &str = "capstan";
const CLIENT_SIDE: &str = "kubectl-client-side-apply";

/// The merge patch that hands the fields of client-side apply over to us; `None` if there are none.
pub(crate) fn migration(live: &Value) -> Option<Value> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let is = |entry: &Value, manager: &str, operation: &str| {
        entry["manager"] == manager
            && entry["operation"] == operation
            && entry["subresource"].is_null()
    };
    if !entries.iter().any(|entry| is(entry, CLIENT_SIDE, "Update")) {
        return None;
    }
    let ours = entries.iter().any(|entry| is(entry, FIELD_MANAGER, "Apply"));
    let migrated: Vec<Value> = entries
        .iter()
        .filter(|entry| !(ours && is(entry, CLIENT_SIDE, "Update")))
        .map(
            |entry| {
                if is(entry, CLIENT_SIDE, "Update") { taken_over(entry) } else { entry.clone() }
            },
        )
        .collect();
    let version = live.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
    // With the version that was read: somebody else's change in between makes it a conflict.
    Some(json!({ "metadata": { "managedFields": migrated, "resourceVersion": version } }))
}

fn taken_over(entry: &Value) -> Value {
    let mut ours = entry.clone();
    ours["manager"] = FIELD_MANAGER.into();
    ours["operation"] = "Apply".into();
    ours
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
}
