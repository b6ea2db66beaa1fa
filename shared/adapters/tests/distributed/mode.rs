//! The distributed mode as it is configured.

use serde_json::json;
use shared_adapters::{Config, open};
use shared_testkit::env;
use shared_testkit::stack::sql;

use crate::broker::{Vhost, message, ready};
use crate::leases::{TTL, heartbeat};
use crate::own_name;

fn config(amqp: &str, store: &str, folder: &std::path::Path) -> Config {
    let config = json!({"distributed": {
        "store": {"url": store},
        "amqp": {"url": amqp, "publish_max": "5s"},
        "redis": {"url": env::redis_url(), "prefix": own_name(), "grace": "0s"},
        "local": {"data_dir": folder},
    }});
    serde_json::from_value(config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_leases_go_where_the_configuration_says() {
    let (vhost, folder) = (Vhost::make(), tempfile::tempdir().unwrap());
    let database = own_name().replace('-', "_");
    sql(&env::postgres_url(), &format!("CREATE DATABASE {database}")).unwrap();
    let url = env::postgres_url();
    let store = format!("{}/{database}", url.rsplit_once('/').unwrap().0);
    let config = config(&vhost.url(), &store, folder.path());
    let (ports, guard) = open(&config).await.unwrap();
    ports.broker.publish(vec![message(&ready("wait"), "m")]).await.unwrap();
    ports.leases.beat(&heartbeat("a", &[]), TTL).await.unwrap();
    assert_eq!(ports.leases.live().await.unwrap().len(), 1);
    guard.close().await.unwrap();
    drop(ports);
    let (ports, guard) = open(&config).await.unwrap();
    assert_eq!(ports.broker.depth(&ready("wait")).await.unwrap(), 1, "it waits in RabbitMQ");
    guard.close().await.unwrap();

    let wrong = vhost.url().replace("guest:guest", "guest:pa55word");
    let refused = open(&self::config(&wrong, &store, folder.path())).await.err().unwrap();
    let said = refused.to_string();
    assert!(said.contains("check user and password in `amqp.url`"), "{said}");
    assert!(!said.contains("pa55word"), "{said}");
}
