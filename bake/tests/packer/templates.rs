//! Templates that tests bake from.

use std::path::{Path, PathBuf};

/// Writes a recipe; its folder.
pub(crate) fn recipes(folder: &Path, files: &[(&str, &str)]) -> PathBuf {
    let recipes = folder.join("recipes");
    std::fs::create_dir_all(&recipes).unwrap();
    for (name, text) in files {
        std::fs::write(recipes.join(name), text).unwrap();
    }
    recipes
}

/// A template in HCL2 that runs `script` and tags what comes out as `repository:tag`.
pub(crate) fn hcl(script: &str, repository: &str, tag: &str) -> String {
    format!(
        r#"
        variable "token" {{
          type    = string
          default = "none"
        }}
        source "docker" "shop" {{
          image       = "capstan-base:1"
          pull        = false
          commit      = true
          run_command = ["-d", "-i", "-t", "--entrypoint=/bin/sh", "{{{{.Image}}}}"]
        }}
        build {{
          sources = ["source.docker.shop"]
          provisioner "shell" {{
            environment_vars = ["TOKEN=${{var.token}}"]
            execute_command  = "{{{{.Vars}}}} /bin/sh {{{{.Path}}}}"
            inline           = ["{script}"]
          }}
          post-processor "docker-tag" {{
            repository = "{repository}"
            tags       = ["{tag}"]
          }}
        }}
        "#
    )
}
