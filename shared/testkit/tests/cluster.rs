//! The promises of the test cluster that other tests build on, on the running stack.

#![expect(clippy::unwrap_used, reason = "what a test can't set up is its failure")]

use std::time::Duration;

use serde_json::{Value, json};
use shared_testkit::deadline::{Deadline, Stopwatch};
use shared_testkit::stack::Api;
use shared_testkit::{audit, env};

/// A namespace of this test alone, removed at its end.
struct Namespace {
    api: Api,
    name: String,
}

impl Namespace {
    fn new(test: &str) -> Self {
        let api = Api::from_kubeconfig(&env::kubeconfig()).unwrap();
        let name = format!("cluster-{test}-{}", std::process::id());
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        api.create("/api/v1/namespaces", &object).unwrap();
        Self { api, name }
    }

    fn path(&self, group: &str, resource: &str) -> String {
        format!("/{group}/namespaces/{}/{resource}", self.name)
    }

    fn deploy(&self, image: &str, annotations: &Value) {
        let labels = json!({"app": "web"});
        let object = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {"containers": [{"name": "main", "image": image}]},
            }},
        });
        self.api.create(&self.path("apis/apps/v1", "deployments"), &object).unwrap();
    }

    fn run_job(&self, image: &str) {
        let object = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "task"},
            "spec": {"backoffLimit": 0, "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": image}],
            }}},
        });
        self.api.create(&self.path("apis/batch/v1", "jobs"), &object).unwrap();
    }

    /// The first container's status of the only pod, once `is_there` says so of it.
    fn container(&self, is_there: impl Fn(&Value) -> bool) -> Value {
        let pods = self.path("api/v1", "pods");
        self.wait(&pods, "/items/0/status/containerStatuses/0", is_there)
    }

    /// What stands at `pointer` of the object at `path`, once `is_there` says so of it.
    fn wait(&self, path: &str, pointer: &str, is_there: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Value::Null;
        let found = Deadline::after(Duration::from_secs(60)).poll(|| {
            seen = self.api.get(path)?.pointer(pointer).cloned().unwrap_or_default();
            anyhow::Ok(is_there(&seen).then(|| seen.clone()))
        });
        found.unwrap().unwrap_or_else(|| panic!("{path} {pointer} stayed at {seen}"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let removed = self.api.delete(&format!("/api/v1/namespaces/{}", self.name));
        if let Err(error) = removed {
            eprintln!("warning: {error:#}");
        }
    }
}

fn is_seen(status: &Value) -> bool {
    !status.is_null()
}

#[test]
fn a_plain_image_becomes_ready() {
    let namespace = Namespace::new("ready");
    namespace.deploy("web:1", &json!({}));
    namespace.container(|status| status["ready"] == true);
    let deployment = namespace.path("apis/apps/v1", "deployments/web");
    namespace.wait(&deployment, "/status/availableReplicas", |replicas| *replicas == 1);
}

#[test]
fn a_broken_image_is_not_pulled() {
    let namespace = Namespace::new("broken");
    namespace.deploy("web:does-not-exist", &json!({}));
    let status = namespace.container(is_seen);
    assert_eq!(status["state"]["waiting"]["reason"], "ImagePullBackOff", "{status}");
}

#[test]
fn a_crashing_image_backs_off_and_has_a_log() {
    let namespace = Namespace::new("crash");
    namespace.deploy("web:crash", &json!({}));
    let status = namespace.container(is_seen);
    assert_eq!(status["state"]["waiting"]["reason"], "CrashLoopBackOff", "{status}");
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 1, "{status}");
    let pods = namespace.api.get(&namespace.path("api/v1", "pods")).unwrap();
    let pod = pods["items"][0]["metadata"]["name"].as_str().unwrap();
    let path = namespace.path("api/v1", &format!("pods/{pod}/log?previous=true&tailLines=1"));
    let log = namespace.api.request("GET", &path, None).unwrap();
    assert_eq!((log.status, log.body.as_str()), (200, "giving up\n"));
}

#[test]
fn a_reason_can_be_given() {
    let namespace = Namespace::new("reason");
    let annotations = json!({"capstan.test/waiting-reason": "CreateContainerConfigError"});
    namespace.deploy("web:1", &annotations);
    let status = namespace.container(is_seen);
    assert_eq!(status["state"]["waiting"]["reason"], "CreateContainerConfigError", "{status}");
}

#[test]
fn an_image_may_never_become_ready() {
    let namespace = Namespace::new("unready");
    namespace.deploy("web:never-ready", &json!({}));
    let status = namespace.container(is_seen);
    assert!(status["state"]["running"].is_object() && status["ready"] == false, "{status}");
}

#[test]
fn readiness_can_be_delayed() {
    let namespace = Namespace::new("delay");
    let stopwatch = Stopwatch::start();
    namespace.deploy("web:1", &json!({"capstan.test/ready-after": "2s"}));
    namespace.container(|status| status["ready"] == true);
    assert!(stopwatch.elapsed() >= Duration::from_secs(2), "ready after {:?}", stopwatch.elapsed());
}

#[test]
fn a_job_completes_or_fails_by_its_image() {
    let namespace = Namespace::new("job");
    namespace.run_job("task:1");
    let path = namespace.path("apis/batch/v1", "jobs/task");
    namespace.wait(&path, "/status/succeeded", |count| *count == 1);
    let other = Namespace::new("failing-job");
    other.run_job("task:failing");
    other.wait(&other.path("apis/batch/v1", "jobs/task"), "/status/failed", |count| *count == 1);
}

#[test]
fn a_write_is_in_the_audit_log_when_it_is_answered() {
    let namespace = Namespace::new("audit");
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}});
    let path = namespace.path("api/v1", "configmaps");
    let made = namespace.api.create(&path, &object).unwrap();
    let writes = audit::writes(&env::audit_log()).unwrap();
    let mine: Vec<_> = writes
        .iter()
        .filter(|write| write.namespace == namespace.name && write.resource == "configmaps")
        .filter(|write| write.user == "capstan-test")
        .collect();
    assert_eq!(mine.len(), 1, "{mine:?}");
    assert_eq!(
        (mine[0].verb.as_str(), mine[0].name.as_str(), mine[0].status),
        ("create", "settings", 201)
    );
    assert_eq!(made["metadata"]["resourceVersion"], mine[0].resource_version.as_str());
}

#[test]
fn a_secret_is_in_the_audit_log_without_its_content() {
    let namespace = Namespace::new("secret");
    let object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "password"},
        "stringData": {"password": "not-for-the-log"},
    });
    namespace.api.create(&namespace.path("api/v1", "secrets"), &object).unwrap();
    let log = std::fs::read_to_string(env::audit_log()).unwrap();
    // In base64, as the API server would have stored it, and as it was sent.
    assert!(!log.contains("bm90LWZvci10aGUtbG9n") && !log.contains("not-for-the-log"));
    assert!(log.lines().any(|line| line.contains(&namespace.name) && line.contains("\"secrets\"")));
}
