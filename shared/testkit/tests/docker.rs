//! The promises of docker and the registry of the stack that other tests build on.

#![expect(clippy::unwrap_used, reason = "what a test can't set up is its failure")]

use std::process::Command;

use shared_testkit::env;

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).env("DOCKER_HOST", env::docker_host()).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_base_image_has_a_shell_a_user_and_no_network() {
    let script = "busybox id -un; busybox ls -d /tmp; busybox ip -o link | busybox wc -l";
    let said = docker(&["run", "--rm", env::BASE_IMAGE, "/bin/sh", "-c", script]);
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["root", "/tmp", "1"]);
}

#[test]
fn an_image_comes_back_from_the_registry() {
    let name = format!("{}/testkit-{}:1", env::registry(), std::process::id());
    docker(&["tag", env::BASE_IMAGE, &name]);
    docker(&["push", "--quiet", &name]);
    docker(&["rmi", &name]);
    docker(&["pull", "--quiet", &name]);
    assert_eq!(docker(&["run", "--rm", &name, "/bin/sh", "-c", "echo here"]), "here");
    docker(&["rmi", &name]);
}

/// Stacks and the machine's own docker do not meet.
#[test]
fn its_mounts_are_its_own() {
    let folder = env::docker_host();
    let folder = folder.trim_start_matches("unix://").trim_end_matches("/docker.sock");
    let running = docker(&["run", "--detach", env::BASE_IMAGE, "/bin/busybox", "sleep", "60"]);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    docker(&["rm", "--force", &running]);
    assert!(!mounts.contains(folder), "{mounts}");
}
