//! Asks a process how it does.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a process listens.
pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Why a process is not healthy; `Ok` if it is.
pub(crate) async fn check(port: u16, path: &str) -> Result<(), String> {
    match tokio::time::timeout(ANSWER_TIMEOUT, ask(port, path)).await {
        Err(_) => Err(format!("`{path}` did not answer within {ANSWER_TIMEOUT:?}")),
        Ok(Err(why)) => Err(format!("`{path}` cannot be asked: {why}")),
        Ok(Ok(status)) if status.is_success() || status.is_redirection() => Ok(()),
        Ok(Ok(status)) => Err(format!("`{path}` answered {status}")),
    }
}

async fn ask(port: u16, path: &str) -> Result<StatusCode, String> {
    let stream = TcpStream::connect(address(port)).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let request = Request::get(path)
        .header("host", address(port).to_string())
        .header("connection", "close")
        .header("user-agent", "capstan-health")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    tokio::pin!(connection);
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    // Without a task of its own: the connection is driven only until the head of the answer is here.
    tokio::select! {
        biased;
        answer = &mut answer => answer.map(|answer| answer.status()).map_err(|error| error.to_string()),
        ended = connection => match ended {
            // It may have ended just after it gave the answer.
            Ok(()) => answer.await.map(|answer| answer.status()).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        },
    }
}
