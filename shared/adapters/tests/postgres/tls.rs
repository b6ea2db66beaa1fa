//! Protected connections.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use shared_adapters::{
    Config, Distributed, Embedded, OpenError, Postgres, ServerError, TlsMode, open,
};
use shared_testkit::deadline::Deadline;
use shared_testkit::stack::{self, PostgresServer};
use shared_testkit::tls::make_certificates;
use tempfile::TempDir;

use crate::scene::WAIT_MAX;

/// A server with a certificate made out to `127.0.0.1`, signed by an authority of its own.
struct Scene {
    server: PostgresServer,
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path()).unwrap();
        let server = PostgresServer::start(&[]).unwrap();
        let data = PathBuf::from(server.sql("postgres", "SHOW data_directory").unwrap());
        for name in ["server.crt", "server.key"] {
            install(&folder.path().join(name), &data.join(name));
        }
        server.sql("postgres", "ALTER SYSTEM SET ssl = on").unwrap();
        server.sql("postgres", "SELECT pg_reload_conf()").unwrap();
        let deadline = Deadline::after(WAIT_MAX);
        let url = format!("{}?sslmode=require", server.url("postgres"));
        let ready = deadline.poll(|| Ok::<_, ()>(stack::sql(&url, "SELECT 1").ok()));
        assert!(ready.unwrap().is_some(), "the server does not speak TLS");
        Self { server, folder }
    }

    /// Opens and closes a store; says whether the connection was protected.
    async fn open(&self, tls: TlsMode, with_ca: bool, host: &str) -> Result<(), OpenError> {
        let url = self.server.url("postgres").replace("127.0.0.1", host);
        let tls_ca = with_ca.then(|| self.folder.path().join("ca.crt"));
        let store = Postgres { tls: Some(tls), tls_ca, ..Postgres::new(url) };
        let data = tempfile::tempdir().unwrap();
        let local = Embedded::new(data.path().join("data"));
        let (_ports, guard) = open(&Config::Distributed(Distributed {
            store,
            amqp: None,
            redis: None,
            blobs: None,
            local,
        }))
        .await?;
        let protected = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'capstan' AND ssl";
        let protected = self.server.sql("postgres", protected).unwrap();
        guard.close().await.unwrap();
        assert_eq!(protected != "0", tls != TlsMode::Disable, "{tls:?}: {protected} are protected");
        Ok(())
    }
}

fn install(from: &Path, to: &Path) {
    let owner = fs::metadata(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o600)).unwrap();
    chown(to, Some(owner.uid()), Some(owner.gid())).unwrap();
}

#[tokio::test]
async fn a_server_proves_its_name_where_that_is_asked_for() {
    let scene = Scene::new();
    for (tls, with_ca, host) in [
        (TlsMode::VerifyFull, true, "127.0.0.1"),
        (TlsMode::VerifyCa, true, "localhost"),
        (TlsMode::Require, false, "127.0.0.1"),
        (TlsMode::Disable, false, "127.0.0.1"),
    ] {
        scene.open(tls, with_ca, host).await.unwrap();
    }
    for (tls, with_ca, host, why) in [
        (TlsMode::VerifyFull, true, "localhost", "not valid for name"),
        (TlsMode::VerifyFull, false, "127.0.0.1", "invalid peer certificate"),
        (TlsMode::VerifyCa, false, "127.0.0.1", "invalid peer certificate"),
    ] {
        let error = scene.open(tls, with_ca, host).await.unwrap_err();
        let OpenError::Server(ServerError::Tls { why: said, .. }) = &error else {
            panic!("{error:?}")
        };
        assert!(said.contains(why), "{error}");
    }
}
