//! Dates, times, identifiers, random numbers. The clock and the seed come from the caller (D13);
//! zones are UTC.

use std::rc::Rc;

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit as Part};
use uuid::Uuid;

use super::ids::{of_random, of_uuid, random, uuid_class};
use crate::Error;
use crate::eval::access::weekday_text;
use crate::eval::operators::{compare, equal};
use crate::eval::{Result, Run};
use crate::value::{Class, UNITS, Unit, Val, WEEKDAYS, named};

pub(super) type Found<'a> = Result<Option<Val<'a>>>;

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::Evaluate(format!("DateTimeException: {error}"))
}

fn utc(at: Timestamp) -> DateTime {
    at.to_zoned(TimeZone::UTC).datetime()
}

/// A method of one of these objects.
pub(super) fn call<'a>(of: &Val<'a>, name: &str, args: &[Val<'a>]) -> Found<'a> {
    match (name, args) {
        ("toString", []) => return Ok(Some(Val::text(of.to_text()))),
        ("hashCode", []) => return Ok(hash(of).map(Val::Int)),
        ("until", [end, Val::Unit(unit)]) if of.kind() == end.kind() => {
            return of_unit(*unit, "between", &[of.clone(), end.clone()]);
        }
        ("equals", [other]) => return Ok(Some(Val::Bool(equal(of, other)))),
        ("compareTo", [other]) if of.kind() == other.kind() => {
            return Ok(Some(Val::Int(distance(of, other)?)));
        }
        ("isBefore" | "before", [other]) if of.kind() == other.kind() => {
            return Ok(Some(Val::Bool(compare(of, other)?.is_lt())));
        }
        ("isAfter" | "after", [other]) if of.kind() == other.kind() => {
            return Ok(Some(Val::Bool(compare(of, other)?.is_gt())));
        }
        ("isEqual", [other]) if of.kind() == other.kind() => {
            return Ok(Some(Val::Bool(equal(of, other))));
        }
        _ => {}
    }
    match of {
        Val::LocalDate(date) => of_date(*date, name, args),
        Val::LocalDateTime(at) => of_datetime(*at, name, args),
        Val::Instant(at) => of_instant(*at, name, args),
        Val::Date(at) => Ok(of_java_date(*at, name, args)),
        Val::DayOfWeek(day) => Ok(of_weekday(*day, name, args)),
        Val::Unit(unit) => of_unit(*unit, name, args),
        Val::Uuid(uuid) => Ok(of_uuid(*uuid, name, args)),
        Val::Random(state) => Ok(of_random(state, name, args)),
        Val::DateFormat(pattern) => super::formats::call(pattern, name, args),
        _ => Ok(None),
    }
}

/// Java's `compareTo`: of days it gives how far they are apart in the first part that differs.
fn distance(a: &Val<'_>, b: &Val<'_>) -> Result<i32> {
    let parts = |date: Date| [i32::from(date.year()), date.month().into(), date.day().into()];
    let dates = match (a, b) {
        (Val::LocalDate(a), Val::LocalDate(b)) => Some((*a, *b)),
        (Val::LocalDateTime(a), Val::LocalDateTime(b)) => Some((a.date(), b.date())),
        (Val::DayOfWeek(a), Val::DayOfWeek(b)) => {
            return Ok((a.to_monday_zero_offset() - b.to_monday_zero_offset()).into());
        }
        _ => None,
    };
    let first = dates.and_then(|(a, b)| {
        parts(a).into_iter().zip(parts(b)).map(|(a, b)| a - b).find(|difference| *difference != 0)
    });
    first.map_or_else(|| compare(a, b).map(|order| order as i32), Ok)
}

/// Java's `hashCode`, of those for which it is the same on every machine.
fn hash(of: &Val<'_>) -> Option<i32> {
    let folded = |bits: i64| (bits ^ (bits >> 32)) as i32;
    match of {
        Val::Date(at) => Some(folded(at.as_millisecond())),
        Val::Instant(at) => {
            Some(folded(at.as_second()).wrapping_add(51_i32.wrapping_mul(at.subsec_nanosecond())))
        }
        Val::LocalDate(date) => {
            let (year, month) = (i32::from(date.year()), i32::from(date.month()));
            Some((year & !0x7FF) ^ ((year << 11) + (month << 6) + i32::from(date.day())))
        }
        Val::Uuid(uuid) => {
            let (most, least) = uuid.as_u64_pair();
            Some(folded((most ^ least) as i64))
        }
        _ => None,
    }
}

/// Refuses units that a kind of date has no place for.
fn allowed(unit: Unit, is_allowed: impl Fn(Unit) -> bool) -> Result<()> {
    if is_allowed(unit) {
        return Ok(());
    }
    Err(wrong(format!("Unsupported unit: {}", Val::Unit(unit).to_text())))
}

fn is_date_based(unit: Unit) -> bool {
    unit as u8 >= Unit::Days as u8 && unit != Unit::Forever
}

fn is_exact(unit: Unit) -> bool {
    unit as u8 <= Unit::Days as u8
}

/// `plusDays(3)`, `minusMonths(1)`: a span, if the method is one of those.
fn shift(name: &str, args: &[Val<'_>], units: &[Unit]) -> Option<Result<Span>> {
    let [amount] = args else { return None };
    let amount = amount.whole()?;
    let (unit, sign) = match name.strip_prefix("plus") {
        Some(unit) => (unit, 1),
        None => (name.strip_prefix("minus")?, -1),
    };
    let unit = UNITS.iter().find(|(known, _)| known.eq_ignore_ascii_case(unit))?.1;
    units.contains(&unit).then(|| span(amount.saturating_mul(sign), unit))
}

fn span(amount: i64, unit: Unit) -> Result<Span> {
    let empty = Span::new();
    let made = match unit {
        Unit::Nanos => empty.try_nanoseconds(amount),
        Unit::Micros => empty.try_microseconds(amount),
        Unit::Millis => empty.try_milliseconds(amount),
        Unit::Seconds => empty.try_seconds(amount),
        Unit::Minutes => empty.try_minutes(amount),
        Unit::Hours => empty.try_hours(amount),
        Unit::HalfDays => empty.try_hours(amount.saturating_mul(12)),
        Unit::Days => empty.try_days(amount),
        Unit::Weeks => empty.try_weeks(amount),
        Unit::Months => empty.try_months(amount),
        Unit::Years => empty.try_years(amount),
        Unit::Decades => empty.try_years(amount.saturating_mul(10)),
        Unit::Centuries => empty.try_years(amount.saturating_mul(100)),
        Unit::Millennia => empty.try_years(amount.saturating_mul(1_000)),
        Unit::Eras | Unit::Forever => return Err(wrong("Unsupported unit")),
    };
    made.map_err(wrong)
}

/// `plus(3, unit)`, `minus(3, unit)`.
fn shift_by_unit(
    name: &str,
    args: &[Val<'_>],
    is_allowed: impl Fn(Unit) -> bool,
) -> Option<Result<Span>> {
    let [amount, Val::Unit(unit)] = args else { return None };
    let amount = amount.whole()?;
    if let Err(error) = allowed(*unit, is_allowed) {
        return Some(Err(error));
    }
    match name {
        "plus" => Some(span(amount, *unit)),
        "minus" => Some(span(amount.saturating_neg(), *unit)),
        _ => None,
    }
}

const DAY_UNITS: [Unit; 4] = [Unit::Days, Unit::Weeks, Unit::Months, Unit::Years];
const TIME_UNITS: [Unit; 8] = [
    Unit::Nanos,
    Unit::Seconds,
    Unit::Minutes,
    Unit::Hours,
    Unit::Days,
    Unit::Weeks,
    Unit::Months,
    Unit::Years,
];
const INSTANT_UNITS: [Unit; 3] = [Unit::Nanos, Unit::Millis, Unit::Seconds];

/// `withMonth(2)` and its like; where the month is shorter, the day becomes its last.
fn with_part(date: Date, name: &str, args: &[Val<'_>]) -> Result<Option<Date>> {
    if let ("with", [Val::DayOfWeek(day)]) = (name, args) {
        let ahead = day.to_monday_zero_offset() - date.weekday().to_monday_zero_offset();
        return date.checked_add(span(ahead.into(), Unit::Days)?).map(Some).map_err(wrong);
    }
    let [Val::Int(number)] = args else { return Ok(None) };
    let small = || i8::try_from(*number).map_err(wrong);
    let of = |year: i16, month: i8| {
        let first = Date::new(year, month, 1).map_err(wrong)?;
        first.with().day(date.day().min(first.days_in_month())).build().map_err(wrong)
    };
    Ok(Some(match name {
        "withYear" => of(i16::try_from(*number).map_err(wrong)?, date.month())?,
        "withMonth" => of(date.year(), small()?)?,
        "withDayOfMonth" => date.with().day(small()?).build().map_err(wrong)?,
        "withDayOfYear" => {
            let day = i16::try_from(*number).map_err(wrong)?;
            date.with().day_of_year(day).build().map_err(wrong)?
        }
        _ => return Ok(None),
    }))
}

fn of_date<'a>(date: Date, name: &str, args: &[Val<'a>]) -> Found<'a> {
    let shifted = shift(name, args, &DAY_UNITS);
    if let Some(span) = shifted.or_else(|| shift_by_unit(name, args, is_date_based)) {
        return date.checked_add(span?).map(|date| Some(Val::LocalDate(date))).map_err(wrong);
    }
    if let Some(date) = with_part(date, name, args)? {
        return Ok(Some(Val::LocalDate(date)));
    }
    let int = |number: i16| Some(Val::Int(i32::from(number)));
    Ok(match (name, args) {
        ("getYear", []) => int(date.year()),
        ("getMonthValue", []) => int(i16::from(date.month())),
        ("getDayOfMonth", []) => int(i16::from(date.day())),
        ("getDayOfYear", []) => int(date.day_of_year()),
        ("lengthOfMonth", []) => int(i16::from(date.days_in_month())),
        ("lengthOfYear", []) => int(date.days_in_year()),
        ("isLeapYear", []) => Some(Val::Bool(date.in_leap_year())),
        ("getDayOfWeek", []) => Some(Val::DayOfWeek(date.weekday())),
        ("toEpochDay", []) => {
            let days = date.since((Part::Day, Date::new(1970, 1, 1).map_err(wrong)?));
            Some(Val::Long(i64::from(days.map_err(wrong)?.get_days())))
        }
        ("atStartOfDay", []) => {
            Some(Val::LocalDateTime(date.to_datetime(jiff::civil::Time::midnight())))
        }
        ("atTime", [_, _, ..]) => Some(Val::LocalDateTime(datetime_of(date, args)?)),
        ("isSupported", [Val::Unit(unit)]) => Some(Val::Bool(is_date_based(*unit))),
        _ => None,
    })
}

fn of_datetime<'a>(at: DateTime, name: &str, args: &[Val<'a>]) -> Found<'a> {
    let any = |unit| !matches!(unit, Unit::Eras | Unit::Forever);
    let shifted = shift(name, args, &TIME_UNITS);
    if let Some(span) = shifted.or_else(|| shift_by_unit(name, args, any)) {
        return at.checked_add(span?).map(|at| Some(Val::LocalDateTime(at))).map_err(wrong);
    }
    if let Some(date) = with_part(at.date(), name, args)? {
        return Ok(Some(Val::LocalDateTime(date.to_datetime(at.time()))));
    }
    Ok(match (name, args) {
        ("getNano", []) => Some(Val::Int(at.subsec_nanosecond())),
        ("withHour" | "withMinute" | "withSecond" | "withNano", [Val::Int(number)]) => {
            Some(Val::LocalDateTime(with_time(at, name, *number)?))
        }
        ("truncatedTo", [Val::Unit(unit)]) => {
            allowed(*unit, is_exact)?;
            let utc = at.to_zoned(TimeZone::UTC).map_err(wrong)?.timestamp();
            Some(Val::LocalDateTime(self::utc(truncated(utc, *unit)?)))
        }
        ("toLocalDate", []) => Some(Val::LocalDate(at.date())),
        ("getHour", []) => Some(Val::Int(i32::from(at.hour()))),
        ("getMinute", []) => Some(Val::Int(i32::from(at.minute()))),
        ("getSecond", []) => Some(Val::Int(i32::from(at.second()))),
        _ if name.starts_with("get") => of_date(at.date(), name, args)?,
        _ => None,
    })
}

fn with_time(at: DateTime, name: &str, number: i32) -> Result<DateTime> {
    let small = || i8::try_from(number).map_err(wrong);
    let with = at.with();
    let with = match name {
        "withHour" => with.hour(small()?),
        "withMinute" => with.minute(small()?),
        "withSecond" => with.second(small()?),
        _ => with.subsec_nanosecond(number),
    };
    with.build().map_err(wrong)
}

/// Cut down to whole units, of a day at most.
fn truncated(at: Timestamp, unit: Unit) -> Result<Timestamp> {
    let length: i128 = match unit {
        Unit::Nanos => 1,
        Unit::Micros => 1_000,
        Unit::Millis => 1_000_000,
        Unit::Seconds => 1_000_000_000,
        Unit::Minutes => 60_000_000_000,
        Unit::Hours => 3_600_000_000_000,
        Unit::HalfDays => 43_200_000_000_000,
        _ => 86_400_000_000_000,
    };
    let nanos = at.as_nanosecond();
    Timestamp::from_nanosecond(nanos - nanos.rem_euclid(length)).map_err(wrong)
}

fn of_instant<'a>(at: Timestamp, name: &str, args: &[Val<'a>]) -> Found<'a> {
    let shifted = shift(name, args, &INSTANT_UNITS);
    if let Some(span) = shifted.or_else(|| shift_by_unit(name, args, is_exact)) {
        // An instant knows days of 24 hours only.
        let span = span?;
        let hours = span.get_hours().saturating_add(i32::saturating_mul(span.get_days(), 24));
        let flat = span.days(0).hours(hours);
        return at.checked_add(flat).map(|at| Some(Val::Instant(at))).map_err(wrong);
    }
    Ok(match (name, args) {
        ("toEpochMilli", []) => Some(Val::Long(at.as_millisecond())),
        ("getEpochSecond", []) => Some(Val::Long(at.as_second())),
        ("getNano", []) => Some(Val::Int(at.subsec_nanosecond())),
        ("truncatedTo", [Val::Unit(unit)]) => {
            allowed(*unit, is_exact)?;
            Some(Val::Instant(truncated(at, *unit)?))
        }
        _ => None,
    })
}

fn of_java_date<'a>(at: Timestamp, name: &str, args: &[Val<'a>]) -> Option<Val<'a>> {
    match (name, args) {
        ("getTime", []) => Some(Val::Long(at.as_millisecond())),
        ("toGMTString", []) => Some(Val::text(at.strftime("%-d %b %Y %H:%M:%S GMT").to_string())),
        ("getTimezoneOffset", []) => Some(Val::Int(0)),
        ("getYear", []) => Some(Val::Int(i32::from(utc(at).year()) - 1_900)),
        ("getMonth", []) => Some(Val::Int(i32::from(utc(at).month()) - 1)),
        ("getDate", []) => Some(Val::Int(utc(at).day().into())),
        ("getDay", []) => Some(Val::Int(utc(at).date().weekday().to_sunday_zero_offset().into())),
        ("getHours", []) => Some(Val::Int(utc(at).hour().into())),
        ("getMinutes", []) => Some(Val::Int(utc(at).minute().into())),
        ("getSeconds", []) => Some(Val::Int(utc(at).second().into())),
        ("toInstant", []) => Some(Val::Instant(at)),
        _ => None,
    }
}

fn of_weekday<'a>(day: Weekday, name: &str, args: &[Val<'a>]) -> Option<Val<'a>> {
    match (name, args) {
        ("getValue", []) => Some(Val::Int(i32::from(day.to_monday_one_offset()))),
        ("ordinal", []) => Some(Val::Int(i32::from(day.to_monday_zero_offset()))),
        ("name", []) => Some(Val::text(weekday_text(day))),
        ("plus", [days]) => Some(Val::DayOfWeek(day.wrapping_add(days.whole()? % 7))),
        ("minus", [days]) => Some(Val::DayOfWeek(day.wrapping_sub(days.whole()? % 7))),
        _ => None,
    }
}

fn of_unit<'a>(unit: Unit, name: &str, args: &[Val<'a>]) -> Found<'a> {
    Ok(match (name, args) {
        ("name", []) => Some(Val::text(named(&UNITS, &unit))),
        ("ordinal", []) => Some(Val::Int(unit as i32)),
        ("isDateBased", []) => Some(Val::Bool(is_date_based(unit))),
        ("isTimeBased", []) => Some(Val::Bool((unit as u8) < Unit::Days as u8)),
        ("isDurationEstimated", []) => Some(Val::Bool(unit as u8 >= Unit::Days as u8)),
        ("between", [Val::LocalDate(a), Val::LocalDate(b)]) => {
            allowed(unit, is_date_based)?;
            let midnight = jiff::civil::Time::midnight();
            let (a, b) = (a.to_datetime(midnight), b.to_datetime(midnight));
            Some(Val::Long(whole_units(unit, a, b)?))
        }
        ("between", [Val::LocalDateTime(a), Val::LocalDateTime(b)]) => {
            Some(Val::Long(whole_units(unit, *a, *b)?))
        }
        ("between", [Val::Instant(a), Val::Instant(b)]) => {
            allowed(unit, is_exact)?;
            Some(Val::Long(whole_units(unit, utc(*a), utc(*b))?))
        }
        _ => None,
    })
}

fn whole_units(unit: Unit, a: DateTime, b: DateTime) -> Result<i64> {
    let part = match unit {
        Unit::Nanos => Part::Nanosecond,
        Unit::Micros => Part::Microsecond,
        Unit::Millis => Part::Millisecond,
        Unit::Seconds => Part::Second,
        Unit::Minutes => Part::Minute,
        Unit::Hours | Unit::HalfDays => Part::Hour,
        Unit::Days => Part::Day,
        Unit::Weeks => Part::Week,
        Unit::Months => Part::Month,
        Unit::Years | Unit::Decades | Unit::Centuries | Unit::Millennia => Part::Year,
        Unit::Eras | Unit::Forever => return Err(wrong("Unsupported unit")),
    };
    let span = b.since((part, a)).map_err(wrong)?;
    Ok(match unit {
        Unit::Nanos => span.get_nanoseconds(),
        Unit::Micros => span.get_microseconds(),
        Unit::Millis => span.get_milliseconds(),
        Unit::Seconds => span.get_seconds(),
        Unit::Minutes => span.get_minutes(),
        Unit::Hours => i64::from(span.get_hours()),
        Unit::HalfDays => i64::from(span.get_hours()) / 12,
        Unit::Days => i64::from(span.get_days()),
        Unit::Weeks => i64::from(span.get_weeks()),
        Unit::Months => i64::from(span.get_months()),
        Unit::Years => i64::from(span.get_years()),
        Unit::Decades => i64::from(span.get_years()) / 10,
        Unit::Centuries => i64::from(span.get_years()) / 100,
        Unit::Millennia => i64::from(span.get_years()) / 1_000,
        Unit::Eras | Unit::Forever => 0,
    })
}

fn date_of(year: &Val<'_>, month: &Val<'_>, day: &Val<'_>) -> Result<Date> {
    let part = |value: &Val<'_>| value.whole().ok_or_else(|| Error::bad_type(value.kind(), "int"));
    let (year, month, day) = (part(year)?, part(month)?, part(day)?);
    let year = i16::try_from(year).map_err(wrong)?;
    let (month, day) = (i8::try_from(month).map_err(wrong)?, i8::try_from(day).map_err(wrong)?);
    Date::new(year, month, day).map_err(wrong)
}

/// A static method of one of these classes.
pub(super) fn of_class<'a>(
    run: &mut Run<'a>,
    class: Class,
    name: &str,
    args: &[Val<'a>],
) -> Found<'a> {
    let now = run.context.now;
    Ok(match (class, name, args) {
        (Class::LocalDate, "now", []) => Some(Val::LocalDate(utc(now).date())),
        (Class::LocalDate, "parse", [Val::Text(text)]) => {
            written(text, false)?;
            Some(Val::LocalDate(text.parse().map_err(wrong)?))
        }
        (Class::LocalDate, "ofYearDay", [Val::Int(year), Val::Int(day)]) => {
            let first = Date::new(i16::try_from(*year).map_err(wrong)?, 1, 1).map_err(wrong)?;
            let day = i16::try_from(*day).map_err(wrong)?;
            Some(Val::LocalDate(first.with().day_of_year(day).build().map_err(wrong)?))
        }
        (Class::LocalDate, "from", [Val::LocalDateTime(at)]) => Some(Val::LocalDate(at.date())),
        (Class::LocalDate, "from", [date @ Val::LocalDate(_)]) => Some(date.clone()),
        (Class::Date, "from", [Val::Instant(at)]) => Some(Val::Date(*at)),
        (Class::LocalDate, "of", [year, month, day]) => {
            Some(Val::LocalDate(date_of(year, month, day)?))
        }
        (Class::LocalDate, "ofEpochDay", [days]) => {
            let days = days.whole().ok_or_else(|| Error::bad_type(days.kind(), "long"))?;
            let span = span(days, Unit::Days)?;
            let start = Date::new(1970, 1, 1).map_err(wrong)?;
            Some(Val::LocalDate(start.checked_add(span).map_err(wrong)?))
        }
        (Class::LocalDateTime, "now", []) => Some(Val::LocalDateTime(utc(now))),
        (Class::LocalDateTime, "parse", [Val::Text(text)]) => {
            written(text, true)?;
            Some(Val::LocalDateTime(text.parse().map_err(wrong)?))
        }
        (Class::LocalDateTime, "of", [year, month, day, time @ ..]) => {
            Some(Val::LocalDateTime(datetime_of(date_of(year, month, day)?, time)?))
        }
        (Class::Instant, "now", []) => Some(Val::Instant(now)),
        (Class::Instant, "parse", [Val::Text(text)]) => {
            Some(Val::Instant(text.parse().map_err(wrong)?))
        }
        (Class::Instant, "ofEpochMilli", [millis]) => {
            let millis = millis.whole().ok_or_else(|| Error::bad_type(millis.kind(), "long"))?;
            Some(Val::Instant(Timestamp::from_millisecond(millis).map_err(wrong)?))
        }
        (Class::Instant, "ofEpochSecond", [Val::Long(seconds)]) => {
            Some(Val::Instant(Timestamp::from_second(*seconds).map_err(wrong)?))
        }
        (Class::Instant, "ofEpochSecond", [Val::Long(seconds), Val::Long(nanos)]) => {
            let nanos = i128::from(*seconds) * 1_000_000_000 + i128::from(*nanos);
            Some(Val::Instant(Timestamp::from_nanosecond(nanos).map_err(wrong)?))
        }
        (Class::DayOfWeek | Class::ChronoUnit, _, _) => enum_class(class, name, args)?,
        (Class::Uuid, _, _) => uuid_class(run, name, args)?,
        _ => None,
    })
}

/// A static method of an enumeration.
fn enum_class<'a>(class: Class, name: &str, args: &[Val<'a>]) -> Found<'a> {
    Ok(match (class, name, args) {
        (Class::DayOfWeek, "from", [Val::LocalDateTime(at)]) => {
            Some(Val::DayOfWeek(at.date().weekday()))
        }
        (Class::DayOfWeek, "from", [Val::LocalDate(date)]) => Some(Val::DayOfWeek(date.weekday())),
        (Class::DayOfWeek, "values", []) => {
            Some(Val::Array(Rc::new(WEEKDAYS.map(|(_, day)| Val::DayOfWeek(day)).to_vec())))
        }
        (Class::ChronoUnit, "values", []) => {
            Some(Val::Array(Rc::new(UNITS.map(|(_, unit)| Val::Unit(unit)).to_vec())))
        }
        (Class::DayOfWeek, "of", [Val::Int(day)]) => {
            let day = i8::try_from(*day).map_err(wrong)?;
            Some(Val::DayOfWeek(Weekday::from_monday_one_offset(day).map_err(wrong)?))
        }
        (Class::DayOfWeek, "valueOf", [Val::Text(name)]) => {
            let found = WEEKDAYS.iter().find(|(known, _)| *known == name.as_ref());
            Some(Val::DayOfWeek(found.ok_or_else(|| no_constant(name))?.1))
        }
        (Class::ChronoUnit, "valueOf", [Val::Text(name)]) => {
            let found = UNITS.iter().find(|(known, _)| *known == name.as_ref());
            Some(Val::Unit(found.ok_or_else(|| no_constant(name))?.1))
        }
        _ => None,
    })
}

/// A date alone, or a date, a `T` and a time: other forms that the parser reads are refused.
fn written(text: &str, has_time: bool) -> Result<()> {
    let bare = text.chars().all(|c| c.is_ascii_digit() || "+-:.T".contains(c));
    if bare && text.contains('T') == has_time {
        return Ok(());
    }
    Err(wrong(format!("Text '{text}' could not be parsed")))
}

fn no_constant(name: &str) -> Error {
    Error::Evaluate(format!("IllegalArgumentException: No enum constant {name}"))
}

fn datetime_of(date: Date, time: &[Val<'_>]) -> Result<DateTime> {
    let (mut parts, mut nanos) = ([0_i8; 3], 0);
    for (place, value) in time.iter().enumerate() {
        let number = value.whole().ok_or_else(|| Error::bad_type(value.kind(), "int"))?;
        match parts.get_mut(place) {
            Some(part) => *part = i8::try_from(number).map_err(wrong)?,
            None => nanos = i32::try_from(number).map_err(wrong)?,
        }
    }
    let time = jiff::civil::Time::new(parts[0], parts[1], parts[2], nanos).map_err(wrong)?;
    Ok(date.to_datetime(time))
}

/// Makes one of these objects.
pub(super) fn construct<'a>(run: &mut Run<'a>, class: Class, args: &[Val<'a>]) -> Found<'a> {
    Ok(match (class, args) {
        (Class::Date, []) => Some(Val::Date(run.context.now)),
        (Class::Date, [millis]) => {
            let millis = millis.whole().ok_or_else(|| Error::bad_type(millis.kind(), "long"))?;
            Some(Val::Date(Timestamp::from_millisecond(millis).map_err(wrong)?))
        }
        // Years from 1900, months from 0.
        (Class::Date, [Val::Int(year), Val::Int(month), day, time @ ..]) => {
            let (year, month) = (Val::Int(year.wrapping_add(1_900)), Val::Int(month + 1));
            let at = datetime_of(date_of(&year, &month, day)?, time)?;
            Some(Val::Date(at.to_zoned(TimeZone::UTC).map_err(wrong)?.timestamp()))
        }
        (Class::DateFormat, [Val::Text(pattern)]) => {
            super::formats::check(pattern)?;
            Some(Val::DateFormat(Rc::clone(pattern)))
        }
        (Class::Random, []) => {
            let seed = run.context.seed as i64;
            run.context.seed = run.context.seed.wrapping_add(1);
            Some(random(seed))
        }
        (Class::Random, [seed]) => seed.whole().map(random),
        (Class::Uuid, [most, least]) => {
            let pair = most.whole().zip(least.whole());
            pair.map(|(most, least)| Val::Uuid(Uuid::from_u64_pair(most as u64, least as u64)))
        }
        _ => None,
    })
}
