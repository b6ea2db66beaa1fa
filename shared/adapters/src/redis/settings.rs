use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates, TlsMode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use shared_ports::PortError;

use crate::masked;

const FORMS: &str = "`redis.url` is not of the form `redis://user:password@host:port/number`, \
                     `rediss://…` for TLS, or `redis+sentinel://user:password@host:port,\
                     host:port/master/number` (`rediss+sentinel://…`); special characters in it are \
                     written as %XX";

/// How Redis is reached. It is to be one of its own, with `maxmemory-policy noeviction`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `redis://user:password@host:port/number`, `rediss://` for TLS; `redis+sentinel://` or
    /// `rediss+sentinel://` with the addresses of several Sentinels and the name of the master:
    /// `redis+sentinel://user:password@host:26379,host:26379/master/number`.
    #[serde(serialize_with = "masked::secret")]
    pub url: SecretString,
    /// User of the Sentinels themselves, if they have any.
    #[serde(default)]
    pub sentinel_user: Option<String>,
    /// Its password.
    #[serde(default, serialize_with = "masked::optional_secret")]
    pub sentinel_password: Option<SecretString>,
    /// PEM file of the authority that signed the servers' certificates; without it those that the
    /// system trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// What the names of all keys begin with, in braces.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// How long after Redis came up a missing lease says nothing: as long as a worker's lease, or
    /// longer.
    #[serde(default = "grace", serialize_with = "masked::duration")]
    pub grace: SignedDuration,
    /// How long one answer may take.
    #[serde(default = "response_max", serialize_with = "masked::duration")]
    pub response_max: SignedDuration,
    /// How long a call is tried, over lost connections.
    #[serde(default = "call_max", serialize_with = "masked::duration")]
    pub call_max: SignedDuration,
}

/// Where connections come from.
pub(super) enum Source {
    Server(Box<Client>),
    /// The Sentinels say who is the master now.
    Sentinel(Box<tokio::sync::Mutex<SentinelClient>>),
}

impl Redis {
    /// With default limits.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into().into(),
            sentinel_user: None,
            sentinel_password: None,
            ca_file: None,
            prefix: prefix(),
            grace: grace(),
            response_max: response_max(),
            call_max: call_max(),
        }
    }

    /// The source, and how it is shown to people: without a password.
    pub(super) fn source(&self) -> Result<(Source, String), PortError> {
        if self.prefix.is_empty() || self.prefix.contains(['{', '}']) {
            let why = "`redis.prefix` is empty, or has a brace in it; choose another".to_owned();
            return Err(refused(why));
        }
        let certificates = self.certificates()?;
        let url = self.url.expose_secret();
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong_form)?;
        if let Some(scheme) = scheme.strip_suffix("+sentinel") {
            return self.sentinels(scheme, rest, certificates);
        }
        let info = url.into_connection_info().map_err(|_| wrong_form())?;
        let shown = format!("Redis at {}", info.addr());
        let client = match certificates {
            Some(certificates) => Client::build_with_tls(info, certificates),
            None => Client::open(info),
        };
        let client = client.map_err(|error| refused(error.to_string()))?;
        Ok((Source::Server(Box::new(client)), shown))
    }

    fn sentinels(
        &self,
        scheme: &str,
        rest: &str,
        certificates: Option<TlsCertificates>,
    ) -> Result<(Source, String), PortError> {
        let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, path) = rest.split_once('/').ok_or_else(wrong_form)?;
        let (master, number) = path.split_once('/').unwrap_or((path, "0"));
        let at = if user.is_empty() { "" } else { "@" };
        let mut nodes: Vec<ConnectionInfo> = Vec::new();
        for host in hosts.split(',') {
            let url = format!("{scheme}://{user}{at}{host}/{number}");
            nodes.push(url.into_connection_info().map_err(|_| wrong_form())?);
        }
        let Some(settings) = nodes.first().map(|node| node.redis_settings().clone()) else {
            return Err(wrong_form());
        };
        let tls = nodes.first().is_some_and(|node| is_tls(node.addr()));
        let addresses: Vec<ConnectionAddr> = nodes.iter().map(|node| node.addr().clone()).collect();
        let shown = format!("the master `{master}` of the Redis Sentinels {hosts}");
        let service = master.to_owned();
        let builder = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master);
        let mut builder = builder.map_err(|error| refused(error.to_string()))?;
        builder = builder.set_client_to_redis_db(settings.db());
        if let Some(user) = settings.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(user) = &self.sentinel_user {
            builder = builder.set_client_to_sentinel_username(user);
        }
        if let Some(password) = &self.sentinel_password {
            builder = builder.set_client_to_sentinel_password(password.expose_secret());
        }
        if tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
            builder = builder.set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        if let Some(certificates) = certificates {
            builder = builder.set_client_to_redis_certificates(certificates.clone());
            builder = builder.set_client_to_sentinel_certificates(certificates);
        }
        let client = builder.build().map_err(|error| refused(error.to_string()))?;
        Ok((Source::Sentinel(Box::new(tokio::sync::Mutex::new(client))), shown))
    }

    fn certificates(&self) -> Result<Option<TlsCertificates>, PortError> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let root = std::fs::read(path).map_err(|error| {
            refused(format!("`redis.ca_file` {} cannot be read: {error}", path.display()))
        })?;
        Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(root) }))
    }
}

/// A negative one is none at all.
pub(super) fn duration(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

fn is_tls(address: &ConnectionAddr) -> bool {
    matches!(address, ConnectionAddr::TcpTls { .. })
}

/// What does not parse may be a password: it is not repeated.
fn wrong_form() -> PortError {
    refused(FORMS.to_owned())
}

fn refused(why: String) -> PortError {
    PortError::Refused { doing: "reading the settings of Redis".to_owned(), why }
}

fn prefix() -> String {
    "capstan".to_owned()
}

fn grace() -> SignedDuration {
    SignedDuration::from_secs(15)
}

fn response_max() -> SignedDuration {
    SignedDuration::from_secs(2)
}

fn call_max() -> SignedDuration {
    SignedDuration::from_secs(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> Result<String, String> {
        let source = Redis::at(url).source();
        source.map(|(_, shown)| shown).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_of_address_is_read_and_shown_without_its_password() {
        for (url, expected) in [
            ("redis://:pa55word@cache:6380/2", "Redis at cache:6380"),
            ("rediss://capstan:pa55word@cache:6380", "Redis at cache:6380"),
            (
                "redis+sentinel://capstan:pa55word@a:1,b:2/main/3",
                "the master `main` of the Redis Sentinels a:1,b:2",
            ),
            ("rediss+sentinel://a:26379/main", "the master `main` of the Redis Sentinels a:26379"),
        ] {
            assert_eq!(shown(url), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn a_wrong_address_is_refused_without_being_repeated() {
        for url in
            ["pa55word", "http://pa55word@a", "redis+sentinel://pa55word@a:1", "redis://[pa55word"]
        {
            let error = shown(url).unwrap_err();
            assert!(error.contains("`redis.url` is not of the form"), "{error}");
            assert!(!error.contains("pa55word"), "{error}");
        }
        let settings = Redis { prefix: "{a}".to_owned(), ..Redis::at("redis://a") };
        assert!(settings.source().err().unwrap().to_string().contains("`redis.prefix`"));
        assert!(!format!("{:?}", Redis::at("redis://:pa55word@a")).contains("pa55word"));
    }
}
