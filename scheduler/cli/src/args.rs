//! The command line.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use scheduler::api::ApiLimits;
use scheduler::{Retention, Zone};
use serde::{Deserialize, Serialize};
use shared_model::Limits;
use shared_runtime::telemetry::{self, Format};
use worker::catalog::AllowEntry;

use crate::application::ApplicationArgs;
use crate::completion::{self, CompletionArgs};
use crate::config::{ConfigArgs, SecretSources};
use crate::execution::ExecutionArgs;
use crate::fleet::FleetArgs;
use crate::pipeline::PipelineArgs;
use crate::role::scheduler::SchedulerArgs;
use crate::role::worker::WorkerArgs;
use crate::say;
use crate::store::StoreArgs;
use crate::token::TokenArgs;

/// Continuous delivery: runs Spinnaker's pipelines.
#[derive(Debug, Parser)]
#[command(name = "capstan", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a pipeline here, in one process, and waits for its end.
    #[command(after_help = RUN_HELP)]
    Run(Box<RunArgs>),
    /// Starts everything here, in one process, and serves Gate's API until it is stopped.
    #[command(after_help = DEV_HELP)]
    Dev(Box<DevArgs>),
    /// Serves the API and decides what happens next; workers do it.
    #[command(after_help = SCHEDULER_HELP)]
    Scheduler(Box<SchedulerArgs>),
    /// Does the work that schedulers give out.
    #[command(after_help = WORKER_HELP)]
    Worker(Box<WorkerArgs>),
    /// Lists everything that is wrong with a pipeline document.
    Validate(ValidateArgs),
    /// Saves, lists, shows, starts and deletes pipelines of a server.
    Pipeline(Box<PipelineArgs>),
    /// Lists, shows, watches, cancels and judges executions of a server.
    Execution(Box<ExecutionArgs>),
    /// Lists, shows, saves and deletes applications of a server.
    Application(Box<ApplicationArgs>),
    /// Shows a server's workers, what they do, and how many are wanted and why.
    Fleet(Box<FleetArgs>),
    /// Makes, lists and takes back the tokens of a server.
    Token(Box<TokenArgs>),
    /// Writes a store into a file, restores it, and looks whether it is sound.
    Store(Box<StoreArgs>),
    /// Shows the settings of the distributed roles.
    Config(ConfigArgs),
    /// Prints the completions for a shell.
    #[command(after_help = completion::HELP)]
    Completion(CompletionArgs),
    /// Prints the description of the API (OpenAPI 3.1).
    Openapi,
    /// Owns one run of a tool.
    #[command(hide = true)]
    Guard {
        /// What the parent says; not for people.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Is a load balancer of the `local` provider.
    #[command(hide = true)]
    LocalBalancer {
        /// Its folder and its port; not for people.
        args: Vec<OsString>,
    },
    /// A service to deploy with the `local` provider: listens on $PORT, answers with $VERSION.
    #[command(hide = true)]
    SampleService,
}

const RUN_HELP: &str = "\
Exit codes: 0 succeeded, 1 the run failed, 2 bad usage or document, 130 interrupted.

Examples:
  capstan run pipeline.json --parameter tag=1.2.3
  capstan run pipeline.json --kubeconfig ~/.kube/config --artifacts-root ./charts
  capstan run --resume";

const DEV_HELP: &str = "\
Exit codes: 0 stopped by a signal, 1 it stopped by itself, 2 bad usage or nothing could be started.

Examples:
  capstan dev
  capstan dev --port 9000 --data-dir /var/lib/capstan --kubeconfig ~/.kube/config";

const SCHEDULER_HELP: &str = "\
Settings: `capstan config show --role scheduler`. Any number of schedulers may run; they share
PostgreSQL, RabbitMQ, Redis and blobs.

Exit codes: 0 stopped by a signal, 1 it stopped by itself, 2 bad settings or nothing could be started.

Examples:
  capstan scheduler --config capstan.toml
  CAPSTAN__STORE__URL_FILE=/run/secrets/store capstan scheduler --config capstan.toml";

const WORKER_HELP: &str = "\
Settings: `capstan config show --role worker`. SIGTERM drains it; a second signal ends it at once.

Exit codes: 0 stopped by a signal, 1 it stopped by itself, 2 bad settings or nothing could be started.

Examples:
  capstan worker --config capstan.toml --slots 4
  capstan worker --config capstan.toml --capability bake.helm --capability deploy.kubernetes";

/// Where a server is unless told otherwise.
pub(crate) const DEFAULT_PORT: u16 = 8084;

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line: `time`, `level`, `target`, `message`, and fields.
    Json,
}

/// How the result is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people, on stderr.
    Text,
    /// As JSON, on stdout: an execution in Gate's shape, or a list of problems.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The pipeline document, JSON or YAML; `-` reads it from stdin.
    #[arg(value_name = "FILE", required_unless_present = "resume", conflicts_with = "resume")]
    pub(crate) file: Option<PathBuf>,
    /// A parameter of the pipeline; may be repeated.
    #[arg(long = "parameter", short = 'p', value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) parameters: Vec<(String, String)>,
    /// Goes on with what a killed run left in the data folder.
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// As whom the pipeline runs.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "anonymous")]
    pub(crate) user: String,
    /// How the result is shown.
    #[arg(long, short = 'o', value_enum, default_value = "text")]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// The address to serve. Any but a loopback one needs a token to be there, and then with each
    /// request.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", env = "CAPSTAN_HOST")]
    pub(crate) host: std::net::IpAddr,
    /// The port to serve; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = DEFAULT_PORT, env = "CAPSTAN_PORT")]
    pub(crate) port: u16,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// What an engine in one process works with.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// Where state is kept.
    #[arg(long, value_name = "DIR", default_value = ".capstan", env = "CAPSTAN_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
    /// The clusters: every context of this file is an account of its name [default: ~/.kube/config].
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    kubeconfig: Option<OsString>,
    /// A further name for a context, as documents use it; may be repeated.
    #[arg(long = "account", value_name = "NAME=CONTEXT", value_parser = pair)]
    pub(crate) accounts: Vec<(String, String)>,
    /// Below this folder `local/file` artifacts may lie (charts, values files).
    #[arg(long, value_name = "DIR", env = "CAPSTAN_ARTIFACTS_ROOT")]
    pub(crate) artifacts_root: Option<PathBuf>,
    /// By which clock the execution windows of stages open and close.
    #[arg(long, value_name = "ZONE", default_value_t, env = "CAPSTAN_WINDOW_ZONE")]
    pub(crate) window_zone: Zone,
    /// How long executions are kept after they ended, e.g. `2160h`; the newest of each pipeline stay.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "720h",
        env = "CAPSTAN_EXECUTIONS_AGE_MAX"
    )]
    pub(crate) executions_age_max: SignedDuration,
    /// How many executions of each pipeline stay, however old.
    #[arg(long, value_name = "COUNT", default_value_t = Retention::default().executions_per_pipeline_min, env = "CAPSTAN_EXECUTIONS_PER_PIPELINE_MIN")]
    pub(crate) executions_per_pipeline_min: u32,
    /// How many of each are kept at most, once they are a day old.
    #[arg(long, value_name = "COUNT", default_value_t = Retention::default().executions_per_pipeline_max, env = "CAPSTAN_EXECUTIONS_PER_PIPELINE_MAX")]
    pub(crate) executions_per_pipeline_max: u32,
    /// Keeps every execution.
    #[arg(long, env = "CAPSTAN_KEEP_EXECUTIONS")]
    pub(crate) keep_executions: bool,
    /// The helm to run: a name on the PATH, or a path.
    #[arg(long, value_name = "PROGRAM", default_value = "helm", env = "CAPSTAN_HELM",
          value_parser = NonEmptyStringValueParser::new())]
    pub(crate) helm: String,
    /// The packer to run: a name on the PATH, or a path.
    #[arg(long, value_name = "PROGRAM", default_value = "packer", env = "CAPSTAN_PACKER",
          value_parser = NonEmptyStringValueParser::new())]
    pub(crate) packer: String,
    /// The folder of Packer templates [default: `recipes` below the artifacts root, or here].
    #[arg(long, value_name = "DIR", env = "CAPSTAN_RECIPES")]
    pub(crate) recipes: Option<PathBuf>,
    /// The docker that Packer bakes with, e.g. `unix:///run/docker.sock` [default: docker's own].
    #[arg(long, value_name = "ADDRESS", env = "DOCKER_HOST")]
    docker_host: Option<OsString>,
    /// A variable of the environment that Packer gets as well, e.g. for the credentials of a cloud;
    /// may be repeated.
    #[arg(long = "packer-env", value_name = "NAME")]
    pub(crate) packer_env: Vec<String>,
    /// What webhooks may ask beside the Internet: a host, everything below one (`*.example.com`), an
    /// address or a network, each with a port if need be; may be repeated.
    #[arg(
        long = "allow-url",
        value_name = "HOST|CIDR[:PORT]",
        env = "CAPSTAN_ALLOW_URLS",
        value_delimiter = ','
    )]
    pub(crate) allow_urls: Vec<AllowEntry>,
    /// The folder of secrets: `secret://file/name#key` is the file `key` in the folder `name` below it.
    #[arg(long, value_name = "DIR", env = "CAPSTAN_SECRETS_DIR")]
    pub(crate) secrets_dir: Option<PathBuf>,
    /// A variable of the environment that `secret://env/NAME` may read; may be repeated.
    #[arg(long = "secret-env", value_name = "NAME")]
    pub(crate) secret_env: Vec<String>,
    /// What is logged to stderr: a level, or a filter such as `worker=debug` [default: what happens
    /// to executions for `dev`, warnings for `run`, which shows its progress by itself].
    #[arg(long, value_name = "FILTER", env = "CAPSTAN_LOG",
          value_parser = NonEmptyStringValueParser::new())]
    pub(crate) log: Option<String>,
    /// How everything on stderr looks.
    #[arg(long, value_enum, default_value = "text", env = "CAPSTAN_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// Warnings. The clients of Kubernetes and RabbitMQ log what we say better, and how exporting goes is
/// said once by whoever exports.
const LOG_WARNINGS: &str = "warn,kube_client=off,lapin=off,opentelemetry=off";
/// The state changes of executions, too.
pub(crate) const LOG_CHANGES: &str =
    "warn,scheduler=info,worker=info,kube_client=off,lapin=off,opentelemetry=off";

impl EngineArgs {
    /// How long what has ended is kept.
    pub(crate) fn retention(&self) -> Retention {
        Retention {
            enabled: !self.keep_executions,
            age_max: self.executions_age_max,
            executions_per_pipeline_min: self.executions_per_pipeline_min,
            executions_per_pipeline_max: self.executions_per_pipeline_max,
            ..Retention::default()
        }
    }

    /// Where secrets come from.
    pub(crate) fn secrets(&self) -> SecretSources {
        let (folder, env) = (self.secrets_dir.clone(), self.secret_env.clone());
        SecretSources { folder, env, kubernetes: None }
    }

    /// Where docker listens; like docker, an empty one in the environment is none.
    pub(crate) fn docker_host(&self) -> Option<&OsStr> {
        self.docker_host.as_deref().filter(|host| !host.is_empty())
    }

    /// Starts logging; `with_changes` is whether state changes of executions are logged unless
    /// somebody said what is.
    ///
    /// # Errors
    /// If the filter cannot be read.
    pub(crate) fn start_logs(&self, with_changes: bool) -> anyhow::Result<()> {
        let usual = if with_changes { LOG_CHANGES } else { LOG_WARNINGS };
        let format = match self.log_format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        };
        say::in_format(format);
        telemetry::start(self.log.as_deref().unwrap_or(usual), format)
    }

    /// The kubeconfig; like kubectl, an empty one in the environment is none.
    pub(crate) fn kubeconfig(&self) -> Option<PathBuf> {
        self.kubeconfig.clone().filter(|file| !file.is_empty()).map(PathBuf::from)
    }
}

/// How much clients may ask for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Connections at once [default: 10000, or fewer where the system allows fewer open files].
    #[arg(long, value_name = "COUNT", env = "CAPSTAN_CONNECTIONS_MAX")]
    pub(crate) connections_max: Option<NonZeroU32>,
    /// Requests a second of one token, or of one address without one; without a token, loopback has
    /// no limit.
    #[arg(long, value_name = "COUNT", default_value_t = Self::default().requests_per_second_max, env = "CAPSTAN_REQUESTS_PER_SECOND_MAX")]
    pub(crate) requests_per_second_max: NonZeroU32,
    /// Requests at once of the same.
    #[arg(long, value_name = "COUNT", default_value_t = Self::default().requests_burst_max, env = "CAPSTAN_REQUESTS_BURST_MAX")]
    pub(crate) requests_burst_max: NonZeroU32,
    /// Executions that have not ended; further ones are refused for as long, but those of stages.
    #[arg(long, value_name = "COUNT", default_value_t = Self::default().executions_unfinished_max, env = "CAPSTAN_EXECUTIONS_UNFINISHED_MAX")]
    pub(crate) executions_unfinished_max: usize,
    /// The same of one application.
    #[arg(long, value_name = "COUNT", default_value_t = Self::default().executions_unfinished_per_application_max, env = "CAPSTAN_EXECUTIONS_UNFINISHED_PER_APPLICATION_MAX")]
    pub(crate) executions_unfinished_per_application_max: usize,
    /// Executions that run at once; further ones wait, the oldest first, but those of stages [default: any number].
    #[arg(long, value_name = "COUNT", env = "CAPSTAN_EXECUTIONS_RUNNING_MAX")]
    pub(crate) executions_running_max: Option<NonZeroU32>,
    /// The same of one application.
    #[arg(long, value_name = "COUNT", env = "CAPSTAN_EXECUTIONS_RUNNING_PER_APPLICATION_MAX")]
    pub(crate) executions_running_per_application_max: Option<NonZeroU32>,
    /// Stages of one pipeline.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().stages_max, env = "CAPSTAN_STAGES_MAX")]
    pub(crate) stages_max: usize,
    /// Edges between the stages of one pipeline.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().edges_max, env = "CAPSTAN_EDGES_MAX")]
    pub(crate) edges_max: usize,
}

impl LimitArgs {
    /// What a pipeline may have, and how many executions may run.
    pub(crate) fn of_pipelines(&self) -> Limits {
        Limits {
            stages_max: self.stages_max,
            edges_max: self.edges_max,
            executions_running_max: self.executions_running_max,
            executions_running_per_application_max: self.executions_running_per_application_max,
            ..Limits::default()
        }
    }
}

impl Default for LimitArgs {
    fn default() -> Self {
        let api = ApiLimits::default();
        let scheduler = scheduler::Config::default();
        Self {
            connections_max: None,
            requests_per_second_max: api.requests_per_second_max,
            requests_burst_max: api.requests_burst_max,
            executions_unfinished_max: scheduler.executions_unfinished_max,
            executions_unfinished_per_application_max: scheduler
                .executions_unfinished_per_application_max,
            executions_running_max: None,
            executions_running_per_application_max: None,
            stages_max: scheduler.limits.stages_max,
            edges_max: scheduler.limits.edges_max,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The pipeline document, JSON or YAML; `-` reads it from stdin.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How the problems are shown.
    #[arg(long, short = 'o', value_enum, default_value = "text")]
    pub(crate) output: Output,
}

/// A name and a value, as `NAME=VALUE`.
///
/// # Errors
/// If it is none.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    if name.is_empty() {
        return Err("the name before `=` is empty".into());
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_value_may_hold_an_equals_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(pair("a").is_err() && pair("=b").is_err());
    }
}
