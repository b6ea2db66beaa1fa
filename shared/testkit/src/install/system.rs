//! Commands that the system brings.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::run;

/// Commands that the stack uses, with the Debian package of each.
const COMMANDS: [(&str, &str); 20] = [
    ("openssl", "openssl"),
    ("setpriv", "util-linux"),
    ("python3", "python3"),
    ("unshare", "util-linux"),
    ("timeout", "coreutils"),
    ("nice", "coreutils"),
    ("tar", "tar"),
    ("env", "coreutils"),
    ("initdb", "postgresql"),
    ("postgres", "postgresql"),
    ("psql", "postgresql"),
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("docker-init", "docker.io"),
    ("docker-registry", "docker-registry"),
    ("packer", "packer"),
    ("busybox", "busybox-static"),
    ("epmd", "erlang-base"),
    ("rabbitmq-server", "rabbitmq-server"),
    ("redis-server", "redis-server"),
];

/// Makes sure that the commands that the stack uses are there: with `apt-get` where we are root on
/// Debian, else by saying what to install.
///
/// # Errors
/// One is missing and could not be installed.
pub fn ensure_system_commands(say: &mut dyn FnMut(&str)) -> Result<()> {
    let missing: Vec<_> = COMMANDS.into_iter().filter(|(name, _)| !is_there(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    install(&packages, say)
}

/// Installs Debian packages where we are root on Debian.
///
/// # Errors
/// It is not allowed, or fails.
pub(super) fn install(packages: &[&str], say: &mut dyn FnMut(&str)) -> Result<()> {
    if !(nix::unistd::Uid::effective().is_root() && on_path("apt-get")) {
        bail!(
            "the tests need more of the system: on Debian, `apt-get install {}`",
            packages.join(" ")
        );
    }
    say(&format!("installing {} with apt-get", packages.join(", ")));
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        run(command.args(args).env("DEBIAN_FRONTEND", "noninteractive"), "`apt-get`")
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

/// Where PostgreSQL's programs lie, the newest if there are several. Debian keeps those of each major
/// version in a folder of its own, off the `PATH`; a wrapper on it would choose among clusters.
///
/// # Errors
/// They are not there.
pub fn postgres_programs() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = debian_postgres().or_else(|| {
        std::env::split_paths(&path)
            .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
    });
    found.context("PostgreSQL's `initdb` and `postgres` are not there; on Debian: `apt-get install postgresql`")
}

fn debian_postgres() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = versions.filter_map(|entry| entry.ok()).map(|entry| entry.path());
    let newest =
        folders.filter(|folder| folder.join("bin/initdb").is_file()).max_by_key(version)?;
    Some(newest.join("bin"))
}

fn is_there(name: &str) -> bool {
    on_path(name) || debian_postgres().is_some_and(|folder| folder.join(name).is_file())
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).any(|file: PathBuf| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_is_found() {
        assert!(on_path("sh"));
        assert!(!on_path("no-such-command-anywhere"));
    }
}
