//! Docker with an image to build others from, and a registry to push them to.
//!
//! Several stacks on one machine do not meet: each dockerd has its own folders and its own containerd
//! below them, makes no bridge and no firewall rules, and lives in namespaces that take its
//! containers and mounts along when it ends. Its containers have no network but loopback.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::ports::Ports;
use super::server::Server;
use super::servers::Layout;
use crate::env::BASE_IMAGE;

/// How long one call of the docker client may take, in seconds.
const CLIENT_SECONDS_MAX: &str = "60";
/// The user without whom Packer's shell provisioner waits for minutes and does not say why.
const PASSWD: &str = "root:x:0:0:root:/:/bin/sh\n";

/// Where docker listens.
pub(super) fn host(layout: &Layout) -> String {
    format!("unix://{}", layout.path("docker.sock"))
}

/// Where the registry listens.
pub(super) fn registry_address(ports: &Ports) -> String {
    format!("127.0.0.1:{}", ports.registry)
}

pub(super) fn dockerd(layout: &Layout) -> Result<Server> {
    // The machine's own settings have no say here.
    let settings = layout.path("dockerd.json");
    fs::write(&settings, "{}").with_context(|| format!("failed to write {settings}"))?;
    let args = [
        format!("--config-file={settings}"),
        format!("--data-root={}", layout.path("docker")),
        format!("--exec-root={}", layout.path("docker-exec")),
        format!("--pidfile={}", layout.path("dockerd.pid")),
        format!("--host={}", host(layout)),
        "--bridge=none".to_owned(),
        "--iptables=false".to_owned(),
        "--ip6tables=false".to_owned(),
    ];
    Server::start_walled("dockerd", "dockerd", args, &layout.logs())
}

pub(super) fn registry(layout: &Layout, ports: &Ports) -> Result<Server> {
    let settings = json!({
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": layout.path("registry")}},
        "http": {"addr": registry_address(ports)},
    });
    let file = layout.path("registry.json");
    fs::write(&file, settings.to_string()).with_context(|| format!("failed to write {file}"))?;
    let args = ["serve".to_owned(), file];
    layout.start("docker-registry", Path::new("docker-registry"), &args)
}

/// Whether dockerd answers.
pub(super) fn is_ready(layout: &Layout) -> bool {
    Path::new(&layout.path("docker.sock")).exists()
        && client(layout, &["version", "--format={{.Server.Version}}"]).is_ok()
}

/// Puts [`BASE_IMAGE`] into docker. It is made from nothing but this machine's busybox: there may
/// be no registry to pull one from.
pub(super) fn make_base_image(layout: &Layout) -> Result<()> {
    let root = layout.path("base-image");
    let root = Path::new(&root);
    let busybox = fs::read(busybox()?).context("failed to read busybox")?;
    for folder in ["bin", "etc", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for name in ["busybox", "sh"] {
        let program = root.join("bin").join(name);
        fs::write(&program, &busybox)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    }
    fs::write(root.join("etc/passwd"), PASSWD)?;
    let packed = layout.path("base-image.tar");
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(&packed).arg("--directory").arg(root).arg(".");
    crate::install::run(&mut tar, "`tar` for the base image")?;
    client(layout, &["import", &packed, BASE_IMAGE])
}

/// busybox without shared libraries: there are none in the image.
fn busybox() -> Result<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("busybox"))
        .find(|program| program.is_file())
        .context("no `busybox` on the PATH; on Debian: `apt-get install busybox-static`")?;
    let bytes = fs::read(&found).context("failed to read busybox")?;
    // A dynamic program names its loader near its beginning.
    let start = &bytes[..bytes.len().min(4096)];
    ensure!(
        !start.windows(8).any(|window| window == b"ld-linux"),
        "{} needs shared libraries; on Debian: `apt-get install busybox-static`",
        found.display()
    );
    Ok(found)
}

fn client(layout: &Layout, args: &[&str]) -> Result<()> {
    let mut docker = Command::new("timeout");
    docker.args([CLIENT_SECONDS_MAX, "docker"]).args(args).env("DOCKER_HOST", host(layout));
    // The user's own docker settings may name another daemon.
    docker.env("DOCKER_CONFIG", layout.path("docker-client"));
    crate::install::run(&mut docker, &format!("`docker {}`", args[0]))
}
