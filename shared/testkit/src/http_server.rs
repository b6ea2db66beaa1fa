//! An HTTP/1.1 server for tests of what asks others: it notes what it was asked, and answers well or
//! as rudely as it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

/// How long the server waits for the rest of a request.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Largest request that it takes in, in bytes.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What the server was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers, in order, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Asked {
    /// The first header of a name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Writes an answer of its own.
pub type Writer = dyn FnOnce(&mut TcpStream) -> std::io::Result<()> + Send;

/// How the server answers.
pub enum Reply {
    /// With a status, headers and a body.
    With(u16, Vec<(String, String)>, Vec<u8>),
    /// With whatever is written to the connection, which is closed behind it.
    Raw(Box<Writer>),
}

impl Reply {
    /// A body of JSON.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type".into(), "application/json".into())];
        Self::With(status, headers, body.to_string().into_bytes())
    }

    /// A body of text.
    pub fn text(status: u16, body: &str) -> Self {
        Self::With(status, vec![("Content-Type".into(), "text/plain".into())], body.into())
    }

    /// A redirect, or another answer with a `Location`.
    pub fn location(status: u16, to: &str) -> Self {
        Self::With(status, vec![("Location".into(), to.into())], Vec::new())
    }

    /// No answer, until the other side has gone.
    pub fn hang() -> Self {
        Self::Raw(Box::new(wait_until_gone))
    }
}

type Handler = dyn Fn(&Asked) -> Reply + Send + Sync;

/// The server; it ends when it is dropped.
pub struct HttpServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If there is none.
    pub fn start(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (noted, told) = (Arc::clone(&asked), Arc::clone(&stop));
        let handler: Arc<Handler> = Arc::new(handler);
        let listening = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                let (asked, handler) = (Arc::clone(&asked), Arc::clone(&handler));
                std::thread::spawn(move || {
                    // A client that goes away is no failure of the server's.
                    let _gone = serve(connection, &asked, &*handler);
                });
            }
        });
        Ok(Self { address, asked: noted, stop: told, listening: Some(listening) })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A URL of this server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything it was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.asked).clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _woken = TcpStream::connect(self.address);
        // Until the listener is closed a connection would still be taken in, and broken off.
        let _ended = self.listening.take().map(JoinHandle::join);
    }
}

fn lock(asked: &Mutex<Vec<Asked>>) -> MutexGuard<'_, Vec<Asked>> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(
    mut connection: TcpStream,
    log: &Mutex<Vec<Asked>>,
    handler: &Handler,
) -> std::io::Result<()> {
    connection.set_read_timeout(Some(READ_LIMIT))?;
    let Some(asked) = read(&mut BufReader::new(connection.try_clone()?))? else { return Ok(()) };
    lock(log).push(asked.clone());
    match handler(&asked) {
        Reply::Raw(write) => write(&mut connection),
        Reply::With(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("Connection: close\r\n\r\n");
            connection.write_all(head.as_bytes())?;
            if asked.method != "HEAD" {
                connection.write_all(&body)?;
            }
            connection.flush()
        }
    }
}

fn read(from: &mut impl BufRead) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut asked = Asked { method: method.to_owned(), path: path.to_owned(), ..Asked::default() };
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = asked.header("content-length").and_then(|text| text.parse().ok());
    from.take(length.unwrap_or(0).min(BODY_BYTES_MAX)).read_to_string(&mut asked.body)?;
    Ok(Some(asked))
}

fn wait_until_gone(connection: &mut TcpStream) -> std::io::Result<()> {
    let mut rest = [0_u8; 64];
    while connection.read(&mut rest)? > 0 {}
    Ok(())
}
