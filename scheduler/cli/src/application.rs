//! `capstan application`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shared_client::Task;
use shared_model::Limits;

use crate::output::{Rows, text};
use crate::say::{quoted, say};
use crate::server::{EXIT_CODES, ServerArgs, Session, with_server};
use crate::{EXIT_FAILED, EXIT_USAGE, document};

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ApplicationArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: ApplicationCommand,
}

#[derive(Debug, Subcommand)]
enum ApplicationCommand {
    /// Lists the applications.
    List,
    /// Shows one.
    Get {
        /// Its name.
        name: String,
    },
    /// Creates one, or changes its attributes.
    Save {
        /// Its name.
        #[arg(required_unless_present = "file")]
        name: Option<String>,
        /// Its attributes, JSON or YAML; `-` reads them from stdin.
        #[arg(long, short = 'f', value_name = "FILE")]
        file: Option<PathBuf>,
        /// The address of its owners.
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
    },
    /// Deletes one.
    Delete {
        /// Its name.
        name: String,
    },
}

/// `capstan application`.
///
/// # Errors
/// What is in the way on this side.
pub(crate) fn run(arguments: &ApplicationArgs) -> Result<u8> {
    with_server(&arguments.server, async |session| match &arguments.command {
        ApplicationCommand::List => list(session).await,
        ApplicationCommand::Get { name } => get(session, name).await,
        ApplicationCommand::Save { name, file, email } => {
            let Some(attributes) = attributes(name.as_deref(), file.as_deref(), email.as_deref())?
            else {
                return Ok(EXIT_USAGE);
            };
            save(session, &attributes).await
        }
        ApplicationCommand::Delete { name } => delete(session, name).await,
    })
}

async fn list(session: &Session) -> Result<u8> {
    let found = session.client.applications().await?;
    session.format.print(&Value::Array(found.clone()), || rows(&found))?;
    Ok(0)
}

async fn get(session: &Session, name: &str) -> Result<u8> {
    let found = session.client.application(name).await?;
    session.format.print(&found, || rows(&[found["attributes"].clone()]))?;
    Ok(0)
}

async fn save(session: &Session, attributes: &Value) -> Result<u8> {
    let name = text(attributes, "name");
    let task = session.client.save_application(&name, attributes).await?;
    if !has_succeeded(&task) {
        return Ok(EXIT_FAILED);
    }
    say(&format!("application {} is saved", quoted(&name)));
    session.format.print_change(&session.client.application(&name).await?)?;
    Ok(0)
}

async fn delete(session: &Session, name: &str) -> Result<u8> {
    let task = session.client.delete_application(name).await?;
    if !has_succeeded(&task) {
        return Ok(EXIT_FAILED);
    }
    say(&format!("application {} is deleted", quoted(name)));
    session.format.print_change(&json!({ "name": name, "deleted": true }))?;
    Ok(0)
}

fn has_succeeded(task: &Task) -> bool {
    if !task.has_succeeded() {
        let why = task.failure().unwrap_or("it does not say why");
        say(&format!("error: the server's task {} ended {}: {why}", task.id, task.status));
    }
    task.has_succeeded()
}

/// What the command line and the file say; `None` if the file is no object, which was said.
fn attributes(
    name: Option<&str>,
    file: Option<&Path>,
    email: Option<&str>,
) -> Result<Option<Value>> {
    let mut attributes = match file {
        None => json!({}),
        Some(file) => match document::read_object(file, &Limits::default())? {
            Some(document) => document.value,
            None => return Ok(None),
        },
    };
    for (key, value) in [("name", name), ("email", email)] {
        value.into_iter().for_each(|value| attributes[key] = value.into());
    }
    let has_name = attributes["name"].as_str().is_some_and(|name| !name.is_empty());
    anyhow::ensure!(
        has_name,
        "the application has no `name`; put it into the file or before --file"
    );
    Ok(Some(attributes))
}

fn rows(applications: &[Value]) -> Rows {
    let row = |found: &Value| ["name", "email", "description"].map(|key| text(found, key)).to_vec();
    Rows { titles: &["NAME", "EMAIL", "DESCRIPTION"], rows: applications.iter().map(row).collect() }
}
