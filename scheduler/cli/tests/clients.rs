//! Clients that keep places, send slowly or without end, or take nothing: others are answered.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test fails where it stands, waits by the machine's own clock, and tells what it measured"
)]

#[path = "capstan/listening.rs"]
mod listening;
#[path = "capstan/process.rs"]
mod process;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use listening::Listening;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Connections that do nothing good.
const CONNECTIONS: usize = 10_000;
/// Files that this test and the server need beside them.
const OTHER_FILES: u64 = 600;
/// Requests of others meanwhile.
const REQUESTS: usize = 100;
/// How long the slowest of those may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// How much more memory all of this may take.
const MEMORY_KIB_MAX: u64 = 400 * 1024;
/// Bytes after which a body counts as one without end.
const ENDLESS_BYTES: usize = 64 * 1024 * 1024;

/// A server, and what it took before anybody came.
struct Server {
    listening: Listening,
    memory_kib: u64,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let listening = Listening::start(folder);
        let mut server = Self { listening, memory_kib: 0 };
        assert!(server.latency("/readyz") < ANSWERED_WITHIN);
        server.memory_kib = server.listening.memory_kib();
        server
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.listening.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// How long a client without a connection waits for its answer.
    fn latency(&self, path: &str) -> Duration {
        let began = Instant::now();
        let mut stream = self.connect();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.listening.address
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{path}: {answer}");
        began.elapsed()
    }

    /// Others are answered, and memory stays within its limit.
    fn serves_others(&self, meanwhile: &str) {
        let ask = |n: usize| self.latency(["/readyz", "/applications", "/v1/openapi.json"][n % 3]);
        let mut took: Vec<_> = (0..REQUESTS).map(ask).collect();
        took.sort();
        let (half, worst) = (took[REQUESTS / 2], took[REQUESTS - 1]);
        let more = self.listening.memory_kib().saturating_sub(self.memory_kib);
        println!("{meanwhile}: median {half:?}, worst {worst:?}, {more} KiB more memory");
        assert!(worst < ANSWERED_WITHIN, "{meanwhile}: {worst:?}");
        assert!(more < MEMORY_KIB_MAX, "{meanwhile}: {more} KiB more memory");
    }
}

fn raise_open_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let needed = CONNECTIONS as u64 + OTHER_FILES;
    assert!(hard >= needed, "this test needs {needed} open files: raise `ulimit -Hn`");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

/// Whether the server has closed a connection.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 4096]);
    read.map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true)
}

#[test]
fn ten_thousand_idle_and_slow_clients_keep_nobody_out() {
    raise_open_files();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let host = format!("Host: {}\r\n", server.listening.address);
    let sent = [
        String::new(),
        format!("GET /applications HTTP/1.1\r\n{host}X-Slow:"),
        format!(
            "POST /pipelines HTTP/1.1\r\n{host}Content-Type: application/json\r\nContent-Length: 9999\r\n\r\n{{"
        ),
        format!(
            "POST /pipelines HTTP/1.1\r\n{host}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{{"
        ),
    ];
    let began = Instant::now();
    let mut open = Vec::with_capacity(CONNECTIONS);
    for n in 0..CONNECTIONS {
        let mut stream = server.connect();
        stream.write_all(sent[n % sent.len()].as_bytes()).unwrap();
        open.push(stream);
    }
    println!("{CONNECTIONS} connections took {:?}", began.elapsed());
    server.serves_others("10,000 idle and slow clients");
    let gone = open.iter().filter(|stream| is_closed(stream)).count();
    println!("{gone} of them made room, or took too long");
    assert!(gone > 0, "there was room for more than was thought: this proves nothing");
    drop(open);
    server.serves_others("after they went");
}

/// Sends chunks until the server has enough; what it answered.
fn send_without_end(server: &Server, head: &str) -> (usize, String) {
    let mut stream = server.connect();
    let head = format!(
        "{head} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.listening.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", "[".repeat(0x10000));
    let mut sent = 0;
    while sent < ENDLESS_BYTES && stream.write_all(chunk.as_bytes()).is_ok() {
        sent += chunk.len();
    }
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    let is_over = ended.map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true);
    assert!(is_over, "the connection stays open");
    (sent, String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn bodies_without_end_are_refused_and_keep_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let heads = ["POST /pipelines", "PATCH /pipelines/x/stages/y", "GET /health", "POST /nowhere"];
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..40)
            .map(|n| {
                scope.spawn({
                    let (server, head) = (&server, heads[n % heads.len()]);
                    move || send_without_end(server, head)
                })
            })
            .collect();
        server.serves_others("40 bodies without end");
        for sender in senders {
            let (sent, answer) = sender.join().unwrap();
            assert!(sent < ENDLESS_BYTES, "{sent} bytes were taken: {answer}");
            // An answer may be lost where the connection is reset under what was still being sent.
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 "), "{answer}");
        }
    });
    server.serves_others("after them");
}
