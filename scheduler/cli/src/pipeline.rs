//! `capstan pipeline`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shared_model::{Limits, Object, Problem, parse};

use crate::document::{self, Document};
use crate::output::{self, Format, Rows, text, time};
use crate::say::{quoted, say};
use crate::server::{self, EXIT_CODES, ServerArgs, Session, with_server};
use crate::{EXIT_USAGE, args, watch};

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct PipelineArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: PipelineCommand,
}

#[derive(Debug, Subcommand)]
enum PipelineCommand {
    /// Saves a document; the pipeline of its name is replaced.
    Save {
        /// The pipeline document, JSON or YAML; `-` reads it from stdin.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Lists the pipelines of an application.
    List {
        #[command(flatten)]
        of: Application,
    },
    /// Shows one, as it was saved.
    Get(Named),
    /// Starts one; its execution's id goes to stdout.
    #[command(after_help = EXIT_CODES)]
    Execute {
        #[command(flatten)]
        pipeline: Named,
        /// A parameter; may be repeated.
        #[arg(long = "parameter", short = 'p', value_name = "NAME=VALUE", value_parser = args::pair)]
        parameters: Vec<(String, String)>,
        /// Shows what happens until it ends; a failed execution exits with 1.
        #[arg(long, short = 'w')]
        watch: bool,
    },
    /// Deletes one; its executions stay.
    Delete(Named),
}

#[derive(Debug, Args)]
struct Application {
    /// The application.
    #[arg(long, short = 'a', value_name = "APP")]
    application: String,
}

#[derive(Debug, Args)]
struct Named {
    #[command(flatten)]
    of: Application,
    /// The pipeline's name.
    name: String,
}

/// `capstan pipeline`.
///
/// # Errors
/// What is in the way on this side.
pub(crate) fn run(arguments: &PipelineArgs) -> Result<u8> {
    with_server(&arguments.server, async |session| match &arguments.command {
        PipelineCommand::Save { file } => save(session, file).await,
        PipelineCommand::List { of } => list(session, &of.application).await,
        PipelineCommand::Get(pipeline) => get(session, pipeline).await,
        PipelineCommand::Execute { pipeline, parameters, watch } => {
            execute(session, pipeline, parameters, *watch).await
        }
        PipelineCommand::Delete(pipeline) => delete(session, pipeline).await,
    })
}

async fn save(session: &Session, file: &Path) -> Result<u8> {
    let Some(mut document) = document::read_object(file, &Limits::default())? else {
        return Ok(EXIT_USAGE);
    };
    let (application, name) = (text(&document.value, "application"), text(&document.value, "name"));
    take_id(session, &mut document, &application, &name).await?;
    if let Err(error) = session.client.save_pipeline(&document.value).await {
        return Ok(refused(error, &document));
    }
    warn(session, &document).await;
    let start = format!("pipeline execute -a {} {}", quoted(&application), quoted(&name));
    say(&format!("pipeline {} is saved; to start it:", quoted(&name)));
    say(&format!("  {} --watch", session.command(&start)));
    session.format.print_change(&session.client.pipeline(&application, &name).await?)?;
    Ok(0)
}

/// A pipeline is what its application and name say; the id of the one that is there is taken over,
/// or another one of the same name would be made.
async fn take_id(
    session: &Session,
    document: &mut Document,
    application: &str,
    name: &str,
) -> Result<()> {
    // Without these the server refuses, and lists everything else that is wrong as well.
    if application.is_empty() || name.is_empty() {
        return Ok(());
    }
    match session.client.pipeline(application, name).await {
        Ok(found) if found["id"].is_string() => document.value["id"] = found["id"].clone(),
        Ok(_) => {}
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// What the server finds odd about a document that it took. A server that cannot say is no reason
/// to call the save a failure.
async fn warn(session: &Session, document: &Document) {
    if let Ok(mut problems) = session.client.validate(&document.value).await {
        place(&mut problems, document);
        document::show(&document.name, &problems);
    }
}

fn refused(mut error: shared_client::Error, document: &Document) -> u8 {
    if let shared_client::Error::Refused(refusal) = &mut error {
        place(&mut refusal.problems, document);
    }
    server::show(&error, &document.name)
}

/// The server saw another text than the file's: its problems get the file's lines.
fn place(problems: &mut [Problem], document: &Document) {
    for problem in problems {
        let source = document.source.as_deref();
        problem.line = source.and_then(|text| parse::line_of(text, &problem.pointer));
    }
}

async fn list(session: &Session, application: &str) -> Result<u8> {
    let found = session.client.pipelines(application).await?;
    session.format.print(&Value::Array(found.clone()), || documents(&found))?;
    Ok(0)
}

async fn get(session: &Session, pipeline: &Named) -> Result<u8> {
    let found = session.client.pipeline(&pipeline.of.application, &pipeline.name).await?;
    session.format.print(&found, || stages(&found))?;
    Ok(0)
}

async fn execute(
    session: &Session,
    pipeline: &Named,
    parameters: &[(String, String)],
    watch: bool,
) -> Result<u8> {
    let Named { of: Application { application }, name } = pipeline;
    let given = parameters.iter().map(|(key, value)| (key.clone(), value.clone().into()));
    let started = session.client.execute(application, name, &given.collect::<Object>()).await;
    let id = match started {
        Ok(id) => id,
        Err(error) => return Ok(server::show(&error, &format!("pipeline `{name}`"))),
    };
    if watch {
        return watch::watch(session, &id).await;
    }
    say(&format!("execution {id} is started; to see what happens:"));
    say(&format!("  {}", session.command(&format!("execution watch {id}"))));
    match session.format {
        Format::Table => output::write(format!("{id}\n").as_bytes())?,
        Format::Json | Format::Yaml => session.format.print_change(&json!({ "id": id }))?,
    }
    Ok(0)
}

async fn delete(session: &Session, pipeline: &Named) -> Result<u8> {
    let Named { of: Application { application }, name } = pipeline;
    session.client.delete_pipeline(application, name).await?;
    say(&format!("pipeline {} is deleted", quoted(name)));
    let deleted = json!({ "application": application, "name": name, "deleted": true });
    session.format.print_change(&deleted)?;
    Ok(0)
}

fn documents(found: &[Value]) -> Rows {
    let row = |document: &Value| {
        let stages = document["stages"].as_array().map_or(0, Vec::len).to_string();
        let changed = time(&document["updateTs"]);
        vec![text(document, "name"), stages, changed, text(document, "id")]
    };
    Rows { titles: &["NAME", "STAGES", "CHANGED", "ID"], rows: found.iter().map(row).collect() }
}

fn stages(document: &Value) -> Rows {
    let row = |stage: &Value| {
        let after = stage["requisiteStageRefIds"].as_array().into_iter().flatten();
        let after: Vec<&str> = after.filter_map(Value::as_str).collect();
        vec![text(stage, "refId"), text(stage, "name"), text(stage, "type"), after.join(", ")]
    };
    let rows = document["stages"].as_array().into_iter().flatten().map(row).collect();
    Rows { titles: &["REF", "STAGE", "TYPE", "AFTER"], rows }
}
