//! Where a running stack is found.

use std::fmt;
use std::path::{Path, PathBuf};

use super::docker;
use super::minio::MinIo;
use super::ports::Ports;
use super::postgres::Cluster;
use super::rabbitmq::RabbitMq;
use super::redis::Redis;
use super::servers::Layout;
use crate::env;
use crate::install::Tools;

/// The addresses of a running stack. Prints as `KEY=value` lines for a shell to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackAddresses {
    /// The kubeconfig with the contexts `capstan-test` (may do everything) and `nobody`.
    pub kubeconfig: PathBuf,
    /// The base URL of the API server.
    pub kube_server: String,
    /// The audit log of write requests, JSON lines.
    pub audit_log: PathBuf,
    /// The folder with each server's log.
    pub logs: PathBuf,
    /// A Helm 3 program.
    pub helm3: PathBuf,
    /// A Helm 4 program.
    pub helm4: PathBuf,
    /// Where docker listens: `unix://…`.
    pub docker_host: String,
    /// Where the image registry listens: `127.0.0.1:<port>`.
    pub registry: String,
    /// RabbitMQ's virtual host `/`: `amqp://…`.
    pub amqp_url: String,
    /// RabbitMQ's management API.
    pub rabbitmq_management_url: String,
    /// Redis: `redis://…`.
    pub redis_url: String,
    /// MinIO, which speaks S3: `http://…`.
    pub s3_endpoint: String,
    /// The id of the key that may do everything there.
    pub s3_access_key: String,
    /// And its secret.
    pub s3_secret_key: String,
    /// A bucket of it.
    pub s3_bucket: String,
    /// A PostgreSQL server's database `postgres`, as a user who may do everything.
    pub postgres_url: String,
}

impl StackAddresses {
    pub(super) fn of(
        layout: &Layout,
        ports: &Ports,
        tools: &Tools,
        (postgres, rabbitmq, redis, minio): (&Cluster, &RabbitMq, &Redis, &MinIo),
    ) -> Self {
        Self {
            kubeconfig: layout.kubeconfig(),
            kube_server: format!("https://127.0.0.1:{}", ports.apiserver),
            audit_log: layout.audit_log(),
            logs: layout.logs(),
            helm3: tools.helm3.clone(),
            helm4: tools.helm4.clone(),
            docker_host: docker::host(layout),
            registry: docker::registry_address(ports),
            amqp_url: rabbitmq.url(),
            rabbitmq_management_url: rabbitmq.management().url(),
            redis_url: redis.url(),
            s3_endpoint: minio.endpoint(),
            s3_access_key: minio.access_key().to_owned(),
            s3_secret_key: minio.secret_key().to_owned(),
            s3_bucket: minio.bucket().to_owned(),
            postgres_url: postgres.url("postgres"),
        }
    }

    /// What people and `kubectl` read, then what tests read (see [`crate::env`]).
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.display().to_string();
        vec![
            ("KUBECONFIG", text(&self.kubeconfig)),
            ("KUBE_SERVER", self.kube_server.clone()),
            ("KUBE_AUDIT_LOG", text(&self.audit_log)),
            ("STACK_LOGS", text(&self.logs)),
            ("HELM3", text(&self.helm3)),
            ("HELM4", text(&self.helm4)),
            ("DOCKER_HOST", self.docker_host.clone()),
            ("REGISTRY", self.registry.clone()),
            ("POSTGRES_URL", self.postgres_url.clone()),
            (env::KUBECONFIG, text(&self.kubeconfig)),
            (env::AUDIT_LOG, text(&self.audit_log)),
            (env::HELM3, text(&self.helm3)),
            (env::HELM4, text(&self.helm4)),
            (env::DOCKER_HOST, self.docker_host.clone()),
            (env::REGISTRY, self.registry.clone()),
            ("AMQP_URL", self.amqp_url.clone()),
            ("RABBITMQ_MANAGEMENT_URL", self.rabbitmq_management_url.clone()),
            ("REDIS_URL", self.redis_url.clone()),
            (env::AMQP_URL, self.amqp_url.clone()),
            (env::RABBITMQ_MANAGEMENT_URL, self.rabbitmq_management_url.clone()),
            (env::REDIS_URL, self.redis_url.clone()),
            ("S3_ENDPOINT", self.s3_endpoint.clone()),
            ("S3_ACCESS_KEY", self.s3_access_key.clone()),
            ("S3_SECRET_KEY", self.s3_secret_key.clone()),
            ("S3_BUCKET", self.s3_bucket.clone()),
            (env::S3_ENDPOINT, self.s3_endpoint.clone()),
            (env::S3_ACCESS_KEY, self.s3_access_key.clone()),
            (env::S3_SECRET_KEY, self.s3_secret_key.clone()),
            (env::S3_BUCKET, self.s3_bucket.clone()),
            (env::POSTGRES_URL, self.postgres_url.clone()),
        ]
    }
}

impl fmt::Display for StackAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.variables().iter().try_for_each(|(key, value)| writeln!(f, "{key}={value}"))
    }
}
