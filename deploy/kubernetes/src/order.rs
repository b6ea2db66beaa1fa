//! What is applied first (reference §3.1).

use crate::manifest::Manifest;

/// Sorts manifests for applying; equals keep their order.
pub(crate) fn sort(manifests: &mut [Manifest]) {
    manifests.sort_by_key(|manifest| priority(manifest.kind()));
}

fn priority(kind: &str) -> u32 {
    match kind {
        "Namespace" => 0,
        "Role" | "ClusterRole" => 20,
        "RoleBinding" | "ClusterRoleBinding" | "CustomResourceDefinition" => 30,
        "ServiceAccount"
        | "PersistentVolume"
        | "StorageClass"
        | "MutatingWebhookConfiguration"
        | "ValidatingWebhookConfiguration" => 40,
        "ConfigMap" | "Secret" | "PersistentVolumeClaim" => 50,
        "Service" | "Ingress" | "NetworkPolicy" => 70,
        "APIService" => 80,
        "PodDisruptionBudget" | "LimitRange" | "ResourceQuota" | "PodPreset" | "PriorityClass" => {
            90
        }
        "Deployment"
        | "ReplicaSet"
        | "StatefulSet"
        | "DaemonSet"
        | "Job"
        | "CronJob"
        | "Pod"
        | "ReplicationController" => 100,
        "HorizontalPodAutoscaler" => 110,
        _ => 1_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_need_comes_first() {
        let manifest = |kind: &str| Manifest { value: serde_json::json!({ "kind": kind }) };
        let mut all =
            ["Foo", "Deployment", "Service", "HorizontalPodAutoscaler", "ConfigMap", "Namespace"]
                .map(manifest);
        sort(&mut all);
        let kinds: Vec<&str> = all.iter().map(Manifest::kind).collect();
        assert_eq!(
            kinds,
            ["Namespace", "ConfigMap", "Service", "Deployment", "HorizontalPodAutoscaler", "Foo"]
        );
    }
}
