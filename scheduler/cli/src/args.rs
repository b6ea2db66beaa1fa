//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::application::ApplicationArgs;
use crate::completion::{self, CompletionArgs};
use crate::execution::ExecutionArgs;
use crate::pipeline::PipelineArgs;
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
    /// Lists everything that is wrong with a pipeline document.
    Validate(ValidateArgs),
    /// Saves, lists, shows, starts and deletes pipelines of a server.
    Pipeline(Box<PipelineArgs>),
    /// Lists, shows, watches, cancels and judges executions of a server.
    Execution(Box<ExecutionArgs>),
    /// Lists, shows, saves and deletes applications of a server.
    Application(Box<ApplicationArgs>),
    /// Makes, lists and takes back the tokens of a server.
    Token(Box<TokenArgs>),
    /// Prints the completions for a shell.
    #[command(after_help = completion::HELP)]
    Completion(CompletionArgs),
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

/// The Kubernetes client logs what a stage says better.
const LOG: &str = "warn,kube_client=off";

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
    #[arg(long, value_name = "PORT", default_value_t = 8084, env = "CAPSTAN_PORT")]
    pub(crate) port: u16,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
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
    /// What is logged to stderr beside the progress: a level, or a filter such as `worker=debug`.
    #[arg(long, value_name = "FILTER", default_value = LOG, env = "CAPSTAN_LOG")]
    pub(crate) log: String,
}

impl EngineArgs {
    /// Where docker listens; like docker, an empty one in the environment is none.
    pub(crate) fn docker_host(&self) -> Option<&OsStr> {
        self.docker_host.as_deref().filter(|host| !host.is_empty())
    }

    /// The kubeconfig; like kubectl, an empty one in the environment is none.
    pub(crate) fn kubeconfig(&self) -> Option<PathBuf> {
        self.kubeconfig.clone().filter(|file| !file.is_empty()).map(PathBuf::from)
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
