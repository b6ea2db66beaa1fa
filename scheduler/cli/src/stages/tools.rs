//! The tools that stages run, and the folders that they read: looked at before anything is made.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use shared_runtime::tool::{GuardCommand, Tools};
use worker::catalog::{BakeConfig, PackerConfig};

use super::Chosen;

/// Packer templates lie here below the artifacts root, or below the current folder.
const RECIPES: &str = "recipes";

/// How the bakers are run.
pub(crate) struct Configured {
    pub(crate) bake: BakeConfig,
    pub(crate) packer: PackerConfig,
}

/// As it was chosen.
///
/// # Errors
/// What is not there, and what to do.
pub(crate) fn configured(chosen: &Chosen) -> Result<Configured> {
    let root = artifacts_root(chosen)?;
    let recipes = recipes(chosen, &root)?;
    let tools = tools(&chosen.data_dir)?;
    let helm = program(&chosen.helm, "helm")?;
    let packer = program(&chosen.packer, "packer")?;
    let mut bake = BakeConfig { helm, ..BakeConfig::new(tools.clone(), root.clone()) };
    let mut packer = PackerConfig {
        packer,
        env: packer_env(chosen)?,
        artifact_templates: chosen.artifact_templates,
        ..PackerConfig::new(tools, recipes, root)
    };
    if let Some(grace) = chosen.tool_grace {
        for limits in [&mut bake.tools.limits, &mut packer.tools.limits] {
            limits.finish_grace = limits.finish_grace.min(grace);
        }
    }
    Ok(Configured { bake, packer })
}

/// For what stage types say of themselves: nothing is run.
///
/// # Errors
/// If this program cannot be found.
pub(crate) fn anywhere() -> Result<Configured> {
    let tools = tools(Path::new("."))?;
    Ok(Configured {
        bake: BakeConfig::new(tools.clone(), ".".into()),
        packer: PackerConfig::new(tools, RECIPES.into(), ".".into()),
    })
}

/// Tools run under this very program.
fn tools(data: &Path) -> Result<Tools> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let guard = GuardCommand::this_program("guard").context("this program cannot be found")?;
    Tools::new(guard, &data.join("tools"), path).context("no folder for tools")
}

/// Local charts lie below the current folder unless told otherwise.
fn artifacts_root(chosen: &Chosen) -> Result<PathBuf> {
    let root = chosen.artifacts_root.as_deref().unwrap_or(Path::new("."));
    let shown = root.display();
    ensure!(
        root.is_dir(),
        "the folder of local artifacts, `{shown}`, is not there or no folder; name the one that \
         charts lie in with --artifacts-root"
    );
    std::path::absolute(root).with_context(|| format!("`{shown}` cannot be found"))
}

/// A folder of recipes that is named is there; the usual one is looked for when a stage needs it.
fn recipes(chosen: &Chosen, root: &Path) -> Result<PathBuf> {
    let usual = root.join(RECIPES);
    let usual = if usual.is_dir() { usual } else { RECIPES.into() };
    let named = chosen.recipes.as_deref();
    let folder = named.unwrap_or(&usual);
    let shown = folder.display();
    ensure!(
        named.is_none() || folder.is_dir(),
        "the folder of recipes, `{shown}`, is not there or no folder; name the one that Packer \
         templates lie in with --recipes"
    );
    std::path::absolute(folder).with_context(|| format!("`{shown}` cannot be found"))
}

/// A tool that is named by a path is there; one on the PATH is looked for when a stage needs it.
fn program(named: &str, tool: &str) -> Result<String> {
    if !named.contains('/') {
        return Ok(named.to_owned());
    }
    ensure!(
        Path::new(named).metadata().is_ok_and(|file| file.is_file() && may_run(&file)),
        "the {tool} `{named}` is not there, or no program that may be run; name another with \
         --{tool}, or one on the PATH"
    );
    // Tools run in folders of their own.
    let path = std::path::absolute(named).with_context(|| format!("`{named}` cannot be found"))?;
    let path = path.into_os_string().into_string().ok();
    path.with_context(|| format!("the path of {tool} is not UTF-8"))
}

fn may_run(file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.permissions().mode() & 0o111 != 0
}

/// What Packer gets of our environment.
fn packer_env(chosen: &Chosen) -> Result<Vec<(String, String)>> {
    let mut env = Vec::new();
    if let Some(host) = &chosen.docker_host {
        env.push(variable("DOCKER_HOST", host)?);
    }
    for name in &chosen.packer_env {
        let value: Option<OsString> = std::env::var_os(name);
        let value = value.with_context(|| {
            format!("--packer-env names `{name}`, which the environment does not have")
        })?;
        env.push(variable(name, &value)?);
    }
    Ok(env)
}

fn variable(name: &str, value: &OsStr) -> Result<(String, String)> {
    let value = value.to_str().with_context(|| format!("the value of `{name}` is not UTF-8"))?;
    Ok((name.to_owned(), value.to_owned()))
}
