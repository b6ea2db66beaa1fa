//! What a deploy asks of a cluster: requests of each sort, and how long it takes.

mod calls;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shared_testkit::deadline::Deadline;
use shared_testkit::stack::Api;

use self::calls::Calls;
use super::Plan;
use super::clients::{self, Client};
use super::figures::{quantiles, sorted};
use super::graph::APPLICATION;
use super::load::nothing_is_left;
use crate::serve::now;
use crate::stand::{Shape, Stand};

/// The account: a context of the kubeconfig.
const ACCOUNT: &str = "capstan-test";
/// Manifests of one deploy.
const SIZES: [usize; 3] = [1, 20, 200];
/// Deploys of each size, one after the other.
const TIMES: usize = 5;
/// Deploys of one manifest at once, where they are counted by the second.
const AT_ONCE: usize = 200;
/// How long a deploy may take.
const END_LIMIT: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A cluster that `cargo xtask stack up` started.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// How it is reached.
    pub kubeconfig: PathBuf,
    /// Where it notes who writes what.
    pub audit_log: PathBuf,
}

pub(super) fn run(plan: &Plan) -> Result<Value> {
    let cluster = plan.cluster.as_ref().context(
        "`deploy` needs a cluster: `cargo xtask stack up > stack.env`, and its variables in the environment",
    )?;
    let api = Api::from_kubeconfig(&cluster.kubeconfig)?;
    let stand = Stand::start(Shape { workers: 0, ..plan.shape.clone() })?;
    let kubeconfig = cluster.kubeconfig.display().to_string();
    let slots = plan.shape.slots.to_string();
    let worker =
        stand.start_shipped_with("worker", &["--kubeconfig", &kubeconfig, "--slots", &slots])?;
    stand.wait_for_workers(1)?;
    let namespace = format!("load-{}", std::process::id());
    let space =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
    api.create("/api/v1/namespaces", &space)?;
    let site = Site { stand: &stand, cluster, api: &api, namespace: &namespace };
    let measured = site.measure();
    // Whatever came of it, nothing stays in the cluster.
    api.delete(&format!("/api/v1/namespaces/{namespace}"))?;
    let measured = measured?;
    nothing_is_left(&stand)?;
    worker.stop()?;
    Ok(measured)
}

struct Site<'a> {
    stand: &'a Stand,
    cluster: &'a Cluster,
    api: &'a Api,
    namespace: &'a str,
}

impl Site<'_> {
    fn measure(&self) -> Result<Value> {
        let mut figures = serde_json::Map::new();
        for size in SIZES {
            figures.insert(format!("ConfigMaps: {size}"), self.deploys("ConfigMap", size)?);
        }
        figures.insert("Deployments: 1".to_owned(), self.deploys("Deployment", 1)?);
        figures.insert("at once".to_owned(), self.at_once()?);
        Ok(Value::Object(figures))
    }

    fn calls(&self) -> Result<Calls> {
        Calls::now(self.cluster, self.api, self.namespace)
    }

    /// Deploys so many manifests a few times, one deploy after the other.
    fn deploys(&self, kind: &str, size: usize) -> Result<Value> {
        let (before, mut took) = (self.calls()?, Vec::new());
        let names: Vec<_> = (0..size).map(|at| format!("one-{size}-{at}")).collect();
        for time in 0..TIMES {
            took.push(self.deploy_and_wait(&[self.document(kind, &names, time)])?);
        }
        let calls = self.calls()?.since(&before);
        names.iter().try_for_each(|name| self.check(kind, name, TIMES - 1))?;
        let told = calls.told(TIMES, TIMES * size);
        let polled = calls.reads(kind).saturating_sub(TIMES * size);
        ensure!(polled <= TIMES * size, "{polled} reads of {kind}s beside one for each manifest");
        Ok(json!({
            "deploys": TIMES, "a deploy, ms": quantiles(&sorted(took)), "requests": told,
            "reads beside one for each manifest": polled,
        }))
    }

    /// Deploys of one Deployment each, as many at once as the worker takes.
    fn at_once(&self) -> Result<Value> {
        let before = self.calls()?;
        let names: Vec<_> = (0..AT_ONCE).map(|at| format!("many-{at}")).collect();
        let document = |name: &String| self.document("Deployment", std::slice::from_ref(name), 0);
        let documents: Vec<_> = names.iter().map(document).collect();
        let took = self.deploy_and_wait(&documents)?;
        let calls = self.calls()?.since(&before);
        names.iter().try_for_each(|name| self.check("Deployment", name, 0))?;
        Ok(json!({
            "deploys": AT_ONCE,
            "deploys per second": (AT_ONCE as f64 / took.as_secs_f64() * 10.0).round() / 10.0,
            "requests": calls.told(AT_ONCE, AT_ONCE),
        }))
    }

    fn document(&self, kind: &str, names: &[String], time: usize) -> String {
        let manifests: Vec<_> =
            names.iter().map(|name| manifest(kind, self.namespace, name, time)).collect();
        let stage = json!({
            "refId": "0", "type": "deployManifest", "name": "Deploy", "account": ACCOUNT,
            "cloudProvider": "kubernetes", "moniker": { "app": APPLICATION }, "source": "text",
            "manifests": manifests,
        });
        json!({ "application": APPLICATION, "name": "deploy", "stages": [stage] }).to_string()
    }

    /// From the first submission until all have succeeded.
    fn deploy_and_wait(&self, documents: &[String]) -> Result<Duration> {
        let began = now();
        let all = clients::submit(self.stand, documents.len(), |at| documents[at].clone())?;
        let mut client = Client::open(self.stand.address(0))?;
        while client.has_unfinished(APPLICATION)? {
            ensure!(began.elapsed() < END_LIMIT, "deploys have not ended in {END_LIMIT:?}");
            std::thread::sleep(LOOK_INTERVAL);
        }
        let took = began.elapsed();
        for one in all {
            let execution = client.get(&format!("/pipelines/{}", one.id))?;
            ensure!(execution["status"] == "SUCCEEDED", "a deploy failed: {execution:#}");
        }
        Ok(took)
    }

    /// It is there, as it was deployed last.
    fn check(&self, kind: &str, name: &str, time: usize) -> Result<()> {
        let base = match kind {
            "Deployment" => "/apis/apps/v1",
            _ => "/api/v1",
        };
        let plural = calls::plural(kind);
        let path = format!("{base}/namespaces/{}/{plural}/{name}", self.namespace);
        let time = time.to_string();
        let found = Deadline::after(END_LIMIT).poll(|| {
            let object = self.api.get(&path)?;
            let is_new = object["metadata"]["annotations"]["time"] == time.as_str();
            anyhow::Ok(is_new.then_some(()))
        })?;
        found.with_context(|| format!("{path} is not as it was deployed"))
    }
}

/// Each time another one, so that something is to be done.
fn manifest(kind: &str, namespace: &str, name: &str, time: usize) -> Value {
    let metadata = json!({
        "name": name, "namespace": namespace, "annotations": { "time": time.to_string() },
    });
    match kind {
        "Deployment" => json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": metadata,
            "spec": {
                "replicas": 1, "selector": { "matchLabels": { "app": name } },
                "template": {
                    "metadata": { "labels": { "app": name, "time": time.to_string() } },
                    "spec": { "containers": [{ "name": "main", "image": "main:1" }] },
                },
            },
        }),
        _ => json!({
            "apiVersion": "v1", "kind": kind, "metadata": metadata,
            "data": { "time": time.to_string(), "text": "x".repeat(500) },
        }),
    }
}
