//! How a test finds the running stack: by variables that `cargo xtask test` sets.
//!
//! A test that needs one and does not get it fails with a line that says what to do; it never
//! passes by doing nothing.

use std::path::{Path, PathBuf};

/// The variable of [`kubeconfig`].
pub const KUBECONFIG: &str = "CAPSTAN_TEST_KUBECONFIG";
/// The variable of [`audit_log`].
pub const AUDIT_LOG: &str = "CAPSTAN_TEST_AUDIT_LOG";
/// The variable of [`helm3`].
pub const HELM3: &str = "CAPSTAN_TEST_HELM3";
/// The variable of [`helm4`].
pub const HELM4: &str = "CAPSTAN_TEST_HELM4";
/// The variable of [`docker_host`].
pub const DOCKER_HOST: &str = "CAPSTAN_TEST_DOCKER_HOST";
/// The variable of [`registry`].
pub const REGISTRY: &str = "CAPSTAN_TEST_REGISTRY";
/// The variable of [`amqp_url`].
pub const AMQP_URL: &str = "CAPSTAN_TEST_AMQP_URL";
/// The variable of [`rabbitmq_management_url`].
pub const RABBITMQ_MANAGEMENT_URL: &str = "CAPSTAN_TEST_RABBITMQ_MANAGEMENT_URL";
/// The variable of [`redis_url`].
pub const REDIS_URL: &str = "CAPSTAN_TEST_REDIS_URL";
/// The variable of [`s3_endpoint`].
pub const S3_ENDPOINT: &str = "CAPSTAN_TEST_S3_ENDPOINT";
/// The variable of the first of [`s3_keys`].
pub const S3_ACCESS_KEY: &str = "CAPSTAN_TEST_S3_ACCESS_KEY";
/// The variable of the second of [`s3_keys`].
pub const S3_SECRET_KEY: &str = "CAPSTAN_TEST_S3_SECRET_KEY";
/// The variable of [`s3_bucket`].
pub const S3_BUCKET: &str = "CAPSTAN_TEST_S3_BUCKET";
/// The variable of [`postgres_url`].
pub const POSTGRES_URL: &str = "CAPSTAN_TEST_POSTGRES_URL";
/// The variable of [`previous`].
pub const PREVIOUS: &str = "CAPSTAN_TEST_PREVIOUS";
/// The variable of [`first_seed`].
pub const FIRST_SEED: &str = "CAPSTAN_TEST_FIRST_SEED";
/// The image in the test stack's docker that others are made from: a shell and busybox, 2 MB.
pub const BASE_IMAGE: &str = "capstan-base:1";
/// The variable of [`corpus_dir`].
pub const CORPUS: &str = "CAPSTAN_CORPUS";

/// The kubeconfig of the test cluster: context `capstan-test` may do everything, context `nobody`
/// nothing.
///
/// # Panics
/// No stack is running.
pub fn kubeconfig() -> PathBuf {
    of_stack(KUBECONFIG)
}

/// The audit log of the API server; read it with [`crate::audit`].
///
/// # Panics
/// No stack is running.
pub fn audit_log() -> PathBuf {
    of_stack(AUDIT_LOG)
}

/// A Helm 3 program.
///
/// # Panics
/// No stack is running.
pub fn helm3() -> PathBuf {
    of_stack(HELM3)
}

/// A Helm 4 program.
///
/// # Panics
/// No stack is running.
pub fn helm4() -> PathBuf {
    of_stack(HELM4)
}

/// The docker of the test stack, as `DOCKER_HOST` has it: `unix://…`. It holds [`BASE_IMAGE`].
///
/// # Panics
/// No stack is running.
pub fn docker_host() -> String {
    let host = value_of_stack(DOCKER_HOST);
    let socket = host.strip_prefix("unix://").unwrap_or(&host);
    check_is_there(DOCKER_HOST, Path::new(socket).exists(), socket);
    host
}

/// The registry of the test stack, `127.0.0.1:<port>`: anybody may push to it, without TLS.
///
/// # Panics
/// No stack is running.
pub fn registry() -> String {
    value_of_stack(REGISTRY)
}

/// RabbitMQ's virtual host `/`. It is shared: make one of your own by the management API.
///
/// # Panics
/// No stack is running.
pub fn amqp_url() -> String {
    value_of_stack(AMQP_URL)
}

/// RabbitMQ's management API; see [`crate::stack::Management`].
///
/// # Panics
/// No stack is running.
pub fn rabbitmq_management_url() -> String {
    value_of_stack(RABBITMQ_MANAGEMENT_URL)
}

/// Redis. It is shared: use a prefix of your own.
///
/// # Panics
/// No stack is running.
pub fn redis_url() -> String {
    value_of_stack(REDIS_URL)
}

/// MinIO, which speaks S3: `http://127.0.0.1:<port>`.
///
/// # Panics
/// No stack is running.
pub fn s3_endpoint() -> String {
    value_of_stack(S3_ENDPOINT)
}

/// The id of the key that may do everything in MinIO, and its secret.
///
/// # Panics
/// No stack is running.
pub fn s3_keys() -> (String, String) {
    (value_of_stack(S3_ACCESS_KEY), value_of_stack(S3_SECRET_KEY))
}

/// A bucket of MinIO. It is shared: use a prefix of your own.
///
/// # Panics
/// No stack is running.
pub fn s3_bucket() -> String {
    value_of_stack(S3_BUCKET)
}

/// The database `postgres` of the test stack's PostgreSQL server, as a user who may do everything:
/// `postgres://user:password@127.0.0.1:port/postgres`. Make a database of your own in it.
///
/// # Panics
/// No stack is running.
pub fn postgres_url() -> String {
    value_of_stack(POSTGRES_URL)
}

/// The program of the commit before this one.
///
/// # Panics
/// Nobody has built it.
pub fn previous() -> PathBuf {
    let path = std::env::var_os(PREVIOUS).map(PathBuf::from);
    let path = path.unwrap_or_else(|| {
        panic!("{PREVIOUS} is not set: run `cargo xtask test`, or `export $(cargo xtask previous)` first")
    });
    assert!(path.is_file(), "{PREVIOUS} names {}, which is gone", path.display());
    path
}

/// The first seed of the simulated world that a run of the tests lives through; 0 where none is named.
///
/// # Panics
/// What is named is no number.
pub fn first_seed() -> u64 {
    let Some(seed) = std::env::var_os(FIRST_SEED) else { return 0 };
    let seed = seed.to_string_lossy();
    seed.parse().unwrap_or_else(|error| panic!("{FIRST_SEED} is `{seed}`: {error}"))
}

/// The conformance corpus: the folder that `CAPSTAN_CORPUS` names, or `../shared/corpus` beside the
/// checkout.
///
/// # Panics
/// There is no such folder.
pub fn corpus_dir() -> PathBuf {
    let beside = || checkout().join("../shared/corpus");
    let folder = std::env::var_os(CORPUS).map_or_else(beside, PathBuf::from);
    assert!(
        folder.is_dir(),
        "no conformance corpus at {}: set {CORPUS} to its folder",
        folder.display()
    );
    folder
}

/// The top folder of the checkout.
pub fn checkout() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

fn of_stack(variable: &str) -> PathBuf {
    let path = PathBuf::from(value_of_stack(variable));
    check_is_there(variable, path.is_file(), &path.display().to_string());
    path
}

fn value_of_stack(variable: &str) -> String {
    let value = std::env::var_os(variable).and_then(|value| value.into_string().ok());
    value.unwrap_or_else(|| {
        panic!(
            "{variable} is not set: run `cargo xtask test`, or `export $(cargo xtask stack up)` first"
        )
    })
}

fn check_is_there(variable: &str, is_there: bool, what: &str) {
    assert!(is_there, "{variable} names {what}, which is gone: run `cargo xtask stack up` again");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checkout_is_the_workspace() {
        assert!(super::checkout().join("Cargo.lock").is_file());
    }

    #[test]
    #[should_panic(expected = "cargo xtask stack up")]
    fn no_stack_is_said() {
        super::of_stack("CAPSTAN_TEST_NO_SUCH_VARIABLE");
    }
}
