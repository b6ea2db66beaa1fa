//! A service to try things with: answers `/health`, `/slow` after a second, and everything else with
//! its `VERSION`, on `PORT`.

use std::convert::Infallible;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::health::address;

/// How long requests may take to end once it is told to end.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the service until SIGTERM.
pub fn main() -> ExitCode {
    let port = variable("PORT");
    let Some(port) = port.as_deref().and_then(|port| port.parse().ok()) else {
        return failed("PORT is not set to a port; Capstan sets it for a server group's processes");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(port))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("port {port}: {error}")),
    }
}

fn failed(why: &str) -> ExitCode {
    let _nobody = writeln!(io::stderr(), "sample-service: {why}");
    ExitCode::FAILURE
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)?.into_string().ok()
}

async fn run(port: u16) -> io::Result<()> {
    let version = variable("VERSION").unwrap_or_else(|| "unknown".into());
    let mut told = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(address(port)).await?;
    let _nobody = writeln!(io::stdout(), "sample-service {version} listens on {port}");
    let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
    loop {
        tokio::select! {
            _ = told.recv() => break,
            accepted = listener.accept() => {
                tasks.spawn(serve(accepted?.0, version.clone(), end.clone()));
            }
        }
    }
    drop(listener);
    end.cancel();
    tasks.close();
    let _late = tokio::time::timeout(END_TIMEOUT, tasks.wait()).await;
    Ok(())
}

async fn serve(stream: TcpStream, version: String, end: CancellationToken) {
    let service = service_fn(move |request| answer(request, version.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _served = &mut connection => {}
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _served = connection.await;
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    version: String,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = match request.uri().path() {
        "/health" => "UP\n".to_owned(),
        path => {
            if path == "/slow" {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            format!("Hello from version {version}\n")
        }
    };
    Ok(Response::new(Full::new(Bytes::from(text))))
}
