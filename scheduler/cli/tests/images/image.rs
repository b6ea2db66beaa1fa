//! Builds the images.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use shared_testkit::env;

use crate::ended::run;
use crate::file::file;

/// A command of the test stack's docker, without the user's own settings.
pub(crate) fn docker(words: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.env("DOCKER_HOST", env::docker_host()).env("DOCKER_CONFIG", "/nonexistent");
    // There is no other builder everywhere.
    command.env("DOCKER_BUILDKIT", "0").args(words);
    command
}

/// The tags of both images.
pub(crate) struct Images {
    pub(crate) scheduler: String,
    pub(crate) worker: String,
    base: String,
}

impl Images {
    /// Builds both on a base with nothing in it but this machine's libraries and authorities.
    pub(crate) fn build() -> Self {
        let tag = |name: &str| format!("capstan-{name}:{}", std::process::id());
        let images =
            Self { scheduler: tag("scheduler"), worker: tag("worker"), base: tag("libraries") };
        let folder = tempfile::tempdir().unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_capstan"));
        build(&images.base, &base(&folder.path().join("base"), binary), None);
        let context = folder.path().join("context");
        fs::create_dir_all(context.join("tools")).unwrap();
        fs::copy(binary, context.join("capstan")).unwrap();
        fs::copy(env::helm3(), context.join("tools/helm")).unwrap();
        for (role, tag) in [("scheduler", &images.scheduler), ("worker", &images.worker)] {
            let folder = env::checkout().join("scheduler/packaging/images");
            let text = fs::read_to_string(folder.join(format!("{role}.Dockerfile"))).unwrap();
            file(&context, "Dockerfile", &text);
            build(tag, &context, Some(&images.base));
        }
        images
    }

    /// What an image says of itself, as a template has it.
    pub(crate) fn says(tag: &str, template: &str) -> String {
        let ended = run(&mut docker(&["image", "inspect", "--format", template, tag]));
        ended.expect(0, &[]);
        ended.out.trim().to_owned()
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        let tags = [&*self.scheduler, &self.worker, &self.base];
        let _gone = docker(&[&["image", "rm", "--force"], &tags[..]].concat()).output();
    }
}

fn build(tag: &str, context: &Path, base: Option<&str>) {
    let mut command = docker(&["build", "--quiet", "--network", "none", "--tag", tag]);
    if let Some(base) = base {
        command.arg("--build-arg").arg(format!("BASE={base}"));
    }
    run(command.arg(context)).expect(0, &[]);
}

/// Whom TLS trusts, where Debian has it.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A context for a base: the libraries that the binary names, where it looks for them, and authorities.
fn base(folder: &Path, binary: &Path) -> PathBuf {
    let named = run(Command::new("ldd").arg(binary));
    named.expect(0, &[]);
    let libraries = named.out.split_whitespace().filter(|word| word.starts_with('/'));
    for path in libraries.chain([AUTHORITIES]) {
        let place = folder.join("root").join(path.trim_start_matches('/'));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(path, place).unwrap();
    }
    file(folder, "Dockerfile", "FROM scratch\nCOPY root/ /\n");
    folder.to_owned()
}
