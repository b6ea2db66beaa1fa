//! Expressions that would use up everything: each ends at a limit, or is refused, and says which.

use std::collections::BTreeSet;

use jiff::Timestamp;
use scheduler_expression::{Context, Limits, evaluate};
use serde_json::{Map, json};

/// What is wrong with an expression, in words; empty if nothing is.
fn complaint(expression: &str) -> String {
    let (root, limits) = (Map::new(), Limits::default());
    let context = Context::new(&root, None, None, Timestamp::UNIX_EPOCH, &limits);
    let text = json!(format!("${{{expression}}}"));
    let found = evaluate(&text, &context, &BTreeSet::new());
    if found.summary.failed == 0 {
        return String::new();
    }
    assert_eq!(found.value, text, "what fails stays as it is");
    format!("{:?}", found.summary)
}

/// A list of lists, each looked at for each entry of the one around it: ten, to the power of `depth`.
fn nested(depth: usize) -> String {
    let list = "{1,2,3,4,5,6,7,8,9,10}";
    (0..depth).fold("1".to_owned(), |inner, _| format!("{list}.![{inner}]"))
}

#[test]
fn what_loops_ends() {
    let told = complaint(&nested(9));
    assert!(told.contains("_max"), "{told}");
}

#[test]
fn what_nests_ends() {
    for expression in [
        format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("{}true", "!".repeat(9_000)),
        format!("{}{}", "{".repeat(4_000), "}".repeat(4_000)),
    ] {
        let told = complaint(&expression);
        assert!(!told.is_empty(), "{}", &expression[..40]);
    }
    assert!(!complaint(&"1+".repeat(9_999)).is_empty(), "it is too long, too");
}

#[test]
fn what_grows_ends() {
    let doubled = (0..30).fold("'aaaaaaaaaaaaaaaa'".to_owned(), |inner, _| {
        format!("{{{inner}}}.![#this + #this + #this + #this][0]")
    });
    let told = complaint(&doubled);
    assert!(told.contains("_max"), "{told}");
    let told = complaint("new String('a').replaceAll('a', 'aaaaaaaaaa').repeat(100000000)");
    assert!(!told.is_empty());
}

#[test]
fn what_matches_for_ever_ends() {
    let text = "a".repeat(40);
    for expression in [
        format!("'{text}!' matches '(a+)+b'"),
        format!("'{text}!' matches '(a|aa)+b'"),
        format!("'{text}!'.matches('(?=(a+)+b)a')"),
        format!("'{text}!'.replaceAll('(a*)*(?=b)b', 'x')"),
    ] {
        // One that is matched in linear time comes to an answer, which is as good.
        let told = complaint(&expression);
        assert!(told.is_empty() || told.contains("regex_steps_max"), "{expression}: {told}");
    }
}

#[test]
fn what_is_forbidden_is_refused() {
    for expression in [
        "T(java.lang.Runtime).getRuntime().exec('id')",
        "T(Runtime).getRuntime()",
        "T(java.lang.System).getenv('HOME')",
        "T(java.lang.Class).forName('java.lang.Runtime')",
        "new java.io.File('/etc/passwd')",
        "new ProcessBuilder('id').start()",
        "'a'.getClass().forName('java.lang.Runtime')",
        "''.class.classLoader",
        "T(java.nio.file.Files).readAllLines(T(java.nio.file.Paths).get('/etc/passwd'))",
        "@environment",
    ] {
        assert!(!complaint(expression).is_empty(), "{expression}");
    }
}
