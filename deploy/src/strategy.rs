//! Which of the older server groups of a cluster a deploy disables, shrinks and destroys.

use crate::ServerGroup;

/// The strategies that are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// The older ones stay as they are.
    #[default]
    None,
    /// The older ones take no more requests.
    RedBlack,
    /// The older ones go away.
    Highlander,
}

impl Strategy {
    /// The strategy of a document's `strategy`; empty is none.
    ///
    /// # Errors
    /// What is built, if it is another.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "none" => Ok(Self::None),
            "redblack" => Ok(Self::RedBlack),
            "highlander" => Ok(Self::Highlander),
            other => Err(format!(
                "the strategy `{other}` is not built; use `none`, `redblack` or `highlander`"
            )),
        }
    }
}

/// What a deploy does to the older ones, all oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Take no more requests.
    pub disable: Vec<String>,
    /// Keep no instance.
    pub scale_down: Vec<String>,
    /// Go away.
    pub destroy: Vec<String>,
}

/// What a strategy is told beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// How many server groups may remain, the new one counted.
    pub max_remaining: Option<usize>,
    /// Whether those that are disabled keep no instance.
    pub scale_down: bool,
}

/// What becomes of the server groups of a cluster that are older than `new`.
pub fn plan(strategy: Strategy, new: &str, groups: &[ServerGroup], options: Options) -> Plan {
    let Some(age) = groups.iter().find(|group| group.name == new).map(|group| group.age_order)
    else {
        return Plan::default();
    };
    let mut older: Vec<&ServerGroup> =
        groups.iter().filter(|group| group.age_order < age).collect();
    older.sort_by_key(|group| group.age_order);
    match strategy {
        Strategy::None => Plan::default(),
        Strategy::Highlander => {
            Plan { disable: serving(&older), destroy: names(&older), ..Plan::default() }
        }
        Strategy::RedBlack => red_black(&older, options),
    }
}

fn red_black(older: &[&ServerGroup], options: Options) -> Plan {
    let keep = options.max_remaining.map_or(older.len(), |all| all.saturating_sub(1));
    let (destroyed, kept) = older.split_at(older.len().saturating_sub(keep));
    let scale_down = if options.scale_down { names(kept) } else { Vec::new() };
    Plan { disable: serving(older), scale_down, destroy: names(destroyed) }
}

fn names(groups: &[&ServerGroup]) -> Vec<String> {
    groups.iter().map(|group| group.name.clone()).collect()
}

fn serving(groups: &[&ServerGroup]) -> Vec<String> {
    groups.iter().filter(|group| group.enabled).map(|group| group.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Vec<ServerGroup> {
        let group = |name: &str, age_order, enabled| ServerGroup {
            name: name.to_owned(),
            age_order,
            enabled,
        };
        vec![
            group("a-v001", 8, true),
            group("a-v000", 7, false),
            group("a-v002", 9, true),
            // Of a deploy that began after ours: not ours to judge.
            group("a-v003", 10, true),
        ]
    }

    #[test]
    fn none_leaves_all() {
        assert_eq!(plan(Strategy::None, "a-v002", &groups(), Options::default()), Plan::default());
    }

    #[test]
    fn red_black_disables_those_that_serve() {
        let plan = plan(Strategy::RedBlack, "a-v002", &groups(), Options::default());
        assert_eq!(plan, Plan { disable: vec!["a-v001".into()], ..Plan::default() });
    }

    #[test]
    fn red_black_keeps_as_many_as_it_is_told_to() {
        let options = Options { max_remaining: Some(2), scale_down: true };
        let plan = plan(Strategy::RedBlack, "a-v002", &groups(), options);
        assert_eq!(plan.disable, ["a-v001"]);
        assert_eq!(plan.scale_down, ["a-v001"]);
        assert_eq!(plan.destroy, ["a-v000"]);
    }

    #[test]
    fn highlander_destroys_all_older_ones() {
        let plan = plan(Strategy::Highlander, "a-v002", &groups(), Options::default());
        assert_eq!(plan.destroy, ["a-v000", "a-v001"]);
        assert_eq!(plan.disable, ["a-v001"]);
    }

    #[test]
    fn another_strategy_is_refused() {
        assert!(Strategy::parse("rollingredblack").unwrap_err().contains("rollingredblack"));
        assert_eq!(Strategy::parse(""), Ok(Strategy::None));
    }
}
