//! Label selectors as an HPA writes them: `a=b`, `a==b`, `a in (b,c)`, with commas between.

/// A label and the values that it may have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Requirement {
    label: String,
    values: Vec<String>,
}

impl Requirement {
    pub(super) fn is_met(&self, label: &str, value: &str) -> bool {
        self.label == label && self.values.iter().any(|one| one == value)
    }
}

/// Reads a selector.
///
/// # Errors
/// What cannot be read, and what can.
pub(super) fn read(text: &str) -> Result<Vec<Requirement>, String> {
    parts(text).into_iter().map(|part| requirement(part.trim())).collect()
}

/// Splits at commas outside of parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    let parts = text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.filter(|part| !part.trim().is_empty()).collect()
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let unknown = || {
        format!(
            "`{part}` cannot be selected by; use `pool=NAME`, `capability=NAME` or `pool in (A,B)`"
        )
    };
    let (label, values) = match part.split_once(" in ") {
        Some((label, list)) => {
            let list = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')'));
            let values = list.ok_or_else(unknown)?.split(',').map(str::trim);
            (label, values.map(str::to_owned).collect())
        }
        None => {
            let (label, value) = part.split_once('=').ok_or_else(unknown)?;
            let value = value.strip_prefix('=').unwrap_or(value);
            (label, vec![value.trim().to_owned()])
        }
    };
    let label = label.trim();
    if label.is_empty() || label.contains(['!', ' ']) {
        return Err(unknown());
    }
    Ok(Requirement { label: label.to_owned(), values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_hpa_writes_is_read() {
        let one = |label: &str, values: &[&str]| Requirement {
            label: label.into(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        assert_eq!(read("").unwrap(), []);
        assert_eq!(read("pool=bake").unwrap(), [one("pool", &["bake"])]);
        assert_eq!(read("pool==bake").unwrap(), [one("pool", &["bake"])]);
        let two = "capability in (bake.helm, bake.packer),pool=x";
        let expected = [one("capability", &["bake.helm", "bake.packer"]), one("pool", &["x"])];
        assert_eq!(read(two).unwrap(), expected);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["pool", "pool!=bake", "!pool", "pool notin (a)", "pool in a", "=b"] {
            assert!(read(text).unwrap_err().contains("pool in (A,B)"), "{text}");
        }
    }
}
