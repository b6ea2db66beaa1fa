//! What Kubernetes is told about the end of a pod.

use std::path::Path;

use deploy_kubernetes::{OwnPod, OwnPodError};
use serde_json::{Value, json};
use shared_testkit::env;
use shared_testkit::stack::Api;

fn cost(api: &Api, path: &str) -> Value {
    let pod = api.get(path).unwrap();
    pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"].clone()
}

#[tokio::test]
async fn a_busy_pod_costs_more_than_an_idle_one() {
    let api = Api::from_kubeconfig(&env::kubeconfig()).unwrap();
    let name = format!("own-pod-{}", std::process::id());
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({
        "metadata": { "name": name, "annotations": { "ours": "stays" } },
        "spec": { "containers": [{ "name": "worker", "image": "worker:1" }] },
    });
    api.create(pods, &pod).unwrap();
    let path = format!("{pods}/{name}");
    let file = env::kubeconfig();
    let own = OwnPod::find("default", &name, Some(&file)).await.unwrap();
    own.tell(true).await.unwrap();
    assert_eq!(cost(&api, &path), "1000");
    own.tell(false).await.unwrap();
    assert_eq!(cost(&api, &path), Value::Null);
    let pod = api.get(&path).unwrap();
    assert_eq!(pod["metadata"]["annotations"]["ours"], "stays");
    api.delete(&path).unwrap();
    let gone = OwnPod::find("default", "no-such-pod", Some(&file)).await.unwrap();
    let error = gone.tell(true).await.unwrap_err();
    assert!(matches!(error, OwnPodError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn outside_of_a_cluster_a_kubeconfig_is_needed() {
    for file in [None, Some(Path::new("/no/such/file"))] {
        let error = OwnPod::find("default", "worker-1", file).await.err().unwrap();
        let text = error.to_string();
        assert!(text.contains("`worker-1`"), "{text}");
        assert!(text.contains(file.map_or("service account", |_| "/no/such/file")), "{text}");
    }
}
