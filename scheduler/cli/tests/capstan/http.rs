//! Requests, byte by byte: a test of a server depends on no client of ours.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Sends a request; `None` where nobody answers it to the end.
pub(crate) fn send(address: &str, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let (status, head, body) = send_with(address, method, path, "", body)?;
    if body.is_empty() {
        return Some((status, Value::Null));
    }
    if head.contains("text/plain") {
        return Some((status, Value::from(body)));
    }
    Some((status, serde_json::from_str(&body).ok()?))
}

/// The same with more headers, each with its line end; status, head and body as text.
pub(crate) fn send_with(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Option<(u16, String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, head.to_owned(), body.to_owned()))
}
