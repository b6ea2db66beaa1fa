//! Expected artifacts against received ones (reference §2.4).

use fancy_regex::RegexBuilder;
use shared_model::{Artifact, ExpectedArtifact};

/// Steps that a pattern may take: look-ahead is used in the wild, catastrophes are not wanted (D28).
const PATTERN_STEPS_MAX: usize = 100_000;
/// Types that stand for one another: content that travels along, and content kept elsewhere.
const SAME_TYPES: [[&str; 2]; 2] =
    [["embedded/base64", "remote/base64"], ["embedded/map/base64", "remote/map/base64"]];

/// Why expected artifacts could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// Nothing fits.
    #[error("Unmatched expected artifact {name} could not be resolved")]
    Unmatched {
        /// What was expected.
        name: String,
    },
    /// More than one fits, where it must be one.
    #[error("Expected artifact {name} matches multiple artifacts: {}", found.join(", "))]
    Ambiguous {
        /// What was expected.
        name: String,
        /// What fits.
        found: Vec<String>,
    },
}

/// What expected artifacts came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resolved {
    /// Every artifact: the received ones, then those that were resolved otherwise.
    pub artifacts: Vec<Artifact>,
    /// The expected ones, bound.
    pub expected: Vec<ExpectedArtifact>,
}

/// Resolves a pipeline's expected artifacts when it starts: those that the trigger asks for, and
/// those that have a default or may use an earlier execution's. Every match must be unique.
///
/// # Errors
/// [`MatchError`] for the first that cannot be resolved.
pub fn resolve_at_start(
    expected: &[ExpectedArtifact],
    asked: &[&str],
    received: &[Artifact],
    prior: &[Artifact],
) -> Result<Resolved, MatchError> {
    let wanted = expected.iter().filter(|expected| {
        asked.contains(&expected.id())
            || expected.default_artifact().is_some()
            || expected.use_prior()
    });
    let mut resolved = Resolved { artifacts: received.to_vec(), expected: Vec::new() };
    for expected in wanted {
        let bound = resolve(expected, received, prior, true)?;
        if !resolved.artifacts.contains(&bound) {
            resolved.artifacts.push(bound.clone());
        }
        resolved.expected.push(expected.clone().bind(&bound));
    }
    Ok(resolved)
}

/// Binds what a stage made to what it expects; the first that fits counts.
///
/// # Errors
/// [`MatchError::Unmatched`] for the first that nothing fits.
pub fn bind_produced(
    expected: &[ExpectedArtifact],
    produced: &[Artifact],
) -> Result<Vec<ExpectedArtifact>, MatchError> {
    resolve_each(expected, produced, &[], false)
}

/// Binds each expected artifact: to what was received, else an earlier execution's, else its default.
///
/// # Errors
/// [`MatchError`] for the first that cannot be resolved; with `unique` also for one that more than one
/// artifact fits.
pub fn resolve_each(
    expected: &[ExpectedArtifact],
    received: &[Artifact],
    prior: &[Artifact],
    unique: bool,
) -> Result<Vec<ExpectedArtifact>, MatchError> {
    let bind = |expected: &ExpectedArtifact| {
        resolve(expected, received, prior, unique).map(|bound| expected.clone().bind(&bound))
    };
    expected.iter().map(bind).collect()
}

/// Received, else an earlier execution's, else the default.
fn resolve(
    expected: &ExpectedArtifact,
    received: &[Artifact],
    prior: &[Artifact],
    unique: bool,
) -> Result<Artifact, MatchError> {
    let pattern = expected.match_artifact();
    if let Some(found) = pick(expected, &pattern, received, unique)? {
        return Ok(found);
    }
    if expected.use_prior()
        && let Some(found) = pick(expected, &pattern, prior, unique)?
    {
        return Ok(found);
    }
    let unmatched = || MatchError::Unmatched { name: name(expected) };
    expected.default_artifact().ok_or_else(unmatched)
}

fn pick(
    expected: &ExpectedArtifact,
    pattern: &Artifact,
    among: &[Artifact],
    unique: bool,
) -> Result<Option<Artifact>, MatchError> {
    let found: Vec<&Artifact> =
        among.iter().filter(|artifact| matches(pattern, artifact)).collect();
    if unique && found.len() > 1 {
        let found = found.iter().map(|artifact| artifact.name().to_owned()).collect();
        return Err(MatchError::Ambiguous { name: name(expected), found });
    }
    Ok(found.first().map(|artifact| with_account(artifact, pattern)))
}

/// The account of the pattern where the artifact has none.
fn with_account(artifact: &Artifact, pattern: &Artifact) -> Artifact {
    let mut artifact = artifact.clone();
    if artifact.account().is_empty() && !pattern.account().is_empty() {
        artifact.0.insert("artifactAccount".into(), pattern.account().into());
    }
    artifact
}

fn name(expected: &ExpectedArtifact) -> String {
    let pattern = expected.match_artifact();
    let name = if pattern.name().is_empty() { expected.id() } else { pattern.name() };
    format!("`{name}` ({})", pattern.kind())
}

/// Whether an artifact is what a pattern describes: an empty field fits anything, else it must be
/// equal or the whole of it must match the field as a regular expression.
pub fn matches(pattern: &Artifact, artifact: &Artifact) -> bool {
    let same_type = fits(pattern.kind(), artifact.kind())
        || SAME_TYPES
            .iter()
            .any(|same| same.contains(&pattern.kind()) && same.contains(&artifact.kind()));
    same_type
        && ["name", "version", "location", "reference"]
            .into_iter()
            .all(|key| fits(pattern.text(key), artifact.text(key)))
}

fn fits(pattern: &str, text: &str) -> bool {
    if pattern.is_empty() || pattern == text {
        return true;
    }
    let whole = format!("^(?:{pattern})$");
    let regex = RegexBuilder::new(&whole).backtrack_limit(PATTERN_STEPS_MAX).build();
    regex.is_ok_and(|regex| regex.is_match(text).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn artifact(value: Value) -> Artifact {
        Artifact(value.as_object().cloned().unwrap_or_default())
    }

    fn expected(value: Value) -> ExpectedArtifact {
        ExpectedArtifact(value.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn a_pattern_must_match_the_whole() {
        let pattern = artifact(json!({"type": "docker/image", "name": "gcr.io/app.*"}));
        assert!(matches(
            &pattern,
            &artifact(json!({"type": "docker/image", "name": "gcr.io/app-1"}))
        ));
        assert!(!matches(
            &pattern,
            &artifact(json!({"type": "docker/image", "name": "x.gcr.io/app"}))
        ));
    }

    #[test]
    fn a_pattern_that_never_ends_fits_nothing() {
        let pattern = artifact(json!({"name": "(?=(a+)+$)(a+)+b"}));
        assert!(!matches(&pattern, &artifact(json!({"name": "a".repeat(64)}))));
    }

    #[test]
    fn two_matches_at_the_start_are_an_error_and_in_a_stage_the_first_counts() {
        let wanted = [expected(json!({"id": "x", "matchArtifact": {"name": "a.*"}}))];
        let received = [artifact(json!({"name": "a1"})), artifact(json!({"name": "a2"}))];
        let start = resolve_at_start(&wanted, &["x"], &received, &[]);
        assert!(matches!(start, Err(MatchError::Ambiguous { .. })));
        let bound = bind_produced(&wanted, &received).unwrap();
        assert_eq!(bound[0].bound().unwrap().name(), "a1");
    }

    #[test]
    fn received_then_prior_then_default() {
        let wanted = [expected(json!({
            "id": "x", "matchArtifact": {"name": "a", "artifactAccount": "acc"},
            "usePriorArtifact": true, "useDefaultArtifact": true, "defaultArtifact": {"name": "d"},
        }))];
        let (a, none) = ([artifact(json!({"name": "a", "version": "1"}))], []);
        let name = |received: &[Artifact], prior: &[Artifact]| {
            let found = resolve_at_start(&wanted, &[], received, prior).unwrap();
            found.expected[0].bound().unwrap()
        };
        assert_eq!(name(&a, &none).account(), "acc");
        assert_eq!(name(&none, &a).version(), "1");
        assert_eq!(name(&none, &none).name(), "d");
    }

    #[test]
    fn what_nobody_asked_for_is_not_resolved() {
        let wanted = [expected(json!({"id": "x", "matchArtifact": {"name": "a"}}))];
        assert_eq!(resolve_at_start(&wanted, &[], &[], &[]), Ok(Resolved::default()));
    }
}
