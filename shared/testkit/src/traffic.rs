//! Clients that never stop asking, for tests of what is switched under them: not one request may fail.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::deadline::Deadline;

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long a number of requests may take.
const SENT_LIMIT: Duration = Duration::from_secs(120);
/// A client rests so long between two requests.
const PAUSE: Duration = Duration::from_millis(5);
/// One in so many requests asks for `/slow`, the others for `/`.
const SLOW_ONE_IN: usize = 60;

/// Clients at work on one port of this machine: half of them keep their connection, half make a new
/// one each time.
pub struct Traffic {
    end: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Result<Seen>>>,
}

/// What the clients saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Requests, each of which was answered with 200.
    pub requests: usize,
    /// How many of them asked for `/slow`.
    pub slow: usize,
    /// Requests by what the body of the answer was.
    pub bodies: BTreeMap<String, usize>,
}

impl Traffic {
    /// Starts clients.
    pub fn start(port: u16, clients: usize) -> Self {
        let (end, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |number: usize| {
            let (end, sent) = (Arc::clone(&end), Arc::clone(&sent));
            std::thread::spawn(move || work(number, port, &end, &sent))
        };
        let clients = (0..clients).map(client).collect();
        Self { end, sent, clients }
    }

    /// How many requests were begun.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits for a number of requests.
    ///
    /// # Errors
    /// They take too long: a client may have failed, which [`Self::stop`] tells.
    pub fn wait_for(&self, requests: usize) -> Result<()> {
        let is_there = || Ok::<_, anyhow::Error>((self.sent() >= requests).then_some(()));
        let found = Deadline::after(SENT_LIMIT).poll(is_there)?;
        found.with_context(|| format!("no {requests} requests within {SENT_LIMIT:?}"))
    }

    /// Ends the clients.
    ///
    /// # Errors
    /// The first request that was not answered with 200.
    pub fn stop(self) -> Result<Seen> {
        self.end.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for client in self.clients {
            let Ok(seen) = client.join() else { bail!("a client broke down") };
            let seen = seen?;
            all.requests += seen.requests;
            all.slow += seen.slow;
            for (body, count) in seen.bodies {
                *all.bodies.entry(body).or_default() += count;
            }
        }
        Ok(all)
    }
}

fn work(number: usize, port: u16, end: &AtomicBool, sent: &AtomicUsize) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut connection = connect(port)?;
    while !end.load(Ordering::Relaxed) {
        let count = sent.fetch_add(1, Ordering::Relaxed);
        let is_slow = count % SLOW_ONE_IN == number;
        if number % 2 == 1 {
            connection = connect(port)?;
        }
        let path = if is_slow { "/slow" } else { "/" };
        let body = ask(&mut connection, path)
            .with_context(|| format!("request {count} to {path} of client {number} failed"))?;
        seen.requests += 1;
        seen.slow += usize::from(is_slow);
        *seen.bodies.entry(body).or_default() += 1;
        std::thread::sleep(PAUSE);
    }
    Ok(seen)
}

fn connect(port: u16) -> Result<TcpStream> {
    let connection = TcpStream::connect(("127.0.0.1", port)).context("no connection")?;
    connection.set_read_timeout(Some(ANSWER_LIMIT))?;
    Ok(connection)
}

/// The body of the answer to one request on a connection.
///
/// # Errors
/// There is no whole answer with 200.
pub fn ask(connection: &mut TcpStream, path: &str) -> Result<String> {
    write!(connection, "GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")?;
    let (mut bytes, mut part) = (Vec::new(), [0; 2_048]);
    loop {
        let read = connection.read(&mut part)?;
        if read == 0 {
            bail!("closed before the whole answer: {}", String::from_utf8_lossy(&bytes));
        }
        bytes.extend_from_slice(&part[..read]);
        if let Some(body) = whole_body(&String::from_utf8_lossy(&bytes))? {
            return Ok(body);
        }
    }
}

/// The body, once all of it is there.
fn whole_body(answer: &str) -> Result<Option<String>> {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return Ok(None) };
    let head = head.to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        bail!("{answer}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.unwrap_or("0").trim().parse()?;
    Ok((body.len() >= length).then(|| body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_server::{HttpServer, Reply};

    #[test]
    fn what_is_answered_is_counted() {
        let server = HttpServer::start(|asked| Reply::text(200, &asked.path)).unwrap();
        let traffic = Traffic::start(server.port(), 1);
        // The server closes each connection, which only a new one outlives.
        let failed = traffic.wait_for(2).and_then(|()| traffic.stop().map(drop)).unwrap_err();
        assert!(format!("{failed:#}").contains("request 1 to / of client 0 failed"), "{failed:#}");
        let mut connection = connect(server.port()).unwrap();
        assert_eq!(ask(&mut connection, "/slow").unwrap(), "/slow");
    }

    #[test]
    fn an_error_is_no_answer() {
        let server = HttpServer::start(|_| Reply::text(503, "later")).unwrap();
        let traffic = Traffic::start(server.port(), 2);
        traffic.wait_for(2).unwrap();
        let failed = format!("{:#}", traffic.stop().unwrap_err());
        assert!(failed.contains("503"), "{failed}");
    }
}
