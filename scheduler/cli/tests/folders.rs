//! Data folders that cannot be used: one clear error each, and nothing in them is changed. Mounts
//! file systems, so this needs root.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "capstan/dev.rs"]
mod dev;
#[path = "capstan/ended.rs"]
mod ended;
#[path = "capstan/http.rs"]
mod http;
#[path = "capstan/mounted.rs"]
mod mounted;
#[path = "capstan/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dev::Dev;
use ended::{Ended, run};
use mounted::Mounted;
use process::{capstan, wait_for};
use serde_json::json;
use shared_ports::journal::{Append, Head, RunningMax};
use tempfile::TempDir;

const PAGE: u64 = 4096;

/// A folder that was used, with executions that wait.
struct Used {
    folder: TempDir,
}

impl Used {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start(folder.path());
        let stages = json!([{"refId": "1", "type": "manualJudgment", "name": "ask"}]);
        let document = json!({"application": "used", "name": "ask", "stages": stages});
        for _ in 0..40 {
            assert_eq!(dev.send("POST", "/pipelines/start", &document).unwrap().0, 202);
        }
        assert_eq!(dev.end("-TERM"), Some(0));
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn database(&self) -> PathBuf {
        self.data().join("capstan.db")
    }

    /// The error names a file of the folder.
    #[track_caller]
    fn is_refused(&self, name: &str, parts: &[&str]) {
        let at = self.data().join(name);
        is_refused(&self.data(), &[&[at.to_str().unwrap()], parts].concat());
    }

    /// Appends to every execution a state that begins with another format's number.
    fn write_states_of(&self, format: u8) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let config = shared_adapters::Config::embedded(self.data());
            let (ports, guard) = shared_adapters::open(&config).await.unwrap();
            for (id, _) in ports.journal.unfinished(None, 100).await.unwrap() {
                let stored = ports.journal.load(&id).await.unwrap().unwrap();
                let state = [&[format], &stored.head.state[1..]].concat();
                let append = Append {
                    execution: id,
                    expected: stored.version,
                    head: Head { state: state.into(), ..stored.head },
                    document: None,
                    stages: Vec::new(),
                    history: Vec::new(),
                    with: None,
                    running_max: None,
                    running_max_beyond: RunningMax::default(),
                };
                ports.journal.append(vec![append]).await.unwrap();
            }
            guard.close().await.unwrap();
        });
    }
}

fn start(data: &Path) -> Ended {
    run(capstan().args(["dev", "--port", "0", "--data-dir"]).arg(data))
}

/// Exit code 2 and one error; every file is as it was, but for the lock that says who tried.
#[track_caller]
fn is_refused(data: &Path, parts: &[&str]) {
    let before = contents(data);
    let ended = start(data);
    ended.expect(2, parts);
    let errors = ended.err.matches("error: ").count();
    assert!(errors == 1 && ended.err.lines().count() == 1, "{}", ended.err);
    assert!(ended.out.is_empty(), "{}", ended.out);
    let after = contents(data);
    let names = before.keys().chain(after.keys());
    let changed: Vec<_> = names.filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(changed.is_empty(), "{changed:?} changed:\n{}", ended.err);
}

/// It is said a moment after the address is.
fn goes_on(dev: &Dev) {
    wait_for("the executions of before", || {
        dev.said().contains("40 executions of before go on").then_some(())
    });
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() != "capstan.lock" {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn overwrite(file: &Path, at: u64, bytes: &[u8]) {
    fs::File::options().write(true).open(file).unwrap().write_all_at(bytes, at).unwrap();
}

/// Bytes that are no page.
fn garbage(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|n| (n.wrapping_mul(2_654_435_761) >> 7) as u8).collect()
}

#[test]
fn a_newer_version_has_written_its_executions() {
    let used = Used::new();
    used.write_states_of(127);
    let folder = used.data();
    let said = ["written in format 127", "run the newer version", folder.to_str().unwrap()];
    is_refused(&folder, &said);
}

#[test]
fn the_database_is_damaged() {
    let copy = "put back a copy of it, or move it away";
    let used = Used::new();
    let database = used.database();
    let whole = fs::read(&database).unwrap();
    let pages = whole.len() as u64 / PAGE;
    assert!(pages > 30, "too small to damage");
    overwrite(&database, 0, b"not a database");
    used.is_refused("capstan.db", &["is damaged", copy]);
    for page in [2, 5, pages / 2] {
        fs::write(&database, &whole).unwrap();
        overwrite(&database, page * PAGE, &garbage(PAGE));
        used.is_refused("capstan.db", &["is damaged", copy]);
    }
    for left in [0, 100, PAGE, pages / 2 * PAGE] {
        fs::write(&database, &whole[..usize::try_from(left).unwrap()]).unwrap();
        used.is_refused("capstan.db", &["is damaged", copy]);
    }
    fs::write(&database, &whole).unwrap();
    let dev = Dev::start(used.folder.path());
    goes_on(&dev);
}

/// What a log of changes holds that was never committed is no part of the database.
#[test]
fn garbage_beside_the_database_is_not_read() {
    let used = Used::new();
    for name in ["capstan.db-wal", "capstan.db-shm", "capstan.db.new", "blobs/incoming/0"] {
        fs::write(used.data().join(name), garbage(10 * PAGE)).unwrap();
    }
    let dev = Dev::start(used.folder.path());
    goes_on(&dev);
    assert_eq!(dev.get("/readyz")["status"], "ready");
}

#[test]
fn it_is_no_folder_or_has_none_in_it() {
    let above = tempfile::tempdir().unwrap();
    let file = above.path().join("file");
    fs::write(&file, "mine").unwrap();
    for data in [file.clone(), file.join("below")] {
        start(&data).expect(2, &["cannot be made", "is a file", data.to_str().unwrap()]);
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    for part in ["blobs", "logs"] {
        let used = Used::new();
        fs::remove_dir_all(used.data().join(part)).unwrap();
        fs::write(used.data().join(part), "mine").unwrap();
        used.is_refused(part, &["is a file", "move that file away"]);
    }
}

#[test]
fn somebody_else_has_it() {
    let used = Used::new();
    let dev = Dev::start(used.folder.path());
    let ended = start(&used.data());
    ended.expect(2, &["is in use by process", "wait until that ends", "--data-dir"]);
    assert_eq!(dev.get("/readyz")["status"], "ready");
    dev.kill_after(Duration::ZERO).join().unwrap();
    wait_for("the lock", || {
        chown(used.data(), Some(12_345), None).unwrap();
        start(&used.data()).err.contains("belongs to user 12345").then_some(())
    });
    is_refused(&used.data(), &["belongs to user 12345, and this process runs as user 0"]);
}

#[test]
fn it_is_read_only() {
    let used = Used::new();
    let data = used.data();
    // Shown a second time, read-only.
    let bind = ["--bind", data.to_str().unwrap()];
    let mounted = Mounted::by(&[&bind, &["-o", "remount,bind,ro"]]);
    let shown = mounted.place.to_str().unwrap().to_owned();
    is_refused(&mounted.place, &[&shown, "Read-only file system", "make it writable"]);
    start(&mounted.place.join("new")).expect(2, &["Read-only file system", "make it writable"]);
}

#[test]
fn its_disk_is_full() {
    let disk = Mounted::tmpfs("4m");
    let (data, ballast) = (disk.place.join("data"), disk.place.join("ballast"));
    disk.fill(&ballast);
    start(&data).expect(2, &["no space left on the device", "free some room and start again"]);
    // With hardly any room it comes further, and still leaves nothing that is in the way later.
    for room in [8, 32] {
        let whole = fs::metadata(&ballast).unwrap().len();
        fs::File::options()
            .write(true)
            .open(&ballast)
            .unwrap()
            .set_len(whole - room * 1024)
            .unwrap();
        start(&data).expect(2, &["no space left on the device", "free some room and start again"]);
        disk.fill(&ballast);
    }
    fs::remove_file(&ballast).unwrap();
    let dev = Dev::start(&disk.place);
    assert_eq!(dev.get("/readyz")["status"], "ready");
}
