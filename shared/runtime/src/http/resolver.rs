//! Names to addresses, each checked where it is used: what a name leads to may change at any time.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::allow::AllowList;
use super::error::HttpError;
use super::target::may_ask;

/// How many addresses of one name are looked at.
const ADDRESSES_MAX: usize = 64;

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses, in the order in which they are to be tried.
    ///
    /// # Errors
    /// What the resolver says.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.take(ADDRESSES_MAX).map(|address| address.ip()).collect())
    }
}

/// A resolver that gives out none but addresses that may be asked at a port.
#[derive(Clone)]
pub(super) struct Guarded {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) allow: Arc<AllowList>,
    pub(super) port: u16,
}

/// Why a name gave no address; found again in what the HTTP client makes of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NameError {
    #[error("{0}")]
    NotFound(String),
    /// With the URL still open.
    #[error("{0}")]
    Refused(HttpError),
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            match this.open_addresses(name.as_str()).await {
                Ok(found) => Ok(Box::new(found.into_iter()) as Addrs),
                Err(error) => Err(Box::new(error) as Box<dyn Error + Send + Sync>),
            }
        })
    }
}

impl Guarded {
    /// The addresses of a name that may be asked; an error only if there is none.
    async fn open_addresses(&self, name: &str) -> Result<Vec<SocketAddr>, NameError> {
        let found = self.resolver.addresses(name).await;
        let found = found.map_err(|error| NameError::NotFound(error.to_string()))?;
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let mut open = Vec::new();
        let mut refused = None;
        for address in found.into_iter().take(ADDRESSES_MAX) {
            match may_ask(&self.allow, Some(&name), address, self.port, "") {
                Ok(()) => open.push(SocketAddr::new(address, self.port)),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match refused {
            Some(error) if open.is_empty() => Err(NameError::Refused(error)),
            None if open.is_empty() => Err(NameError::NotFound("it has no address".to_owned())),
            Some(_) | None => Ok(open),
        }
    }
}
