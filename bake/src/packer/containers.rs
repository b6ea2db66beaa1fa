//! The containers that a killed Packer left behind.
//!
//! Packer removes its container when it is told to end. Killed, it cannot. But each container of
//! its docker builder has a folder below Packer's home mounted, and that home is in the run folder,
//! which the effect key names: so they are found whatever else was lost.

use std::path::Path;
use std::time::Duration;

use shared_runtime::tool::{LineSink, Stream};
use shared_runtime::{Opened, ToolError, ToolRun, Tools};
use tokio_util::sync::CancellationToken;

/// Docker's client, which Packer's docker builder needs as well.
const DOCKER: &str = "docker";
/// Where the builder mounts that folder.
const MOUNTED_AT: &str = "/packer-files";
/// How long one call of docker's client may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Removes the containers of Packer that have something below `work` mounted; says how many. `key`
/// names this very sweep: it is never done twice.
pub(crate) async fn sweep(
    tools: &Tools,
    env: &[(String, String)],
    work: &Path,
    key: &str,
) -> Result<usize, ToolError> {
    // Without docker's client there was no container.
    if shared_runtime::tool::find(DOCKER, &tools.path).is_none() {
        return Ok(0);
    }
    let list = ["ps", "--all", "--no-trunc", "--format={{.ID}} {{.Mounts}}"];
    let list = list.map(str::to_owned).into_iter().chain([format!("--filter=volume={MOUNTED_AT}")]);
    let listed = docker(tools, env, &format!("{key}/list"), list.collect()).await?;
    let ids = left_behind(&listed, work);
    if !ids.is_empty() {
        let remove = ["rm", "--force", "--volumes"].map(str::to_owned).into_iter();
        let remove = remove.chain(ids.iter().cloned()).collect();
        docker(tools, env, &format!("{key}/remove"), remove).await?;
    }
    Ok(ids.len())
}

/// The ids of the containers with a mount below `work`.
fn left_behind(listed: &str, work: &Path) -> Vec<String> {
    let below = |mounts: &str| mounts.split(',').any(|mount| Path::new(mount).starts_with(work));
    let lines = listed.lines().filter_map(|line| line.split_once(' '));
    let ours = lines.filter(|(id, mounts)| is_id(id) && below(mounts));
    ours.map(|(id, _)| id.to_owned()).collect()
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Runs docker's client to its end, also where the stage is cancelled; what it printed.
async fn docker(
    tools: &Tools,
    env: &[(String, String)],
    key: &str,
    args: Vec<String>,
) -> Result<String, ToolError> {
    let cancel = CancellationToken::new();
    let failed = |why: String| ToolError::Failed { program: DOCKER.into(), why };
    let finished = match tools.open(key, &cancel).await? {
        Opened::Finished(finished) => finished,
        Opened::Fresh(run) => {
            let order = ToolRun {
                program: DOCKER.into(),
                args,
                env: env.to_vec(),
                timeout: TIMEOUT,
                ..ToolRun::default()
            };
            run.start(&order, &Nobody, &cancel).await?
        }
    };
    if finished.code != 0 {
        return Err(failed(finished.errors.join("; ")));
    }
    std::fs::read_to_string(&finished.stdout).map_err(|error| failed(error.to_string()))
}

struct Nobody;

#[async_trait::async_trait]
impl LineSink for Nobody {
    async fn line(&self, _: Stream, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_containers_with_a_mount_of_this_run_are_ours() {
        let listed = "aa1 /data/tools/k/work/.bake/home/tmp1\n\
                      bb2 /data/tools/k2/work/.bake/home/tmp1\n\
                      cc3 /else,/data/tools/k/work/x\n\
                      dd4 \n\
                      --oops /data/tools/k/work/x\n\
                      ee5 /data/tools/k/workshop";
        let found = left_behind(listed, Path::new("/data/tools/k/work"));
        assert_eq!(found, ["aa1", "cc3"]);
    }
}
