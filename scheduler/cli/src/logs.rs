//! Logs of stages: one as it is, or all with their names before each line.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use shared_client::{Client, Error, Execution};

use crate::execution::stage_id;
use crate::output::{plain, write};
use crate::server::Session;

/// How often logs are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// `capstan execution logs`.
///
/// # Errors
/// What is in the way.
pub(crate) async fn logs(
    session: &Session,
    id: &str,
    stage: Option<&str>,
    follow: bool,
) -> Result<u8> {
    let execution = session.client.execution(id).await?;
    match stage {
        Some(named) => one(&session.client, id, &stage_id(&execution, named)?, follow).await?,
        None => all(&session.client, execution, follow).await?,
    }
    Ok(0)
}

async fn one(client: &Client, id: &str, stage: &str, follow: bool) -> Result<()> {
    if follow {
        let mut log = client.log_stream(id, stage, 0);
        while let Some(chunk) = log.next().await? {
            write(&chunk.text)?;
        }
        return Ok(());
    }
    let mut offset = 0;
    loop {
        let text = client.log(id, stage, offset).await?;
        if text.is_empty() {
            return Ok(());
        }
        offset += text.len() as u64;
        write(&text)?;
    }
}

async fn all(client: &Client, mut execution: Execution, follow: bool) -> Result<()> {
    let mut tails = Tails::default();
    loop {
        let is_last = !follow || execution.is_over();
        for line in tails.read(client, &execution, is_last).await? {
            write(format!("{line}\n").as_bytes())?;
        }
        if is_last {
            return Ok(());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        execution = client.execution(execution.id()).await?;
    }
}

/// How much of each stage's log was shown.
#[derive(Default)]
pub(crate) struct Tails {
    shown: BTreeMap<String, u64>,
}

impl Tails {
    /// New lines of all stages, each with its stage's name; at last also lines without an end.
    ///
    /// # Errors
    /// [`Error`] of the server.
    pub(crate) async fn read(
        &mut self,
        client: &Client,
        execution: &Execution,
        is_last: bool,
    ) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        for stage in execution.stages().filter(|stage| stage.has_begun()) {
            let offset = self.shown.entry(stage.id().to_owned()).or_default();
            loop {
                let text = client.log(execution.id(), stage.id(), *offset).await?;
                let end = text.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
                let end = if is_last { text.len() } else { end.unwrap_or(0) };
                if end == 0 {
                    break;
                }
                *offset += end as u64;
                let name = plain(stage.name());
                let text = String::from_utf8_lossy(&text[..end]).into_owned();
                lines.extend(text.lines().map(|line| format!("{name} | {line}")));
            }
        }
        Ok(lines)
    }
}
