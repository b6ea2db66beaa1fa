//! Server groups as every provider of them sees them, and how the next one is called.

use std::collections::BTreeSet;

/// Highest number of a server group; after it comes 0 again, as in Spinnaker.
pub const SEQUENCE_MAX: u32 = 999;

/// What strategies and targets look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerGroup {
    /// Its name, `app-stack-detail-v012`.
    pub name: String,
    /// Grows with each server group of a cluster: tells which is older, since numbers wrap.
    pub age_order: u64,
    /// Whether it takes requests.
    pub enabled: bool,
}

/// Why a name cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A part has letters that names do not have.
    #[error("`{part}` is `{value}`: only a-z, 0-9{more} are allowed; write it so")]
    Letters {
        /// Which part.
        part: &'static str,
        /// What it is.
        value: String,
        /// What else may be in it.
        more: &'static str,
    },
    /// A part that must be there is not.
    #[error("`application` is empty; name the application that is deployed")]
    NoApplication,
    /// The whole is too long.
    #[error(
        "the name of the cluster `{cluster}` is longer than {NAME_BYTES_MAX} bytes (name_bytes_max)"
    )]
    Long {
        /// The whole.
        cluster: String,
    },
    /// Every number is taken.
    #[error("the cluster `{cluster}` has a server group for every number; destroy old ones first")]
    Full {
        /// The cluster.
        cluster: String,
    },
}

/// Longest name of a cluster, in bytes.
pub const NAME_BYTES_MAX: usize = 100;

/// The name of a cluster: `app`, `app-stack`, `app-stack-detail` or `app--detail`.
///
/// # Errors
/// [`NameError`] if a part holds what a name does not.
pub fn cluster_name(app: &str, stack: &str, detail: &str) -> Result<String, NameError> {
    if app.is_empty() {
        return Err(NameError::NoApplication);
    }
    check("application", app, "")?;
    check("stack", stack, "")?;
    check("freeFormDetails", detail, " and inner dashes")?;
    let cluster = match (stack, detail) {
        ("", "") => app.to_owned(),
        (stack, "") => format!("{app}-{stack}"),
        (stack, detail) => format!("{app}-{stack}-{detail}"),
    };
    if cluster.len() > NAME_BYTES_MAX {
        return Err(NameError::Long { cluster });
    }
    Ok(cluster)
}

fn check(part: &'static str, value: &str, more: &'static str) -> Result<(), NameError> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = !more.is_empty() && !value.starts_with('-') && !value.ends_with('-');
    // A detail that ends like a number would be read as one.
    let is_number = crate::Moniker::of_name(&format!("a-{value}")).sequence.is_some()
        || crate::Moniker::of_name(value).sequence.is_some();
    let good = value.bytes().all(|byte| is_letter(byte) || inner && byte == b'-') && !is_number;
    if good {
        return Ok(());
    }
    Err(NameError::Letters { part, value: value.to_owned(), more })
}

/// The name of the next server group: one above the newest, the next free one.
///
/// # Errors
/// [`NameError::Full`] if every number is taken.
pub fn next_name(cluster: &str, existing: &[ServerGroup]) -> Result<String, NameError> {
    let number = |group: &ServerGroup| crate::Moniker::of_name(&group.name).sequence;
    let taken: BTreeSet<u32> = existing.iter().filter_map(number).collect();
    let newest = existing.iter().max_by_key(|group| group.age_order).and_then(number);
    let first = newest.map_or(0, |newest| newest + 1);
    let free = (0..=SEQUENCE_MAX)
        .map(|step| (first + step) % (SEQUENCE_MAX + 1))
        .find(|number| !taken.contains(number));
    let free = free.ok_or_else(|| NameError::Full { cluster: cluster.to_owned() })?;
    Ok(format!("{cluster}-v{free:03}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(names: &[&str]) -> Vec<ServerGroup> {
        let of = |(age_order, name): (u64, &&str)| ServerGroup {
            name: (*name).to_owned(),
            age_order,
            enabled: true,
        };
        (0..).zip(names).map(of).collect()
    }

    #[test]
    fn parts_make_a_cluster() {
        assert_eq!(cluster_name("shop", "", ""), Ok("shop".into()));
        assert_eq!(cluster_name("shop", "prod", ""), Ok("shop-prod".into()));
        assert_eq!(cluster_name("shop", "prod", "blue-eu"), Ok("shop-prod-blue-eu".into()));
        assert_eq!(cluster_name("shop", "", "canary"), Ok("shop--canary".into()));
    }

    #[test]
    fn hostile_parts_are_refused() {
        for app in ["", "../x", "a/b", "Shop", "a b", "a\0", "ü", ".", "a-b"] {
            assert!(cluster_name(app, "", "").is_err(), "{app}");
        }
        for detail in ["-a", "a-", "v001", "a-v001", "..", "a/b"] {
            assert!(cluster_name("shop", "", detail).is_err(), "{detail}");
        }
        assert!(cluster_name("shop", "v001", "").is_err());
        assert!(cluster_name(&"a".repeat(101), "", "").is_err());
    }

    #[test]
    fn the_next_number_follows_the_newest_and_wraps() {
        assert_eq!(next_name("shop", &[]), Ok("shop-v000".into()));
        assert_eq!(next_name("shop", &groups(&["shop-v001"])), Ok("shop-v002".into()));
        let wrapped = groups(&["shop-v000", "shop-v999"]);
        assert_eq!(next_name("shop", &wrapped), Ok("shop-v001".into()));
    }

    #[test]
    fn a_cluster_may_be_full() {
        let names: Vec<String> = (0..=SEQUENCE_MAX).map(|n| format!("shop-v{n:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(matches!(next_name("shop", &groups(&names)), Err(NameError::Full { .. })));
    }
}
