//! The chart on the test cluster.

use serde_json::{Value, json};
use shared_testkit::env;
use shared_testkit::stack::Api;

use crate::ended::{Ended, run};
use crate::helm::{BUNDLED, EXTERNAL, OPERATED, SCALED, helm};
use crate::process::wait_for;

/// A namespace that takes restricted pods alone.
struct Place {
    api: Api,
    name: String,
}

impl Place {
    fn make(name: &str) -> Self {
        let api = Api::from_kubeconfig(&env::kubeconfig()).unwrap();
        let name = format!("chart-{name}-{}", std::process::id());
        let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels },
        });
        api.create("/api/v1/namespaces", &namespace).unwrap();
        Self { api, name }
    }

    fn helm(&self, words: &[&str], values: &[&str]) -> Ended {
        let kubeconfig = env::kubeconfig();
        let kubeconfig = kubeconfig.to_str().unwrap();
        let words = [words, &["--namespace", &self.name, "--kubeconfig", kubeconfig]].concat();
        run(&mut helm(&env::helm4(), &words, values))
    }

    fn uninstall(&self) {
        let mut command = std::process::Command::new(env::helm4());
        command.args(["uninstall", "r", "--namespace", &self.name, "--kubeconfig"]);
        run(command.arg(env::kubeconfig())).expect(0, &[]);
    }

    fn all(&self, api: &str, kind: &str) -> Vec<Value> {
        let path = format!("/{api}/namespaces/{}/{kind}", self.name);
        self.api.get(&path).unwrap()["items"].as_array().unwrap().clone()
    }

    /// Waits until the controllers made so many pods, which they may not of what is not restricted.
    fn wait_for_pods(&self, count: usize) {
        wait_for(&format!("{count} pods"), || {
            (self.all("api/v1", "pods").len() == count).then_some(())
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = self.api.delete(&format!("/api/v1/namespaces/{}", self.name));
    }
}

/// Kinds of operators that the test cluster has not got, without what stands in them.
fn define_kinds(api: &Api) {
    for (group, version, kind) in [
        ("monitoring.coreos.com", "v1", "ServiceMonitor"),
        ("monitoring.coreos.com", "v1", "PodMonitor"),
        ("monitoring.coreos.com", "v1", "PrometheusRule"),
        ("keda.sh", "v1alpha1", "ScaledObject"),
    ] {
        let plural = format!("{}s", kind.to_lowercase());
        let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.{group}") },
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural },
                "versions": [{
                    "name": version, "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": anything },
                }],
            },
        });
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let made = api.request("POST", path, Some(&definition)).unwrap();
        // A run before this one left it.
        assert!([201, 409].contains(&made.status), "{}", made.body);
        let served = format!("/apis/{group}/{version}/{plural}");
        wait_for(kind, || api.is_ok(&served).then_some(()));
    }
}

#[test]
fn every_object_is_taken_by_the_cluster_and_goes_again() {
    let place = Place::make("external");
    define_kinds(&place.api);
    let values = [EXTERNAL, OPERATED].concat();
    let dry = place.helm(&["install", "r", "--dry-run=server"], &values);
    dry.expect(0, &[]);
    assert!(!dry.err.contains("would violate"), "{}", dry.err);
    place.helm(&["install", "r"], &values).expect(0, &[]);
    assert_eq!(place.all("apis/monitoring.coreos.com/v1", "servicemonitors").len(), 1);
    assert_eq!(place.all("apis/keda.sh/v1alpha1", "scaledobjects").len(), 1);
    // KEDA, which is not there, would say how many workers there are; one is what a Deployment has.
    place.wait_for_pods(3);
    let hpa = [EXTERNAL, &["poolDefaults.autoscaling.kind=hpa"]].concat();
    place.helm(&["upgrade", "r"], &hpa).expect(0, &[]);
    assert_eq!(place.all("apis/autoscaling/v2", "horizontalpodautoscalers").len(), 1);
    let scaled = [EXTERNAL, SCALED].concat();
    // The cluster itself knows the authority.
    let scaled: Vec<_> = scaled.into_iter().filter(|value| !value.contains("clientCA")).collect();
    place.helm(&["upgrade", "r"], &scaled).expect(0, &[]);
    let secret = place.all("api/v1", "secrets");
    let secret = secret.iter().find(|one| one["metadata"]["name"] == "r-capstan-external-metrics");
    let certificate = secret.unwrap()["data"]["tls.crt"].clone();
    place.helm(&["upgrade", "r"], &scaled).expect(0, &[]);
    let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io";
    let served = place.api.get(path).unwrap();
    assert_eq!(served["spec"]["service"]["namespace"], place.name);
    let kept = place.all("api/v1", "secrets");
    assert!(kept.iter().any(|one| one["data"]["tls.crt"] == certificate), "a new certificate");
    place.uninstall();
    place.wait_for_pods(0);
    for kind in ["deployments", "replicasets"] {
        wait_for(kind, || place.all("apis/apps/v1", kind).is_empty().then_some(()));
    }
    assert!(place.all("apis/policy/v1", "poddisruptionbudgets").is_empty());
}

#[test]
fn bundled_servers_keep_their_password() {
    let place = Place::make("bundled");
    place.helm(&["install", "r"], BUNDLED).expect(0, &[]);
    // Two schedulers, two workers, four servers.
    place.wait_for_pods(8);
    let secret = format!("/api/v1/namespaces/{}/secrets/r-capstan-bundled", place.name);
    let before = place.api.get(&secret).unwrap()["data"].clone();
    assert!(before["api-token"].as_str().is_some_and(|token| token.len() >= 32), "the first token");
    place.helm(&["upgrade", "r"], BUNDLED).expect(0, &[]);
    assert_eq!(place.api.get(&secret).unwrap()["data"], before);
    place.uninstall();
    wait_for("no pods", || place.all("api/v1", "pods").is_empty().then_some(()));
    // Its volumes are there still, and so is what opens them.
    place.helm(&["install", "r"], BUNDLED).expect(0, &[]);
    assert_eq!(place.api.get(&secret).unwrap()["data"], before);
}
