//! A real `capstan dev` on a port and a data folder of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::ended::{Ended, run};
use crate::file::file;
use crate::process::capstan;
use crate::tools::helm_and_chart;

/// It ends with the test.
pub(crate) struct Server {
    pub(crate) folder: TempDir,
    pub(crate) url: String,
    process: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (process, url) = serve(folder.path(), "0");
        Self { folder, url, process }
    }

    /// Ends it at once, and starts it again at the same address.
    pub(crate) fn kill_and_start(&mut self) {
        self.kill();
        let port = self.url.rsplit(':').next().unwrap().to_owned();
        (self.process, self.url) = serve(self.folder.path(), &port);
    }

    pub(crate) fn kill(&mut self) {
        let _gone = self.process.kill();
        let _ended = self.process.wait();
    }

    /// A command against it.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = capstan();
        command.env("CAPSTAN_SERVER", &self.url).env("CAPSTAN_USER", "ann").args(words);
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        run(&mut self.command(words))
    }

    /// Runs a command that has to succeed; what it printed.
    #[track_caller]
    pub(crate) fn out(&self, words: &[&str]) -> String {
        let ended = self.run(words);
        ended.expect(0, &[]);
        ended.out
    }

    /// The same, as JSON.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.out(&[words, &["-o", "json"]].concat())).unwrap()
    }

    /// Whether an entry of its data folder is one of its own.
    pub(crate) fn is_its_own(name: &str) -> bool {
        name.starts_with("capstan.") || ["blobs", "logs", "tools", "local"].contains(&name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        file(self.folder.path(), name, text)
    }

    /// Saves a document.
    #[track_caller]
    pub(crate) fn save(&self, document: &Value) {
        let path = self.file("saved.json", &document.to_string());
        self.out(&["pipeline", "save", path.to_str().unwrap()]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(folder: &Path, port: &str) -> (Child, String) {
    let helm = helm_and_chart(folder);
    let mut command = capstan();
    command.args(["dev", "--port", port, "--data-dir"]).arg(folder.join("data"));
    command.arg("--helm").arg(helm).arg("--artifacts-root").arg(folder);
    command.args(["--allow-url", "127.0.0.1"]);
    let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let url = lines.by_ref().find_map(|line| {
        let line = line.unwrap();
        line.strip_prefix("listening on ").map(str::to_owned)
    });
    // Read on, or it stops at a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (process, url.unwrap())
}
