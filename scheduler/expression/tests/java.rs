//! What Java and Spring do, one line each: what an expression comes to, or `fails`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use scheduler_expression::{Context, Limits, evaluate};
use serde_json::{Map, Value, json};

fn shown(expression: &str) -> String {
    let root = json!({ "s": "Hello World", "i": 7, "f": 2.5, "n": null, "t": true,
        "l": ["a", "b", "c"], "nums": [3, 1, 2] });
    let Value::Object(root) = root else { return String::new() };
    in_root(expression, &root)
}

fn in_root(expression: &str, root: &Map<String, Value>) -> String {
    let limits = Limits::default();
    let context = Context::new(root, None, None, Timestamp::UNIX_EPOCH, &limits);
    let text = json!(format!("${{{expression}}}"));
    let found = evaluate(&text, &context, &BTreeSet::new());
    if found.summary.failed > 0 { "fails".into() } else { found.value.to_string() }
}

/// Checks a table of expressions and what they come to.
fn check(table: &[(&str, &str)]) {
    for (expression, expected) in table {
        assert_eq!(shown(expression), *expected, "{expression}");
    }
}

#[test]
fn arguments_are_converted_where_one_method_fits() {
    check(&[
        ("s.substring('6')", r#""World""#),
        ("s.substring(6.9)", r#""World""#),
        ("s.concat(i)", r#""Hello World7""#),
        ("T(Math).pow('2', 3)", "8.0"),
        ("T(Integer).parseInt(5)", "5"),
        ("l.subList('0', 1L)", r#"["a"]"#),
        ("T(Math).max(3, 9)", "9"),
        ("T(Math).max('3', 9)", "fails"),
        ("T(Math).max(3L, 9)", "fails"),
        ("T(Math).round(3)", "fails"),
        ("T(Double).valueOf(1)", "fails"),
        ("T(String).join('-', 1, 2)", "fails"),
    ]);
}

#[test]
fn arrays_are_no_lists() {
    check(&[
        ("s.split(' ').length", "2"),
        ("s.split(' ').size()", "fails"),
        ("s.split(' ') == {'Hello', 'World'}", "false"),
        ("new int[2]", "[0,0]"),
        ("new String[1]", "[null]"),
        ("new double[]{1, '2'}", "[1.0,2.0]"),
        ("s.bytes", r#""SGVsbG8gV29ybGQ=""#),
        ("new String(s.getBytes('UTF-8'))", r#""Hello World""#),
    ]);
}

#[test]
fn collections_compare_by_kind() {
    check(&[
        ("nums.contains(3)", "true"),
        ("nums.contains(3L)", "false"),
        ("{1, 2} == {1L, 2L}", "false"),
        ("1 == 1L", "true"),
    ]);
}

#[test]
fn the_root_is_a_map() {
    check(&[("#root.size()", "7"), ("containsKey('s')", "true"), ("#root[s]", r#""Hello World""#)]);
}

#[test]
fn texts_as_java_has_them() {
    check(&[
        ("s.lastIndexOf('o', 5)", "4"),
        ("s.indexOf(111)", "4"),
        ("'a.b'.split('.')", "[]"),
        ("''.split(',')", r#"[""]"#),
        (r"s.replaceAll('(\w+) (\w+)', '$2 $1')", r#""World Hello""#),
        ("s.replaceAll('o', '$9')", "fails"),
        ("s.subSequence(0, 2)", "fails"),
        ("i matches '7'", "true"),
        ("'b' - 1", r#""a""#),
        ("'a'.compareToIgnoreCase('C')", "-2"),
    ]);
}

#[test]
fn formats_round_half_up() {
    check(&[
        ("T(String).format('%.1f', 2.25)", r#""2.3""#),
        ("T(String).format('%.0f', 9.5)", r#""10""#),
        ("T(String).format('%e', 12345.678)", r#""1.234568e+04""#),
        ("T(String).format('%g', 12345.678)", r#""12345.7""#),
        ("T(String).format('%#x', 255)", r#""0xff""#),
        ("T(String).format('%(d', -5)", r#""(5)""#),
        ("T(String).format('%c', 65)", r#""A""#),
        ("T(String).format('%d', s)", "fails"),
    ]);
}

#[test]
fn numbers_as_java_has_them() {
    check(&[
        ("T(Integer).decode('0x10')", "16"),
        ("T(Integer).decode('010')", "8"),
        ("T(Integer).toString(-255, 16)", r#""-ff""#),
        ("T(Math).floorDiv(-7, 2)", "-4"),
        ("T(Math).addExact(2147483647, 1)", "fails"),
        ("T(Math).floorMod(-7L, 3)", "2"),
        ("T(Integer).abs(1)", "fails"),
        ("f.hashCode()", "1074003968"),
    ]);
}

#[test]
fn days_and_units() {
    let day = |rest: &str| shown(&format!("T(java.time.LocalDate).parse('2024-01-31').{rest}"));
    assert_eq!(day("withMonth(2).toString()"), r#""2024-02-29""#);
    assert_eq!(day("atTime(10, 15).toString()"), r#""2024-01-31T10:15""#);
    assert_eq!(day("with(T(java.time.DayOfWeek).of(1)).toString()"), r#""2024-01-29""#);
    assert_eq!(day("plusHours(1)"), "fails");
    assert_eq!(day("getMonth()"), "fails");
    let unit = |name: &str| format!("T(java.time.temporal.ChronoUnit).valueOf('{name}')");
    assert_eq!(shown(&unit("HALF_DAYS")), r#""HALF_DAYS""#);
    assert_eq!(shown(&format!("{}.toString()", unit("HALF_DAYS"))), r#""HalfDays""#);
    assert_eq!(day(&format!("plus(1, {})", unit("HOURS"))), "fails");
    let other = "T(java.time.LocalDate).parse('2024-03-01')";
    assert_eq!(day(&format!("until({other}, {})", unit("DAYS"))), "30");
    assert_eq!(shown("T(java.time.LocalDateTime).parse('2024-01-31')"), "fails");
}

fn format(pattern: &str, millis: i64) -> String {
    shown(&format!(
        "new java.text.SimpleDateFormat('{pattern}').format(new java.util.Date({millis}L))"
    ))
}

#[test]
fn dates_are_written_letter_by_letter() {
    assert_eq!(format("yyyy-MM-dd''T''HH:mm:ss.SSSXXX", 1_700_000_000_123), {
        r#""2023-11-14T22:13:20.123Z""#
    });
    assert_eq!(format("S SS SSSSSS", 5), r#""5 05 000005""#);
    assert_eq!(format("k K h H", 0), r#""24 0 12 0""#);
    assert_eq!(format("YYYY-ww", 1_704_000_000_000), r#""2024-01""#);
    assert_eq!(format("w W F u D", 1_700_000_000_000), r#""46 3 2 2 318""#);
    assert_eq!(format("EEE EEEE MMM MMMM G", 0), r#""Thu Thursday Jan January AD""#);
    assert_eq!(format("b", 0), "fails");
}

fn parsed(pattern: &str, text: &str) -> String {
    shown(&format!("new java.text.SimpleDateFormat('{pattern}').parse('{text}').getTime()"))
}

#[test]
fn dates_are_read_leniently() {
    assert_eq!(parsed("yyyy-MM-dd", "2024-13-41"), "1739145600000");
    assert_eq!(parsed("yyyyMMdd", "20240131"), "1706659200000");
    assert_eq!(parsed("yyyy-MM-dd''T''HH:mm:ssZ", "2024-01-31T10:15:30+0100"), "1706692530000");
    assert_eq!(parsed("hh:mm a", "01:15 PM"), "47700000");
    assert_eq!(parsed("dd MMM yyyy", "31 Jan 2024"), "1706659200000");
    assert_eq!(parsed("yyyy", "x"), "fails");
}

#[test]
fn functions_take_text() {
    check(&[
        ("#toBase64(n)", "fails"),
        ("#toBase64(l)", r#""YSxiLGM=""#),
        ("#fromBase64('SGVsbG8')", r#""Hello""#),
        ("#toFloat('1f')", "1.0"),
        ("#toJson(1e10)", r#""1.0E10""#),
        (r#"#readJson(' {"a":1}').a"#, "1"),
        ("#readYaml('y: [y, yes, off]')", r#"{"y":["y",true,false]}"#),
        (r#"#readYaml('a: "yes"')"#, r#"{"a":"yes"}"#),
    ]);
}

#[test]
fn an_entry_of_a_map_may_be_shown_but_not_asked() {
    check(&[
        ("{a:1,b:{c:2}}.entrySet()", r#"[{"a":1},{"b":{"c":2}}]"#),
        ("{a:1}.![#this]", r#"[{"a":1}]"#),
        ("{a:1}.![#this.toString()]", "fails"),
        ("{a:1}.![key]", "fails"),
        ("{a:1,b:2}.entrySet().toString()", r#""[a=1, b=2]""#),
    ]);
}
