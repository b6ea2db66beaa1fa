//! Every setting, with its default. A unit stands in the value (`15s`) or in the name (`_bytes_max`).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;

use jiff::SignedDuration;
use scheduler::api::ApiLimits;
use scheduler::external::ExternalMetrics;
use scheduler::{Retention, Zone};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use shared_adapters::{Amqp, Embedded, Objects, Postgres, Redis, TlsClient, masked};
use shared_model::Limits;

use crate::args::{DEFAULT_PORT, LimitArgs, LogFormat};

/// All sections.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// PostgreSQL.
    pub(crate) store: Option<Postgres>,
    /// RabbitMQ.
    pub(crate) amqp: Option<Box<Amqp>>,
    /// Redis.
    pub(crate) redis: Option<Box<Redis>>,
    /// Object storage.
    pub(crate) blobs: Option<Box<Objects>>,
    /// Folders.
    pub(crate) local: Local,
    /// The API of schedulers.
    pub(crate) api: Api,
    /// What holds for all of them.
    pub(crate) fleet: Fleet,
    /// What a pipeline may have.
    pub(crate) limits: Limits,
    /// How many workers are wished for, for each capability and pool.
    pub(crate) autoscale: scheduler::fleet::Config,
    /// How long what has ended is kept.
    pub(crate) retention: Retention,
    /// How Kubernetes asks schedulers for that; not at all without it.
    pub(crate) external_metrics: Option<ExternalMetrics>,
    /// This worker.
    pub(crate) worker: Worker,
    /// How a process starts.
    pub(crate) start: Start,
    /// What is logged.
    pub(crate) log: Log,
}

/// Folders.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Local {
    /// Of this process alone, with what is lost with it: tools at work.
    pub(crate) data_dir: PathBuf,
    /// Blobs and logs, if not in object storage: one folder for all processes, on this machine or a file system that they share.
    pub(crate) shared_dir: Option<PathBuf>,
    /// Length of one blob.
    pub(crate) blob_bytes_max: u64,
    /// Length of one log.
    pub(crate) log_bytes_max: u64,
}

/// The API of schedulers.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Api {
    /// The address to serve; port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// The first token, of scope `admin`: 32 characters or more.
    #[serde(serialize_with = "masked::optional_secret")]
    pub(crate) token: Option<SecretString>,
    /// Connections at once; 0: as many as there may be open files, at most 10,000.
    pub(crate) connections_max: u32,
    /// Requests a second of one token, or of one address without one.
    pub(crate) requests_per_second_max: NonZeroU32,
    /// Requests at once of the same.
    pub(crate) requests_burst_max: NonZeroU32,
    /// Executions that have not ended; further ones are refused for as long.
    pub(crate) executions_unfinished_max: usize,
    /// The same of one application.
    pub(crate) executions_unfinished_per_application_max: usize,
}

/// What holds for all of them.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Fleet {
    /// Into how many parts executions are divided among schedulers; the first one to start a store
    /// says it.
    pub(crate) shards: NonZeroU16,
    /// The Kubernetes accounts that clients are told of.
    pub(crate) accounts: Vec<String>,
    /// How long all schedulers and workers must be of a version that keeps long texts in blobs before
    /// any are: so long an older version can be gone back to.
    pub(crate) references_after: SignedDuration,
    /// Whether stages may start server groups of processes on a worker's machine (provider `local`).
    pub(crate) local_provider: bool,
    /// Whether a Packer template may come from an artifact; it can run any program.
    pub(crate) artifact_templates: bool,
    /// By which clock the execution windows of stages open and close, e.g. `Europe/Berlin`.
    pub(crate) window_zone: Zone,
}

/// This worker.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Worker {
    /// Its name, which no other live worker has; without it, made of the machine's and the process id.
    pub(crate) name: Option<String>,
    /// The address of its probes and metrics; port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// What metrics want as bearer token; without it they are shown on loopback only.
    #[serde(serialize_with = "masked::optional_secret")]
    pub(crate) token: Option<SecretString>,
    /// Attempts that it runs at once.
    pub(crate) slots: u16,
    /// The queues that it takes work from, e.g. `bake.helm`, or `deploy.kubernetes@prod` for one account
    /// of them; all that it can serve if none is named.
    pub(crate) capabilities: Vec<String>,
    /// How long a lease lives without a heartbeat.
    #[serde(serialize_with = "masked::duration")]
    pub(crate) lease_ttl: SignedDuration,
    /// How long a tool may go on to end by itself once its worker is gone, at most `lease_ttl`; 0s: as long
    /// as that, and at most 10 s.
    #[serde(serialize_with = "masked::duration")]
    pub(crate) tool_grace: SignedDuration,
    /// How often it beats: a third of `lease_ttl` or more often.
    #[serde(serialize_with = "masked::duration")]
    pub(crate) heartbeat_interval: SignedDuration,
    /// Work that lasts longer acknowledges its message before it ends.
    #[serde(serialize_with = "masked::duration")]
    pub(crate) hold_message_for: SignedDuration,
    /// How long running attempts may take to end, or to be handed over, when it stops.
    #[serde(serialize_with = "masked::duration")]
    pub(crate) drain_timeout: SignedDuration,
    /// How long an attempt may take to end once it is cancelled.
    #[serde(serialize_with = "masked::duration")]
    pub(crate) cancel_grace: SignedDuration,
    /// Most that one attempt adds to its stage's log.
    pub(crate) log_bytes_max: u64,
    /// The helm to run: a name on the PATH, or a path.
    pub(crate) helm: String,
    /// The packer to run.
    pub(crate) packer: String,
    /// The folder of Packer templates; without it `recipes` below the artifacts root.
    pub(crate) recipes: Option<PathBuf>,
    /// Below this folder `local/file` artifacts may lie; without it the current one.
    pub(crate) artifacts_root: Option<PathBuf>,
    /// The docker that Packer bakes with.
    pub(crate) docker_host: Option<String>,
    /// Variables of the environment that Packer gets as well.
    pub(crate) packer_env: Vec<String>,
    /// The clusters: every context of this file is an account of its name.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// An account's name for the cluster that it runs in, reached by its own service account.
    pub(crate) in_cluster: Option<String>,
    /// Further names for contexts.
    pub(crate) accounts: BTreeMap<String, String>,
    /// What webhooks may ask beside the Internet.
    pub(crate) allow_urls: Vec<String>,
    /// What `secret://…` in documents means here.
    pub(crate) secrets: SecretSources,
    /// The pod that it runs in: while it is busy, Kubernetes is told to end others first.
    pub(crate) pod: Option<worker::pod::Pod>,
}

/// Where a worker's secrets come from. Whoever may save a pipeline may use them.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct SecretSources {
    /// `secret://file/name#key`: the file `key` in the folder `name` below this one.
    pub(crate) folder: Option<PathBuf>,
    /// `secret://env/NAME`: these variables of its environment.
    pub(crate) env: Vec<String>,
    /// `secret://kubernetes/name#key`: the Secrets of one namespace.
    pub(crate) kubernetes: Option<KubernetesSecrets>,
}

/// Secrets of a cluster.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct KubernetesSecrets {
    /// The account whose cluster has them.
    pub(crate) account: String,
    /// Their namespace.
    pub(crate) namespace: String,
}

/// How a process starts.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Start {
    /// How long servers that are not there yet are waited for, all together.
    #[serde(serialize_with = "masked::duration")]
    pub(crate) wait_max: SignedDuration,
}

/// What is logged.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Log {
    /// A level, or a filter such as `worker=debug`.
    pub(crate) filter: String,
    /// How everything on stderr looks.
    pub(crate) format: LogFormat,
}

impl Api {
    /// How much clients may ask for.
    pub(crate) fn limits(&self) -> LimitArgs {
        LimitArgs {
            connections_max: NonZeroU32::new(self.connections_max),
            requests_per_second_max: self.requests_per_second_max,
            requests_burst_max: self.requests_burst_max,
            executions_unfinished_max: self.executions_unfinished_max,
            executions_unfinished_per_application_max: self
                .executions_unfinished_per_application_max,
            ..LimitArgs::default()
        }
    }
}

impl Settings {
    /// Every key with a value, so that none is missing from the list.
    pub(super) fn with_everything() -> Self {
        let secret = || Some(SecretString::from(""));
        let certificate = TlsClient { certificate: PathBuf::new(), key: PathBuf::new() };
        let store = Postgres { tls_client: Some(certificate), ..Postgres::new("") };
        let redis = Redis { sentinel_password: secret(), ..Redis::at("") };
        let (namespace, name) = (String::new(), String::new());
        let (account, own) = (String::new(), String::new());
        let kubernetes = Some(KubernetesSecrets { account, namespace: own });
        let secrets = SecretSources { kubernetes, ..SecretSources::default() };
        let pod = worker::pod::Pod { namespace, name, kubeconfig: None };
        Self {
            store: Some(store),
            amqp: Some(Box::new(Amqp::at(""))),
            redis: Some(Box::new(redis)),
            blobs: Some(Box::new(Objects::at(""))),
            api: Api { token: secret(), ..Api::default() },
            external_metrics: Some(ExternalMetrics {
                listen: (Ipv4Addr::UNSPECIFIED, 6443).into(),
                cert_file: PathBuf::new(),
                key_file: PathBuf::new(),
                client_ca_file: PathBuf::new(),
            }),
            limits: Limits {
                executions_running_max: Some(NonZeroU32::MIN),
                executions_running_per_application_max: Some(NonZeroU32::MIN),
                ..Limits::default()
            },
            worker: Worker { token: secret(), pod: Some(pod), secrets, ..Worker::default() },
            ..Self::default()
        }
    }
}

impl Default for Fleet {
    fn default() -> Self {
        let shards = NonZeroU16::new(64).unwrap_or(NonZeroU16::MIN);
        Self {
            shards,
            accounts: Vec::new(),
            references_after: SignedDuration::from_mins(10),
            local_provider: false,
            artifact_templates: false,
            window_zone: Zone::default(),
        }
    }
}

impl Default for Local {
    fn default() -> Self {
        let Embedded { data_dir, shared_dir, queue_len_max: _, blob_bytes_max, log_bytes_max } =
            Embedded::new(".capstan");
        Self { data_dir, shared_dir, blob_bytes_max, log_bytes_max }
    }
}

impl Default for Api {
    fn default() -> Self {
        let limits = ApiLimits::default();
        let scheduler = scheduler::Config::default();
        Self {
            listen: (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(),
            token: None,
            connections_max: 0,
            requests_per_second_max: limits.requests_per_second_max,
            requests_burst_max: limits.requests_burst_max,
            executions_unfinished_max: scheduler.executions_unfinished_max,
            executions_unfinished_per_application_max: scheduler
                .executions_unfinished_per_application_max,
        }
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            name: None,
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            token: None,
            slots: 8,
            capabilities: Vec::new(),
            lease_ttl: SignedDuration::from_secs(15),
            tool_grace: SignedDuration::ZERO,
            heartbeat_interval: SignedDuration::from_secs(3),
            hold_message_for: SignedDuration::from_secs(60),
            drain_timeout: SignedDuration::from_secs(30),
            cancel_grace: SignedDuration::from_secs(120),
            log_bytes_max: 64 * 1024 * 1024,
            helm: "helm".to_owned(),
            packer: "packer".to_owned(),
            recipes: None,
            artifacts_root: None,
            docker_host: None,
            packer_env: Vec::new(),
            kubeconfig: None,
            in_cluster: None,
            accounts: BTreeMap::new(),
            allow_urls: Vec::new(),
            secrets: SecretSources::default(),
            pod: None,
        }
    }
}

impl Default for Start {
    fn default() -> Self {
        Self { wait_max: SignedDuration::from_mins(2) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: crate::args::LOG_CHANGES.to_owned(), format: LogFormat::Text }
    }
}
