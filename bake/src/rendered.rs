//! What helm printed → the manifests to keep. Pure.

/// Drops documents that a chart's `templates/tests` made: they are for `helm test`, not for clusters.
pub(crate) fn without_tests(printed: &str) -> String {
    let kept: Vec<&str> = printed.split("\n---").filter(|document| !is_test(document)).collect();
    kept.join("\n---")
}

fn is_test(document: &str) -> bool {
    let mut sources = document.lines().filter_map(|line| line.strip_prefix("# Source: "));
    sources.next().is_some_and(|source| source.contains("/templates/tests/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_dropped_and_the_rest_stays() {
        let printed = "---\n# Source: c/templates/a.yaml\na: 1\n---\n# Source: c/templates/tests/t.yaml\n\
                       kind: Pod\n---\n# Source: c/templates/b.yaml\nb: '# Source: c/templates/tests/x'\n";
        let kept = without_tests(printed);
        assert!(kept.contains("a: 1") && kept.contains("b: "));
        assert!(!kept.contains("kind: Pod"));
    }
}
