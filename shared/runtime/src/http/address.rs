//! PURE: which addresses lie inside a network, or are no ordinary address at all.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Why an address is not asked unless it is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// This machine.
    Loopback,
    /// A private network.
    Private,
    /// The network between a provider and its customers (CGNAT).
    Shared,
    /// This network segment: also where clouds keep the metadata of a machine.
    LinkLocal,
    /// A cloud's own service behind an address that looks public.
    Platform,
    /// No address.
    Unspecified,
    /// Many hosts at once.
    Multicast,
    /// Every host of a network.
    Broadcast,
    /// Set apart for documentation, tests, tunnels and the like: no host of the Internet has it.
    Reserved,
}

impl Inside {
    /// Whether the name of a host may open it. What no host of a network rightly has, and where
    /// machines find their credentials, is opened by its address alone.
    pub(super) fn may_be_named(self) -> bool {
        matches!(self, Self::Loopback | Self::Private | Self::Shared)
    }
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "this machine (loopback)",
            Self::Private => "a private network",
            Self::Shared => "a carrier's shared network",
            Self::LinkLocal => "link-local, where clouds keep a machine's credentials",
            Self::Platform => "a cloud's own service",
            Self::Unspecified => "the unspecified address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "a broadcast address",
            Self::Reserved => "reserved for special use",
        })
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6(head: [u16; 3], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(head[0], head[1], head[2], 0, 0, 0, 0, 0), bits)
}

/// IANA's special-purpose registry of IPv4, as far as its entries are not globally reachable; the
/// first that fits counts. <https://www.iana.org/assignments/iana-ipv4-special-registry>
const SPECIAL_V4: [(Ipv4Net, Inside); 19] = [
    (v4(0, 0, 0, 0, 32), Inside::Unspecified),
    (v4(0, 0, 0, 0, 8), Inside::Reserved),
    (v4(10, 0, 0, 0, 8), Inside::Private),
    (v4(100, 64, 0, 0, 10), Inside::Shared),
    (v4(127, 0, 0, 0, 8), Inside::Loopback),
    (v4(168, 63, 129, 16, 32), Inside::Platform),
    (v4(169, 254, 0, 0, 16), Inside::LinkLocal),
    (v4(172, 16, 0, 0, 12), Inside::Private),
    (v4(192, 0, 0, 192, 32), Inside::Platform),
    (v4(192, 0, 0, 0, 24), Inside::Reserved),
    (v4(192, 0, 2, 0, 24), Inside::Reserved),
    (v4(192, 88, 99, 0, 24), Inside::Reserved),
    (v4(192, 168, 0, 0, 16), Inside::Private),
    (v4(198, 18, 0, 0, 15), Inside::Reserved),
    (v4(198, 51, 100, 0, 24), Inside::Reserved),
    (v4(203, 0, 113, 0, 24), Inside::Reserved),
    (v4(224, 0, 0, 0, 4), Inside::Multicast),
    (v4(255, 255, 255, 255, 32), Inside::Broadcast),
    (v4(240, 0, 0, 0, 4), Inside::Reserved),
];

/// The only part of IPv6 from which public addresses are given out (RFC 4291).
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0], 3);
/// IPv4 behind a translator (RFC 6052): as good as the address in its last four bytes.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0], 96);

/// IANA's special-purpose registry of IPv6, likewise; tunnels (Teredo, 6to4) hide an IPv4 address
/// and are in nobody's use any more. <https://www.iana.org/assignments/iana-ipv6-special-registry>
const SPECIAL_V6: [(Ipv6Net, Inside); 8] = [
    (v6([0xfc00, 0, 0], 7), Inside::Private),
    (v6([0xfe80, 0, 0], 10), Inside::LinkLocal),
    (v6([0xfec0, 0, 0], 10), Inside::Private),
    (v6([0xff00, 0, 0], 8), Inside::Multicast),
    (v6([0x2001, 0, 0], 23), Inside::Reserved),
    (v6([0x2001, 0xdb8, 0], 32), Inside::Reserved),
    (v6([0x2002, 0, 0], 16), Inside::Reserved),
    (v6([0x3fff, 0, 0], 20), Inside::Reserved),
];

/// What an address lies inside of; `None` for one of the open Internet.
pub fn inside(address: IpAddr) -> Option<Inside> {
    match address.to_canonical() {
        IpAddr::V4(address) => inside_v4(address),
        IpAddr::V6(address) => inside_v6(address),
    }
}

fn inside_v4(address: Ipv4Addr) -> Option<Inside> {
    SPECIAL_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, why)| *why)
}

fn inside_v6(address: Ipv6Addr) -> Option<Inside> {
    if NAT64.contains(&address) {
        let [.., a, b, c, d] = address.octets();
        return inside_v4(Ipv4Addr::new(a, b, c, d));
    }
    let special = SPECIAL_V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, why)| *why);
    special.or(match address {
        Ipv6Addr::LOCALHOST => Some(Inside::Loopback),
        Ipv6Addr::UNSPECIFIED => Some(Inside::Unspecified),
        other => (!GLOBAL_V6.contains(&other)).then_some(Inside::Reserved),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_internet_is_open() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001:80b::200e",
            "2001:200::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert_eq!(inside(public.parse().unwrap()), None, "{public}");
        }
    }

    #[test]
    fn what_is_inside_is_known_in_every_spelling() {
        use Inside as I;
        for (address, expected) in [
            ("0.0.0.0", I::Unspecified),
            ("0.1.2.3", I::Reserved),
            ("10.0.0.0", I::Private),
            ("10.255.255.255", I::Private),
            ("100.64.0.0", I::Shared),
            ("100.100.100.200", I::Shared),
            ("100.127.255.255", I::Shared),
            ("127.0.0.1", I::Loopback),
            ("127.255.255.255", I::Loopback),
            ("168.63.129.16", I::Platform),
            ("169.254.0.0", I::LinkLocal),
            ("169.254.169.254", I::LinkLocal),
            ("169.254.170.2", I::LinkLocal),
            ("172.16.0.0", I::Private),
            ("172.31.255.255", I::Private),
            ("192.0.0.1", I::Reserved),
            ("192.0.0.192", I::Platform),
            ("192.0.2.1", I::Reserved),
            ("192.88.99.1", I::Reserved),
            ("192.168.0.0", I::Private),
            ("198.18.0.1", I::Reserved),
            ("198.19.255.255", I::Reserved),
            ("198.51.100.1", I::Reserved),
            ("203.0.113.1", I::Reserved),
            ("224.0.0.1", I::Multicast),
            ("239.255.255.255", I::Multicast),
            ("240.0.0.1", I::Reserved),
            ("255.255.255.255", I::Broadcast),
            ("::", I::Unspecified),
            ("::1", I::Loopback),
            ("::127.0.0.1", I::Reserved),
            ("::169.254.169.254", I::Reserved),
            ("::ffff:0.0.0.0", I::Unspecified),
            ("::ffff:127.0.0.1", I::Loopback),
            ("::ffff:a9fe:a9fe", I::LinkLocal),
            ("::ffff:10.0.0.1", I::Private),
            ("::ffff:0:10.0.0.1", I::Reserved),
            ("64:ff9b::127.0.0.1", I::Loopback),
            ("64:ff9b::169.254.169.254", I::LinkLocal),
            ("64:ff9b::10.1.2.3", I::Private),
            ("64:ff9b:1::1.1.1.1", I::Reserved),
            ("100::1", I::Reserved),
            ("2001::1", I::Reserved),
            ("2001:0:7f00:1::", I::Reserved),
            ("2001:20::1", I::Reserved),
            ("2001:db8::1", I::Reserved),
            ("2002:7f00:1::", I::Reserved),
            ("2002:a9fe:a9fe::1", I::Reserved),
            ("3fff::1", I::Reserved),
            ("5f00::1", I::Reserved),
            ("fc00::1", I::Private),
            ("fd00:ec2::254", I::Private),
            ("fe80::1", I::LinkLocal),
            ("febf::1", I::LinkLocal),
            ("fec0::1", I::Private),
            ("ff02::1", I::Multicast),
        ] {
            assert_eq!(inside(address.parse().unwrap()), Some(expected), "{address}");
        }
    }
}
