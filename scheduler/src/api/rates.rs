//! How often one client may ask: tokens and addresses share nothing but the figures.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::limits::ApiLimits;

/// Clients that are told apart; beyond that, those are forgotten that may ask as often as anybody.
const CLIENTS_MAX: usize = 100_000;

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// The id of a token.
    Token(String),
    /// An address; of IPv6 the first half, because one client has all of the second.
    Address(IpAddr),
}

impl Client {
    /// Somebody without a token; `None` on loopback, where the operating system's users are trusted.
    pub(super) fn at(address: IpAddr) -> Option<Self> {
        let address = address.to_canonical();
        (!address.is_loopback()).then(|| Self::Address(network(address)))
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Counts requests (GCRA).
pub(super) struct Rates {
    limiter: DefaultKeyedRateLimiter<Client>,
    clock: DefaultClock,
}

impl Rates {
    pub(super) fn new(limits: &ApiLimits) -> Self {
        let quota = Quota::per_second(limits.requests_per_second_max);
        let limiter = RateLimiter::keyed(quota.allow_burst(limits.requests_burst_max));
        Self { limiter, clock: DefaultClock::default() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// How long to wait before it is worth asking again.
    pub(super) fn count(&self, client: &Client) -> Result<(), Duration> {
        if self.limiter.len() > CLIENTS_MAX {
            self.limiter.retain_recent();
        }
        let counted = self.limiter.check_key(client);
        counted.map_err(|refused| refused.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn rates(burst: u32) -> Rates {
        Rates::new(&ApiLimits {
            requests_per_second_max: NonZeroU32::MIN,
            requests_burst_max: NonZeroU32::new(burst).unwrap(),
            ..ApiLimits::default()
        })
    }

    #[test]
    fn each_client_has_its_own_measure() {
        let rates = rates(3);
        let (one, other) = (Client::Token("a".into()), Client::Token("b".into()));
        assert_eq!((0..9).filter(|_| rates.count(&one).is_ok()).count(), 3);
        assert!(rates.count(&other).is_ok());
        let wait = rates.count(&one).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    }

    #[test]
    fn an_address_is_a_network_and_loopback_is_trusted() {
        let at = |text: &str| Client::at(text.parse().unwrap());
        assert_eq!(at("127.0.0.9"), None);
        assert_eq!(at("::1"), None);
        assert_eq!(at("::ffff:127.0.0.1"), None);
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    }
}
