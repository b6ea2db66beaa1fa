//! Protected connections.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use shared_adapters::{Amqp, AmqpBroker, Redis as Settings, RedisLeases};
use shared_ports::{Broker, Leases};
use shared_testkit::stack::{RabbitMq, Redis};
use shared_testkit::tls::make_certificates;
use tokio::time::timeout;

use crate::broker::{message, ready};
use crate::text;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn file(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_proves_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path()).unwrap();
    let (port, path) = (free_port(), |name| file(folder.path(), name));
    let (certificate, key, ca) = (path("server.crt"), path("server.key"), path("ca.crt"));
    let place = ["--tls-port", &port.to_string(), "--tls-auth-clients", "no"].map(str::to_owned);
    let own = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let args: Vec<&str> = place.iter().map(String::as_str).chain(own).collect();
    let _redis = Redis::start_ready(&folder.path().join("redis"), &args).unwrap();
    let url = format!("rediss://127.0.0.1:{port}");
    let settings = Settings { ca_file: Some(ca.into()), ..Settings::at(&url) };
    let leases = RedisLeases::open(&settings).await.unwrap();
    assert_eq!(leases.live().await.unwrap(), []);
    let error = RedisLeases::open(&Settings::at(&url)).await.err().unwrap();
    assert!(text(&error).contains("certificate"), "{}", text(&error));
    let by_name = url.replace("127.0.0.1", "localhost");
    let wrong = Settings { url: by_name.into(), ..settings };
    let error = RedisLeases::open(&wrong).await.err().unwrap();
    assert!(text(&error).contains("certificate"), "{}", text(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_proves_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path()).unwrap();
    let (port, path) = (free_port(), |name| file(folder.path(), name));
    let settings = [
        format!("listeners.ssl.default = 127.0.0.1:{port}"),
        format!("ssl_options.cacertfile = {}", path("ca.crt")),
        format!("ssl_options.certfile = {}", path("server.crt")),
        format!("ssl_options.keyfile = {}", path("server.key")),
        "ssl_options.verify = verify_none".to_owned(),
        "ssl_options.fail_if_no_peer_cert = false".to_owned(),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let _rabbitmq = RabbitMq::start_ready(&folder.path().join("rabbitmq"), &settings).unwrap();
    let url = format!("amqps://guest:guest@127.0.0.1:{port}/%2f");
    let settings = Amqp { ca_file: Some(path("ca.crt").into()), ..Amqp::at(&url) };
    let broker = AmqpBroker::open(&settings).await.unwrap();
    let queue = ready("wait");
    broker.publish(vec![message(&queue, "protected")]).await.unwrap();
    let mut consumer = broker.consume(&queue, 1).await.unwrap();
    let arrived = timeout(Duration::from_secs(30), consumer.next()).await.unwrap().unwrap();
    assert_eq!(arrived.id, "protected");
    consumer.ack(arrived.tag).await.unwrap();
    let error = AmqpBroker::open(&Amqp::at(&url)).await.err().unwrap();
    assert!(text(&error).contains("certificate"), "{}", text(&error));
}
