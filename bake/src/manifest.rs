//! What helm rendered. Pure.

/// What stands before each document and says where it comes from.
const SOURCE: &str = "# Source: ";
/// Where a chart keeps what `helm test` runs.
const TESTS: &str = "/templates/tests/";

/// The documents of a rendering without those from a chart's `templates/tests`: they are for
/// `helm test`, and to deploy them would run the tests.
pub fn without_tests(rendered: &str) -> String {
    let mut kept = String::with_capacity(rendered.len());
    for document in documents(rendered) {
        if !is_test(document) {
            kept.push_str(document);
        }
    }
    kept
}

/// Splits before each line `---`; a document keeps the line that begins it.
fn documents(rendered: &str) -> impl Iterator<Item = &str> {
    let mut rest = rendered;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let first_line = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let end = next_separator(rest, first_line);
        let (document, after) = rest.split_at(end);
        rest = after;
        Some(document)
    })
}

/// Where the next line `---` begins, at or after `from`, which begins a line.
fn next_separator(text: &str, from: usize) -> usize {
    let mut at = from;
    for line in text[from..].split_inclusive('\n') {
        if line.trim_end() == "---" {
            return at;
        }
        at += line.len();
    }
    text.len()
}

/// Only the first line that is neither blank nor the separator counts: what a manifest holds may
/// read like a source.
fn is_test(document: &str) -> bool {
    let mut lines = document.lines().map(str::trim_end);
    let first = lines.find(|line| !line.is_empty() && *line != "---");
    let source = first.and_then(|line| line.strip_prefix(SOURCE));
    source.is_some_and(|source| source.contains(TESTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_dropped_and_all_else_stays_as_it_was() {
        let kept = "---\n# Source: shop/templates/a.yaml\nkind: A\ndata: |\n  ---\n  # Source: \
                    shop/templates/tests/x.yaml\n";
        let test = "---\n# Source: shop/templates/tests/t.yaml\nkind: Pod\n";
        let of_part = "---\n# Source: shop/charts/part/templates/tests/deep/t.yaml\nkind: Pod\n";
        let last = "---\n# Source: shop/templates/z.yaml\nkind: Z\n";
        assert_eq!(without_tests(&[kept, test, of_part, last].concat()), [kept, last].concat());
    }

    #[test]
    fn a_rendering_without_tests_is_the_same() {
        for text in ["", "\n", "kind: A\n", "---\n", "---\nkind: A", "# x\n---\n\n---\n---\nb: 1\n"]
        {
            assert_eq!(without_tests(text), text);
        }
    }

    #[test]
    fn a_chart_that_is_called_tests_is_no_test() {
        let text = "---\n# Source: tests/templates/a.yaml\nkind: A\n";
        assert_eq!(without_tests(text), text);
    }
}
