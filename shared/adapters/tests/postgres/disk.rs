//! A database on a full disk. Mounts one, so this needs root.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use shared_adapters::{OpenError, ServerError};
use shared_ports::PortError;
use shared_ports::journal::StageRow;
use shared_testkit::stack::PostgresServer;

use crate::scene::{Store, append, refusal, step, whole};

/// A mounted file system; unmounted when dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn tmpfs(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={size},mode=0777"), "tmpfs", text(folder.path())],
        );
        Self(folder)
    }

    fn grow(&self, size: &str) {
        run("mount", &["-o", &format!("remount,size={size}"), text(self.0.path())]);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["--lazy", text(self.0.path())]);
    }
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half_done_and_the_work_goes_on_when_there_is_room() {
    let disk = Mounted::tmpfs("24m");
    let server = server_on(&disk);
    let store = Store::open(&server.url("full")).await;
    let (mut stored, error) = append_until_full(&store, 0).await;
    let PortError::Full { .. } = &error else { panic!("{error:?}") };
    let (said, end) = (error.to_string(), "free some room, the work goes on by itself");
    assert!(
        said.starts_with("storing execution e in database `postgres://capstan@127.0.0.1:"),
        "{said}"
    );
    assert!(said.ends_with(end), "{said}");
    assert_eq!(whole(&store.ports, "e").await, stored, "acknowledged and nothing more");
    disk.grow("48m");
    assert!(append(&store.ports, step("e", stored, "a")).await.unwrap());
    stored += 1;
    assert_eq!(whole(&store.ports, "e").await, stored);
    store.close().await;
}

#[tokio::test]
async fn a_database_without_room_for_tables_is_refused() {
    let disk = Mounted::tmpfs("24m");
    let server = server_on(&disk);
    // The first session of a database writes files of its own.
    server.sql("full", "SELECT 1").unwrap();
    let room = run("df", &["--output=avail", "--block-size=1", text(disk.0.path())]);
    let room: usize = room.lines().last().unwrap().trim().parse().unwrap();
    std::fs::write(disk.0.path().join("ballast"), vec![0; room]).unwrap();
    let error = refusal(&server.url("full")).await;
    assert!(matches!(error, OpenError::Server(ServerError::Full { .. })), "{error:?}");
}

/// A server with a database `full` on that disk; its log of writes is elsewhere, because a server
/// without room for that ends.
fn server_on(disk: &Mounted) -> PostgresServer {
    let server = PostgresServer::start(&[]).unwrap();
    let data = server.sql("postgres", "SHOW data_directory").unwrap();
    let owner = std::fs::metadata(data).unwrap();
    let place = disk.0.path().join("tablespace");
    std::fs::create_dir(&place).unwrap();
    std::os::unix::fs::chown(&place, Some(owner.uid()), Some(owner.gid())).unwrap();
    // tempfile's folder is closed to the server's user.
    run("chmod", &["755", text(disk.0.path())]);
    let made = format!("CREATE TABLESPACE disk LOCATION '{}'", text(&place));
    server.sql("postgres", &made).unwrap();
    server.sql("postgres", "CREATE DATABASE \"full\" TABLESPACE disk").unwrap();
    server
}

async fn append_until_full(store: &Store, mut stored: u64) -> (u64, PortError) {
    loop {
        let mut one = step("e", stored, "a");
        // Bytes that do not compress, in a stage of its own.
        let mut seed = stored.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let noise = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u8::try_from(seed >> 56).unwrap()
        });
        let state = noise.take(500_000).collect::<Vec<_>>();
        let index = u32::try_from(stored).unwrap() + 2;
        one.stages.push(StageRow { index, state: Bytes::from(state), body: None });
        match append(&store.ports, one).await {
            Ok(is_stored) => assert!(is_stored),
            Err(error) => return (stored, error),
        }
        stored += 1;
        assert!(stored < 1000, "the disk does not become full");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?} (needs root): {error}");
    String::from_utf8(output.stdout).unwrap()
}
