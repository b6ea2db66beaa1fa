//! Credentials → a client. They change while we run: files are written anew, plugins are asked again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use kube::client::AuthError;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take; watches renew themselves within it.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a plugin may take to come up with credentials.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Most that is repeated of what a plugin complained of, in bytes.
const COMPLAINT_BYTES_MAX: usize = 300;

/// What credentials were made of. Never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Print(u64);

/// Of a kubeconfig and the files that it names, as they are now. A file that cannot be read counts as
/// empty: whoever needs it says so.
pub(crate) fn print(config: &Kubeconfig) -> Print {
    let mut hash = DefaultHasher::new();
    serde_json::to_string(config).unwrap_or_default().hash(&mut hash);
    let users = config.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
    let of_users =
        users.flat_map(|user| [&user.token_file, &user.client_certificate, &user.client_key]);
    let clusters = config.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let of_clusters = clusters.map(|cluster| &cluster.certificate_authority);
    for file in of_users.chain(of_clusters).flatten() {
        std::fs::read(file).unwrap_or_default().hash(&mut hash);
    }
    Print(hash.finish())
}

/// Why there is no client.
pub(crate) struct Why {
    pub(crate) text: String,
    /// Whether the kubeconfig is good, and what it names to come up with credentials failed.
    pub(crate) is_of_plugin: bool,
}

/// A client for a context, and its namespace.
pub(crate) async fn connect(config: Kubeconfig, context: String) -> Result<(Client, String), Why> {
    let of_file = |text: String| Why { text, is_of_plugin: false };
    let options = KubeConfigOptions { context: Some(context), ..Default::default() };
    let mut config = Config::from_custom_kubeconfig(config, &options)
        .await
        .map_err(|error| of_file(error.to_string()))?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.write_timeout = Some(READ_TIMEOUT);
    let namespace = config.default_namespace.clone();
    let plugin = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
    // A plugin is a program that is waited for.
    let runtime = tokio::runtime::Handle::current();
    let made = tokio::task::spawn_blocking(move || {
        let _inside = runtime.enter();
        Client::try_from(config)
    });
    match tokio::time::timeout(PLUGIN_TIMEOUT, made).await {
        Ok(Ok(Ok(client))) => Ok((client, namespace)),
        Ok(Ok(Err(error))) => Err(why(&error, plugin.as_deref())),
        Ok(Err(error)) => Err(of_file(error.to_string())),
        Err(_) => Err(Why {
            text: format!(
                "`{}` did not answer within {PLUGIN_TIMEOUT:?}; run it by hand to see what it waits for",
                plugin.unwrap_or_default()
            ),
            is_of_plugin: true,
        }),
    }
}

fn why(error: &kube::Error, plugin: Option<&str>) -> Why {
    match (of_login(error), plugin) {
        (Some(error), Some(plugin)) => {
            Why { text: without_credentials(error, plugin), is_of_plugin: true }
        }
        (Some(_) | None, _) => Why { text: error.to_string(), is_of_plugin: false },
    }
}

/// Why a plugin did not renew credentials, if an error is about that.
pub(crate) fn of_plugin(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    of_login(error).map(|error| without_credentials(error, "the plugin of the kubeconfig"))
}

fn of_login<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a AuthError> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.find_map(|error| error.downcast_ref::<AuthError>())
}

/// Says what a plugin did. What it printed may be what it was asked for, so none of it is repeated but
/// its complaints.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the client has errors for every way to log in; the others repeat nothing"
)]
fn without_credentials(error: &AuthError, plugin: &str) -> String {
    let hint = "run it by hand on the worker";
    match error {
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = said.trim();
            let end = said.floor_char_boundary(COMPLAINT_BYTES_MAX);
            let said = said[..end].replace(char::is_control, " ");
            format!("`{plugin}` ended with {}: {said}; {hint}", out.status)
        }
        AuthError::AuthExecStart(error) => {
            format!("`{plugin}` cannot be run ({error}); it has to be on the worker's PATH")
        }
        AuthError::AuthExecParse(_)
        | AuthError::AuthExecSerialize(_)
        | AuthError::ExecPluginFailed => {
            format!("what `{plugin}` printed is no ExecCredential; {hint}")
        }
        other => format!("`{plugin}` gave no credentials: {other}"),
    }
}
