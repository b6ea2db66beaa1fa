//! Images of a docker: the recipe that they are baked from, and what the docker has.

use std::path::Path;
use std::process::Command;

use shared_testkit::env;

use crate::file::file;

/// Tags what it makes of the base image; takes `seconds` for it.
const RECIPE: &str = r#"
variable "repository" { type = string }
variable "tag" { type = string }
variable "seconds" { type = number }
source "docker" "shop" {
  image       = "capstan-base:1"
  pull        = false
  commit      = true
  run_command = ["-d", "-i", "-t", "--entrypoint=/bin/sh", "{{.Image}}"]
}
build {
  sources = ["source.docker.shop"]
  provisioner "shell" {
    execute_command = "{{.Vars}} /bin/sh {{.Path}}"
    inline          = ["echo half-way", "busybox sleep ${var.seconds}", "echo ${var.tag} > /version"]
  }
  post-processors {
    post-processor "docker-tag" {
      repository = var.repository
      tags       = [var.tag]
    }
    @AFTER@
  }
}
"#;

/// Writes `recipes/shop.pkr.hcl` into a folder, with a post-processor behind the tagging.
pub(crate) fn recipe(folder: &Path, after: &str) {
    let recipes = folder.join("recipes");
    std::fs::create_dir(&recipes).unwrap();
    file(&recipes, "shop.pkr.hcl", &RECIPE.replace("@AFTER@", after));
}

/// What a command to the docker of the tests printed.
pub(crate) fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).env("DOCKER_HOST", env::docker_host()).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
