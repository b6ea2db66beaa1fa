//! The rules of the repository, as functions from what is in it to what is wrong with it.
//!
//! `tests/tidy.rs` applies them to the checkout. Each rule has a test that shows it fail.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub mod crates;
pub mod dependencies;
pub mod layout;
pub mod seams;
pub mod text;

/// What the rules look at.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    /// Every file that git tracks or would track, by its path from the top; empty text for a file
    /// that is not UTF-8.
    pub files: BTreeMap<String, String>,
    /// Every crate of the workspace.
    pub crates: Vec<Crate>,
}

/// A crate of the workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its folder from the top.
    pub folder: String,
    /// The file of its library or, where it has none, of its binary.
    pub root: String,
    /// Names of the crates that it needs to be built.
    pub dependencies: Vec<String>,
    /// Names of the crates that only its tests, examples and benchmarks need.
    pub dev_dependencies: Vec<String>,
}

impl Repository {
    /// Reads a checkout.
    ///
    /// # Errors
    /// `git` or `cargo metadata` fails.
    pub fn read(top: &Path) -> Result<Self> {
        let listed =
            stdout(top, "git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        let files = String::from_utf8_lossy(&listed)
            .split('\0')
            // Also empty: a file that was removed but not yet from the index.
            .filter_map(|path| Some((path.to_owned(), std::fs::read(top.join(path)).ok()?)))
            .map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap_or_default()))
            .collect();
        let cargo = ["metadata", "--no-deps", "--format-version=1"];
        let metadata: Value = serde_json::from_slice(&stdout(top, "cargo", &cargo)?)?;
        let packages = metadata["packages"].as_array().into_iter().flatten();
        Ok(Self { files, crates: packages.map(|package| read_crate(top, package)).collect() })
    }

    /// Every rule, with its name and what it finds.
    pub fn findings(&self) -> Vec<(&'static str, Vec<String>)> {
        vec![
            ("files are short", text::long_files(self)),
            ("nothing is left unfinished", text::unfinished(self)),
            ("lints are expected, not allowed", text::allowed_lints(self)),
            ("no path of a machine, no host of a package registry", text::foreign_places(self)),
            ("no `mod.rs`, no drawer names", layout::names(self)),
            ("only the listed entries at the top", layout::top_level(self)),
            ("the list of members is the list of folders", layout::members(self)),
            ("every crate is explained by its README", crates::readmes(self)),
            ("the README is the crate's documentation", crates::root_documentation(self)),
            ("dependencies point one way", dependencies::direction(self)),
            ("heavy crates stay behind their walls", dependencies::walls(self)),
            ("every port has a conformance suite", seams::port_suites(self)),
        ]
    }
}

fn read_crate(top: &Path, package: &Value) -> Crate {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let from_top = |path: &str| {
        Path::new(path).strip_prefix(top).unwrap_or(Path::new(path)).display().to_string()
    };
    let targets = || package["targets"].as_array().into_iter().flatten();
    let of_kind = |kind: &str| targets().find(|target| target["kind"][0] == kind);
    let root = of_kind("lib").or_else(|| of_kind("bin"));
    let dependencies = |development: bool| {
        let all = package["dependencies"].as_array().into_iter().flatten();
        all.filter(|dependency| (dependency["kind"] == "dev") == development)
            .map(|dependency| text(&dependency["name"]))
            .collect()
    };
    Crate {
        name: text(&package["name"]),
        folder: from_top(text(&package["manifest_path"]).trim_end_matches("/Cargo.toml")),
        root: from_top(root.and_then(|target| target["src_path"].as_str()).unwrap_or_default()),
        dependencies: dependencies(false),
        dev_dependencies: dependencies(true),
    }
}

fn stdout(folder: &Path, program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .with_context(|| format!("failed to start `{program}`"))?;
    if !output.status.success() {
        bail!("`{program}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

#[cfg(test)]
fn with_files<const N: usize>(files: [(&str, &str); N]) -> Repository {
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
    Repository { files: files.into(), crates: Vec::new() }
}
