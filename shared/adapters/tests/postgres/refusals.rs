//! Why a store cannot be opened, told so that somebody can do something about it.

use std::time::Duration;

use shared_adapters::{OpenError, ServerError};
use shared_testkit::stack::PostgresServer;

use crate::scene::{Database, config, refusal};

async fn server_error(url: &str) -> ServerError {
    let error = refusal(url).await;
    let password = url.split([':', '@']).nth(2).unwrap();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(password), "the password is shown: {shown}");
    let OpenError::Server(error) = error else { panic!("{error:?}") };
    error
}

#[tokio::test]
async fn no_server() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    drop(taken);
    let error = server_error(&format!("postgres://app:hunter2@127.0.0.1:{port}/shop")).await;
    let expected = format!(
        "no PostgreSQL server answers at `postgres://app@127.0.0.1:{port}/shop`: Connection refused \
         (os error 111); start it, or correct the host and the port of the store's URL"
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_wrong_password() {
    let database = Database::new();
    let url = database.url();
    let (_, address) = url.split_once('@').unwrap();
    let error = server_error(&format!("postgres://capstan:hunter2@{address}")).await;
    assert!(matches!(error, ServerError::NotLetIn { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("password authentication failed for user \"capstan\"; correct"),
        "{text}"
    );
}

#[tokio::test]
async fn no_such_database() {
    let url = Database::new().url();
    let error = server_error(&url).await;
    assert!(matches!(error, ServerError::NoDatabase { .. }), "{error:?}");
}

#[tokio::test]
async fn no_right_to_make_tables() {
    let database = Database::new();
    let user = format!("guest_{}", database.name());
    database.sql(&format!(
        "CREATE USER {user} PASSWORD 'hunter2'; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    ));
    let url = database.url();
    let (_, address) = url.split_once('@').unwrap();
    let error = server_error(&format!("postgres://{user}:hunter2@{address}")).await;
    database.sql(&format!("DROP USER {user}"));
    assert!(matches!(error, ServerError::NoRights { .. }), "{error:?}");
    assert!(error.to_string().contains("GRANT CREATE, USAGE ON SCHEMA public"), "{error}");
}

#[tokio::test]
async fn a_read_only_server() {
    let database = Database::new();
    let name = database.name();
    database.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    let error = server_error(&database.url()).await;
    assert!(matches!(error, ServerError::ReadOnly { .. }), "{error:?}");
}

#[tokio::test]
async fn another_encoding() {
    let database = Database::new();
    let other = format!("{}_latin", database.name());
    database
        .sql(&format!("CREATE DATABASE {other} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"));
    let error = server_error(&database.url().replace(database.name(), &other)).await;
    database.sql(&format!("DROP DATABASE {other}"));
    assert!(matches!(error, ServerError::Encoding { .. }), "{error:?}");
}

#[tokio::test]
async fn no_connection_left() {
    let server = PostgresServer::start(&[
        "max_connections=4",
        "superuser_reserved_connections=0",
        "max_wal_senders=0",
    ])
    .unwrap();
    let mut stores = Vec::new();
    for _ in 0..4 {
        // One that writes, one that told the time.
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder, &server.url("postgres"));
        let error = match shared_adapters::open(&config).await {
            Ok(opened) => {
                stores.push((opened, folder));
                continue;
            }
            Err(error) => error,
        };
        let OpenError::Server(error) = error else { panic!("{error:?}") };
        assert!(matches!(error, ServerError::NoConnectionLeft { .. }), "{error:?}");
        assert!(error.to_string().contains("max_connections"), "{error}");
        return;
    }
    panic!("four stores on four connections");
}

#[tokio::test]
async fn tls_that_the_server_does_not_speak() {
    let database = Database::new();
    let error = server_error(&format!("{}?sslmode=verify-full", database.url())).await;
    assert!(matches!(error, ServerError::Tls { .. }), "{error:?}");
}

/// A server that accepts and says nothing is not waited for without end.
#[tokio::test]
async fn a_server_that_says_nothing() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgres://app:hunter2@127.0.0.1:{port}/shop");
    let answered = tokio::time::timeout(Duration::from_secs(60), server_error(&url)).await;
    let error = answered.unwrap();
    assert!(error.to_string().contains("did not answer within"), "{error}");
}

#[tokio::test]
async fn what_is_no_url() {
    for (url, why) in [
        ("mysql://app:hunter2@db/shop", "does not begin with `postgres://`"),
        ("postgres://app:hunter2@db:port/shop", "invalid port number"),
    ] {
        let error = server_error(url).await;
        assert!(error.to_string().contains(why), "{error}");
    }
}
