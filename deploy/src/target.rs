//! Which server group of a cluster is meant.

use crate::ServerGroup;

/// Why none is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// There is no such target.
    #[error(
        "`target` is `{0}`; use `current_asg_dynamic`, `ancestor_asg_dynamic` or \
         `oldest_asg_dynamic`"
    )]
    Unknown(String),
    /// The cluster has too few.
    #[error("the cluster `{cluster}` has {count} server groups, too few for `{target}`")]
    TooFew {
        /// The cluster.
        cluster: String,
        /// How many it has.
        count: usize,
        /// What was asked for.
        target: String,
    },
    /// There is no server group of that name.
    #[error("there is no server group `{name}`; {there}")]
    NoSuch {
        /// The name.
        name: String,
        /// What there is.
        there: String,
    },
}

/// The server group that a `target` means.
///
/// # Errors
/// [`TargetError`] if there is no such target or the cluster has too few.
pub fn resolve<'a>(
    cluster: &str,
    target: &str,
    groups: &'a [ServerGroup],
) -> Result<&'a ServerGroup, TargetError> {
    let mut sorted: Vec<&ServerGroup> = groups.iter().collect();
    sorted.sort_by_key(|group| std::cmp::Reverse(group.age_order));
    let found = match target {
        "current_asg_dynamic" | "current_asg" => sorted.first(),
        "ancestor_asg_dynamic" | "ancestor_asg" => sorted.get(1),
        "oldest_asg_dynamic" => sorted.last().filter(|_| sorted.len() > 1),
        other => return Err(TargetError::Unknown(other.to_owned())),
    };
    found.copied().ok_or_else(|| TargetError::TooFew {
        cluster: cluster.to_owned(),
        count: groups.len(),
        target: target.to_owned(),
    })
}

/// The server group of a name.
///
/// # Errors
/// [`TargetError::NoSuch`], which names those that there are.
pub fn named<'a>(name: &str, groups: &'a [ServerGroup]) -> Result<&'a ServerGroup, TargetError> {
    groups.iter().find(|group| group.name == name).ok_or_else(|| {
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        let there = match names.as_slice() {
            [] => "its cluster has none".to_owned(),
            names => format!("its cluster has {}", names.join(", ")),
        };
        TargetError::NoSuch { name: name.to_owned(), there }
    })
}

/// What a rollback without names goes back to: the newest one older than the newest that serves.
pub fn previous(groups: &[ServerGroup]) -> Option<(&ServerGroup, &ServerGroup)> {
    let from = groups.iter().filter(|group| group.enabled).max_by_key(|group| group.age_order)?;
    let older = groups.iter().filter(|group| group.age_order < from.age_order);
    Some((from, older.max_by_key(|group| group.age_order)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(count: u64) -> Vec<ServerGroup> {
        let group = |age_order| ServerGroup {
            name: format!("a-v{age_order:03}"),
            age_order,
            enabled: age_order != 2,
        };
        (0..count).map(group).collect()
    }

    #[test]
    fn targets_go_by_age() {
        let groups = groups(3);
        let name = |target| resolve("a", target, &groups).map(|group| group.name.as_str());
        assert_eq!(name("current_asg_dynamic"), Ok("a-v002"));
        assert_eq!(name("ancestor_asg_dynamic"), Ok("a-v001"));
        assert_eq!(name("oldest_asg_dynamic"), Ok("a-v000"));
        assert!(matches!(name("newest"), Err(TargetError::Unknown(_))));
    }

    #[test]
    fn a_cluster_may_have_too_few() {
        let groups = groups(1);
        assert!(resolve("a", "ancestor_asg_dynamic", &groups).is_err());
        assert!(resolve("a", "oldest_asg_dynamic", &groups).is_err());
        assert!(named("a-v007", &groups).unwrap_err().to_string().contains("a-v000"));
    }

    #[test]
    fn a_rollback_goes_from_the_newest_that_serves_to_the_one_before() {
        let groups = groups(3);
        let (from, to) = previous(&groups).unwrap();
        assert_eq!((from.name.as_str(), to.name.as_str()), ("a-v001", "a-v000"));
        assert_eq!(previous(&groups[..1]), None);
    }
}
