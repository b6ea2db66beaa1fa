//! The files and the command line of each server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::certificates;
use super::credentials::{ADMIN, CONTROL_PLANE, Credentials, NOBODY};
use super::ports::Ports;
use super::server::Server;
use crate::install::Tools;

const STAGES: &str = include_str!("stages.yaml");
const AUDIT_POLICY: &str = include_str!("audit-policy.yaml");
/// What every container of the test cluster has printed, in the format of container runtimes.
const POD_LOG: &str = "\
2026-01-01T00:00:00.000000000Z stdout F starting
2026-01-01T00:00:01.000000000Z stderr F cannot reach the database at db:5432: connection refused
2026-01-01T00:00:01.500000000Z stderr F giving up
";

/// Where the files of a stack lie.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// Writes everything that the servers read.
    pub(super) fn write(folder: &Path, ports: &Ports, credentials: &Credentials) -> Result<Self> {
        let layout = Self { folder: folder.to_owned() };
        fs::create_dir(layout.logs())?;
        certificates::make(folder)?;
        let users = [(ADMIN, &credentials.admin), (NOBODY, &credentials.nobody)];
        let control_plane = [(CONTROL_PLANE, &credentials.control_plane)];
        let files = [
            ("tokens.csv", credentials.token_file()),
            ("audit-policy.yaml", AUDIT_POLICY.to_owned()),
            ("pod.log", POD_LOG.to_owned()),
            ("kwok.yaml", format!("{STAGES}---\n{}\n", layout.pod_logs())),
            ("kubeconfig", layout.kubeconfig_text(ports, &users)),
            ("control-plane.kubeconfig", layout.kubeconfig_text(ports, &control_plane)),
        ];
        for (name, text) in files {
            fs::write(folder.join(name), text)
                .with_context(|| format!("failed to write {name}"))?;
        }
        Ok(layout)
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    pub(super) fn audit_log(&self) -> PathBuf {
        self.logs().join("audit.jsonl")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    pub(super) fn start(
        &self,
        name: &'static str,
        program: &Path,
        args: &[String],
    ) -> Result<Server> {
        Server::start(name, program, args, &self.logs())
    }

    /// A kubeconfig with one context a user, the first the current one. JSON is YAML.
    fn kubeconfig_text(&self, ports: &Ports, users: &[(&str, &String)]) -> String {
        let cluster = json!({
            "server": format!("https://127.0.0.1:{}", ports.apiserver),
            "certificate-authority": self.ca(),
        });
        let each = |make: &dyn Fn(&str, &str) -> Value| -> Vec<Value> {
            users.iter().map(|(name, token)| make(name, token)).collect()
        };
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "capstan-test", "cluster": cluster}],
            "users": each(&|name, token| json!({"name": name, "user": {"token": token}})),
            "contexts": each(&|name, _| {
                json!({"name": name, "context": {"cluster": "capstan-test", "user": name}})
            }),
            "current-context": users.first().map(|(name, _)| name),
        });
        format!("{config:#}\n")
    }

    /// KWOK answers for the kubelet when a container's log is asked for.
    fn pod_logs(&self) -> Value {
        let log = self.path("pod.log");
        json!({
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "ClusterLogs",
            "metadata": {"name": "every-container"},
            "spec": {"logs": [{"logsFile": log, "previousLogsFile": log, "follow": false}]},
        })
    }
}

pub(super) fn etcd(tools: &Tools, layout: &Layout, ports: &Ports) -> Result<Server> {
    let clients = format!("http://127.0.0.1:{}", ports.etcd_clients);
    let peers = format!("http://127.0.0.1:{}", ports.etcd_peers);
    let args = [
        format!("--data-dir={}", layout.path("etcd")),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
        // The data is thrown away with the stack.
        "--unsafe-no-fsync".to_owned(),
    ];
    layout.start("etcd", &tools.etcd, &args)
}

pub(super) fn kube_apiserver(tools: &Tools, layout: &Layout, ports: &Ports) -> Result<Server> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", layout.path(name));
    let args = [
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd_clients),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", ports.apiserver),
        file("tls-cert-file", "tls.crt"),
        file("tls-private-key-file", "tls.key"),
        file("client-ca-file", "ca.crt"),
        file("token-auth-file", "tokens.csv"),
        format!("--service-account-issuer=https://127.0.0.1:{}", ports.apiserver),
        file("service-account-key-file", "sa.pub"),
        file("service-account-signing-key-file", "sa.key"),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--allow-privileged=true".to_owned(),
        file("audit-policy-file", "audit-policy.yaml"),
        file("audit-log-path", "logs/audit.jsonl"),
        // Written before the request is answered, so that a test may read it at once.
        "--audit-log-mode=blocking-strict".to_owned(),
        file("requestheader-client-ca-file", "front-proxy-ca.crt"),
        "--requestheader-allowed-names=front-proxy".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        file("proxy-client-cert-file", "front-proxy.crt"),
        file("proxy-client-key-file", "front-proxy.key"),
    ];
    layout.start("kube-apiserver", &tools.kube_apiserver, &args)
}

pub(super) fn kube_controller_manager(
    tools: &Tools,
    layout: &Layout,
    ports: &Ports,
) -> Result<Server> {
    let args = [
        format!("--kubeconfig={}", layout.path("control-plane.kubeconfig")),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", ports.controller_manager),
        "--leader-elect=false".to_owned(),
        format!("--service-account-private-key-file={}", layout.path("sa.key")),
        format!("--root-ca-file={}", layout.path("ca.crt")),
        "--horizontal-pod-autoscaler-sync-period=5s".to_owned(),
        "--horizontal-pod-autoscaler-downscale-stabilization=10s".to_owned(),
        // A machine busy with builds must not look like one whose nodes are gone.
        "--node-monitor-grace-period=5m".to_owned(),
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ];
    layout.start("kube-controller-manager", &tools.kube_controller_manager, &args)
}

pub(super) fn kube_scheduler(tools: &Tools, layout: &Layout, ports: &Ports) -> Result<Server> {
    let args = [
        format!("--kubeconfig={}", layout.path("control-plane.kubeconfig")),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", ports.scheduler),
        "--leader-elect=false".to_owned(),
    ];
    layout.start("kube-scheduler", &tools.kube_scheduler, &args)
}

pub(super) fn kwok(tools: &Tools, layout: &Layout, ports: &Ports) -> Result<Server> {
    let args = [
        format!("--config={}", layout.path("kwok.yaml")),
        format!("--kubeconfig={}", layout.path("control-plane.kubeconfig")),
        "--manage-all-nodes=true".to_owned(),
        format!("--server-address=127.0.0.1:{}", ports.kwok),
        "--node-ip=127.0.0.1".to_owned(),
        format!("--node-port={}", ports.kwok),
        format!("--tls-cert-file={}", layout.path("tls.crt")),
        format!("--tls-private-key-file={}", layout.path("tls.key")),
        "--node-lease-duration-seconds=40".to_owned(),
    ];
    layout.start("kwok", &tools.kwok, &args)
}
