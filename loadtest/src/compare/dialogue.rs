//! A process that is told and that tells, JSON in lines.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use shared_testkit::deadline::Deadline;

/// How long one that is told nothing any more may take to end.
const END_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a log that are shown.
const LOG_BYTES_SHOWN: usize = 2_000;

/// Nothing is told to it any more when this is dropped; what does not end by itself then is killed.
pub(super) struct Dialogue {
    name: String,
    child: Child,
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
    log: PathBuf,
}

impl Dialogue {
    /// Starts one, with what it says beside its answers in `NAME.log` of a folder.
    ///
    /// # Errors
    /// There is no such program, or the log cannot be written.
    pub(super) fn start(name: &str, mut command: Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("no {}", log.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().with_context(|| format!("failed to start {command:?}"))?;
        let requests = child.stdin.take();
        let said = child.stdout.take().context("no standard output")?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(said).lines().map_while(Result::ok);
            // Whoever listened may have gone.
            lines.map(|line| sender.send(line)).take_while(Result::is_ok).for_each(drop);
        });
        Ok(Self { name: name.to_owned(), child, requests, answers, log })
    }

    /// The process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it something.
    ///
    /// # Errors
    /// It has ended: the end of its log is in the error.
    pub(super) fn tell(&mut self, what: &Value) -> Result<()> {
        let sent =
            self.requests.as_mut().map(|to| writeln!(to, "{what}").and_then(|()| to.flush()));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => bail!("{} has ended: {}", self.name, self.log_end()),
        }
    }

    /// What it says next.
    ///
    /// # Errors
    /// It says that something failed, nothing for so long, something that is no JSON, or has ended.
    pub(super) fn hear(&mut self, limit: Duration) -> Result<Value> {
        let line = match self.answers.recv_timeout(limit) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                bail!("{} said nothing for {limit:?}: {}", self.name, self.log_end())
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("{} has ended: {}", self.name, self.log_end())
            }
        };
        let answer: Value =
            serde_json::from_str(&line).with_context(|| format!("{} said `{line}`", self.name))?;
        match answer["failed"].as_str() {
            Some(why) => bail!("{}: {why}", self.name),
            None => Ok(answer),
        }
    }

    fn log_end(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let end = &text[text.len().saturating_sub(LOG_BYTES_SHOWN)..];
        format!("{} ends\n{}", self.log.display(), String::from_utf8_lossy(end).trim_end())
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        drop(self.requests.take());
        let ended = Deadline::after(END_LIMIT).poll(|| self.child.try_wait());
        if !matches!(ended, Ok(Some(_))) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shell(script: &str, folder: &Path) -> Dialogue {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Dialogue::start("shell", command, folder).unwrap()
    }

    #[test]
    fn what_is_told_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let mut cat = shell("cat", folder.path());
        cat.tell(&json!({ "a": 1 })).unwrap();
        assert_eq!(cat.hear(END_LIMIT).unwrap(), json!({ "a": 1 }));
    }

    #[test]
    fn one_that_ends_is_told_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut broken = shell("echo no room left >&2", folder.path());
        let error = broken.hear(END_LIMIT).unwrap_err().to_string();
        assert!(error.ends_with("no room left"), "{error}");
    }

    #[test]
    fn a_failure_that_is_told_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut broken = shell("echo '{\"failed\": \"it rains\"}'", folder.path());
        assert_eq!(broken.hear(END_LIMIT).unwrap_err().to_string(), "shell: it rains");
    }
}
