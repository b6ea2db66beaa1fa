//! A stretch of network that can be cut.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use shared_runtime::{Kind, Supervisor};

/// Passes bytes on to a server until it is cut; who connects again afterwards is passed on again.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cut: watch::Sender<u64>,
    _tasks: Supervisor,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, is_cut) = watch::channel(0);
        let tasks = Supervisor::new();
        let each = tasks.clone();
        tasks.spawn(Kind::Progress, async move {
            loop {
                let (mut client, _) = listener.accept().await?;
                let mut is_cut = is_cut.clone();
                is_cut.mark_unchanged();
                each.spawn(Kind::Progress, async move {
                    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
                    tokio::select! {
                        biased;
                        _ = is_cut.changed() => {}
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                    }
                    Ok(())
                });
            }
        });
        Self { port, cut, _tasks: tasks }
    }

    /// Ends every connection.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}
