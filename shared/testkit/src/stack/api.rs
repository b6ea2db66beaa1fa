//! Just enough of an HTTPS client to see that a server is ready and to make an object.
//!
//! `openssl s_client` carries the bytes: a TLS library of our own would make every `cargo xtask`
//! wait for its build.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Seconds that one call may take.
const CALL_SECONDS_MAX: &str = "10";

/// A server on a loopback port that speaks HTTPS.
#[derive(Clone)]
pub struct Api {
    port: u16,
    ca: Option<PathBuf>,
    token: String,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Api {
    /// Trusts `ca`; without one it trusts any certificate, which is meant for health checks only.
    pub fn new(port: u16, ca: Option<PathBuf>, token: &str) -> Self {
        Self { port, ca, token: token.to_owned() }
    }

    /// The API server that a kubeconfig written by [`super::Stack`] names, as its current user.
    ///
    /// # Errors
    /// The file is not one of ours.
    pub fn from_kubeconfig(path: &std::path::Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let config: Value = serde_json::from_str(&text)?;
        let field = |pointer: &str| {
            config
                .pointer(pointer)
                .and_then(Value::as_str)
                .with_context(|| format!("{} has no text at {pointer}", path.display()))
        };
        let server = field("/clusters/0/cluster/server")?;
        let port = server.rsplit(':').next().unwrap_or_default().parse()?;
        let ca = field("/clusters/0/cluster/certificate-authority")?;
        Ok(Self::new(port, Some(ca.into()), field("/users/0/user/token")?))
    }

    /// Whether a GET of `path` answers 200.
    pub fn is_ok(&self, path: &str) -> bool {
        self.request("GET", path, None).is_ok_and(|response| response.status == 200)
    }

    /// Reads an object.
    ///
    /// # Errors
    /// No answer, or another status than 200.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.json("GET", path, None)
    }

    /// Makes an object by POST to its collection.
    ///
    /// # Errors
    /// No answer, or it was refused.
    pub fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.json("POST", path, Some(object))
    }

    /// Removes an object.
    ///
    /// # Errors
    /// No answer, or it was refused.
    pub fn delete(&self, path: &str) -> Result<Value> {
        self.json("DELETE", path, None)
    }

    fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let response = self.request(method, path, body)?;
        if !(200..300).contains(&response.status) {
            bail!("{method} {path} answered {}: {}", response.status, response.body.trim());
        }
        Ok(serde_json::from_str(&response.body)?)
    }

    /// One request.
    ///
    /// # Errors
    /// No answer.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response> {
        let body = body.map(Value::to_string).unwrap_or_default();
        // HTTP/1.0: the answer comes unchunked and ends with the connection.
        let request = format!(
            "{method} {path} HTTP/1.0\r\nAuthorization: Bearer {}\r\nUser-Agent: capstan-testkit\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        let answer = self.exchange(&request).with_context(|| format!("{method} {path}"))?;
        parse(&answer).with_context(|| format!("{method} {path}: no HTTP answer"))
    }

    fn exchange(&self, request: &str) -> Result<String> {
        let mut command = Command::new("timeout");
        command.args([
            CALL_SECONDS_MAX,
            "openssl",
            "s_client",
            "-quiet",
            "-verify_quiet",
            "-connect",
        ]);
        command.arg(format!("127.0.0.1:{}", self.port));
        if let Some(ca) = &self.ca {
            command.arg("-verify_return_error").arg("-CAfile").arg(ca);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start `openssl`")?;
        if let Some(mut stdin) = child.stdin.take() {
            // A refused connection closes the pipe: the missing answer tells it.
            let _ = stdin.write_all(request.as_bytes());
        }
        let output = child.wait_with_output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

pub(super) fn parse(answer: &str) -> Option<Response> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Response { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let answer = "HTTP/1.0 403 Forbidden\r\nA: b\r\n\r\nno\r\n\r\nway";
        let expected = Response { status: 403, body: "no\r\n\r\nway".to_owned() };
        assert_eq!(parse(answer), Some(expected));
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_closed_port_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(Api::new(port, None, "").request("GET", "/", None).is_err());
    }
}
