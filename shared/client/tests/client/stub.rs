//! A server whose answers are written out, byte by byte: what a real one never does can be said.

use std::sync::{Arc, Mutex};

use shared_client::{Client, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server on a port of its own that gives one answer per connection, in order.
pub(crate) struct Stub {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    pub(crate) async fn start(answers: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, log) = (Vec::from_iter(answers), asked.clone());
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = request(&mut stream).await;
                log.lock().unwrap().push(request);
                // A client that has read enough may be gone.
                let _gone = stream.write_all(answer.as_bytes()).await;
                let _gone = stream.shutdown().await;
            }
        });
        Self { url, asked }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(Config::of(&self.url)).unwrap()
    }

    /// The requests so far, whole.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The request lines so far, without the protocol's version.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |asked: &String| asked.split(" HTTP/").next().unwrap_or_default().to_owned();
        self.asked().iter().map(line).collect()
    }
}

/// An answer with a body of a type.
pub(crate) fn answer(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

pub(crate) fn json(status: &str, body: &str) -> String {
    answer(status, "application/json", body)
}

/// A stream of events that ends without a length.
pub(crate) fn events(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{body}")
}

/// A stream of events whose connection breaks in the middle.
pub(crate) fn broken_events(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
         {length:x}\r\n{body}\r\n"
    )
}

async fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        text.extend_from_slice(&buffer[..read]);
        let seen = String::from_utf8_lossy(&text).into_owned();
        if read == 0 || is_whole(&seen) {
            return seen;
        }
    }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}
