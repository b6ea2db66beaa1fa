//! Brings a template and all that lies beside it to where Packer runs.
//!
//! Packer gets a copy of the whole recipe folder, for a template names scripts and files in it. So
//! a bake changes nothing there, and reads nothing outside of it (D25).

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::declared::{Declared, Language};
use super::error::BakeError;
use super::request::{Request, Template};
use crate::artifact::Input;
use crate::recipe::RecipeError;
use crate::{InputError, Limits, local};

/// What is ours beside the recipes: Packer's home, its temporary files, the file of variables.
const OURS: &str = ".bake";
/// Packer's temporary files, in its working folder.
pub(crate) const TEMPORARY: &str = ".bake/tmp";
/// The name of a template that comes as an artifact.
const TEMPLATE: &str = "template";

/// What Packer is told: names in its working folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staged {
    pub(crate) template: String,
    pub(crate) var_files: Vec<String>,
    /// `extendedAttributes` that the template does not declare.
    pub(crate) unused: Vec<String>,
}

/// Where everything comes from.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) recipes: PathBuf,
    pub(crate) artifact_root: PathBuf,
    /// The template's artifact, if it comes from one.
    pub(crate) artifact: Option<Input>,
    pub(crate) limits: Limits,
}

/// Packer's own folder inside its working folder.
pub(crate) fn ours(work: &Path) -> PathBuf {
    work.join(OURS)
}

impl Sources {
    /// Puts everything for the bake of a region into `work`, which is empty.
    pub(crate) fn stage(
        &self,
        request: &Request,
        region: &str,
        work: &Path,
        cancel: &CancellationToken,
    ) -> Result<Staged, BakeError> {
        make_ours(work).map_err(InputError::io(OURS))?;
        let (template, language, text) = match (&request.template, &self.artifact) {
            (Template::File(name), _) => self.file(name, work, cancel)?,
            (Template::Artifact(_), Some(artifact)) => self.artifact_file(artifact, work)?,
            (Template::Artifact(field), None) => return Err(BakeError::NoArtifact(field)),
        };
        let mut var_files = Vec::new();
        if !request.var_file.is_empty() {
            let name = self.relative(&request.var_file, "varFileName")?;
            self.copy_recipes(work, cancel)?;
            var_files.push(format!("./{name}"));
        }
        let declared = Declared::of(language, &text);
        let folder = work.to_string_lossy();
        let variables = request.variables(region, &folder, language, &declared)?;
        if !variables.set.is_empty() {
            write_variables(&serde_json::to_vec(&variables.set).unwrap_or_default(), work)?;
            var_files.push(format!("./{OURS}/variables.json"));
        }
        Ok(Staged { template, var_files, unused: variables.unused })
    }

    fn file(
        &self,
        name: &str,
        work: &Path,
        cancel: &CancellationToken,
    ) -> Result<(String, Language, String), BakeError> {
        let name = self.relative(name, "templateFileName")?;
        self.copy_recipes(work, cancel)?;
        let limit = self.limits.values_bytes_max;
        let bytes = local::read(&work.join(&name), &name, limit, "values_bytes_max")?;
        let text = text(&name, bytes)?;
        Ok((format!("./{name}"), Language::of(&name, &text), text))
    }

    fn artifact_file(
        &self,
        artifact: &Input,
        work: &Path,
    ) -> Result<(String, Language, String), BakeError> {
        let source = artifact.source(&self.artifact_root)?;
        let bytes = source.bytes(self.limits.values_bytes_max, "values_bytes_max")?;
        let text = text(&source.name, bytes)?;
        let language = Language::of(&source.name, &text);
        let name = format!("{TEMPLATE}{}", language.ending());
        std::fs::write(work.join(&name), &text).map_err(InputError::io(&name))?;
        Ok((format!("./{name}"), language, text))
    }

    /// The path of a recipe's file inside the recipe folder, free of links.
    fn relative(&self, name: &str, field: &'static str) -> Result<String, BakeError> {
        let missing =
            || BakeError::NoRecipe { field, name: name.to_owned(), folder: self.recipes.clone() };
        if !self.recipes.is_dir() {
            return Err(BakeError::NoRecipes { field, folder: self.recipes.clone() });
        }
        let (path, root) = local::resolve(&self.recipes, name).map_err(|error| {
            if matches!(error, InputError::NotFound { .. }) {
                return missing();
            }
            RecipeError::Unusable { field: field.into(), why: error.to_string() }.into()
        })?;
        if !path.is_file() {
            return Err(missing());
        }
        Ok(path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned())
    }

    /// Once: the second time everything is there.
    fn copy_recipes(&self, work: &Path, cancel: &CancellationToken) -> Result<(), BakeError> {
        let done = ours(work).join("recipes-are-here");
        if done.exists() {
            return Ok(());
        }
        let root = self.recipes.canonicalize().map_err(InputError::io("the recipe folder"))?;
        local::copy_folder(&root, &root, work, &self.limits, cancel)?;
        std::fs::write(done, "").map_err(InputError::io(OURS))?;
        Ok(())
    }
}

fn make_ours(work: &Path) -> std::io::Result<()> {
    let mut private = DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(ours(work).join("home"))?;
    private.create(work.join(TEMPORARY))
}

/// Values may be secrets: nobody else can read the file, and it goes with the working folder.
fn write_variables(json: &[u8], work: &Path) -> Result<(), InputError> {
    let path = ours(work).join("variables.json");
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(json));
    written.map_err(InputError::io("the file of variables"))
}

fn text(name: &str, bytes: Vec<u8>) -> Result<String, BakeError> {
    String::from_utf8(bytes).map_err(|_| BakeError::NoText(name.to_owned()))
}

#[cfg(test)]
mod tests;
