//! A stretch of network that can be cut, and that can swallow what RabbitMQ delivers.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use shared_runtime::{Kind, Supervisor};

/// Passes bytes on to a server until it is cut; who connects again afterwards is passed on again.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cut: watch::Sender<u64>,
    mute: watch::Sender<bool>,
    _tasks: Supervisor,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        Self::start_as(server, false).await
    }

    /// One that knows the frames of AMQP, so that it can swallow some.
    pub(crate) async fn start_for_amqp(server: u16) -> Self {
        Self::start_as(server, true).await
    }

    async fn start_as(server: u16, knows_frames: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, is_cut) = watch::channel(0);
        let (mute, is_mute) = watch::channel(false);
        let tasks = Supervisor::new();
        let each = tasks.clone();
        tasks.spawn(Kind::Progress, async move {
            loop {
                let (mut client, _) = listener.accept().await?;
                let mut is_cut = is_cut.clone();
                is_cut.mark_unchanged();
                let is_mute = is_mute.clone();
                each.spawn(Kind::Progress, async move {
                    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
                    let (mut from_client, mut to_client) = client.split();
                    let (mut from_server, mut to_server) = server.split();
                    let back = async {
                        match knows_frames {
                            true => pass_frames(&mut from_server, &mut to_client, is_mute).await,
                            false => copy(&mut from_server, &mut to_client).await.map(drop),
                        }
                    };
                    tokio::select! {
                        biased;
                        _ = is_cut.changed() => {}
                        _ = copy(&mut from_client, &mut to_server) => {}
                        _ = back => {}
                    }
                    Ok(())
                });
            }
        });
        Self { port, cut, mute, _tasks: tasks }
    }

    /// Ends every connection.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// From now on deliveries are swallowed, or not; everything else passes, heartbeats included.
    pub(crate) fn mute(&self, is_mute: bool) {
        self.mute.send_replace(is_mute);
    }
}

/// Passes AMQP 0-9-1 frames on: type, channel, size, payload, end.
async fn pass_frames(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    is_mute: watch::Receiver<bool>,
) -> std::io::Result<()> {
    loop {
        let mut head = [0; 7];
        from.read_exact(&mut head).await?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut rest = vec![0; size as usize + 1];
        from.read_exact(&mut rest).await?;
        let is_delivery = match head[0] {
            // The method `basic.deliver`.
            1 => rest.starts_with(&[0, 60, 0, 60]),
            // The header and the body of a message.
            2 | 3 => true,
            _ => false,
        };
        if !(is_delivery && *is_mute.borrow()) {
            to.write_all(&head).await?;
            to.write_all(&rest).await?;
        }
    }
}
