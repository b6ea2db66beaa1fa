//! Backups go from a folder to servers and back.

use serde_json::json;
use shared_adapters::archive::{backup, check_store, restore};
use shared_adapters::{Config, open};
use shared_testkit::env;
use shared_testkit::stack::sql;

use crate::own_name;
use crate::scene::{any, assert_same, fill};

fn servers(folder: &std::path::Path) -> Config {
    let database = own_name().replace('-', "_");
    sql(&env::postgres_url(), &format!("CREATE DATABASE {database}")).unwrap();
    let url = env::postgres_url();
    let (access, secret) = env::s3_keys();
    let config = json!({"distributed": {
        "store": {"url": format!("{}/{database}", url.rsplit_once('/').unwrap().0)},
        "blobs": {"url": format!("s3://{}/{}", env::s3_bucket(), own_name()), "options": {
            "endpoint": env::s3_endpoint(), "allow_http": true,
            "access_key_id": access, "secret_access_key": secret,
        }},
        "local": {"data_dir": folder.join(database)},
    }});
    serde_json::from_value(config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_folder_to_servers_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let (first, last) =
        (Config::embedded(folder.path().join("a")), Config::embedded(folder.path().join("b")));
    let servers = servers(folder.path());
    let (ports, guard) = open(&first).await.unwrap();
    let blob = fill(&ports, 40).await;
    let file = folder.path().join("backup");
    let made = backup(&first, &file).await.unwrap();
    assert_eq!(restore(&servers, &file, &any).await.unwrap(), made);
    let said = restore(&servers, &file, &any).await.unwrap_err().to_string();
    assert!(said.contains("is not empty: it has rows in `execution`"), "{said}");
    assert_eq!(check_store(&servers, &any).await.unwrap(), made);
    let (on_servers, other) = open(&servers).await.unwrap();
    assert_same(&ports, &on_servers, 40, &blob).await;
    // While it is in use.
    assert_eq!(backup(&servers, &file).await.unwrap(), made);
    assert_eq!(restore(&last, &file, &any).await.unwrap(), made);
    let (back, third) = open(&last).await.unwrap();
    assert_same(&ports, &back, 40, &blob).await;
    for guard in [guard, other, third] {
        guard.close().await.unwrap();
    }
}
