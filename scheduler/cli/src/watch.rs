//! What happens in an execution of a server, line by line on stderr, to its end.

use std::time::Duration;

use anyhow::Result;
use shared_client::{Entry, Execution, Happening, Happenings, Stage};

use crate::execution::stages;
use crate::logs::Tails;
use crate::say::{quoted, say};
use crate::server::Session;
use crate::{EXIT_FAILED, EXIT_INTERRUPTED};

/// How often logs and waits are looked at, beside what the server tells by itself.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// All that can wake us.
enum Input {
    Happening(Option<Happening>),
    Look,
    Interrupt,
}

/// Watches an execution; the exit code says how it ended.
///
/// # Errors
/// What is in the way.
pub(crate) async fn watch(session: &Session, id: &str) -> Result<u8> {
    let cancel = session.command(&format!("execution cancel {id}"));
    say(&format!("execution {id}; to cancel it:\n  {cancel}"));
    let mut watch = Watch { session, id, tails: Tails::default(), asked: Vec::new() };
    let mut happenings = session.client.happenings(id, 0);
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    // What happened until now comes first, by the stream.
    look.reset();
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        match next(&mut happenings, &mut look).await? {
            Input::Happening(Some(Happening::Entry(entry))) => say(&line(&entry)),
            Input::Happening(Some(Happening::Lost(why))) => {
                say(&format!("{why}; the execution goes on without us, trying again …"));
            }
            Input::Happening(Some(Happening::Ended { .. }) | None) => break,
            Input::Look => watch.look().await?,
            Input::Interrupt => return Ok(interrupted(session, id)),
        }
    }
    watch.conclude().await
}

async fn next(happenings: &mut Happenings, look: &mut tokio::time::Interval) -> Result<Input> {
    tokio::select! {
        happening = happenings.next() => Ok(Input::Happening(happening?)),
        _ = look.tick() => Ok(Input::Look),
        _ = tokio::signal::ctrl_c() => Ok(Input::Interrupt),
    }
}

struct Watch<'a> {
    session: &'a Session,
    id: &'a str,
    tails: Tails,
    /// Judgments whose command was printed.
    asked: Vec<String>,
}

impl Watch<'_> {
    /// Shows new log lines and judgments; that the server is away is said by the stream of events.
    async fn look(&mut self) -> Result<()> {
        match self.show(false).await {
            Err(error) if !error.is_passing() => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn show(&mut self, is_last: bool) -> Result<Execution, shared_client::Error> {
        let execution = self.session.client.execution(self.id).await?;
        let lines = self.tails.read(&self.session.client, &execution, is_last).await?;
        lines.iter().for_each(|line| say(line));
        self.ask(&execution);
        Ok(execution)
    }

    fn ask(&mut self, execution: &Execution) {
        for wait in execution.waits().filter(|wait| wait.asks_somebody()) {
            let id = wait.stage_id();
            if self.asked.iter().any(|asked| asked == id) {
                continue;
            }
            let Some(stage) = execution.stage(id) else { continue };
            say(&question(self.session, self.id, stage, wait.kind()));
            self.asked.push(id.to_owned());
        }
    }

    async fn conclude(mut self) -> Result<u8> {
        let execution = self.show(true).await?;
        say(&format!("\n{}: {}", execution.name(), execution.status()));
        for stage in execution.stages() {
            for error in stage.errors() {
                say(&format!("  {}: {}", stage.name(), error));
            }
        }
        self.session.format.print(&execution.0, || stages(&execution))?;
        Ok(if execution.has_succeeded() { 0 } else { EXIT_FAILED })
    }
}

fn interrupted(session: &Session, id: &str) -> u8 {
    say(&format!("no longer watching; execution {id} goes on. To see it again, or to cancel it:"));
    for verb in ["watch", "cancel"] {
        say(&format!("  {}", session.command(&format!("execution {verb} {id}"))));
    }
    EXIT_INTERRUPTED
}

/// What a stage asks somebody, and the command that answers it.
pub(crate) fn question(session: &Session, id: &str, stage: Stage<'_>, kind: &str) -> String {
    if kind == "outcome" {
        return lost_outcome(session, id, stage);
    }
    let instructions = stage.0["context"]["instructions"].as_str().unwrap_or_default();
    let answer = format!("execution judge {id} {} --continue", quoted(stage.reference()));
    format!(
        "{} waits for a judgment. {}\nto go on (or --stop):\n  {}",
        stage.name(),
        instructions,
        session.command(&answer)
    )
}

fn lost_outcome(session: &Session, id: &str, stage: Stage<'_>) -> String {
    let answer = format!("execution outcome {id} done {}", quoted(stage.reference()));
    format!(
        "whether {} was done is not known: its worker was lost, or no answer came. Look at the target, \
         then say so (done, repeat or fail; `repeat` does it twice if what was lost comes to its end \
         after all):\n  {}",
        stage.name(),
        session.command(&answer)
    )
}

fn line(entry: &Entry) -> String {
    let at = entry.at.parse::<jiff::Timestamp>();
    let at = at.map_or_else(|_| entry.at.clone(), |at| format!("{at:.0}"));
    format!("{at} {}", &entry.text)
}
