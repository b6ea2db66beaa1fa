//! Data folders on file systems that are full, read-only or somebody else's. Mounts them, so this
//! needs root; no server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use shared_adapters::{Config, OpenError, open};
use shared_model::{ExecutionId, Status};
use shared_ports::documents::Change;
use shared_ports::journal::{Append, Appended, Head, Kind, RunningMax};
use shared_ports::{LogName, PortError, Ports};
use tempfile::TempDir;

/// A mounted file system; unmounted when dropped.
struct Mounted {
    place: PathBuf,
    _above: TempDir,
}

impl Mounted {
    fn tmpfs(size: &str) -> Self {
        let above = tempfile::tempdir().unwrap();
        let place = above.path().join("mounted");
        std::fs::create_dir(&place).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", text(&place)]);
        Self { place, _above: above }
    }

    /// Shows a folder a second time, read-only.
    fn read_only(folder: &Path) -> Self {
        let above = tempfile::tempdir().unwrap();
        let place = above.path().join("mounted");
        std::fs::create_dir(&place).unwrap();
        run("mount", &["--bind", text(folder), text(&place)]);
        let mounted = Self { place, _above: above };
        run("mount", &["-o", "remount,bind,ro", text(&mounted.place)]);
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["--lazy", text(&self.place)]);
    }
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half_done_and_the_work_goes_on_when_there_is_room() {
    let disk = Mounted::tmpfs("8m");
    let data_dir = disk.place.join("data");
    let (ports, guard) = open(&Config::embedded(&data_dir)).await.unwrap();
    let ballast = disk.place.join("ballast");
    assert_eq!(append(&ports, 0, 100).await.unwrap(), [Appended::Stored(1)]);
    let mut stored = 1;
    for round in 1..=3 {
        stored = append_until_full(&ports, stored, &ballast, &disk.place).await;
        everything_is_full(&ports).await;
        let loaded = ports.journal.load(&ExecutionId::new("e")).await.unwrap().unwrap();
        assert_eq!(loaded.version, stored, "round {round}: acknowledged and nothing more");
        assert_eq!(loaded.stages.len(), 0);
        std::fs::remove_file(&ballast).unwrap();
        assert_eq!(append(&ports, stored, 100).await.unwrap(), [Appended::Stored(stored + 1)]);
        stored += 1;
    }
    let put = ports.blobs.put(Bytes::from(vec![1; 10_000])).await.unwrap();
    assert_eq!(ports.blobs.get(&put, None).await.unwrap().len(), 10_000);
    ports.blobs.append(&log(), Bytes::from_static(b"there is room")).await.unwrap();
    guard.close().await.unwrap();
    drop(ports);
    let (ports, _guard) = open(&Config::embedded(&data_dir)).await.unwrap();
    let loaded = ports.journal.load(&ExecutionId::new("e")).await.unwrap().unwrap();
    assert_eq!(loaded.version, stored);
    assert_eq!(ports.documents.get("pipeline", "p").await.unwrap(), None);
    assert_eq!(ports.blobs.read(&log(), 0, 100).await.unwrap(), "there is room");
    let left = std::fs::read_dir(data_dir.join("blobs/incoming")).unwrap().count();
    assert_eq!(left, 0, "what could not be stored is not left lying about");
}

#[tokio::test]
async fn a_folder_on_a_full_disk_is_refused() {
    let disk = Mounted::tmpfs("64k");
    let error = refusal(&disk.place.join("data")).await;
    assert!(matches!(error, OpenError::Full { .. }), "{error:?}");
    let expected = format!(
        "no space left on the device of data folder `{}/data`; free some room and start again",
        disk.place.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_read_only_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, guard) = open(&Config::embedded(folder.path())).await.unwrap();
    guard.close().await.unwrap();
    let mounted = Mounted::read_only(folder.path());
    for place in [mounted.place.clone(), mounted.place.join("new")] {
        let error = refusal(&place).await;
        assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
        let expected = format!(
            "data folder `{}` cannot be written to: Read-only file system (os error 30); make it \
             writable, or choose another data folder",
            place.display()
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn a_folder_of_another_user_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    chown(folder.path(), Some(12_345), None).unwrap();
    let error = refusal(folder.path()).await;
    let expected = format!(
        "data folder `{}` belongs to user 12345, and this process runs as user 0; run as its \
         owner, give it to user 0, or choose another data folder",
        folder.path().display()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written there");
}

/// Fills the disk to the last block, then appends until there is no room.
async fn append_until_full(ports: &Ports, mut stored: u64, ballast: &Path, disk: &Path) -> u64 {
    fill(ballast, disk);
    loop {
        match append(ports, stored, 50_000).await {
            Ok(answers) => {
                stored += 1;
                assert_eq!(answers, [Appended::Stored(stored)]);
            }
            Err(error) => {
                assert!(matches!(error, PortError::Full { .. }), "{error:?}");
                let said = format!(
                    "storing execution e in `{}/data` failed: no space left on the device; free \
                     some room, the work goes on by itself",
                    disk.display()
                );
                assert_eq!(error.to_string(), said);
                return stored;
            }
        }
    }
}

async fn everything_is_full(ports: &Ports) {
    let change = Change {
        kind: "pipeline".to_owned(),
        id: "p".to_owned(),
        expected: 0,
        body: Some(json!("x".repeat(100_000))),
        by: "someone".to_owned(),
        at: Timestamp::UNIX_EPOCH,
    };
    let answer = ports.documents.change(change).await;
    assert!(matches!(answer, Err(PortError::Full { .. })), "{answer:?}");
    let answer = ports.blobs.put(Bytes::from(vec![7; 100_000])).await;
    assert!(matches!(answer, Err(PortError::Full { .. })), "{answer:?}");
    let answer = ports.blobs.append(&log(), Bytes::from(vec![7; 100_000])).await;
    assert!(matches!(answer, Err(PortError::Full { .. })), "{answer:?}");
    assert_eq!(ports.blobs.read(&log(), 0, 100).await.unwrap(), "", "no part of the chunk");
}

async fn append(
    ports: &Ports,
    expected: u64,
    history_bytes: usize,
) -> Result<Vec<Appended>, PortError> {
    let head = Head {
        kind: Kind::Pipeline,
        application: "shop".to_owned(),
        name: "release".to_owned(),
        pipeline_config_id: None,
        status: Status::Running,
        build_time: Timestamp::UNIX_EPOCH,
        start_time: None,
        end_time: None,
        state: Bytes::from(vec![b's'; history_bytes]),
    };
    let append = Append {
        execution: ExecutionId::new("e"),
        expected,
        head,
        document: (expected == 0).then(|| json!({})),
        stages: Vec::new(),
        with: None,
        running_max: None,
        running_max_beyond: RunningMax::default(),
        history: Vec::new(),
    };
    ports.journal.append(vec![append]).await
}

async fn refusal(folder: &Path) -> OpenError {
    match open(&Config::embedded(folder)).await {
        Ok(_) => panic!("{} was opened", folder.display()),
        Err(error) => error,
    }
}

fn log() -> LogName {
    LogName { execution: "e".to_owned(), stage: "1".to_owned() }
}

fn fill(ballast: &Path, disk: &Path) {
    let room = room_bytes(disk);
    std::fs::write(ballast, vec![0; room]).unwrap();
}

fn room_bytes(disk: &Path) -> usize {
    let free = run("df", &["--output=avail", "--block-size=1", text(disk)]);
    free.lines().last().unwrap().trim().parse().unwrap()
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
