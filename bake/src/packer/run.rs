//! One run of Packer: one region.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use shared_plugin::{StageLog, TaskContext};
use shared_runtime::tool::{Finished, LineSink, Run, Stream};
use shared_runtime::{Opened, ToolError, ToolRun};

use super::error::BakeError;
use super::image::{Image, images};
use super::recipes::{Sources, Staged, TEMPORARY, ours};
use super::record::{Record, lines, unescape};
use super::request::{Request, Template};
use super::transcript::Transcript;
use super::{Bake, containers};
use crate::artifact;

/// What to do when packer is not there.
const PACKER_HINT: &str = "install Packer (https://developer.hashicorp.com/packer/install), add its \
                           folder to PATH, or say where it is with --packer";

impl Bake {
    pub(super) async fn bake_region(
        &self,
        cx: &TaskContext,
        request: &Request,
        region: &str,
        ordinal: u32,
    ) -> Result<Vec<Image>, BakeError> {
        let effect = cx.effect(ordinal);
        let finished = match self.config.tools.open(effect.as_str(), cx.end.token()).await? {
            Opened::Finished(finished) => {
                cx.log.line("packer had baked this before; its result is used").await;
                finished
            }
            Opened::Fresh(run) => {
                if run.is_again() {
                    self.sweep(cx, run.folder(), effect.as_str(), "before").await;
                }
                let (run, staged) = self.stage(cx, request, region, run).await?;
                self.pack(cx, effect.as_str(), &staged, *run).await?
            }
        };
        judge(request, region, &finished)
    }

    /// On a thread of its own, as charts are: the run folder goes there and back.
    async fn stage(
        &self,
        cx: &TaskContext,
        request: &Request,
        region: &str,
        run: Box<Run>,
    ) -> Result<(Box<Run>, Staged), BakeError> {
        let artifact = match request.template {
            Template::File(_) => None,
            Template::Artifact(field) => Some(artifact::named(cx, field)?),
        };
        let sources = Sources {
            recipes: self.config.recipes.clone(),
            artifact_root: self.config.artifact_root.clone(),
            artifact,
            limits: self.config.limits.clone(),
        };
        let (request, region) = (request.clone(), region.to_owned());
        let cancel = cx.end.token().child_token();
        let _when_dropped = cancel.clone().drop_guard();
        let staging = tokio::task::spawn_blocking(move || {
            let staged = sources.stage(&request, &region, run.folder(), &cancel)?;
            Ok((run, staged))
        });
        staging.await.map_err(|error| BakeError::Staging(error.to_string()))?
    }

    async fn pack(
        &self,
        cx: &TaskContext,
        key: &str,
        staged: &Staged,
        run: Run,
    ) -> Result<Finished, BakeError> {
        if !staged.unused.is_empty() {
            let names = staged.unused.join(", ");
            let line = format!("extendedAttributes that the template does not declare: {names}");
            cx.log.line(&line).await;
        }
        let work = run.folder().to_owned();
        let order = ToolRun {
            program: self.config.packer.clone(),
            hint: PACKER_HINT.to_owned(),
            args: arguments(staged),
            env: self.environment(&work),
            stdout_is_log: true,
            timeout: self.config.timeout,
        };
        cx.log.line(&format!("$ packer {}", order.args.join(" "))).await;
        let done = run.start(&order, &Log(Arc::clone(&cx.log)), cx.end.token()).await;
        if let Err(error) = &done
            && may_have_left_some(error)
        {
            self.sweep(cx, &work, key, "after").await;
        }
        Ok(done?)
    }

    /// Says what it did, and what it could not do: a container that stays is no reason to fail.
    async fn sweep(&self, cx: &TaskContext, work: &Path, key: &str, when: &str) {
        let tools = &self.config.tools;
        let mut sweep = tools.clone();
        sweep.limits.kill_grace = std::time::Duration::from_secs(2);
        let key = format!("{key}/containers/{}/{when}", cx.epoch.0);
        // The working folder may be gone: docker's client needs none.
        let env = self.environment(&tools.run_folder(&key));
        let line = match containers::sweep(&sweep, &env, work, &key).await {
            Ok(0) => return,
            Ok(count) => format!("removed {count} container(s) that a killed packer left behind"),
            Err(error) => {
                format!("warning: a killed packer may have left a container behind: {error}")
            }
        };
        cx.log.line(&line).await;
    }

    /// Packer finds nothing of the user's, and leaves nothing behind.
    fn environment(&self, work: &Path) -> Vec<(String, String)> {
        let at = |name: &str| ours(work).join(name).to_string_lossy().into_owned();
        let mut env: Vec<(String, String)> = vec![
            ("HOME".into(), at("home")),
            ("PACKER_CONFIG_DIR".into(), at("home")),
            ("PACKER_CACHE_DIR".into(), at("home/cache")),
            // Its plugins listen on sockets there, whose paths may have 107 bytes: too few for a run
            // folder's. All of it runs in the working folder, so this means the same to all.
            ("TMPDIR".into(), TEMPORARY.into()),
            // It would ask a server of its maker's whether it is up to date.
            ("CHECKPOINT_DISABLE".into(), "1".into()),
            ("PACKER_NO_COLOR".into(), "1".into()),
            ("LANG".into(), "C.UTF-8".into()),
        ];
        let own: Vec<String> = env.iter().map(|(name, _)| name.clone()).collect();
        let more = self.config.env.iter().filter(|(name, _)| !own.contains(name));
        env.extend(more.cloned());
        env
    }
}

/// Values go by file: arguments can be read by everybody on the machine.
fn arguments(staged: &Staged) -> Vec<String> {
    let mut args = vec!["build".to_owned(), "-machine-readable".into(), "-color=false".into()];
    args.extend(staged.var_files.iter().map(|file| format!("-var-file={file}")));
    args.push(staged.template.clone());
    args
}

/// Whether Packer may have been killed before it removed its container.
fn may_have_left_some(error: &ToolError) -> bool {
    match error {
        ToolError::TimedOut { .. }
        | ToolError::Cancelled { .. }
        | ToolError::Killed { .. }
        | ToolError::TooMuchOutput { .. }
        | ToolError::NoSpace { .. }
        | ToolError::Failed { .. } => true,
        ToolError::NotFound { .. } | ToolError::Busy { .. } => false,
    }
}

fn judge(request: &Request, region: &str, finished: &Finished) -> Result<Vec<Image>, BakeError> {
    let unread = |error: std::io::Error| BakeError::Output(error.to_string());
    let output = File::open(&finished.stdout).map_err(unread)?;
    let transcript = Transcript::read(BufReader::new(output)).map_err(unread)?;
    let template = match &request.template {
        Template::File(name) => name.clone(),
        Template::Artifact(field) => (*field).to_owned(),
    };
    if finished.code != 0 {
        let said = transcript.errors();
        let said = if said.is_empty() { &finished.errors } else { said }.to_vec();
        return Err(BakeError::Packer { template, code: finished.code, said });
    }
    let images = images(&transcript, request, region);
    if images.is_empty() {
        return Err(BakeError::NoImage { template });
    }
    Ok(images)
}

/// Packer's words to people in the stage's log.
struct Log(Arc<dyn StageLog>);

#[async_trait]
impl LineSink for Log {
    async fn line(&self, stream: Stream, text: &str) {
        let said = match (stream, Record::read(text)) {
            (Stream::Stdout, Some(record)) => record.said(),
            // The rest of a line that was too long, or what no record is.
            (Stream::Stdout | Stream::Stderr, _) => lines(&unescape(text)),
        };
        for line in said {
            self.0.line(&line).await;
        }
    }
}
