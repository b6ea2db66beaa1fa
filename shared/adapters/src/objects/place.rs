//! From settings to a client of the one object store that they name.

use std::path::{Path as FilePath, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    BackoffConfig, Certificate, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig,
};
use secrecy::ExposeSecret;
use shared_ports::PortError;
use url::Url;

use super::settings::Objects;
use crate::folder::make_private;

const FORMS: &str = "`blobs.url` is not of the form `s3://bucket/prefix`, `file:///folder`, \
                     `gs://bucket/prefix` or `az://container/prefix`; keys belong to \
                     `blobs.options`";
/// Longest pause between two tries of the client.
const PAUSE_MAX_MS: u64 = 1000;

/// An object store, and where in it our things are.
pub(super) struct Place {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    /// For people.
    pub(super) shown: String,
}

/// What is told to the client of any server.
struct Client {
    retry: RetryConfig,
    options: ClientOptions,
}

impl Objects {
    pub(super) fn place(&self) -> Result<Place, PortError> {
        // What does not parse may hold a secret: it is not repeated.
        let url = Url::parse(&self.url).map_err(|_| refused(FORMS))?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.port().is_none();
        if !is_plain {
            return Err(refused(FORMS));
        }
        match (url.scheme(), url.host_str().filter(|host| !host.is_empty())) {
            ("file", None) => self.folder(&url),
            ("s3", Some(bucket)) => self.s3(&url, bucket),
            ("gs", Some(bucket)) => self.gcs(&url, bucket),
            ("az", Some(container)) => self.azure(&url, container),
            _ => Err(refused(FORMS)),
        }
    }

    fn folder(&self, url: &Url) -> Result<Place, PortError> {
        if let Some(name) = self.options.keys().next() {
            return Err(unknown(name, "a folder", "none"));
        }
        let folder: PathBuf = url.to_file_path().map_err(|()| refused(FORMS))?;
        let failed = |why: &dyn std::fmt::Display| {
            refused(format!("the folder `{}` of `blobs.url`: {why}", folder.display()))
        };
        make_private(&folder).map_err(|error| failed(&error))?;
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| failed(&error))?;
        // Acknowledged is what survives a crash of the machine.
        let store = store.with_fsync(true).with_automatic_cleanup(true);
        let shown = format!("folder `{}`", folder.display());
        Ok(Place { store: Arc::new(store), prefix: Path::ROOT, shown })
    }

    fn s3(&self, url: &Url, bucket: &str) -> Result<Place, PortError> {
        let own = [
            "access_key_id",
            "secret_access_key",
            "web_identity_token_file",
            "container_credentials_relative_uri",
            "container_credentials_full_uri",
            "skip_signature",
        ];
        self.check_credentials("aws_", &own, "`access_key_id` and `secret_access_key`")?;
        let Client { retry, options } = self.client()?;
        let ambient = self.ambient_credentials;
        let builder = if ambient { AmazonS3Builder::from_env() } else { AmazonS3Builder::new() };
        let builder = builder.with_retry(retry).with_client_options(options);
        let known = "access_key_id, secret_access_key, session_token, region, endpoint, \
                     allow_http, virtual_hosted_style_request, role_arn, \
                     web_identity_token_file, server_side_encryption, connect_timeout, timeout";
        let builder = self.tell("S3", known, builder, |builder, name, value| {
            Some(builder.with_config(AmazonS3ConfigKey::from_str(name).ok()?, value))
        })?;
        let builder = builder.with_bucket_name(bucket);
        let endpoint = builder
            .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
            .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
        let allow = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
        let is_allowed = builder.get_config_value(&allow).is_some_and(|allow| allow == "true");
        if endpoint.as_ref().is_some_and(|at| at.starts_with("http://")) && !is_allowed {
            return Err(refused(
                "`endpoint` in `blobs.options` is `http://…`; use `https://…`, or set \
                 `allow_http` to `true` there",
            ));
        }
        let store = builder.build().map_err(|error| not_built(&error))?;
        let at = endpoint.map(|endpoint| format!(" at {}", without_secrets(&endpoint)));
        let shown = format!("S3 bucket `{bucket}`{}", at.unwrap_or_default());
        Ok(Place { store: Arc::new(store), prefix: prefix(url)?, shown })
    }

    fn gcs(&self, url: &Url, bucket: &str) -> Result<Place, PortError> {
        let own = [
            "service_account",
            "service_account_path",
            "service_account_key",
            "application_credentials",
            "bearer_token",
            "skip_signature",
        ];
        self.check_credentials("google_", &own, "`service_account_path`")?;
        let Client { retry, options } = self.client()?;
        let ambient = self.ambient_credentials;
        let builder = if ambient {
            GoogleCloudStorageBuilder::from_env()
        } else {
            GoogleCloudStorageBuilder::new()
        };
        let builder = builder.with_retry(retry).with_client_options(options);
        let known = "service_account_path, service_account_key, application_credentials, \
                     bearer_token, base_url, connect_timeout, timeout";
        let builder =
            self.tell("Google Cloud Storage", known, builder, |builder, name, value| {
                Some(builder.with_config(GoogleConfigKey::from_str(name).ok()?, value))
            })?;
        let store = builder.with_bucket_name(bucket).build().map_err(|error| not_built(&error))?;
        let shown = format!("Google Cloud Storage bucket `{bucket}`");
        Ok(Place { store: Arc::new(store), prefix: prefix(url)?, shown })
    }

    fn azure(&self, url: &Url, container: &str) -> Result<Place, PortError> {
        let own = [
            "account_key",
            "access_key",
            "sas_token",
            "sas_key",
            "bearer_token",
            "client_secret",
            "federated_token_file",
            "use_azure_cli",
            "use_emulator",
            "skip_signature",
        ];
        self.check_credentials("azure_", &own, "`account_name` and `account_key`")?;
        let Client { retry, options } = self.client()?;
        let ambient = self.ambient_credentials;
        let builder =
            if ambient { MicrosoftAzureBuilder::from_env() } else { MicrosoftAzureBuilder::new() };
        let builder = builder.with_retry(retry).with_client_options(options);
        let known = "account_name, account_key, sas_token, tenant_id, client_id, client_secret, \
                     federated_token_file, endpoint, allow_http, connect_timeout, timeout";
        let builder = self.tell("Azure", known, builder, |builder, name, value| {
            Some(builder.with_config(AzureConfigKey::from_str(name).ok()?, value))
        })?;
        let builder = builder.with_container_name(container);
        let store = builder.build().map_err(|error| not_built(&error))?;
        let shown = format!("Azure container `{container}`");
        Ok(Place { store: Arc::new(store), prefix: prefix(url)?, shown })
    }

    /// Without credentials of ours the client would take the machine's.
    fn check_credentials(&self, family: &str, own: &[&str], usual: &str) -> Result<(), PortError> {
        let is_own = |name: &String| {
            let name = name.to_ascii_lowercase();
            let name = name.strip_prefix(family).unwrap_or(&name);
            own.contains(&name.strip_prefix("storage_").unwrap_or(name))
        };
        if self.ambient_credentials || self.options.keys().any(is_own) {
            return Ok(());
        }
        Err(refused(format!(
            "there are no credentials: set {usual} in `blobs.options`, or \
             `blobs.ambient_credentials: true` to use those of the machine"
        )))
    }

    fn tell<B>(
        &self,
        of: &str,
        known: &str,
        builder: B,
        one: impl Fn(B, &str, String) -> Option<B>,
    ) -> Result<B, PortError> {
        self.options.iter().try_fold(builder, |builder, (name, value)| {
            let value = value.expose_secret().to_owned();
            one(builder, &name.to_ascii_lowercase(), value).ok_or_else(|| unknown(name, of, known))
        })
    }

    fn client(&self) -> Result<Client, PortError> {
        let limit = self.call_limit();
        let mut retry = RetryConfig {
            // Ended by time, before the call's own limit, so that the cause is told.
            max_retries: 100,
            retry_timeout: limit / 2,
            ..RetryConfig::default()
        };
        let pause_max = std::time::Duration::from_millis(PAUSE_MAX_MS);
        retry.backoff = BackoffConfig { max_backoff: pause_max, ..BackoffConfig::default() };
        // What a call may take depends on what it moves; that limit is ours.
        let mut options = ClientOptions::new().with_timeout_disabled();
        if let Some(path) = &self.ca_file {
            for certificate in certificates(path)? {
                options = options.with_root_certificate(certificate);
            }
        }
        Ok(Client { retry, options })
    }
}

fn certificates(path: &FilePath) -> Result<Vec<Certificate>, PortError> {
    let unreadable = |why: &dyn std::fmt::Display| {
        refused(format!("`blobs.ca_file` {} cannot be read: {why}", path.display()))
    };
    let pem = std::fs::read(path).map_err(|error| unreadable(&error))?;
    Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(&error))
}

fn prefix(url: &Url) -> Result<Path, PortError> {
    Path::from_url_path(url.path()).map_err(|_| refused(FORMS))
}

/// An address as it is shown: without user and password, should it have any.
fn without_secrets(endpoint: &str) -> String {
    let Ok(mut url) = Url::parse(endpoint) else { return "an endpoint that is no URL".to_owned() };
    // Refused by addresses that have none.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.to_string().trim_end_matches('/').to_owned()
}

fn unknown(name: &str, of: &str, known: &str) -> PortError {
    refused(format!(
        "`blobs.options` has `{name}`, which is no option of {of}; the usual ones: {known}"
    ))
}

fn not_built(error: &object_store::Error) -> PortError {
    refused(format!("`blobs.options` do not go together: {error}"))
}

fn refused(why: impl Into<String>) -> PortError {
    PortError::Refused { doing: "reading the settings of blobs".to_owned(), why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(settings: &Objects) -> Result<String, String> {
        let place = settings.place();
        place.map(|place| place.shown).map_err(|error| error.to_string())
    }

    fn with_keys(url: &str) -> Objects {
        Objects::at(url).option("access_key_id", "key").option("secret_access_key", "pa55word")
    }

    #[test]
    fn every_form_of_address_is_read_and_shown_without_secrets() {
        let azure = Objects::at("az://container/prefix")
            .option("account_name", "account")
            .option("account_key", "cGE1NXdvcmQ=");
        let gcs = Objects::at("gs://bucket").option("bearer_token", "pa55word");
        for (settings, expected) in [
            (
                with_keys("s3://bucket/a/b")
                    .option("endpoint", "http://user:pa55word@127.0.0.1:9000/")
                    .option("allow_http", "true"),
                "S3 bucket `bucket` at http://127.0.0.1:9000",
            ),
            (with_keys("s3://bucket"), "S3 bucket `bucket`"),
            (azure, "Azure container `container`"),
            (gcs, "Google Cloud Storage bucket `bucket`"),
        ] {
            assert_eq!(shown(&settings), Ok(expected.to_owned()));
        }
        let place = with_keys("s3://bucket/a/b").place().unwrap();
        assert_eq!(place.prefix.as_ref(), "a/b");
    }

    #[test]
    fn a_wrong_address_is_refused_without_being_repeated() {
        for url in [
            "pa55word",
            "s3://key:pa55word@bucket",
            "s3://bucket?secret=pa55word",
            "http://pa55word/bucket",
            "s3:///pa55word",
            "file://pa55word/folder",
        ] {
            let error = shown(&with_keys(url)).unwrap_err();
            assert!(error.contains("`blobs.url` is not of the form"), "{error}");
            assert!(!error.contains("pa55word"), "{error}");
        }
    }

    #[test]
    fn an_unknown_option_is_named() {
        let misspelt = with_keys("s3://bucket").option("regoin", "pa55word");
        let error = shown(&misspelt).unwrap_err();
        assert!(error.contains("`regoin`, which is no option of S3"), "{error}");
        assert!(error.contains("region") && !error.contains("pa55word"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display());
        let error = shown(&Objects::at(url).option("region", "x")).unwrap_err();
        assert!(error.contains("`region`, which is no option of a folder"), "{error}");
    }

    #[test]
    fn the_machines_credentials_are_taken_only_when_that_is_said() {
        for url in ["s3://bucket", "gs://bucket", "az://container"] {
            let error = shown(&Objects::at(url)).unwrap_err();
            assert!(error.contains("there are no credentials"), "{error}");
            assert!(error.contains("ambient_credentials"), "{error}");
        }
        let ambient = Objects { ambient_credentials: true, ..Objects::at("s3://bucket") };
        assert_eq!(shown(&ambient), Ok("S3 bucket `bucket`".to_owned()));
        let half = Objects::at("s3://bucket").option("access_key_id", "key");
        assert!(shown(&half).unwrap_err().contains("do not go together"));
    }
}
