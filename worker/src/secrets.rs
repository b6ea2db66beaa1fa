//! Secrets of the machine that a worker runs on: a folder, and variables of its environment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use secrecy::SecretString;
use shared_plugin::secrets::{SECRET_BYTES_MAX, SecretSource};

/// Files below a folder, as Kubernetes mounts Secrets: `secret://file/name#key` is the file `key` in
/// the folder `name`, `secret://file/name` the file `name`. Read anew for each use.
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// Those below a folder.
    pub fn below(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }
}

#[async_trait]
impl SecretSource for Files {
    async fn read(&self, name: &str, key: Option<&str>) -> Result<SecretString, String> {
        let path = self.folder.join(name);
        let path = key.map_or_else(|| path.clone(), |key| path.join(key));
        let shown = path.display().to_string();
        let wrong = |why: &dyn std::fmt::Display| {
            format!("its file `{shown}` is {why}; put it there (`worker.secrets.folder`)")
        };
        let found =
            tokio::fs::metadata(&path).await.map_err(|error| wrong(&cannot_be_read(&error)))?;
        if !found.is_file() || found.len() > SECRET_BYTES_MAX as u64 {
            let why = format!("no file of at most {SECRET_BYTES_MAX} bytes (secret_bytes_max)");
            return Err(wrong(&why));
        }
        let bytes = tokio::fs::read(&path).await.map_err(|error| wrong(&cannot_be_read(&error)))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong(&"not UTF-8 text"))?;
        // Editors end the last line; a secret does not.
        Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text).into())
    }
}

fn cannot_be_read(error: &std::io::Error) -> String {
    format!("not to be read ({error})")
}

/// Variables of this process's environment, of which only those that are named may be read: others hold
/// what is the worker's own.
pub struct Environment {
    allowed: BTreeSet<String>,
}

impl Environment {
    /// These variables.
    pub fn of(allowed: impl IntoIterator<Item = String>) -> Self {
        Self { allowed: allowed.into_iter().collect() }
    }
}

#[async_trait]
impl SecretSource for Environment {
    async fn read(&self, name: &str, key: Option<&str>) -> Result<SecretString, String> {
        if let Some(key) = key {
            return Err(format!("a variable has no key; leave `#{key}` out"));
        }
        if !self.allowed.contains(name) {
            return Err(format!(
                "`{name}` is not among the variables that stages may use; name it in \
                 `worker.secrets.env`"
            ));
        }
        let value = std::env::var_os(name).and_then(|value| value.into_string().ok());
        value.map(SecretString::from).ok_or_else(|| {
            format!(
                "the worker's environment has no variable `{name}` of UTF-8 text; start it with one"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use shared_plugin::secrets::Secrets;

    use super::*;

    #[tokio::test]
    async fn files_are_read_anew_and_only_those_below_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("secrets");
        std::fs::create_dir_all(inner.join("slack")).unwrap();
        std::fs::write(folder.path().join("outside"), "no").unwrap();
        std::fs::write(inner.join("slack/token"), "one\n").unwrap();
        let secrets = Secrets::default().with("file", Files::below(&inner));
        assert_eq!(secrets.reveal("secret://file/slack#token").await.unwrap(), "one");
        std::fs::write(inner.join("slack/token"), "two").unwrap();
        assert_eq!(secrets.reveal("secret://file/slack/token").await.unwrap(), "two");
        for (reference, part) in [
            ("secret://file/../outside", "no part of a secret's name"),
            ("secret://file/slack", "no file"),
            ("secret://file/slack#other", "worker.secrets.folder"),
        ] {
            let error = secrets.reveal(reference).await.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn variables_that_are_not_named_stay_the_worker_s() {
        let source = Environment::of(["PATH".to_owned(), "CAPSTAN_NO_SUCH".to_owned()]);
        let path = source.read("PATH", None).await.unwrap();
        assert_eq!(path.expose_secret(), std::env::var_os("PATH").unwrap().to_str().unwrap());
        for (name, key, part) in [
            ("HOME", None, "worker.secrets.env"),
            ("CAPSTAN_NO_SUCH", None, "start it with one"),
            ("PATH", Some("a"), "leave `#a` out"),
        ] {
            let error = source.read(name, key).await.err().unwrap();
            assert!(error.contains(part), "{error}");
        }
    }
}
