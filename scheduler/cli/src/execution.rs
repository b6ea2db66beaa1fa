//! `capstan execution`.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use shared_client::{Execution, Listing, Stage, Which};

use crate::output::{Rows, text, time, took};
use crate::say::say;
use crate::server::{EXIT_CODES, Impossible, ServerArgs, Session, with_server};
use crate::{logs, watch};

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ExecutionArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: ExecutionCommand,
}

#[derive(Debug, Subcommand)]
enum ExecutionCommand {
    /// Lists executions, newest first.
    List(ListArgs),
    /// Shows one, with its stages and what it waits for.
    Get {
        /// Its id.
        id: String,
    },
    /// Shows what happens until it ends; a failed execution exits with 1.
    #[command(after_help = EXIT_CODES)]
    Watch {
        /// Its id.
        id: String,
    },
    /// Ends one.
    Cancel {
        /// Its id.
        id: String,
        /// Why; kept with it.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Removes one that has ended, with its logs.
    Delete {
        /// Its id.
        id: String,
    },
    /// Answers a manual judgment.
    Judge(JudgeArgs),
    /// Says what became of work whose worker was lost at it.
    Outcome(OutcomeArgs),
    /// Shows the log of a stage, or of all.
    Logs {
        /// The execution's id.
        id: String,
        /// The stage: its id, `refId`, or name.
        stage: Option<String>,
        /// Goes on until it ends.
        #[arg(long, short = 'f')]
        follow: bool,
    },
}

#[derive(Debug, Args)]
#[command(group(
    clap::ArgGroup::new("whose").required(true).args(["application", "pipeline_config"])
))]
struct ListArgs {
    /// Those of an application; the limit counts for each of its pipelines.
    #[arg(long, short = 'a', value_name = "APP")]
    application: Option<String>,
    /// Those of one pipeline, by its id.
    #[arg(long, value_name = "ID")]
    pipeline_config: Option<String>,
    /// Only these statuses, e.g. `RUNNING,TERMINAL`.
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    status: Vec<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("judgment").required(true).args(["continue", "stop"])))]
struct JudgeArgs {
    /// The execution's id.
    id: String,
    /// The stage: its id, `refId`, or name; the one that waits, if it is the only one.
    stage: Option<String>,
    /// Goes on.
    #[arg(long = "continue")]
    r#continue: bool,
    /// Stops it.
    #[arg(long)]
    stop: bool,
    /// One of the stage's choices, for the stages behind it.
    #[arg(long, value_name = "TEXT")]
    input: Option<String>,
}

#[derive(Debug, Args)]
struct OutcomeArgs {
    /// The execution's id.
    id: String,
    /// What became of it: look at the target first.
    #[arg(value_enum)]
    outcome: Outcome,
    /// The stage: its id, `refId`, or name; the one that waits, if it is the only one.
    stage: Option<String>,
}

/// What became of work that nobody can recognise.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Outcome {
    /// It was done: the stage goes on.
    Done,
    /// It is to be done, again. Nobody can recognise such work: if the lost worker was but paused, or
    /// the target still works on it, it is done twice.
    Repeat,
    /// It counts as failed.
    Fail,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Repeat => "repeat",
            Self::Fail => "fail",
        }
    }
}

/// `capstan execution`.
///
/// # Errors
/// What is in the way on this side.
pub(crate) fn run(arguments: &ExecutionArgs) -> Result<u8> {
    with_server(&arguments.server, async |session| match &arguments.command {
        ExecutionCommand::List(arguments) => list(session, arguments).await,
        ExecutionCommand::Get { id } => get(session, id).await,
        ExecutionCommand::Watch { id } => watch::watch(session, id).await,
        ExecutionCommand::Cancel { id, reason } => cancel(session, id, reason.as_deref()).await,
        ExecutionCommand::Delete { id } => delete(session, id).await,
        ExecutionCommand::Judge(arguments) => judge(session, arguments).await,
        ExecutionCommand::Outcome(arguments) => tell(session, arguments).await,
        ExecutionCommand::Logs { id, stage, follow } => {
            logs::logs(session, id, stage.as_deref(), *follow).await
        }
    })
}

fn status(text: &str) -> Result<String, String> {
    let upper = text.to_uppercase();
    let known = upper.parse::<shared_model::Status>();
    known.map(|status| status.name().to_owned()).map_err(|_| {
        "no such status: NOT_STARTED, RUNNING, PAUSED, SUCCEEDED, TERMINAL, CANCELED, STOPPED, …"
            .to_owned()
    })
}

async fn list(session: &Session, arguments: &ListArgs) -> Result<u8> {
    let which = match (&arguments.application, &arguments.pipeline_config) {
        (_, Some(id)) => Which::Pipeline(id),
        (application, None) => Which::Application(application.as_deref().unwrap_or_default()),
    };
    let listing = Listing { statuses: arguments.status.clone(), limit: arguments.limit };
    let found = session.client.executions(which, &listing).await?;
    let all = found.iter().map(|execution| execution.0.clone()).collect();
    session.format.print(&Value::Array(all), || executions(&found))?;
    Ok(0)
}

async fn get(session: &Session, id: &str) -> Result<u8> {
    let found = session.client.execution(id).await?;
    session.format.print(&found.0, || stages(&found))?;
    say(&format!("{}: {}", found.name(), found.status()));
    for wait in found.waits() {
        match found.stage(wait.stage_id()).filter(|_| wait.asks_somebody()) {
            Some(stage) => say(&watch::question(session, id, stage, wait.kind())),
            None => say(&format!("it waits for {}", wait.unblock())),
        }
    }
    Ok(0)
}

async fn cancel(session: &Session, id: &str, reason: Option<&str>) -> Result<u8> {
    session.client.cancel(id, reason).await?;
    say(&format!("execution {id} is being cancelled; to see its end:"));
    say(&format!("  {}", session.command(&format!("execution watch {id}"))));
    session.format.print_change(&session.client.execution(id).await?.0)?;
    Ok(0)
}

async fn delete(session: &Session, id: &str) -> Result<u8> {
    session.client.delete_execution(id).await?;
    say(&format!("execution {id} was removed"));
    Ok(0)
}

async fn judge(session: &Session, arguments: &JudgeArgs) -> Result<u8> {
    let execution = session.client.execution(&arguments.id).await?;
    let stage = match &arguments.stage {
        Some(named) => stage_id(&execution, named)?,
        None => only_waiting(&execution, "judgment")?,
    };
    let status = if arguments.r#continue { "continue" } else { "stop" };
    let mut patch = json!({ "judgmentStatus": status });
    arguments.input.iter().for_each(|input| patch["judgmentInput"] = input.as_str().into());
    let judged = session.client.patch_stage(&arguments.id, &stage, &patch).await?;
    say(&format!("judged: {status}"));
    session.format.print_change(&judged.0)?;
    Ok(0)
}

async fn tell(session: &Session, arguments: &OutcomeArgs) -> Result<u8> {
    let execution = session.client.execution(&arguments.id).await?;
    let stage = match &arguments.stage {
        Some(named) => stage_id(&execution, named)?,
        None => only_waiting(&execution, "outcome")?,
    };
    let asks = execution.waits().any(|wait| wait.stage_id() == stage && wait.kind() == "outcome");
    if !asks {
        let why = "the stage does not ask for an outcome: it is known what became of it";
        return Err(Impossible(why.into()).into());
    }
    let outcome = arguments.outcome.name();
    let patch = json!({ "outcome": outcome });
    let told = session.client.patch_stage(&arguments.id, &stage, &patch).await?;
    say(&format!("told: {outcome}"));
    session.format.print_change(&told.0)?;
    Ok(0)
}

/// The id of a stage that a user named.
///
/// # Errors
/// If there is none, or several have the name.
pub(crate) fn stage_id(execution: &Execution, named: &str) -> Result<String, Impossible> {
    let found = execution.stage(named).map(|stage| stage.id().to_owned());
    found.ok_or_else(|| {
        let each = |stage: Stage<'_>| format!("{} ({})", stage.reference(), stage.name());
        let known = execution.stages().map(each).collect::<Vec<_>>().join(", ");
        Impossible(format!("no stage, or more than one, is called `{named}`; there are {known}"))
    })
}

/// The id of the only stage that waits for something of a kind.
fn only_waiting(execution: &Execution, kind: &str) -> Result<String, Impossible> {
    let waiting: Vec<&str> =
        execution.waits().filter(|wait| wait.kind() == kind).map(|wait| wait.stage_id()).collect();
    match waiting[..] {
        [only] => Ok(only.to_owned()),
        [] => Err(Impossible(format!("execution `{}` waits for no {kind}", execution.id()))),
        _ => {
            let all = waiting.join(", ");
            Err(Impossible(format!("several stages wait; name one of them: {all}")))
        }
    }
}

fn executions(found: &[Execution]) -> Rows {
    let row = |execution: &Execution| {
        let Execution(value) = execution;
        let started = time(&value["startTime"]);
        vec![text(value, "id"), text(value, "name"), text(value, "status"), started, took(value)]
    };
    let rows = found.iter().map(row).collect();
    Rows { titles: &["ID", "PIPELINE", "STATUS", "STARTED", "TOOK"], rows }
}

/// The stages of an execution, for people.
pub(crate) fn stages(execution: &Execution) -> Rows {
    let rows = execution.stages().map(|stage| {
        let value = stage.0;
        let keys = ["refId", "name", "type", "status"];
        keys.map(|key| text(value, key)).into_iter().chain([took(value)]).collect()
    });
    Rows { titles: &["REF", "STAGE", "TYPE", "STATUS", "TOOK"], rows: rows.collect() }
}
