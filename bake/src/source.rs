//! Artifacts → files that helm can read.

use std::path::{Path, PathBuf};

use shared_model::{Artifact, TaskError};
use shared_plugin::context::embedded_bytes;

use crate::archive;

/// Our type for files below the configured root.
pub(crate) const LOCAL_FILE: &str = "local/file";
/// Files that a local chart's folder may hold.
const CHART_FILES_MAX: usize = 10_000;

/// Where artifacts become files.
pub(crate) struct Sources<'a> {
    /// Below this local files may lie; none may if it is not set.
    pub(crate) root: Option<&'a Path>,
    /// A folder of this bake's own.
    pub(crate) work: &'a Path,
}

fn unavailable(artifact: &Artifact, why: impl std::fmt::Display) -> TaskError {
    let name = if artifact.name().is_empty() { artifact.reference() } else { artifact.name() };
    let name: String = name.chars().take(120).collect();
    TaskError::new("ArtifactUnavailable", format!("the artifact `{name}` cannot be used: {why}"))
}

impl Sources<'_> {
    /// A chart: its folder.
    ///
    /// # Errors
    /// A [`TaskError`] naming the artifact.
    pub(crate) fn chart(&self, artifact: &Artifact) -> Result<PathBuf, TaskError> {
        let path = match artifact.kind() {
            LOCAL_FILE => self.local(artifact)?,
            _ => return self.unpack(artifact, &embedded_bytes(artifact)?),
        };
        if path.is_dir() {
            self.check_folder(artifact, &path)?;
            return Ok(path);
        }
        let packed = std::fs::read(&path).map_err(|error| unavailable(artifact, error))?;
        self.unpack(artifact, &packed)
    }

    /// A values file.
    ///
    /// # Errors
    /// A [`TaskError`] naming the artifact.
    pub(crate) fn values(&self, index: usize, artifact: &Artifact) -> Result<PathBuf, TaskError> {
        if artifact.kind() == LOCAL_FILE {
            return self.local(artifact);
        }
        let bytes = embedded_bytes(artifact)?;
        let file = self.work.join(format!("values-{index}.yaml"));
        std::fs::write(&file, bytes).map_err(|error| unavailable(artifact, error))?;
        Ok(file)
    }

    fn unpack(&self, artifact: &Artifact, packed: &[u8]) -> Result<PathBuf, TaskError> {
        let folder = self.work.join("chart");
        std::fs::create_dir_all(&folder).map_err(|error| unavailable(artifact, error))?;
        archive::unpack(packed, &folder).map_err(|error| unavailable(artifact, error))
    }

    /// A path below the root, links resolved (D25).
    fn local(&self, artifact: &Artifact) -> Result<PathBuf, TaskError> {
        let root = self.root.ok_or_else(|| {
            unavailable(artifact, "local files are off here; configure a root for artifacts")
        })?;
        let root = root.canonicalize().map_err(|error| {
            unavailable(artifact, format!("the root `{}`: {error}", root.display()))
        })?;
        let path = root.join(artifact.reference());
        let path = path.canonicalize().map_err(|error| {
            unavailable(artifact, format!("`{}`: {error}", path.display()))
        })?;
        if !path.starts_with(&root) {
            let why = format!("`{}` leaves the root `{}`", artifact.reference(), root.display());
            return Err(unavailable(artifact, why));
        }
        Ok(path)
    }

    /// helm follows links: one that leaves the root would bring somebody's file into a manifest.
    fn check_folder(&self, artifact: &Artifact, chart: &Path) -> Result<(), TaskError> {
        let root = self.root.and_then(|root| root.canonicalize().ok()).unwrap_or_default();
        let (mut folders, mut files) = (vec![chart.to_owned()], 0);
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(&folder).map_err(|error| unavailable(artifact, error))?;
            for entry in entries.filter_map(Result::ok) {
                files += 1;
                let path = entry.path();
                let real = path.canonicalize().map_err(|error| unavailable(artifact, error))?;
                if !real.starts_with(&root) {
                    let why = format!("the link `{}` leaves the root", path.display());
                    return Err(unavailable(artifact, why));
                }
                if files > CHART_FILES_MAX {
                    let why = format!("more than {CHART_FILES_MAX} files (chart_files_max)");
                    return Err(unavailable(artifact, why));
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn local(reference: &str) -> Artifact {
        let value = json!({"type": LOCAL_FILE, "name": "c", "reference": reference});
        Artifact(value.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn a_path_stays_below_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("chart")).unwrap();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        std::os::unix::fs::symlink("../../secret", root.join("chart/link")).unwrap();
        let sources = Sources { root: Some(&root), work: folder.path() };
        for reference in ["../secret", "link", "/etc/passwd", "chart", "missing"] {
            let error = sources.chart(&local(reference)).unwrap_err().messages.join(" ");
            assert!(error.contains("leaves the root") || error.contains("missing"), "{error}");
        }
        std::fs::remove_file(root.join("chart/link")).unwrap();
        assert!(sources.chart(&local("chart")).is_ok());
    }

    #[test]
    fn other_types_and_no_root_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources { root: None, work: folder.path() };
        let error = sources.chart(&local("x")).unwrap_err().messages.join(" ");
        assert!(error.contains("configure a root"), "{error}");
        let github = json!({"type": "github/file", "name": "values.yaml", "reference": "https://x"});
        let github = Artifact(github.as_object().cloned().unwrap_or_default());
        let error = sources.values(0, &github).unwrap_err().messages.join(" ");
        assert!(error.contains("github/file"), "{error}");
    }
}
