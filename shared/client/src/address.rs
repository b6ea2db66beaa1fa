//! Where a server is, and the addresses of what it has.

use reqwest::Url;

use crate::Error;

/// The address of a server, checked.
#[derive(Debug, Clone)]
pub(crate) struct Address(Url);

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::Setting {
            what: format!("the server `{text}`"),
            why: format!("{why}; write it as http://127.0.0.1:8084"),
        };
        let url = Url::parse(text).map_err(|_| refuse("it is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(refuse("it is no http or https URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("a name or password does not belong into it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("a query or fragment does not belong into it"));
        }
        Ok(Self(url))
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    pub(crate) fn is_loopback(&self) -> bool {
        match self.0.host_str().unwrap_or_default() {
            "localhost" | "[::1]" => true,
            host => host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()),
        }
    }

    /// The address of what the segments name; each may hold any character.
    pub(crate) fn of(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Url, Error> {
        let mut url = self.0.clone();
        for segment in segments {
            // A URL has no way to say these: the path would name something else.
            if matches!(*segment, "" | "." | "..") {
                let what = format!("the name `{segment}`");
                let why = "an empty name, `.` and `..` cannot stand in a path".to_owned();
                return Err(Error::Setting { what, why });
            }
        }
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(server: &str, segments: &[&str], query: &[(&str, &str)]) -> String {
        Address::parse(server).unwrap().of(segments, query).unwrap().to_string()
    }

    #[test]
    fn segments_hold_any_character() {
        assert_eq!(of("http://h:1", &["a", "b/c?d#e %"], &[]), "http://h:1/a/b%2Fc%3Fd%23e%20%25");
        assert_eq!(of("http://h/base/", &["ü"], &[("q", "a&b")]), "http://h/base/%C3%BC?q=a%26b");
    }

    #[test]
    fn a_name_that_would_change_the_path_is_refused() {
        let address = Address::parse("http://h").unwrap();
        for name in ["", ".", ".."] {
            assert!(address.of(&["pipelines", name], &[]).is_err(), "{name}");
        }
        assert_eq!(of("http://h", &["%2e%2e"], &[]), "http://h/%252e%252e");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "localhost:8084", "127.0.0.1:8084", "ftp://h", "http://", "http://u:p@h"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_told_from_elsewhere() {
        let is = |text| Address::parse(text).unwrap().is_loopback();
        assert!(is("http://localhost") && is("http://127.1.2.3") && is("http://[::1]:1"));
        assert!(!is("http://127.example.com") && !is("http://10.0.0.1"));
    }
}
