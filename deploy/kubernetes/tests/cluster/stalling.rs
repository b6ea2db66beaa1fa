//! A way to the API server that can be made to stop answering.

use std::path::Path;
use std::sync::Arc;

use shared_testkit::env;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Relays connections until it is told to stall; they stay open then, and nothing passes.
pub(crate) struct Stalling {
    folder: TempDir,
    stalled: Arc<watch::Sender<bool>>,
    _relay: JoinSet<()>,
}

impl Stalling {
    pub(crate) async fn start() -> Self {
        let config = std::fs::read_to_string(env::kubeconfig()).unwrap();
        let at = config.find("https://127.0.0.1:").unwrap() + "https://".len();
        let server: String =
            config[at..].chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kubeconfig"), config.replace(&server, &here)).unwrap();
        let stalled = Arc::new(watch::channel(false).0);
        let mut relay = JoinSet::new();
        relay.spawn(accept(listener, server, Arc::clone(&stalled)));
        Self { folder, stalled, _relay: relay }
    }

    pub(crate) fn kubeconfig(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("kubeconfig")
    }

    pub(crate) fn stall(&self) {
        self.stalled.send_replace(true);
    }
}

async fn accept(listener: TcpListener, server: String, stalled: Arc<watch::Sender<bool>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(relay(client, server.clone(), stalled.subscribe()));
    }
}

async fn relay(mut client: TcpStream, server: String, mut stalled: watch::Receiver<bool>) {
    let Ok(mut upstream) = TcpStream::connect(server).await else { return };
    let stall = async { drop(stalled.wait_for(|stalled| *stalled).await) };
    tokio::select! {
        biased;
        () = stall => std::future::pending().await,
        _ = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {}
    }
}
