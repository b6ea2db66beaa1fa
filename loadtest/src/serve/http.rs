//! Requests over a connection that stays open, with as little in between as can be.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// One client's connection.
pub struct Connection {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Opens it to `HOST:PORT`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: &str) -> Result<Self> {
        Self::open_within(address, ANSWER_LIMIT)
    }

    /// The same, where no part of an answer may take longer.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(crate) fn open_within(address: &str, limit: Duration) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        Ok(Self { address: address.to_owned(), stream: BufReader::new(stream) })
    }

    /// The status and the body of the answer.
    ///
    /// # Errors
    /// There is no answer, or one that cannot be read.
    pub fn send(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        self.send_with(method, path, &[], body)
    }

    /// The same, with headers.
    ///
    /// # Errors
    /// There is no answer, or one that cannot be read.
    pub fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<(u16, String)> {
        self.ask(method, path, headers, body)?;
        let (status, length) = self.head()?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body)?))
    }

    /// What is answered up to a line, and the one after it.
    pub(crate) fn read_until(&mut self, path: &str, line: &str) -> Result<String> {
        self.ask("GET", path, &[], "")?;
        let (mut read, mut is_near) = (String::new(), 0);
        while is_near < 3 {
            if self.stream.read_line(&mut read)? == 0 {
                bail!("the answer ended early: {read}");
            }
            is_near += usize::from(is_near > 0 || read.trim_end().ends_with(line));
        }
        Ok(read)
    }

    fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<()> {
        let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let headers: String = headers.collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             {headers}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        Ok(self.stream.get_mut().write_all(request.as_bytes())?)
    }

    fn head(&mut self) -> Result<(u16, usize)> {
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                return Ok((status.context("the answer has no status")?, length));
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            status = status.or_else(|| line.split(' ').nth(1)?.parse().ok());
        }
    }
}
