//! Who may need whom.

use super::{Crate, Repository};

/// Each crate of ours with those of ours that it may need. `deploy-` and the like stand for every
/// crate whose name begins so.
const DIRECTION: [(&str, &[&str]); 17] = [
    ("shared-model", &[]),
    ("shared-ports", &["shared-model"]),
    ("shared-plugin", &["shared-model", "shared-ports"]),
    ("shared-runtime", &["shared-model"]),
    ("shared-client", &["shared-model", "shared-runtime"]),
    ("shared-adapters", &["shared-model", "shared-ports", "shared-runtime"]),
    ("shared-testkit", &[]),
    ("xtask", &["shared-testkit"]),
    ("scheduler-engine", &["shared-model"]),
    ("scheduler-expression", &[]),
    (
        "scheduler",
        &[
            "scheduler-engine",
            "scheduler-expression",
            "shared-adapters",
            "shared-client",
            "shared-model",
            "shared-plugin",
            "shared-ports",
            "shared-runtime",
        ],
    ),
    ("bake", &["shared-model", "shared-plugin", "shared-ports", "shared-runtime"]),
    ("deploy", &["shared-model", "shared-plugin", "shared-ports", "shared-runtime"]),
    ("deploy-", &["deploy", "shared-model", "shared-plugin", "shared-ports", "shared-runtime"]),
    (
        "worker",
        &[
            "bake",
            "deploy",
            "deploy-",
            "shared-adapters",
            "shared-model",
            "shared-plugin",
            "shared-ports",
            "shared-runtime",
        ],
    ),
    // The only crate that knows both sides.
    (
        "scheduler-cli",
        &["scheduler", "scheduler-engine", "scheduler-expression", "worker", "shared-"],
    ),
    ("loadtest", &["scheduler", "scheduler-engine", "scheduler-expression", "worker", "shared-"]),
];

/// Crates from outside that only these of ours may name: another use would defeat the wall.
const WALLS: [(&str, &[&str]); 9] = [
    // `loadtest` measures what RabbitMQ and PostgreSQL give at most, without anything of ours before them.
    ("lapin", &["loadtest", "shared-adapters"]),
    ("redis", &["shared-adapters"]),
    ("sqlx", &["loadtest", "shared-adapters"]),
    ("object_store", &["shared-adapters"]),
    ("kube", &["deploy-kubernetes"]),
    ("k8s-openapi", &["deploy-kubernetes"]),
    ("bollard", &["deploy-docker"]),
    ("axum", &["scheduler"]),
    ("clap", &["scheduler-cli", "loadtest", "xtask"]),
];

/// Crates that decide and never act.
const PURE: [&str; 3] = ["shared-model", "scheduler-engine", "scheduler-expression"];
/// What a pure crate has no use for.
const IMPURE: [&str; 8] =
    ["async-trait", "futures", "nix", "rand", "tempfile", "tokio", "tokio-util", "tracing"];

/// Dependencies between our crates that point the wrong way.
pub fn direction(repository: &Repository) -> Vec<String> {
    let names: Vec<&str> = repository.crates.iter().map(|krate| krate.name.as_str()).collect();
    let mut found = Vec::new();
    for krate in &repository.crates {
        let Some((_, allowed)) = DIRECTION.iter().find(|(name, _)| is_called(&krate.name, name))
        else {
            found.push(format!("{} has no place in the direction of dependencies", krate.name));
            continue;
        };
        let may = |name: &str, more: &[&str]| {
            allowed.iter().chain(more).any(|pattern| is_called(name, pattern))
        };
        let is_ours = |name: &&String| names.contains(&name.as_str());
        let wrong = krate.dependencies.iter().filter(is_ours).filter(|name| !may(name, &[]));
        // Tests also use the test stack, and embedded adapters in place of mocks.
        let tests = ["shared-", krate.name.as_str()];
        let in_tests =
            krate.dev_dependencies.iter().filter(is_ours).filter(|name| !may(name, &tests));
        found.extend(
            wrong.chain(in_tests).map(|name| format!("{} must not need {name}", krate.name)),
        );
    }
    found
}

/// Uses of crates from outside where they do not belong.
pub fn walls(repository: &Repository) -> Vec<String> {
    repository.crates.iter().flat_map(breaches).collect()
}

fn breaches(krate: &Crate) -> Vec<String> {
    let Crate { name, dependencies, dev_dependencies, .. } = krate;
    let walled = |needed: &str| {
        WALLS.iter().any(|(heavy, homes)| *heavy == needed && !homes.contains(&name.as_str()))
    };
    let impure = |needed: &str| PURE.contains(&name.as_str()) && IMPURE.contains(&needed);
    let behind_walls = dependencies.iter().chain(dev_dependencies).filter(|needed| walled(needed));
    let impurities = dependencies.iter().filter(|needed| impure(needed));
    behind_walls
        .map(|needed| format!("{name} must not name {needed}"))
        .chain(impurities.map(|needed| format!("{name} is pure and must not need {needed}")))
        .collect()
}

fn is_called(name: &str, pattern: &str) -> bool {
    name == pattern || pattern.ends_with('-') && name.starts_with(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn krate(name: &str, dependencies: &[&str], dev_dependencies: &[&str]) -> Crate {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Crate {
            name: name.to_owned(),
            dependencies: owned(dependencies),
            dev_dependencies: owned(dev_dependencies),
            ..Crate::default()
        }
    }

    fn repository(crates: Vec<Crate>) -> Repository {
        Repository { crates, ..Repository::default() }
    }

    #[test]
    fn a_dependency_the_wrong_way_is_found() {
        let found = direction(&repository(vec![
            krate("worker", &["scheduler", "deploy-kubernetes"], &["shared-testkit"]),
            krate("scheduler", &["shared-model", "serde"], &["worker"]),
            krate("deploy-kubernetes", &["deploy"], &["shared-adapters"]),
            krate("deploy", &[], &[]),
            krate("shared-model", &["shared-testkit"], &[]),
            krate("shared-testkit", &[], &[]),
            krate("shared-adapters", &[], &[]),
        ]));
        assert_eq!(
            found,
            [
                "worker must not need scheduler",
                "scheduler must not need worker",
                "shared-model must not need shared-testkit"
            ]
        );
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        let found = direction(&repository(vec![krate("attic", &[], &[])]));
        assert_eq!(found, ["attic has no place in the direction of dependencies"]);
    }

    #[test]
    fn a_breach_of_a_wall_is_found() {
        let found = walls(&repository(vec![
            krate("scheduler", &["sqlx"], &[]),
            krate("worker", &[], &["kube"]),
            krate("scheduler-engine", &["tokio"], &["tempfile"]),
            krate("shared-adapters", &["sqlx", "tokio"], &[]),
        ]));
        assert_eq!(
            found,
            [
                "scheduler must not name sqlx",
                "worker must not name kube",
                "scheduler-engine is pure and must not need tokio"
            ]
        );
    }
}
