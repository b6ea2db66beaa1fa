//! Takes an address to serve.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system keeps for us until we take them: each further one tries again a second
/// later.
const CONNECTIONS_WAITING_MAX: u32 = 4_096;

/// Listens on an address, on a free port if that is 0; `otherwise` says how another is chosen.
///
/// # Errors
/// If it is taken, or not of this machine.
pub(crate) fn listen(address: SocketAddr, otherwise: &str) -> Result<TcpListener> {
    on(address).with_context(|| {
        format!("{address} cannot be listened on; {otherwise} (port 0 takes a free one)")
    })
}

fn on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // The port of a server that was just killed is free for us.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(CONNECTIONS_WAITING_MAX)
}
