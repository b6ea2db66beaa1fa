//! When a stage with an execution window may begin (reference §2.3).
//!
//! A window is a span of minutes of the day, by the clock on the wall of the configured zone, both ends
//! included; one that ends before it begins goes over midnight, and each side of it counts for its own
//! day. A start that the wall clock skips in spring comes as much later as was skipped; what it shows
//! twice in autumn is open both times.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use serde_json::Value;
use shared_model::{Object, TaskError};

/// Type, and name, of the stage that waits for the window to open.
pub const STAGE_TYPE: &str = "restrictExecutionDuringTimeWindow";
/// Key of the window in a stage's context.
pub const WINDOW: &str = "restrictedExecutionWindow";
/// Orca's name of the task that waits.
pub const SUSPEND: &str = "suspendExecutionDuringTimeWindow";
/// How long a window may be waited for where the document does not say.
pub const TIMEOUT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Last minute of a day.
const LAST_MINUTE: u16 = 24 * 60 - 1;
/// Days that are looked at: a week, and today's part that has passed.
const DAYS_AHEAD: i64 = 8;

/// When a stage may begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// Minutes of the day, both ends included, none of them over midnight; none at all for the whole
    /// day.
    spans: Vec<(u16, u16)>,
    /// Days of the week; none for every day.
    days: Vec<Weekday>,
    jitter: Option<Jitter>,
}

/// How much later than the window opens a stage begins, by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Jitter {
    skips_manual: bool,
    seconds_min: i64,
    seconds_max: i64,
}

impl Window {
    /// Reads the window of a stage's context.
    ///
    /// # Errors
    /// [`TaskError`] names the first field that makes no sense, and what to write.
    pub fn read(context: &Object) -> Result<Self, TaskError> {
        let window = match context.get(WINDOW) {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(window)) => window,
            Some(other) => {
                return Err(bad("", other, "write an object with `whitelist` and `days`"));
            }
        };
        let mut spans = Vec::new();
        for (index, span) in list(window, "whitelist")?.iter().enumerate() {
            spans.extend(span_of(index, span)?);
        }
        let days = list(window, "days")?.iter().map(day).collect::<Result<_, _>>()?;
        Ok(Self { spans, days, jitter: jitter(window)? })
    }

    /// When a stage that is to begin at `at` may; `chance` is any number, `is_manual` whether a person
    /// started the pipeline.
    pub fn opens(
        &self,
        at: Timestamp,
        zone: &TimeZone,
        chance: u64,
        is_manual: bool,
    ) -> Option<Timestamp> {
        let open = self.opens_at(at, zone)?;
        let jitter = self.jitter.filter(|jitter| !(jitter.skips_manual && is_manual));
        let Some(Jitter { seconds_min, seconds_max, .. }) = jitter else { return Some(open) };
        let range = u64::try_from(seconds_max - seconds_min).unwrap_or_default() + 1;
        let later = seconds_min + i64::try_from(chance % range).unwrap_or_default();
        open.checked_add(SignedDuration::from_secs(later)).ok()
    }

    fn opens_at(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let now = at.to_zoned(zone.clone());
        let minute = minute(now.time());
        if self.is_day(now.weekday())
            && self.spans().any(|(from, to)| (from..=to).contains(&minute))
        {
            return Some(at);
        }
        let starts = (0..=DAYS_AHEAD).flat_map(|ahead| self.starts(&now, ahead));
        starts.filter(|start| *start > at).min()
    }

    fn starts(&self, now: &Zoned, ahead: i64) -> Vec<Timestamp> {
        let Ok(day) = now.date().checked_add(ahead.days()) else { return Vec::new() };
        if !self.is_day(day.weekday()) {
            return Vec::new();
        }
        let start = |(from, _): (u16, u16)| {
            let time = Time::new((from / 60) as i8, (from % 60) as i8, 0, 0).ok()?;
            now.time_zone().to_ambiguous_timestamp(day.to_datetime(time)).compatible().ok()
        };
        self.spans().filter_map(start).collect()
    }

    fn spans(&self) -> impl Iterator<Item = (u16, u16)> + '_ {
        let all_day = self.spans.is_empty().then_some((0, LAST_MINUTE));
        self.spans.iter().copied().chain(all_day)
    }

    fn is_day(&self, day: Weekday) -> bool {
        self.days.is_empty() || self.days.contains(&day)
    }
}

fn minute(time: Time) -> u16 {
    u16::try_from(i16::from(time.hour()) * 60 + i16::from(time.minute())).unwrap_or_default()
}

/// A span, or the two of one that goes over midnight.
fn span_of(index: usize, span: &Value) -> Result<Vec<(u16, u16)>, TaskError> {
    let part = |key: &str, max: u16| {
        let value = span.get(key).unwrap_or(&Value::Null);
        let found = match value.is_null() {
            true => Some(0),
            false => number(value).and_then(|number| u16::try_from(number).ok()),
        };
        found.filter(|found| *found <= max).ok_or_else(|| {
            bad(
                &format!("whitelist[{index}].{key}"),
                value,
                &format!("write a number from 0 to {max}"),
            )
        })
    };
    if !span.is_object() {
        let help = "write an object with startHour, startMin, endHour and endMin";
        return Err(bad(&format!("whitelist[{index}]"), span, help));
    }
    let from = part("startHour", 23)? * 60 + part("startMin", 59)?;
    let to = part("endHour", 23)? * 60 + part("endMin", 59)?;
    Ok(if from <= to { vec![(from, to)] } else { vec![(from, LAST_MINUTE), (0, to)] })
}

fn day(value: &Value) -> Result<Weekday, TaskError> {
    let found = number(value).and_then(|number| i8::try_from(number).ok());
    found
        .and_then(|day| Weekday::from_sunday_one_offset(day).ok())
        .ok_or_else(|| bad("days", value, "write numbers from 1 (Sunday) to 7 (Saturday)"))
}

fn jitter(window: &Object) -> Result<Option<Jitter>, TaskError> {
    let Some(jitter) = window.get("jitter").filter(|jitter| !jitter.is_null()) else {
        return Ok(None);
    };
    let is = |key: &str| jitter.get(key).is_some_and(is_true);
    if !is("enabled") {
        return Ok(None);
    }
    let seconds = |key: &str| {
        let value = jitter.get(key).unwrap_or(&Value::Null);
        let found = if value.is_null() { Some(0) } else { number(value) };
        found.filter(|seconds| (0..=86_400).contains(seconds)).ok_or_else(|| {
            bad(&format!("jitter.{key}"), value, "write a number of seconds from 0 to 86400")
        })
    };
    let (seconds_min, seconds_max) = (seconds("minDelay")?, seconds("maxDelay")?);
    if seconds_min > seconds_max {
        let value = seconds_min.into();
        return Err(bad("jitter.minDelay", &value, "it must not be more than maxDelay"));
    }
    Ok(Some(Jitter { skips_manual: is("skipManual"), seconds_min, seconds_max }))
}

fn list<'a>(window: &'a Object, key: &str) -> Result<&'a [Value], TaskError> {
    match window.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(other) => Err(bad(key, other, "write a list")),
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

fn bad(field: &str, value: &Value, help: &str) -> TaskError {
    let dot = if field.is_empty() { "" } else { "." };
    TaskError::new("InvalidExecutionWindow", format!("`{WINDOW}{dot}{field}` is {value}"))
        .and(help.to_owned())
}

#[cfg(test)]
mod tests;
