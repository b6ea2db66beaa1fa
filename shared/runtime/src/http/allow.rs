//! What an operator opens in his own network.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::address::Inside;

/// How many entries a list may have.
const ENTRIES_MAX: usize = 1_000;

/// One entry: whom it opens, and at which port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowEntry {
    whom: Whom,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    /// The host of this name.
    Host(String),
    /// Every host whose name ends in this, which begins with a dot.
    Below(String),
    /// Every address of this network, under whatever name.
    Net(IpNet),
}

/// An entry that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{entry}` {why}; write a host (`ci.example.com`), every host below a name (`*.example.com`), an \
     address (`10.1.2.3`) or a network (`10.0.0.0/8`, `fd00::/8`), each with a port if need be \
     (`ci.example.com:8080`, `[fd00::1]:8080`)"
)]
pub struct AllowError {
    /// What was written.
    pub entry: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Everything that an operator opens; empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Vec<AllowEntry>);

impl AllowList {
    /// A list of entries; those beyond the first thousand are left out.
    pub fn new(entries: impl IntoIterator<Item = AllowEntry>) -> Self {
        Self(entries.into_iter().take(ENTRIES_MAX).collect())
    }

    /// Whether an address that lies inside may be asked at a port, under the name by which it was
    /// found; `None` where the URL has the address itself.
    pub(super) fn opens(
        &self,
        name: Option<&str>,
        address: IpAddr,
        inside: Inside,
        port: u16,
    ) -> bool {
        let name = name.filter(|_| inside.may_be_named());
        self.0.iter().any(|entry| {
            entry.port.is_none_or(|open| open == port)
                && match &entry.whom {
                    Whom::Host(host) => name == Some(host),
                    Whom::Below(suffix) => name.is_some_and(|name| is_below(name, suffix)),
                    Whom::Net(net) => net.contains(&address),
                }
        })
    }
}

fn is_below(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
}

impl FromStr for AllowEntry {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        let entry = text.trim();
        let error = |why| AllowError { entry: text.to_owned(), why };
        if entry.contains("://") {
            return Err(error("is a URL: the scheme and the path open nothing"));
        }
        let (whom, port) = split_port(entry).map_err(error)?;
        let whom = whom_of(whom).map_err(error)?;
        Ok(Self { whom, port })
    }
}

/// As it can be read again.
impl fmt::Display for AllowEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whom = match &self.whom {
            Whom::Host(host) => host.clone(),
            Whom::Below(suffix) => format!("*{suffix}"),
            Whom::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
            Whom::Net(net) => net.to_string(),
        };
        match self.port {
            Some(port) if whom.contains(':') => write!(f, "[{whom}]:{port}"),
            Some(port) => write!(f, "{whom}:{port}"),
            None => f.write_str(&whom),
        }
    }
}

/// Splits `host:port`, `net:port` and `[v6]:port`; an IPv6 address without brackets has no port.
fn split_port(entry: &str) -> Result<(&str, Option<u16>), &'static str> {
    if let Some(rest) = entry.strip_prefix('[') {
        let (inner, after) = rest.split_once(']').ok_or("has a `[` without a `]`")?;
        return match after {
            "" => Ok((inner, None)),
            after => {
                Ok((inner, Some(port_of(after.strip_prefix(':').ok_or("has text after `]`")?)?)))
            }
        };
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, Some(port_of(port)?))),
        Some(_) | None => Ok((entry, None)),
    }
}

fn port_of(text: &str) -> Result<u16, &'static str> {
    text.parse().ok().filter(|port| *port > 0).ok_or("has no port between 1 and 65535")
}

fn whom_of(text: &str) -> Result<Whom, &'static str> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Whom::Net(address.to_canonical().into()));
    }
    if text.contains('/') {
        let net: IpNet = text.parse().map_err(|_| "is no network")?;
        return Ok(Whom::Net(net.trunc()));
    }
    match text.strip_prefix("*.") {
        Some(below) => Ok(Whom::Below(format!(".{}", host_of(below)?))),
        None => Ok(Whom::Host(host_of(text)?)),
    }
}

/// A host's name as URLs have it: in lower case, its other scripts encoded, no dot at its end.
fn host_of(text: &str) -> Result<String, &'static str> {
    let plain = !text.is_empty() && !text.contains(['/', '?', '#', '@', '\\', '*', '%']);
    let url = plain.then(|| reqwest::Url::parse(&format!("http://{text}/")).ok()).flatten();
    let host = url.as_ref().and_then(reqwest::Url::host_str).ok_or("is no host's name")?;
    if host.parse::<IpAddr>().is_ok() {
        return Err("is an address in an unusual spelling");
    }
    Ok(host.strip_suffix('.').unwrap_or(host).to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::address::inside;
    use super::*;

    fn opens(entry: &str, name: Option<&str>, address: &str, port: u16) -> bool {
        let address: IpAddr = address.parse().unwrap();
        let list = AllowList::new([entry.parse().unwrap()]);
        list.opens(name, address.to_canonical(), inside(address).unwrap(), port)
    }

    #[test]
    fn an_entry_opens_what_it_names_and_nothing_else() {
        for (entry, name, address, port, expected) in [
            ("127.0.0.1", None, "127.0.0.1", 80, true),
            ("127.0.0.1", Some("localhost"), "127.0.0.1", 80, true),
            ("127.0.0.1", None, "127.0.0.2", 80, false),
            ("127.0.0.1", None, "::ffff:127.0.0.1", 80, true),
            ("::ffff:127.0.0.1", None, "127.0.0.1", 80, true),
            ("127.0.0.1", None, "::1", 80, false),
            ("127.0.0.1:8080", None, "127.0.0.1", 8080, true),
            ("127.0.0.1:8080", None, "127.0.0.1", 8081, false),
            ("10.0.0.0/8", None, "10.255.0.1", 1, true),
            ("10.1.2.3/8", None, "10.255.0.1", 1, true),
            ("10.0.0.0/8:443", None, "10.255.0.1", 443, true),
            ("10.0.0.0/8:443", None, "10.255.0.1", 80, false),
            ("10.0.0.0/8", None, "127.0.0.1", 80, false),
            ("::1", None, "::1", 80, true),
            ("[::1]:8080", None, "::1", 8080, true),
            ("[::1]:8080", None, "::1", 80, false),
            ("[fd00::/8]:443", None, "fd12::1", 443, true),
            ("fd00::/8", None, "fd12::1", 443, true),
            ("ci.example.com", Some("ci.example.com"), "10.0.0.1", 80, true),
            ("CI.Example.com.", Some("ci.example.com"), "10.0.0.1", 80, true),
            ("bücher.example", Some("xn--bcher-kva.example"), "10.0.0.1", 80, true),
            ("ci.example.com", Some("example.com"), "10.0.0.1", 80, false),
            ("ci.example.com", Some("x.ci.example.com"), "10.0.0.1", 80, false),
            ("ci.example.com", None, "10.0.0.1", 80, false),
            ("ci.example.com:8080", Some("ci.example.com"), "10.0.0.1", 8080, true),
            ("ci.example.com:8080", Some("ci.example.com"), "10.0.0.1", 80, false),
            ("*.example.com", Some("ci.example.com"), "10.0.0.1", 80, true),
            ("*.example.com", Some("a.b.example.com"), "10.0.0.1", 80, true),
            ("*.example.com", Some("example.com"), "10.0.0.1", 80, false),
            ("*.example.com", Some("badexample.com"), "10.0.0.1", 80, false),
            ("localhost", Some("localhost"), "::1", 80, true),
            // A name may come to mean anything; credentials lie behind these.
            ("ci.example.com", Some("ci.example.com"), "169.254.169.254", 80, false),
            ("*.example.com", Some("ci.example.com"), "168.63.129.16", 80, false),
            ("169.254.169.254", Some("ci.example.com"), "169.254.169.254", 80, true),
            ("0.0.0.0/0", None, "169.254.169.254", 80, true),
        ] {
            assert_eq!(opens(entry, name, address, port), expected, "{entry} {name:?} {address}");
        }
    }

    #[test]
    fn an_entry_is_written_as_it_is_read() {
        for entry in [
            "ci.example.com",
            "ci.example.com:8080",
            "*.example.com",
            "10.1.2.3:80",
            "10.0.0.0/8",
            "10.0.0.0/8:443",
            "::1",
            "[::1]:8080",
            "fd00::/8",
            "[fd00::/8]:443",
        ] {
            assert_eq!(entry.parse::<AllowEntry>().unwrap().to_string(), entry);
        }
    }

    #[test]
    fn what_is_no_entry_is_refused_with_the_forms_that_are() {
        for entry in [
            "",
            " ",
            "*",
            "*.",
            "a b",
            "http://ci.example.com",
            "ci.example.com/path",
            "user@host",
            "host:",
            "host:0",
            "host:65536",
            "host:http",
            "10.0.0.0/33",
            "[::1",
            "[::1]8080",
            "127.1",
            "0x7f000001",
            "2130706433",
            "a.*.example.com",
            "10.0.0.*",
        ] {
            let error = entry.parse::<AllowEntry>().unwrap_err().to_string();
            assert!(error.contains("*.example.com"), "{entry}: {error}");
        }
    }
}
