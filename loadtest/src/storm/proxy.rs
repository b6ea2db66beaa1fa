//! A stretch of network between one process and one server, on which the weather changes.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared_runtime::{Kind, Supervisor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes that are passed on at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// How much a narrow line carries a second: 64 kbit.
const NARROW_BYTES_PER_SECOND: u64 = 8 * 1024;
/// Of a lossy line, one chunk in so many is late, by what a retransmission takes.
const LOST_OF: u32 = 10;
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// What a far line takes at most: half of it on the average.
const FAR: Duration = Duration::from_millis(1_000);

/// What becomes of bytes. None is lost for good while its connection lives: TCP would send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Weather {
    #[default]
    Fair,
    /// Every connection is reset, once.
    Reset,
    /// Nothing reaches the server.
    HoldsRequests,
    /// Nothing comes back from it.
    HoldsAnswers,
    /// Nothing goes either way.
    Cut,
    Lossy,
    Far,
    Narrow,
}

impl Weather {
    /// All that is not fair.
    pub const BAD: [Self; 7] = [
        Self::Reset,
        Self::HoldsRequests,
        Self::HoldsAnswers,
        Self::Cut,
        Self::Lossy,
        Self::Far,
        Self::Narrow,
    ];

    fn holds(self, toward: Toward) -> bool {
        match self {
            Self::Cut => true,
            Self::HoldsRequests => toward == Toward::Server,
            Self::HoldsAnswers => toward == Toward::Client,
            Self::Fair | Self::Reset | Self::Lossy | Self::Far | Self::Narrow => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toward {
    Server,
    Client,
}

/// Passes bytes on; ends with the supervisor.
pub(super) struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
}

/// What each connection has of it.
#[derive(Clone)]
struct Line {
    server: u16,
    weather: watch::Receiver<Weather>,
    dice: Arc<Mutex<ChaCha8Rng>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 for whoever wants to reach the server at another one.
    pub(super) async fn start(server: u16, supervisor: &Supervisor) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (weather, seen) = watch::channel(Weather::Fair);
        let dice = ChaCha8Rng::seed_from_u64(u64::from(server));
        let line = Line { server, weather: seen, dice: Arc::new(Mutex::new(dice)) };
        let each = supervisor.clone();
        supervisor.spawn(Kind::Progress, async move {
            loop {
                let (client, _) = listener.accept().await?;
                let line = line.clone();
                each.spawn(Kind::Progress, async move {
                    // Whoever hangs up is no failure of the line's.
                    drop(line.carry(client).await);
                    Ok(())
                });
            }
        });
        Ok(Self { port, weather })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

impl Line {
    async fn carry(mut self, client: TcpStream) -> std::io::Result<()> {
        // Held, a connection is not even made.
        let fair = |weather: &Weather| !weather.holds(Toward::Server);
        drop(self.weather.wait_for(fair).await);
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server)).await;
        let server = match server {
            Ok(server) => server,
            Err(error) => {
                client.set_zero_linger()?;
                return Err(error);
            }
        };
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            // However it ends, both see it at once: what was under way is lost.
            stream.set_zero_linger()?;
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let mut resets = self.weather.clone();
        resets.mark_unchanged();
        tokio::select! {
            biased;
            _ = resets.wait_for(|weather| *weather == Weather::Reset) => Ok(()),
            passed = self.clone().pass(from_client, to_server, Toward::Server) => passed,
            passed = self.clone().pass(from_server, to_client, Toward::Client) => passed,
        }
    }

    async fn pass(
        mut self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        toward: Toward,
    ) -> std::io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = from.read(&mut chunk).await?;
            if count == 0 {
                return Ok(());
            }
            drop(self.weather.wait_for(|weather| !weather.holds(toward)).await);
            tokio::time::sleep(self.delay(count as u64)).await;
            to.write_all(&chunk[..count]).await?;
        }
    }

    fn delay(&self, bytes: u64) -> Duration {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        match *self.weather.borrow() {
            Weather::Lossy if dice.random_ratio(1, LOST_OF) => AGAIN_AFTER,
            Weather::Far => FAR.mul_f64(dice.random()),
            Weather::Narrow => Duration::from_millis(bytes * 1_000 / NARROW_BYTES_PER_SECOND),
            Weather::Lossy
            | Weather::Fair
            | Weather::Reset
            | Weather::HoldsRequests
            | Weather::HoldsAnswers
            | Weather::Cut => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says everything again, behind a line.
    async fn echo(supervisor: &Supervisor) -> (Proxy, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        supervisor.spawn(Kind::Progress, async move {
            let (mut stream, _) = listener.accept().await?;
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await?;
            Ok(())
        });
        let proxy = Proxy::start(port, supervisor).await.unwrap();
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap();
        (proxy, stream)
    }

    async fn said_again(stream: &mut TcpStream) -> bool {
        let mut byte = [0];
        let answer = tokio::time::timeout(Duration::from_millis(300), stream.read_exact(&mut byte));
        matches!(answer.await, Ok(Ok(_)))
    }

    #[tokio::test]
    async fn what_is_held_comes_once_it_is_not() {
        let supervisor = Supervisor::new();
        let (proxy, mut stream) = echo(&supervisor).await;
        stream.write_all(b"a").await.unwrap();
        assert!(said_again(&mut stream).await);
        for weather in [Weather::Cut, Weather::HoldsRequests, Weather::HoldsAnswers] {
            proxy.set(weather);
            stream.write_all(b"b").await.unwrap();
            assert!(!said_again(&mut stream).await, "{weather:?}");
            proxy.set(Weather::Fair);
            assert!(said_again(&mut stream).await, "{weather:?}");
        }
    }

    #[tokio::test]
    async fn a_reset_ends_connections() {
        let supervisor = Supervisor::new();
        let (proxy, mut stream) = echo(&supervisor).await;
        stream.write_all(b"a").await.unwrap();
        assert!(said_again(&mut stream).await);
        proxy.set(Weather::Reset);
        let mut byte = [0];
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut byte)).await;
        assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    }
}
