//! A strict reader of Prometheus' text format, version 0.0.4: whatever does not keep to it fails.

use std::collections::{BTreeMap, BTreeSet};

/// One family of series.
#[derive(Debug, Default)]
pub(crate) struct Family {
    kind: String,
    /// By name and labels, as they are written.
    pub(crate) series: BTreeMap<Series, f64>,
}

/// A series: its name, and its labels sorted.
pub(crate) type Series = (String, Labels);

/// Names and values.
pub(crate) type Labels = Vec<(String, String)>;

/// Reads a whole answer.
#[track_caller]
pub(crate) fn read(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'), "the last line has no end");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut helped, mut current) = (BTreeSet::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helped.contains(name), "{line} without HELP");
            let family = Family { kind: kind.to_owned(), ..Family::default() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{line} came twice");
            current = name.to_owned();
        } else {
            let (series, value) = sample(line);
            let family = families.get_mut(&current).unwrap();
            assert!(belongs(&series.0, &current, &family.kind), "{line} below {current}");
            assert!(family.series.insert(series, value).is_none(), "{line} came twice");
        }
    }
    families.iter().filter(|(_, family)| family.kind == "histogram").for_each(check_histogram);
    families
}

fn belongs(name: &str, family: &str, kind: &str) -> bool {
    let ending = name.strip_prefix(family);
    match kind {
        "histogram" => ending.is_some_and(|end| ["_bucket", "_sum", "_count"].contains(&end)),
        _ => ending == Some(""),
    }
}

fn sample(line: &str) -> (Series, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let value: f64 = value.replace("+Inf", "inf").parse().unwrap();
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, read_labels(labels, line)),
        None => (series, Vec::new()),
    };
    assert!(is_name(name), "{line}");
    ((name.to_owned(), labels), value)
}

/// `a="b",c="d"}`, with `\\`, `\"` and `\n` escaped.
fn read_labels(mut text: &str, line: &str) -> Labels {
    let mut labels = Vec::new();
    loop {
        let (name, rest) = text.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        assert!(is_name(name) && !name.contains(':'), "{line}");
        let mut value = String::new();
        let mut chars = rest.chars();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => match chars.next() {
                    Some('n') => value.push('\n'),
                    Some(c @ ('\\' | '"')) => value.push(c),
                    other => panic!("escaped {other:?} in {line}"),
                },
                Some(c) => value.push(c),
                None => panic!("no end: {line}"),
            }
        }
        labels.push((name.to_owned(), value));
        match chars.next() {
            Some(',') => text = chars.as_str(),
            Some('}') if chars.as_str().is_empty() => break,
            other => panic!("{other:?} in {line}"),
        }
    }
    labels.sort();
    let names: BTreeSet<&String> = labels.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), labels.len(), "a label came twice: {line}");
    labels
}

fn is_name(name: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(is_first) && name.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

/// Buckets count up, and the last one, `+Inf`, is the count.
fn check_histogram((name, family): (&String, &Family)) {
    let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for ((series, labels), value) in &family.series {
        if *series == format!("{name}_bucket") {
            let is_bound = |label: &&(String, String)| label.0 == "le";
            let bound = labels.iter().find(is_bound).unwrap().1.replace("+Inf", "inf");
            let others = labels.iter().filter(|label| !is_bound(label)).cloned().collect();
            buckets.entry(others).or_default().push((bound.parse().unwrap(), *value));
        }
    }
    assert!(!buckets.is_empty(), "{name} has no buckets");
    for (labels, mut bounds) in buckets {
        bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(bounds.is_sorted_by(|a, b| a.1 <= b.1), "{name} {labels:?}");
        let (last, all) = *bounds.last().unwrap();
        let count = family.series.get(&(format!("{name}_count"), labels.clone()));
        assert_eq!((last, Some(&all)), (f64::INFINITY, count), "{name} {labels:?}");
        assert!(family.series.contains_key(&(format!("{name}_sum"), labels)), "{name}");
    }
}
