//! PURE: what a URL asks for, before anything is asked.

use std::net::IpAddr;

use reqwest::Url;

use super::address::inside;
use super::allow::AllowList;
use super::error::HttpError;

/// A URL that may be asked, as far as the URL itself can tell: an address in it is checked here, a
/// name where it is resolved.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) port: u16,
}

impl Target {
    /// Reads a text.
    ///
    /// # Errors
    /// [`HttpError`] that names what is wrong with it.
    pub(super) fn read(text: &str, bytes_max: usize, allow: &AllowList) -> Result<Self, HttpError> {
        let bytes = text.len();
        if bytes > bytes_max {
            let setting = "url_bytes_max";
            return Err(HttpError::RequestTooLarge { bytes, limit: bytes_max, setting });
        }
        let url = Url::parse(text.trim());
        let url = url.map_err(|error| HttpError::Url { why: error.to_string() })?;
        Self::check(url, allow)
    }

    /// Checks a URL.
    ///
    /// # Errors
    /// [`HttpError`] that names what is wrong with it.
    pub(super) fn check(mut url: Url, allow: &AllowList) -> Result<Self, HttpError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(HttpError::Scheme { scheme: url.scheme().to_owned() });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HttpError::UserInfo { url: shown(&url) });
        }
        url.set_fragment(None);
        let why = || HttpError::Url { why: "it has no host".to_owned() };
        let port = url.port_or_known_default().filter(|port| *port > 0).ok_or_else(why)?;
        let host = url.host_str().ok_or_else(why)?;
        if let Some(address) = address_of(host) {
            may_ask(allow, None, address, port, &shown(&url))?;
        }
        Ok(Self { url, port })
    }

    /// What may be shown of it.
    pub(super) fn shown(&self) -> String {
        shown(&self.url)
    }
}

/// What may be shown of a URL: scheme, host, port and path.
pub fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// The address that stands in place of a name. The URL's parser has brought every spelling of IPv4
/// (decimal, octal, hexadecimal, short, with a dot at its end) into the usual one.
fn address_of(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// Checks an address that is about to be asked.
///
/// # Errors
/// [`HttpError::Refused`].
pub(super) fn may_ask(
    allow: &AllowList,
    name: Option<&str>,
    address: IpAddr,
    port: u16,
    url: &str,
) -> Result<(), HttpError> {
    let canonical = address.to_canonical();
    match inside(canonical) {
        Some(inside) if !allow.opens(name, canonical, inside, port) => {
            let open = match (name, canonical) {
                (Some(name), _) if inside.may_be_named() => format!("{name}:{port}"),
                (_, IpAddr::V4(address)) => format!("{address}:{port}"),
                (_, IpAddr::V6(address)) => format!("[{address}]:{port}"),
            };
            Err(HttpError::Refused { url: url.to_owned(), address, inside, open })
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Target, HttpError> {
        Target::read(text, 8_192, &AllowList::default())
    }

    #[test]
    fn an_address_inside_is_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "0X7F.1",
            "2130706433",
            "017700000001",
            "0177.0.0.01",
            "127.0.0.1:80",
            "１２７.0.0.1",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "0",
            "0.0.0.0",
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.254.43518",
            "10.1",
            "192.168.1.1",
            "[::1]",
            "[::]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::FFFF:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
        ] {
            let refused = read(&format!("http://{host}/x"));
            assert!(matches!(refused, Err(HttpError::Refused { .. })), "{host}: {refused:?}");
        }
    }

    #[test]
    fn what_is_no_url_to_ask_is_refused() {
        for url in [
            "",
            "x",
            "//host/x",
            "http://",
            "http:///",
            "http://[fe80::1%25eth0]/",
            "http://[fe80::1%eth0]/",
            "http://[::1/",
            "http://host:99999/",
            "http://host:0/",
            "http://ho st/",
            "http://1.2.3.4.5/",
            "http://256.0.0.1/",
            "http://host%00/",
            "http://exa<mple/",
        ] {
            let refused = read(url);
            assert!(matches!(refused, Err(HttpError::Url { .. })), "{url}: {refused:?}");
        }
        for url in ["file:///etc/passwd", "ftp://host/", "gopher://host/", "data:,x", "unix:/x"] {
            assert!(matches!(read(url), Err(HttpError::Scheme { .. })), "{url}");
        }
        let long = format!("http://host/{}", "x".repeat(8_192));
        assert!(read(&long).unwrap_err().to_string().contains("url_bytes_max"));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let error = read("https://me:hunter2@host/x?token=hunter2#hunter2").unwrap_err();
        assert!(matches!(error, HttpError::UserInfo { .. }));
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let target = read("https://host:8443/a/b?token=hunter2#hunter2").unwrap();
        assert_eq!(target.shown(), "https://host:8443/a/b");
        assert_eq!(target.url.as_str(), "https://host:8443/a/b?token=hunter2");
        let error = read("http://127.0.0.1/x?token=hunter2").unwrap_err().to_string();
        assert!(
            !error.contains("hunter2") && error.contains("--allow-url 127.0.0.1:80"),
            "{error}"
        );
        assert!(!read("http://host:x/?hunter2").unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn names_and_public_addresses_may_be_asked() {
        for (url, port) in [
            ("http://example.com", 80),
            ("HTTPS://EXAMPLE.com./x", 443),
            ("https://bücher.example:8443/", 8443),
            ("http://1.1.1.1/", 80),
            ("http://[2606:4700:4700::1111]:81/", 81),
            ("  https://localhost/ ", 443),
        ] {
            assert_eq!(read(url).unwrap().port, port, "{url}");
        }
    }
}
