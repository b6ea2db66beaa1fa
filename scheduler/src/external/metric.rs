//! The metric: how many workers of a pool, or for a capability, are wanted.

use serde_json::{Value, json};

use super::GROUP_VERSION;
use super::selector::Requirement;
use crate::fleet::FleetView;

/// Its name.
pub(super) const NAME: &str = "capstan_wanted_workers";

/// The values whose labels meet every requirement: each pool has the label `pool`, each capability the
/// label `capability`. An HPA adds up what it gets, so without any requirement there are pools only.
pub(super) fn list(fleet: &FleetView, selector: &[Requirement]) -> Value {
    let pools = fleet.pools.iter().map(|pool| ("pool", &pool.name, pool.wanted));
    let capabilities = fleet.capabilities.iter().map(|one| ("capability", &one.name, one.wanted));
    let all = pools.chain(capabilities).filter(|(label, name, _)| match selector {
        [] => *label == "pool",
        _ => selector.iter().all(|requirement| requirement.is_met(label, name)),
    });
    let items = all.map(|(label, name, wanted)| {
        json!({
            "metricName": NAME, "metricLabels": { label: name },
            "timestamp": format!("{:.0}", fleet.at), "value": wanted.to_string(),
        })
    });
    json!({
        "kind": "ExternalMetricValueList", "apiVersion": GROUP_VERSION, "metadata": {},
        "items": items.collect::<Vec<_>>(),
    })
}
