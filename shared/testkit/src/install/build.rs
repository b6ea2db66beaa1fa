//! Builds one tool, most of them with `go`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{python, run};
use crate::tool::{ETCD, Source, Tool};

/// Builds `tool` into `folder`, at a low priority.
pub(super) fn build(tool: &Tool, folder: &Path) -> Result<()> {
    let doing = format!("`go` for {} {}", tool.name, tool.version);
    match tool.source {
        Source::Python { requirements } => python::make(tool, requirements, folder),
        Source::ClusterModule { package } => {
            require_go(tool)?;
            let target = folder.join(tool.name);
            let mut go = go(&["build", "-trimpath", "-ldflags", &linker_flags(tool), "-o"]);
            run(go.arg(target).arg(package).current_dir(cluster_module()), &doing)
        }
        Source::GoInstall { package } => {
            require_go(tool)?;
            let at = format!("{package}@v{}", tool.version);
            let mut go = go(&["install", "-trimpath", "-ldflags", "-s -w", &at]);
            run(go.env("GOBIN", folder).current_dir("/"), &doing)
        }
    }
}

fn go(args: &[&str]) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "10", "go"]).args(args);
    command.env("CGO_ENABLED", "0").env_remove("GOFLAGS").env("GOFLAGS", "-buildvcs=false");
    command
}

/// The folder of `go.mod` with the `tool` lines.
fn cluster_module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster")
}

/// Kubernetes takes its own version from the linker; without it clients see `v0.0.0`.
fn linker_flags(tool: &Tool) -> String {
    if tool.name == ETCD.name {
        return "-s -w".to_owned();
    }
    let (minor, _) = tool.version.rsplit_once('.').unwrap_or((tool.version, ""));
    let (major, minor) = minor.split_once('.').unwrap_or((minor, "0"));
    let variable = "k8s.io/component-base/version";
    format!(
        "-s -w -X {variable}.gitVersion=v{} -X {variable}.gitMajor={major} -X {variable}.gitMinor={minor}",
        tool.version
    )
}

fn require_go(tool: &Tool) -> Result<()> {
    let found = Command::new("go").arg("version").output();
    if found.as_ref().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    if found.is_err() {
        bail!(
            "`go` is not on the PATH and {} {} must be built: install Go 1.26 or newer from https://go.dev/dl and put its `bin` folder on the PATH",
            tool.name,
            tool.version
        );
    }
    found.map(drop).context("failed to run `go version`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::KUBE_APISERVER;

    #[test]
    fn kubernetes_is_told_its_version() {
        let flags = linker_flags(&KUBE_APISERVER);
        assert!(flags.contains("version.gitVersion=v1.36.3 "), "{flags}");
        assert!(
            flags.ends_with("gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"),
            "{flags}"
        );
    }

    #[test]
    fn the_module_names_the_versions_of_the_tools() {
        let module = std::fs::read_to_string(cluster_module().join("go.mod")).unwrap();
        for (package, tool) in
            [("k8s.io/kubernetes", KUBE_APISERVER), ("go.etcd.io/etcd/server/v3", ETCD)]
        {
            let line = format!("{package} v{}", tool.version);
            assert!(module.contains(&line), "go.mod has no `{line}`");
        }
    }
}
