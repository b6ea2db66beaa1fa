//! Free ports on the loopback address.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

use super::credentials::random_bytes;

/// Ports are taken from here: below the range from which the kernel serves outgoing connections, so
/// that none is taken between our look and the server's start.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;
/// Looks at this many candidates before it gives up.
const LOOKS_MAX: u16 = 500;

/// One port for each listener of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) etcd_clients: u16,
    pub(super) etcd_peers: u16,
    pub(super) apiserver: u16,
    pub(super) controller_manager: u16,
    pub(super) scheduler: u16,
    pub(super) kwok: u16,
    pub(super) registry: u16,
}

impl Ports {
    /// Chooses seven that are free now.
    pub(super) fn choose() -> Result<Self> {
        let [etcd_clients, etcd_peers, apiserver, controller_manager, scheduler, kwok, registry] =
            choose()?;
        Ok(Self {
            etcd_clients,
            etcd_peers,
            apiserver,
            controller_manager,
            scheduler,
            kwok,
            registry,
        })
    }
}

/// Chooses as many as are asked for; all are held until the last is chosen.
pub(super) fn choose<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listen::<N>()?) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

fn listen<const N: usize>() -> Result<Vec<TcpListener>> {
    // A random start keeps two stacks that start at once apart.
    let start = u16::from_be_bytes(random_bytes()?) % COUNT;
    let listeners: Vec<TcpListener> = (0..LOOKS_MAX)
        .map(|step| FIRST + (start + step) % COUNT)
        .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .take(N)
        .collect();
    if listeners.len() < N {
        bail!("found {} free loopback ports of {N} among {LOOKS_MAX}", listeners.len());
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_ports_are_equal() {
        let ports = Ports::choose().unwrap();
        let set = std::collections::BTreeSet::from([
            ports.etcd_clients,
            ports.etcd_peers,
            ports.apiserver,
            ports.controller_manager,
            ports.scheduler,
            ports.kwok,
            ports.registry,
        ]);
        assert_eq!(set.len(), 7);
    }
}
