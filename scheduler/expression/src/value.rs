//! Values: what Java calls them matters, since documents were written against Java's rules.

use std::rc::Rc;

use indexmap::IndexMap;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use serde_json::{Map, Number, Value};

/// A map in the order of insertion.
pub(crate) type Entries<'a> = IndexMap<String, Val<'a>>;

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Val<'a> {
    Null,
    Bool(bool),
    Byte(i8),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(Rc<str>),
    List(Rc<Vec<Val<'a>>>),
    /// A Java array: a list with a `length`.
    Array(Rc<Vec<Val<'a>>>),
    Map(Rc<Entries<'a>>),
    /// A status: an enumeration that equals its name.
    Status(Rc<str>),
    /// The names that an expression sees.
    Root,
    /// An execution, a stage or a trigger: objects with known properties only.
    Execution(&'a Map<String, Value>),
    Stage(&'a Map<String, Value>),
    Trigger(&'a Map<String, Value>),
    /// A class, as `T(name)` gives it.
    Class(Class),
    Instant(Timestamp),
    /// `java.util.Date`.
    Date(Timestamp),
    LocalDate(Date),
    LocalDateTime(DateTime),
    DayOfWeek(Weekday),
    Unit(Unit),
    Uuid(uuid::Uuid),
    Random(Rc<std::cell::Cell<i64>>),
    /// `java.text.SimpleDateFormat`.
    DateFormat(Rc<str>),
    /// A map entry, whose `key` and `value` are untyped in Java: it may be shown, not asked.
    Entry(Rc<(String, Val<'a>)>),
    /// What `#doNotEval` gives: its text is not looked at again.
    Kept(Rc<Val<'a>>),
}

/// Classes that expressions may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Text,
    Integer,
    Long,
    Double,
    Byte,
    Boolean,
    Math,
    Date,
    DateFormat,
    Random,
    Uuid,
    LocalDate,
    LocalDateTime,
    Instant,
    DayOfWeek,
    ChronoUnit,
    TemporalAdjusters,
    UrlEncoder,
}

/// `java.time.temporal.ChronoUnit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Nanos,
    Micros,
    Millis,
    Seconds,
    Minutes,
    Hours,
    HalfDays,
    Days,
    Weeks,
    Months,
    Years,
    Decades,
    Centuries,
    Millennia,
    Eras,
    Forever,
}

pub(crate) const UNITS: [(&str, Unit); 16] = [
    ("NANOS", Unit::Nanos),
    ("MICROS", Unit::Micros),
    ("MILLIS", Unit::Millis),
    ("SECONDS", Unit::Seconds),
    ("MINUTES", Unit::Minutes),
    ("HOURS", Unit::Hours),
    ("HALF_DAYS", Unit::HalfDays),
    ("DAYS", Unit::Days),
    ("WEEKS", Unit::Weeks),
    ("MONTHS", Unit::Months),
    ("YEARS", Unit::Years),
    ("DECADES", Unit::Decades),
    ("CENTURIES", Unit::Centuries),
    ("MILLENNIA", Unit::Millennia),
    ("ERAS", Unit::Eras),
    ("FOREVER", Unit::Forever),
];

pub(crate) const WEEKDAYS: [(&str, Weekday); 7] = [
    ("MONDAY", Weekday::Monday),
    ("TUESDAY", Weekday::Tuesday),
    ("WEDNESDAY", Weekday::Wednesday),
    ("THURSDAY", Weekday::Thursday),
    ("FRIDAY", Weekday::Friday),
    ("SATURDAY", Weekday::Saturday),
    ("SUNDAY", Weekday::Sunday),
];

impl<'a> Val<'a> {
    pub(crate) fn text(text: impl AsRef<str>) -> Self {
        Self::Text(Rc::from(text.as_ref()))
    }

    pub(crate) fn list(list: Vec<Val<'a>>) -> Self {
        Self::List(Rc::new(list))
    }

    /// The entries of a map.
    pub(crate) fn entries(map: &Entries<'a>) -> Vec<Self> {
        let entries = map.iter().map(|(key, value)| Rc::new((key.clone(), value.clone())));
        entries.map(Self::Entry).collect()
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    fn is_byte(&self) -> bool {
        matches!(self, Self::Byte(_))
    }

    /// JSON as Java's usual reader gives it.
    pub(crate) fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Number(number) => Self::from_number(number),
            Value::String(text) => Self::text(text),
            Value::Array(list) => Self::list(list.iter().map(Self::from_json).collect()),
            Value::Object(map) => Self::from_object(map),
        }
    }

    pub(crate) fn from_object(map: &Map<String, Value>) -> Self {
        let entries = map.iter().map(|(key, value)| (key.clone(), Self::from_json(value)));
        Self::Map(Rc::new(entries.collect()))
    }

    fn from_number(number: &Number) -> Self {
        match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => i32::try_from(whole).map_or(Self::Long(whole), Self::Int),
            (None, Some(real)) => Self::Double(real),
            (None, None) => Self::Null,
        }
    }

    /// The value as JSON; `None` if it holds something that JSON has no form for.
    pub(crate) fn to_json(&self) -> Option<Value> {
        Some(match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Byte(number) => (*number).into(),
            Self::Int(number) => (*number).into(),
            Self::Long(number) => (*number).into(),
            Self::Double(number) => Number::from_f64(*number).map(Value::Number)?,
            Self::Text(text) | Self::Status(text) => Value::String(text.to_string()),
            Self::Array(bytes) if !bytes.is_empty() && bytes.iter().all(Val::is_byte) => {
                Value::String(base64(bytes))
            }
            Self::List(list) | Self::Array(list) => {
                Value::Array(list.iter().map(Val::to_json).collect::<Option<_>>()?)
            }
            Self::Map(map) => {
                let entries = map.iter().map(|(key, value)| Some((key.clone(), value.to_json()?)));
                Value::Object(entries.collect::<Option<_>>()?)
            }
            Self::Execution(map) | Self::Stage(map) | Self::Trigger(map) => {
                Value::Object((*map).clone())
            }
            Self::Instant(at) | Self::Date(at) => at.as_millisecond().into(),
            Self::LocalDate(_) | Self::LocalDateTime(_) | Self::DayOfWeek(_) | Self::Uuid(_) => {
                Value::String(self.to_text())
            }
            // JSON has an enumeration's name, not its text.
            Self::Unit(unit) => named(&UNITS, unit).into(),
            Self::Kept(kept) => return kept.to_json(),
            Self::Entry(entry) => {
                Value::Object(Map::from_iter([(entry.0.clone(), entry.1.to_json()?)]))
            }
            Self::Class(class) => crate::methods::class_name(*class).into(),
            Self::Root | Self::Random(_) | Self::DateFormat(_) => {
                return None;
            }
        })
    }

    /// Java's `toString`.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(truth) => truth.to_string(),
            Self::Byte(number) => number.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Long(number) => number.to_string(),
            Self::Double(number) => double_text(*number),
            Self::Text(text) | Self::Status(text) => text.to_string(),
            Self::List(list) | Self::Array(list) => {
                format!("[{}]", list.iter().map(Val::to_text).collect::<Vec<_>>().join(", "))
            }
            Self::Map(map) => {
                let entries = map.iter().map(|(key, value)| format!("{key}={}", value.to_text()));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
            Self::Execution(map) | Self::Stage(map) | Self::Trigger(map) => {
                Val::from_object(map).to_text()
            }
            Self::Instant(at) => instant_text(*at),
            Self::Date(at) => at.strftime("%a %b %d %H:%M:%S UTC %Y").to_string(),
            Self::LocalDate(date) => date.to_string(),
            Self::LocalDateTime(at) => datetime_text(*at),
            Self::DayOfWeek(day) => named(&WEEKDAYS, day).into(),
            Self::Unit(unit) => unit_text(*unit),
            Self::Uuid(uuid) => uuid.to_string(),
            Self::Kept(kept) => kept.to_text(),
            Self::Entry(entry) => format!("{}={}", entry.0, entry.1.to_text()),
            Self::Root | Self::Class(_) | Self::Random(_) | Self::DateFormat(_) => {
                self.kind().into()
            }
        }
    }

    /// What it is called in errors.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "Boolean",
            Self::Byte(_) => "Byte",
            Self::Int(_) => "Integer",
            Self::Long(_) => "Long",
            Self::Double(_) => "Double",
            Self::Text(_) => "String",
            Self::List(_) => "List",
            Self::Array(_) => "array",
            Self::Map(_) => "Map",
            Self::Status(_) => "ExecutionStatus",
            Self::Root => "the root",
            Self::Execution(_) => "an execution",
            Self::Stage(_) => "a stage",
            Self::Trigger(_) => "a trigger",
            Self::Class(_) => "a class",
            Self::Instant(_) => "Instant",
            Self::Date(_) => "Date",
            Self::LocalDate(_) => "LocalDate",
            Self::LocalDateTime(_) => "LocalDateTime",
            Self::DayOfWeek(_) => "DayOfWeek",
            Self::Unit(_) => "ChronoUnit",
            Self::Uuid(_) => "UUID",
            Self::Random(_) => "Random",
            Self::DateFormat(_) => "SimpleDateFormat",
            Self::Entry(_) => "Map.Entry",
            Self::Kept(_) => "a kept value",
        }
    }

    /// What it weighs, roughly, in bytes.
    pub(crate) fn weight(&self) -> u64 {
        match self {
            Self::Text(text) | Self::Status(text) => 32 + text.len() as u64,
            Self::List(list) | Self::Array(list) => 32 + 32 * list.len() as u64,
            Self::Map(map) => 64 + 96 * map.len() as u64,
            _ => 32,
        }
    }

    /// The number as a double, if it is one.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Byte(number) => Some(f64::from(*number)),
            Self::Int(number) => Some(f64::from(*number)),
            Self::Long(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// The number as a long, if it is a whole one.
    pub(crate) fn whole(&self) -> Option<i64> {
        match self {
            Self::Byte(number) => Some(i64::from(*number)),
            Self::Int(number) => Some(i64::from(*number)),
            Self::Long(number) => Some(*number),
            _ => None,
        }
    }
}

/// Java's JSON has bytes in base64.
fn base64(bytes: &[Val<'_>]) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = bytes.iter().filter_map(Val::whole).map(|byte| byte as u8).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Java's `Double.toString`.
pub(crate) fn double_text(number: f64) -> String {
    let size = number.abs();
    match () {
        () if number.is_nan() => "NaN".into(),
        () if number.is_infinite() => if number > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        () if number == 0.0 || (1e-3..1e7).contains(&size) => {
            let text = number.to_string();
            if text.contains('.') { text } else { format!("{text}.0") }
        }
        () => {
            let text = format!("{number:e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let point = if digits.contains('.') { "" } else { ".0" };
            format!("{digits}{point}E{exponent}")
        }
    }
}

/// Java's `LocalDateTime.toString`: seconds and fractions only where there are any.
fn datetime_text(at: DateTime) -> String {
    let short = at.strftime("%Y-%m-%dT%H:%M").to_string();
    match (at.second(), at.subsec_nanosecond()) {
        (0, 0) => short,
        (_, 0) => at.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        (_, nanos) if nanos % 1_000_000 == 0 => at.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string(),
        (_, nanos) if nanos % 1_000 == 0 => at.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
        (_, _) => at.strftime("%Y-%m-%dT%H:%M:%S%.9f").to_string(),
    }
}

pub(crate) fn named<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, found)| found == value).map_or("", |(name, _)| name)
}

fn unit_text(unit: Unit) -> String {
    let words = named(&UNITS, &unit).split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        format!("{first}{}", rest.to_ascii_lowercase())
    });
    words.collect()
}

/// Java's `Instant.toString`: a fraction has three, six or nine digits.
fn instant_text(at: Timestamp) -> String {
    match at.subsec_nanosecond() {
        0 => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        nanos if nanos % 1_000_000 == 0 => at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        nanos if nanos % 1_000 == 0 => at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        _ => at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string(),
    }
}
