//! The command line.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ColorChoice, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

/// Continuous delivery: runs Spinnaker's pipelines.
#[derive(Debug, Parser)]
#[command(name = "capstan", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// When to use colours; NO_COLOR and TERM=dumb are heeded too.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
    /// The same as `--color never`.
    #[arg(long, global = true, conflicts_with = "color")]
    no_color: bool,
}

impl Cli {
    /// When to use colours.
    pub(crate) fn color(&self) -> ColorChoice {
        if self.no_color { ColorChoice::Never } else { self.color }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a pipeline here, in one process, and waits for its end.
    #[command(after_help = RUN_HELP)]
    Run(Box<RunArgs>),
    /// Lists everything that is wrong with a pipeline document.
    #[command(after_help = VALIDATE_HELP)]
    Validate(ValidateArgs),
    /// Owns one run of a tool.
    #[command(hide = true)]
    Guard {
        /// What the parent says; not for people.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

const RUN_HELP: &str = "\
Exit codes: 0 succeeded, 1 the run failed, 2 bad usage or document (nothing was run),
5 not finished within --timeout, 130 interrupted, 143 told to end.

Ctrl-C stops cleanly and keeps the state; `capstan run --resume` goes on with it. A second
Ctrl-C ends at once; that loses nothing either.

Examples:
  capstan run pipeline.json --parameter tag=1.2.3
  capstan run pipeline.json --kubeconfig staging.yaml --account prod=kind-staging
  capstan run --resume";

const VALIDATE_HELP: &str = "\
Exit codes: 0 it can be run (there may be warnings), 2 it cannot.";

/// How the result is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people, on stderr.
    Text,
    /// The final execution as JSON, in Gate's shape, on stdout.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The pipeline document, JSON or YAML; `-` reads it from stdin.
    #[arg(value_name = "FILE", required_unless_present = "resume", conflicts_with = "resume")]
    pub(crate) file: Option<PathBuf>,
    /// A parameter of the pipeline; may be repeated.
    #[arg(long = "parameter", short = 'p', value_name = "NAME=VALUE", value_parser = pair)]
    #[arg(conflicts_with = "resume")]
    pub(crate) parameters: Vec<(String, String)>,
    /// Goes on with everything that a killed or interrupted run left in the data folder, with the
    /// kubeconfig, accounts, helm and artifacts root that it was given, unless told otherwise.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Where state is kept.
    #[arg(long, value_name = "DIR", default_value = ".capstan", env = "CAPSTAN_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
    /// The clusters: every context of this file is an account of its name [default: ~/.kube/config].
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// A further account: the name that documents use, and the context that it means; may be repeated.
    #[arg(long = "account", value_name = "NAME=CONTEXT", value_parser = pair)]
    pub(crate) accounts: Vec<(String, String)>,
    /// The only namespaces that an account may deploy to; may be repeated.
    #[arg(long = "namespaces", value_name = "ACCOUNT=NAMESPACE,…", value_parser = pair)]
    pub(crate) namespaces: Vec<(String, String)>,
    /// `local/file` artifacts (charts, values files) are read below this folder only [default: the
    /// folder of FILE].
    #[arg(long, value_name = "DIR", env = "CAPSTAN_ARTIFACTS_ROOT")]
    pub(crate) artifacts_root: Option<PathBuf>,
    /// The helm to run, 3 or 4: a name on the PATH, or a path [default: helm].
    #[arg(long, value_name = "PROGRAM", env = "CAPSTAN_HELM")]
    pub(crate) helm: Option<String>,
    /// As whom the pipeline runs.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "anonymous")]
    pub(crate) user: String,
    /// Stops after this long as Ctrl-C does, e.g. `90s` or `1h 30m`; the state is kept.
    #[arg(long, value_name = "DURATION", value_parser = positive)]
    pub(crate) timeout: Option<Duration>,
    /// How the result is shown.
    #[arg(long, short = 'o', value_enum, default_value = "text")]
    pub(crate) output: Output,
    /// What is logged to stderr beside the progress: a level, or a filter such as `worker=debug`.
    #[arg(long, value_name = "FILTER", default_value = "warn", env = "CAPSTAN_LOG")]
    pub(crate) log: String,
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

/// Which options stand on the command line itself, not in the environment.
#[derive(Debug, Default)]
pub(crate) struct Given(BTreeSet<String>);

impl Given {
    /// Those of `capstan run`.
    pub(crate) fn of_run(matches: &ArgMatches) -> Self {
        let run = matches.subcommand_matches("run");
        let ids = run.into_iter().flat_map(|run| run.ids().map(move |id| (run, id.as_str())));
        let given = ids
            .filter(|(run, id)| run.value_source(id) == Some(ValueSource::CommandLine))
            .map(|(_, id)| id.to_owned());
        Self(given.collect())
    }

    /// Whether the option stands on the command line.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.0.contains(option)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    if name.is_empty() {
        return Err("the name before `=` is empty".into());
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn positive(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    let duration = Duration::try_from(duration).map_err(|_| "it is negative")?;
    if duration.is_zero() { Err("it is zero".into()) } else { Ok(duration) }
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

    #[test]
    fn a_duration_is_read_as_people_write_it() {
        assert_eq!(positive("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(positive("1h 30m"), Ok(Duration::from_secs(5_400)));
        assert!(positive("0s").is_err() && positive("-1s").is_err() && positive("soon").is_err());
    }

    #[test]
    fn what_stands_on_the_command_line_is_known() {
        let matches = Cli::command().get_matches_from(["capstan", "run", "x", "--helm", "helm4"]);
        let given = Given::of_run(&matches);
        assert!(given.has("helm") && given.has("file"));
        assert!(!given.has("user") && !given.has("kubeconfig"));
    }
}
