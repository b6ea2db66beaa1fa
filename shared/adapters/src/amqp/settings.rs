use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use shared_ports::PortError;

use crate::masked;

/// Two missed heartbeats and a connection counts as lost.
const HEARTBEAT_SECONDS: u16 = 10;

/// How RabbitMQ is reached, and what its queues are limited to. The limits are arguments of the
/// queues: one that exists with others is refused, it is not changed.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Amqp {
    /// `amqp://user:password@host:port/vhost`, or `amqps://` for TLS. The default virtual host is
    /// written `/%2f`.
    #[serde(serialize_with = "masked::secret")]
    pub url: SecretString,
    /// PEM file of the authority that signed the server's certificate; without it those that the
    /// system trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// What the names of all queues begin with.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// Messages that may wait in one queue.
    #[serde(default = "queue_len_max")]
    pub queue_len_max: u32,
    /// Bytes that may wait in one queue.
    #[serde(default = "queue_bytes_max")]
    pub queue_bytes_max: u32,
    /// Times that a message may come again before it is set aside. Crashes of a worker count for
    /// everything that it had been given.
    #[serde(default = "deliveries_max")]
    pub deliveries_max: u32,
    /// How long the queue of one worker is kept while nobody receives from it.
    #[serde(default = "control_kept", serialize_with = "masked::duration")]
    pub control_kept: SignedDuration,
    /// How long RabbitMQ may take to confirm a window of messages; then they are sent again on a
    /// new connection.
    #[serde(default = "confirm_max", serialize_with = "masked::duration")]
    pub confirm_max: SignedDuration,
    /// How long a message is tried to be published, over lost connections and alarms.
    #[serde(default = "publish_max", serialize_with = "masked::duration")]
    pub publish_max: SignedDuration,
    /// How long one connection may take to be made.
    #[serde(default = "connect_max", serialize_with = "masked::duration")]
    pub connect_max: SignedDuration,
    /// How long everything else may take, a lost connection made again included.
    #[serde(default = "reach_max", serialize_with = "masked::duration")]
    pub reach_max: SignedDuration,
    /// How often whoever waits for messages of a queue sends one through it, to see that they
    /// arrive; zero for never.
    #[serde(default = "watchdog_interval", serialize_with = "masked::duration")]
    pub watchdog_interval: SignedDuration,
}

/// Where RabbitMQ is, read from [`Amqp`].
#[derive(Clone)]
pub(super) struct Address {
    pub(super) uri: AMQPUri,
    pub(super) tls: OwnedTLSConfig,
    pub(super) connect_max: Duration,
}

impl Amqp {
    /// With default limits.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into().into(),
            ca_file: None,
            prefix: prefix(),
            queue_len_max: queue_len_max(),
            queue_bytes_max: queue_bytes_max(),
            deliveries_max: deliveries_max(),
            control_kept: control_kept(),
            confirm_max: confirm_max(),
            publish_max: publish_max(),
            connect_max: connect_max(),
            reach_max: reach_max(),
            watchdog_interval: watchdog_interval(),
        }
    }

    pub(super) fn address(&self) -> Result<Address, PortError> {
        let refused = |why: String| PortError::Refused {
            doing: "reading the settings of RabbitMQ".to_owned(),
            why,
        };
        // What does not parse may be a password: it is not repeated.
        let mut uri: AMQPUri = self.url.expose_secret().parse().map_err(|_| {
            refused(
                "`amqp.url` is not of the form `amqp://user:password@host:port/vhost`; special \
                 characters in it are written as %XX, the default virtual host as `/%2f`"
                    .to_owned(),
            )
        })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).map_err(|error| {
                refused(format!("`amqp.ca_file` {} cannot be read: {error}", path.display()))
            })
        };
        let cert_chain = self.ca_file.as_ref().map(read).transpose()?;
        let tls = OwnedTLSConfig { identity: None, cert_chain };
        Ok(Address { uri, tls, connect_max: duration(self.connect_max) })
    }
}

impl Address {
    /// For people: no password.
    pub(super) fn shown(&self) -> String {
        let AMQPUri { authority, vhost, .. } = &self.uri;
        let (host, port, user) = (&authority.host, authority.port, &authority.userinfo.username);
        format!("RabbitMQ at {host}:{port}, virtual host `{vhost}`, as user `{user}`")
    }
}

/// A negative one is none at all.
pub(super) fn duration(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

fn prefix() -> String {
    "capstan".to_owned()
}

fn queue_len_max() -> u32 {
    100_000
}

fn queue_bytes_max() -> u32 {
    1024 * 1024 * 1024
}

fn deliveries_max() -> u32 {
    100
}

fn control_kept() -> SignedDuration {
    SignedDuration::from_mins(5)
}

fn confirm_max() -> SignedDuration {
    SignedDuration::from_secs(5)
}

fn publish_max() -> SignedDuration {
    SignedDuration::from_secs(10)
}

fn connect_max() -> SignedDuration {
    SignedDuration::from_secs(5)
}

fn reach_max() -> SignedDuration {
    SignedDuration::from_secs(10)
}

fn watchdog_interval() -> SignedDuration {
    SignedDuration::from_secs(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_nowhere_to_be_read() {
        let settings = Amqp::at("amqp://capstan:pa55word@broker:5672/%2f");
        let address = settings.address().unwrap();
        assert_eq!(address.shown(), "RabbitMQ at broker:5672, virtual host `/`, as user `capstan`");
        assert!(!format!("{settings:?}").contains("pa55word"));
        let broken = Amqp::at("amqp://capstan:pa55word@[broker").address().err().unwrap();
        let text = format!("{broken}");
        assert!(text.contains("amqp.url") && !text.contains("pa55word"), "{text}");
    }

    #[test]
    fn settings_are_read_with_defaults_and_unknown_ones_are_refused() {
        let settings: Amqp =
            serde_json::from_str(r#"{"url": "amqp://a", "confirm_max": "2s"}"#).unwrap();
        assert_eq!(settings.confirm_max, SignedDuration::from_secs(2));
        assert_eq!(settings.queue_len_max, queue_len_max());
        assert!(serde_json::from_str::<Amqp>(r#"{"url": "amqp://a", "qeue": 1}"#).is_err());
    }
}
