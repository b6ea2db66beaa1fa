use serde_json::json;

use super::*;

fn window(value: Value) -> Window {
    Window::read(&Object::from_iter([(WINDOW.to_owned(), value)])).unwrap()
}

fn zone() -> TimeZone {
    TimeZone::posix("PST8PDT,M3.2.0,M11.1.0").unwrap()
}

fn at(text: &str) -> Timestamp {
    let civil: jiff::civil::DateTime = text.parse().unwrap();
    civil.to_zoned(zone()).unwrap().timestamp()
}

#[track_caller]
fn opens(window: &Window, now: &str, expected: &str) {
    let found = window.opens(at(now), &zone(), 0, false).unwrap().to_zoned(zone());
    assert_eq!(found.strftime("%FT%H:%M").to_string(), expected);
}

fn office_hours() -> Window {
    window(json!({"days": [2, 3, 4, 5, 6], "whitelist": [
        {"startHour": 9, "startMin": 0, "endHour": 11, "endMin": 30},
        {"startHour": 13, "startMin": 30, "endHour": 17, "endMin": 0},
    ]}))
}

#[test]
fn inside_it_is_open_and_both_ends_are_inside() {
    for now in ["2026-07-06T09:00", "2026-07-06T11:30", "2026-07-06T17:00"] {
        opens(&office_hours(), now, now);
    }
}

#[test]
fn outside_the_next_start_counts() {
    opens(&office_hours(), "2026-07-06T08:59", "2026-07-06T09:00");
    opens(&office_hours(), "2026-07-06T11:31", "2026-07-06T13:30");
    opens(&office_hours(), "2026-07-10T17:01", "2026-07-13T09:00");
    opens(&office_hours(), "2026-07-11T12:00", "2026-07-13T09:00");
}

#[test]
fn over_midnight_each_side_counts_for_its_own_day() {
    let night = window(json!({"days": [6], "whitelist": [
        {"startHour": 22, "startMin": 0, "endHour": 2, "endMin": 0}]}));
    opens(&night, "2026-07-10T23:00", "2026-07-10T23:00");
    opens(&night, "2026-07-10T01:00", "2026-07-10T01:00");
    opens(&night, "2026-07-11T01:00", "2026-07-17T00:00");
    opens(&night, "2026-07-10T02:01", "2026-07-10T22:00");
}

#[test]
fn without_hours_or_days_all_of_them_count() {
    opens(&window(json!({})), "2026-07-11T03:00", "2026-07-11T03:00");
    opens(&window(json!({"days": [1]})), "2026-07-11T03:00", "2026-07-12T00:00");
}

#[test]
fn a_start_that_is_skipped_in_spring_comes_later() {
    let early = window(json!({"whitelist": [
        {"startHour": 2, "startMin": 30, "endHour": 2, "endMin": 45}]}));
    opens(&early, "2026-03-08T00:00", "2026-03-08T03:30");
    opens(&early, "2026-03-08T03:31", "2026-03-09T02:30");
}

#[test]
fn what_comes_twice_in_autumn_is_open_twice() {
    let early = window(json!({"whitelist": [
        {"startHour": 1, "startMin": 0, "endHour": 1, "endMin": 45}]}));
    let first = at("2026-11-01T01:20");
    let second = first + SignedDuration::from_hours(1);
    for now in [first, second] {
        assert_eq!(early.opens(now, &zone(), 0, false), Some(now));
    }
    let between = first + SignedDuration::from_mins(30);
    let next = early.opens(between, &zone(), 0, false).unwrap();
    assert!(next > second, "the second start has no time of its own: {next}");
}

#[test]
fn jitter_is_within_its_bounds_and_spares_people_if_asked() {
    let window = window(json!({"jitter":
        {"enabled": true, "skipManual": true, "minDelay": 10, "maxDelay": 20}}));
    let now = at("2026-07-06T12:00");
    for chance in 0..100 {
        let later = window.opens(now, &zone(), chance, false).unwrap().duration_since(now);
        assert!((10..=20).contains(&later.as_secs()), "{later}");
    }
    assert_eq!(window.opens(now, &zone(), 7, true), Some(now));
}

#[test]
fn impossible_windows_are_refused_by_name() {
    for (value, field) in [
        (json!({"days": [0]}), "days"),
        (json!({"days": [8]}), "days"),
        (json!({"days": ["Monday"]}), "days"),
        (json!({"days": 3}), "days"),
        (json!({"whitelist": [{"startHour": 24}]}), "whitelist[0].startHour"),
        (json!({"whitelist": [{"endMin": 60}]}), "whitelist[0].endMin"),
        (json!({"whitelist": ["9-17"]}), "whitelist[0]"),
        (json!({"jitter": {"enabled": true, "minDelay": 9, "maxDelay": 1}}), "jitter.minDelay"),
        (json!("always"), "restrictedExecutionWindow"),
    ] {
        let error = Window::read(&Object::from_iter([(WINDOW.to_owned(), value)])).unwrap_err();
        assert!(error.messages[0].contains(field), "{error:?}");
    }
}
