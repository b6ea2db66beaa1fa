//! Whose a deployed thing is.

/// Application, cluster, stack, detail and sequence of a deployed thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moniker {
    /// The application.
    pub app: String,
    /// The cluster.
    pub cluster: String,
    /// The stack, where the name has one.
    pub stack: Option<String>,
    /// The detail, where the name has one.
    pub detail: Option<String>,
    /// The number of the version, where the name has one.
    pub sequence: Option<u32>,
}

impl Moniker {
    /// Reads a name of the form `app-stack-detail-v012`; parts may be missing.
    pub fn of_name(name: &str) -> Self {
        let (base, sequence) = split_sequence(name);
        let mut parts = base.splitn(3, '-');
        let part = |part: Option<&str>| part.filter(|part| !part.is_empty()).map(str::to_owned);
        Self {
            app: parts.next().unwrap_or_default().to_owned(),
            cluster: base.to_owned(),
            stack: part(parts.next()),
            detail: part(parts.next()),
            sequence,
        }
    }
}

/// A version at the end of a name: `-v` and at least three digits.
fn split_sequence(name: &str) -> (&str, Option<u32>) {
    let found = name.rsplit_once("-v").filter(|(_, digits)| {
        digits.len() >= 3 && digits.bytes().all(|digit| digit.is_ascii_digit())
    });
    match found {
        Some((base, digits)) => (base, digits.parse().ok()),
        None => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is() {
        let moniker = Moniker::of_name("shop-prod-blue-eu-v012");
        assert_eq!((moniker.app.as_str(), moniker.cluster.as_str()), ("shop", "shop-prod-blue-eu"));
        assert_eq!(moniker.stack.as_deref(), Some("prod"));
        assert_eq!(moniker.detail.as_deref(), Some("blue-eu"));
        assert_eq!(moniker.sequence, Some(12));
    }

    #[test]
    fn parts_may_be_missing() {
        let moniker = Moniker::of_name("shop--canary");
        assert_eq!((moniker.stack, moniker.detail.as_deref()), (None, Some("canary")));
        let plain = Moniker::of_name("shop-v12");
        assert_eq!((plain.stack.as_deref(), plain.sequence), (Some("v12"), None));
    }
}
