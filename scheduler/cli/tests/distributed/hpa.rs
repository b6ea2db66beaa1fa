//! A plain HPA on the real kube-controller-manager, which asks a scheduler how many workers are wanted.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared_testkit::env;
use shared_testkit::stack::Api;

use crate::bridge::Bridge;
use crate::documents::bake;
use crate::file::file;
use crate::http;
use crate::process::wait_for;
use crate::server::Server;

/// Bakes that are there at once; each worker has two slots.
const BACKLOG: usize = 10;
/// As many workers as that makes.
const WORKERS: usize = 5;
/// Bakes that come while workers are taken away.
const TRICKLE: usize = 12;
const TRICKLE_PAUSE: Duration = Duration::from_millis(500);
const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const API_SERVICE_NAME: &str = "v1beta1.external.metrics.k8s.io";

/// As `tools.rs` has it, and each bake lasts for a second.
const HELM: &str = "\
#!/bin/sh
echo one >&2
sleep 1
while [ -e \"${0%/*}/hold\" ]; do sleep 0.05; done
echo 'kind: A'
";

const OPENSSL: &str = "\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:capstan.NAMESPACE.svc
";

/// A namespace in which Kubernetes finds the schedulers' metrics.
struct Cluster {
    api: Api,
    namespace: String,
}

impl Cluster {
    fn new() -> Self {
        let api = Api::from_kubeconfig(&env::kubeconfig()).unwrap();
        let namespace = format!("hpa-{}", std::process::id());
        api.create("/api/v1/namespaces", &json!({ "metadata": { "name": namespace } })).unwrap();
        Self { api, namespace }
    }

    /// Makes what schedulers show, and what they want to see; the settings of it.
    fn certificates(&self, folder: &Path) -> Value {
        let config = OPENSSL.replace("NAMESPACE", &self.namespace);
        file(folder, "openssl.cnf", &config);
        openssl(folder, "ca", "authority", "");
        openssl(folder, "server", "leaf", "-CA ca.crt -CAkey ca.key");
        let path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
        let trusted = self.api.get(path).unwrap();
        let authority = trusted["data"]["requestheader-client-ca-file"].as_str().unwrap();
        file(folder, "front.crt", authority);
        json!({
            "listen": "127.0.0.1:0", "cert_file": folder.join("server.crt"),
            "key_file": folder.join("server.key"), "client_ca_file": folder.join("front.crt"),
        })
    }

    /// Tells the API server who serves external metrics.
    fn serve(&self, port: u16, folder: &Path) {
        let service = json!({
            "metadata": { "name": "capstan" },
            "spec": { "type": "ExternalName", "externalName": "localhost",
                      "ports": [{ "port": port }] },
        });
        self.make("/api/v1", "services", &service);
        let bundle = Command::new("base64").args(["-w", "0"]).arg(folder.join("ca.crt")).output();
        let bundle = String::from_utf8(bundle.unwrap().stdout).unwrap();
        let served = json!({
            "metadata": { "name": API_SERVICE_NAME },
            "spec": {
                "group": "external.metrics.k8s.io", "version": "v1beta1",
                "groupPriorityMinimum": 100, "versionPriority": 100, "caBundle": bundle,
                "service": { "name": "capstan", "namespace": self.namespace, "port": port },
            },
        });
        let _left = self.api.delete(&format!("{API_SERVICE}/{API_SERVICE_NAME}"));
        self.api.create(API_SERVICE, &served).unwrap();
        let path = format!(
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/{}/capstan_wanted_workers",
            self.namespace
        );
        let answer = wait_for("the metric", || {
            let answer = self.api.request("GET", &path, None).ok()?;
            (answer.status == 200).then_some(answer.body)
        });
        assert!(answer.contains("\"pool\":\"default\""), "{answer}");
    }

    fn deploy(&self) {
        let labels = json!({ "app": "worker" });
        let container = json!({ "name": "worker", "image": "capstan-worker:1" });
        let deployment = json!({
            "metadata": { "name": "worker" },
            "spec": {
                "replicas": 1, "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [container] },
                },
            },
        });
        self.make("/apis/apps/v1", "deployments", &deployment);
        let selector = json!({ "matchLabels": { "pool": "default" } });
        let metric = json!({
            "metric": { "name": "capstan_wanted_workers", "selector": selector },
            "target": { "type": "AverageValue", "averageValue": "1" },
        });
        let at_once = json!({
            "stabilizationWindowSeconds": 0,
            "policies": [{ "type": "Percent", "value": 1000, "periodSeconds": 1 }],
        });
        let hpa = json!({
            "metadata": { "name": "worker" },
            "spec": {
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "worker" },
                "minReplicas": 1, "maxReplicas": 8,
                "metrics": [{ "type": "External", "external": metric }],
                "behavior": { "scaleUp": at_once, "scaleDown": at_once },
            },
        });
        self.make("/apis/autoscaling/v2", "horizontalpodautoscalers", &hpa);
    }

    fn make(&self, version: &str, kind: &str, object: &Value) {
        let path = format!("{version}/namespaces/{}/{kind}", self.namespace);
        self.api.create(&path, object).unwrap();
    }

    /// Pods that would rather not be ended.
    fn costly(&self) -> usize {
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace);
        let pods = self.api.get(&path).unwrap();
        let cost = |pod: &&Value| {
            let annotations = &pod["metadata"]["annotations"];
            annotations["controller.kubernetes.io/pod-deletion-cost"] == "1000"
        };
        pods["items"].as_array().unwrap().iter().filter(cost).count()
    }

    fn replicas(&self) -> u64 {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments/worker", self.namespace);
        self.api.get(&path).ok().and_then(|found| found["spec"]["replicas"].as_u64()).unwrap_or(0)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _gone = self.api.delete(&format!("{API_SERVICE}/{API_SERVICE_NAME}"));
        let _gone = self.api.delete(&format!("/api/v1/namespaces/{}", self.namespace));
    }
}

/// A key and a certificate, signed by itself or by whoever is named.
fn openssl(folder: &Path, name: &str, extensions: &str, signer: &str) {
    let words = format!(
        "req -x509 -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc \
         -days 2 -subj /CN={name} -extensions {extensions} -keyout {name}.key -out {name}.crt {signer}"
    );
    let made = Command::new("openssl").args(words.split_whitespace()).current_dir(folder).output();
    assert!(made.as_ref().unwrap().status.success(), "{made:?}");
}

/// Two schedulers that serve external metrics, and no worker.
fn schedulers(cluster: &Cluster) -> Server {
    let server = Server::without_workers(Vec::new(), |settings, folder| {
        settings["external_metrics"] = cluster.certificates(folder);
        settings["worker"]["slots"] = 2.into();
        settings["autoscale"]["policy"] = json!({
            "workers_min": 1, "workers_max": 8, "slots_per_worker": 2, "scale_down_after": "2s",
        });
    });
    server.file("helm", HELM);
    let said = server.schedulers[0].said();
    let mut lines = said.lines();
    let begin = "serving external metrics on https://127.0.0.1:";
    let port = lines.find_map(|line| line.strip_prefix(begin)).unwrap();
    cluster.serve(port.parse().unwrap(), server.folder.path());
    server
}

fn execute(server: &Server) -> String {
    server.out(&["pipeline", "execute", "-a", "shop", "bake"]).trim().to_owned()
}

/// How many attempts were handed over; none was lost, and none had to be tried again.
fn check(server: &Server, ids: &[String]) -> usize {
    let address = server.url.trim_start_matches("http://");
    let mut handed_over = 0;
    for id in ids {
        let execution = wait_for("the end of an execution", || {
            let execution = server.json(&["execution", "get", id]);
            (execution["status"] != "RUNNING" && execution["status"] != "NOT_STARTED")
                .then_some(execution)
        });
        assert_eq!(execution["status"], "SUCCEEDED", "{execution:#}");
        let path = format!("/v1/executions/{id}/history");
        let (_, history) = http::send(address, "GET", &path, "").unwrap();
        let kinds = history.as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap());
        let kinds: Vec<&str> = kinds.collect();
        let is_bad = |kind: &&&str| ["attempt-lost", "attempt-retried"].contains(*kind);
        assert_eq!(kinds.iter().find(is_bad), None, "{history:#}");
        handed_over += kinds.iter().filter(|kind| **kind == "attempt-handed-over").count();
    }
    handed_over
}

#[test]
fn an_hpa_adds_workers_for_a_backlog_and_takes_them_away_in_the_middle_of_work() {
    let cluster = Cluster::new();
    let server = schedulers(&cluster);
    server.file("hold", "");
    server.save(&bake());
    let bridge = Bridge::start(&cluster.namespace, server.folder.path().join("data"));
    cluster.deploy();
    wait_for("the first worker", || bridge.look(|seen| seen.running == 1).then_some(()));

    let mut ids: Vec<String> = (0..BACKLOG).map(|_| execute(&server)).collect();
    let began = Instant::now();
    wait_for("replicas", || (cluster.replicas() >= WORKERS as u64).then_some(()));
    let scaled = began.elapsed();
    wait_for("workers that have it all", || {
        let fleet = server.json(&["fleet"]);
        (fleet["pools"][0]["demand"]["running"] == BACKLOG).then_some(())
    });
    wait_for("pods that are said to be busy", || (cluster.costly() == WORKERS).then_some(()));
    println!("backlog → {WORKERS} replicas: {scaled:?}, all of it runs: {:?}", began.elapsed());

    std::fs::remove_file(server.folder.path().join("hold")).unwrap();
    let began = Instant::now();
    // Work goes on while there are too many workers, so that some are busy when they are told to end.
    for _ in 0..TRICKLE {
        ids.push(execute(&server));
        std::thread::sleep(TRICKLE_PAUSE);
    }
    wait_for("one replica", || (cluster.replicas() == 1).then_some(()));
    println!("backlog gone → 1 replica: {:?}", began.elapsed());
    wait_for("workers to drain", || {
        bridge.look(|seen| seen.running == 1 && seen.ended.len() == seen.told).then_some(())
    });
    wait_for("no pod to be said to be busy", || (cluster.costly() == 0).then_some(()));
    let (most, ended) = bridge.look(|seen| (seen.running_max, seen.ended.clone()));
    println!("drained: {:?}; {most} workers at most", began.elapsed());
    assert!(most >= WORKERS && ended.len() >= WORKERS - 1, "{most} {ended:?}");
    assert!(ended.iter().all(|code| *code == Some(0)), "{ended:?}");
    let handed_over = check(&server, &ids);
    println!("{} bakes, {} workers ended, {handed_over} handed over", ids.len(), ended.len());
}
