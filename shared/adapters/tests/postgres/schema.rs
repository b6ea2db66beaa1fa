//! Versions of the schema.

use futures::future::join_all;
use shared_adapters::OpenError;

use crate::scene::{Database, Store, append, refusal, step, whole};

/// Several schedulers start at once on a new database.
#[tokio::test]
async fn several_that_open_at_once_make_one_schema() {
    let database = Database::new();
    let url = database.url();
    let stores = join_all((0..6).map(|_| Store::open(&url))).await;
    for (number, store) in stores.iter().enumerate() {
        let execution = format!("e{number}");
        assert!(append(&store.ports, step(&execution, 0, "a")).await.unwrap());
        assert_eq!(whole(&stores[0].ports, &execution).await, 1);
    }
    assert_eq!(database.sql("SELECT count(*) FROM _sqlx_migrations"), "3");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_not_touched() {
    let database = Database::new();
    Store::open(&database.url()).await.close().await;
    database.sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'of the future', true, '', 0)",
    );
    let error = refusal(&database.url()).await;
    assert!(matches!(error, OpenError::Newer { .. }), "{error:?}");
    let text = error.to_string();
    let end = "has schema version 99, and this version of capstan knows only up to 3; use the \
               version that wrote it, or a newer one";
    assert!(text.ends_with(end), "{text}");
    let beginning = "database `postgres://capstan@127.0.0.1:";
    assert!(text.starts_with(beginning), "without the password: {text}");
    assert_eq!(database.sql("SELECT max(version) FROM _sqlx_migrations"), "99");
}

#[tokio::test]
async fn a_newer_schema_may_leave_room_beside_it() {
    let database = Database::new();
    Store::open(&database.url()).await.close().await;
    database.sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'of the future; beside 1', true, '', 0)",
    );
    Store::open(&database.url()).await.close().await;
    assert_eq!(database.sql("SELECT max(version) FROM _sqlx_migrations"), "99");
    database.sql("UPDATE _sqlx_migrations SET description = 'of the future; beside 98'");
    let error = refusal(&database.url()).await;
    assert!(matches!(error, OpenError::Newer { .. }), "{error:?}");
}

#[tokio::test]
async fn a_schema_that_was_changed_is_refused() {
    let database = Database::new();
    Store::open(&database.url()).await.close().await;
    database.sql("UPDATE _sqlx_migrations SET checksum = '\\x00'");
    let error = refusal(&database.url()).await;
    assert!(matches!(error, OpenError::Schema { .. }), "{error:?}");
}
