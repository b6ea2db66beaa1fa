//! Dates, times, identifiers, random numbers. The clock and the seed come from the caller (D13);
//! zones are UTC.

use std::cell::Cell;
use std::rc::Rc;

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit as Part};
use md5::{Digest, Md5};
use uuid::Uuid;

use crate::Error;
use crate::eval::access::weekday_text;
use crate::eval::operators::{compare, equal};
use crate::eval::{Result, Run};
use crate::value::{Class, UNITS, Unit, Val, WEEKDAYS, named};

type Found<'a> = Result<Option<Val<'a>>>;

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
        ("equals", [other]) => return Ok(Some(Val::Bool(equal(of, other)))),
        ("compareTo", [other]) if of.kind() == other.kind() => {
            return Ok(Some(Val::Int(compare(of, other)? as i32)));
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
        Val::DateFormat(pattern) => of_format(pattern, name, args),
        _ => Ok(None),
    }
}

/// `plusDays(3)`, `minusMonths(1)`: a span, if the method is one of those.
fn shift(name: &str, args: &[Val<'_>]) -> Option<Result<Span>> {
    let [amount] = args else { return None };
    let amount = amount.whole()?;
    let (unit, sign) = match name.strip_prefix("plus") {
        Some(unit) => (unit, 1),
        None => (name.strip_prefix("minus")?, -1),
    };
    let unit = UNITS.iter().find(|(known, _)| known.eq_ignore_ascii_case(unit))?.1;
    Some(span(amount.saturating_mul(sign), unit))
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
        Unit::Days => empty.try_days(amount),
        Unit::Weeks => empty.try_weeks(amount),
        Unit::Months => empty.try_months(amount),
        Unit::Years => empty.try_years(amount),
    };
    made.map_err(wrong)
}

/// `plus(3, unit)`, `minus(3, unit)`.
fn shift_by_unit(name: &str, args: &[Val<'_>]) -> Option<Result<Span>> {
    let [amount, Val::Unit(unit)] = args else { return None };
    let amount = amount.whole()?;
    match name {
        "plus" => Some(span(amount, *unit)),
        "minus" => Some(span(amount.saturating_neg(), *unit)),
        _ => None,
    }
}

fn of_date<'a>(date: Date, name: &str, args: &[Val<'a>]) -> Found<'a> {
    if let Some(span) = shift(name, args).or_else(|| shift_by_unit(name, args)) {
        return date.checked_add(span?).map(|date| Some(Val::LocalDate(date))).map_err(wrong);
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
        ("getMonth", []) => Some(Val::text(month(date.month()))),
        ("toEpochDay", []) => {
            let days = date.since((Part::Day, Date::new(1970, 1, 1).map_err(wrong)?));
            Some(Val::Long(i64::from(days.map_err(wrong)?.get_days())))
        }
        ("atStartOfDay", []) => {
            Some(Val::LocalDateTime(date.to_datetime(jiff::civil::Time::midnight())))
        }
        ("withDayOfMonth", [Val::Int(day)]) => {
            let day = i8::try_from(*day).map_err(wrong)?;
            Some(Val::LocalDate(date.with().day(day).build().map_err(wrong)?))
        }
        _ => None,
    })
}

fn month(number: i8) -> &'static str {
    const MONTHS: [&str; 12] = [
        "JANUARY",
        "FEBRUARY",
        "MARCH",
        "APRIL",
        "MAY",
        "JUNE",
        "JULY",
        "AUGUST",
        "SEPTEMBER",
        "OCTOBER",
        "NOVEMBER",
        "DECEMBER",
    ];
    usize::try_from(number - 1).ok().and_then(|place| MONTHS.get(place)).copied().unwrap_or("")
}

fn of_datetime<'a>(at: DateTime, name: &str, args: &[Val<'a>]) -> Found<'a> {
    if let Some(span) = shift(name, args).or_else(|| shift_by_unit(name, args)) {
        return at.checked_add(span?).map(|at| Some(Val::LocalDateTime(at))).map_err(wrong);
    }
    Ok(match (name, args) {
        ("toLocalDate", []) => Some(Val::LocalDate(at.date())),
        ("getHour", []) => Some(Val::Int(i32::from(at.hour()))),
        ("getMinute", []) => Some(Val::Int(i32::from(at.minute()))),
        ("getSecond", []) => Some(Val::Int(i32::from(at.second()))),
        _ if name.starts_with("get") => of_date(at.date(), name, args)?,
        _ => None,
    })
}

fn of_instant<'a>(at: Timestamp, name: &str, args: &[Val<'a>]) -> Found<'a> {
    if let Some(span) = shift(name, args).or_else(|| shift_by_unit(name, args)) {
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
        _ => None,
    })
}

fn of_java_date<'a>(at: Timestamp, name: &str, args: &[Val<'a>]) -> Option<Val<'a>> {
    match (name, args) {
        ("getTime", []) => Some(Val::Long(at.as_millisecond())),
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
        ("between", [Val::LocalDate(a), Val::LocalDate(b)]) => Some(Val::Long(whole_units(
            unit,
            a.to_datetime(jiff::civil::Time::midnight()),
            b.to_datetime(jiff::civil::Time::midnight()),
        )?)),
        ("between", [Val::LocalDateTime(a), Val::LocalDateTime(b)]) => {
            Some(Val::Long(whole_units(unit, *a, *b)?))
        }
        ("between", [Val::Instant(a), Val::Instant(b)]) => {
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
        Unit::Hours => Part::Hour,
        Unit::Days => Part::Day,
        Unit::Weeks => Part::Week,
        Unit::Months => Part::Month,
        Unit::Years => Part::Year,
    };
    let span = b.since((part, a)).map_err(wrong)?;
    Ok(match unit {
        Unit::Nanos => span.get_nanoseconds(),
        Unit::Micros => span.get_microseconds(),
        Unit::Millis => span.get_milliseconds(),
        Unit::Seconds => span.get_seconds(),
        Unit::Minutes => span.get_minutes(),
        Unit::Hours => i64::from(span.get_hours()),
        Unit::Days => i64::from(span.get_days()),
        Unit::Weeks => i64::from(span.get_weeks()),
        Unit::Months => i64::from(span.get_months()),
        Unit::Years => i64::from(span.get_years()),
    })
}

fn of_uuid<'a>(uuid: Uuid, name: &str, args: &[Val<'a>]) -> Option<Val<'a>> {
    let (most, least) = uuid.as_u64_pair();
    match (name, args) {
        ("getMostSignificantBits", []) => Some(Val::Long(most as i64)),
        ("getLeastSignificantBits", []) => Some(Val::Long(least as i64)),
        ("version", []) => Some(Val::Int(uuid.get_version_num() as i32)),
        _ => None,
    }
}

/// The next bits of `java.util.Random`'s generator.
pub(crate) fn next_random(state: &Cell<i64>, bits: u32) -> i32 {
    let next = state.get().wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & ((1 << 48) - 1);
    state.set(next);
    (next >> (48 - bits)) as i32
}

fn of_random<'a>(state: &Cell<i64>, name: &str, args: &[Val<'a>]) -> Option<Val<'a>> {
    match (name, args) {
        ("nextInt", []) => Some(Val::Int(next_random(state, 32))),
        ("nextInt", [Val::Int(bound)]) if *bound > 0 => Some(Val::Int(below(state, *bound))),
        ("nextLong", []) => {
            let high = i64::from(next_random(state, 32)) << 32;
            Some(Val::Long(high.wrapping_add(i64::from(next_random(state, 32)))))
        }
        ("nextBoolean", []) => Some(Val::Bool(next_random(state, 1) != 0)),
        ("nextDouble", []) => {
            let high = i64::from(next_random(state, 26)) << 27;
            let number = (high + i64::from(next_random(state, 27))) as f64;
            Some(Val::Double(number / (1_i64 << 53) as f64))
        }
        _ => None,
    }
}

fn below(state: &Cell<i64>, bound: i32) -> i32 {
    let first = next_random(state, 31);
    if bound & (bound - 1) == 0 {
        return ((i64::from(bound) * i64::from(first)) >> 31) as i32;
    }
    let mut bits = first;
    while bits.wrapping_sub(bits % bound).wrapping_add(bound - 1) < 0 {
        bits = next_random(state, 31);
    }
    bits % bound
}

/// `SimpleDateFormat` letters as `strftime` ones.
fn of_format<'a>(pattern: &str, name: &str, args: &[Val<'a>]) -> Found<'a> {
    Ok(match (name, args) {
        ("format", [Val::Date(at)]) => Some(Val::text(java_date_text(pattern, *at)?)),
        ("format", [Val::Long(millis)]) => {
            let at = Timestamp::from_millisecond(*millis).map_err(wrong)?;
            Some(Val::text(java_date_text(pattern, at)?))
        }
        ("parse", [Val::Text(text)]) => Some(Val::Date(parse_java_date(pattern, text)?)),
        ("toPattern", []) => Some(Val::text(pattern)),
        _ => None,
    })
}

/// A date by a `SimpleDateFormat` pattern, in UTC.
pub(crate) fn java_date_text(pattern: &str, at: Timestamp) -> Result<String> {
    let zoned = at.to_zoned(TimeZone::UTC);
    let text = jiff::fmt::strtime::format(translate(pattern)?, &zoned).map_err(wrong)?;
    Ok(text)
}

fn parse_java_date(pattern: &str, text: &str) -> Result<Timestamp> {
    let format = translate(pattern)?;
    let parsed = jiff::fmt::strtime::parse(&format, text).map_err(wrong)?;
    let date = parsed
        .to_datetime()
        .or_else(|_| parsed.to_date().map(|date| date.to_datetime(jiff::civil::Time::midnight())));
    date.and_then(|at| at.to_zoned(TimeZone::UTC)).map(|at| at.timestamp()).map_err(wrong)
}

fn translate(pattern: &str) -> Result<String> {
    let letters: Vec<char> = pattern.chars().collect();
    let (mut made, mut at) = (String::new(), 0);
    while at < letters.len() {
        let letter = letters[at];
        if letter == '\'' {
            at = quoted(&letters, at, &mut made);
            continue;
        }
        let length = letters[at..].iter().take_while(|other| **other == letter).count();
        at += length;
        if letter.is_ascii_alphabetic() {
            made.push_str(letter_format(letter, length)?);
        } else {
            let text: String = std::iter::repeat_n(letter, length).collect();
            made.push_str(&text.replace('%', "%%"));
        }
    }
    Ok(made)
}

fn quoted(letters: &[char], start: usize, made: &mut String) -> usize {
    let end = letters[start + 1..].iter().position(|c| *c == '\'');
    let end = end.map_or(letters.len(), |end| start + 1 + end);
    if end == start + 1 {
        made.push('\'');
    } else {
        let text: String = letters[start + 1..end].iter().collect();
        made.push_str(&text.replace('%', "%%"));
    }
    end + 1
}

fn letter_format(letter: char, length: usize) -> Result<&'static str> {
    Ok(match (letter, length) {
        ('y' | 'u' | 'Y', 2) => "%y",
        ('y' | 'u' | 'Y', _) => "%Y",
        ('M', 1) => "%-m",
        ('M', 2) => "%m",
        ('M', 3) => "%b",
        ('M', _) => "%B",
        ('d', 1) => "%-d",
        ('d', _) => "%d",
        ('D', 1 | 2) => "%-j",
        ('D', _) => "%j",
        ('H', 1) => "%-H",
        ('H', _) => "%H",
        ('h', 1) => "%-I",
        ('h', _) => "%I",
        ('m', 1) => "%-M",
        ('m', _) => "%M",
        ('s', 1) => "%-S",
        ('s', _) => "%S",
        ('S', _) => "%3f",
        ('a', _) => "%p",
        ('E', 1..=3) => "%a",
        ('E', _) => "%A",
        ('Z', _) => "%z",
        ('X', 1) => "%z",
        ('X', _) => "%:z",
        ('z', _) => "UTC",
        _ => return Err(Error::Evaluate(format!("Illegal pattern character '{letter}'"))),
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
            Some(Val::LocalDate(text.parse().map_err(wrong)?))
        }
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
        (Class::Instant, "ofEpochSecond", [seconds]) => {
            let seconds = seconds.whole().ok_or_else(|| Error::bad_type(seconds.kind(), "long"))?;
            Some(Val::Instant(Timestamp::from_second(seconds).map_err(wrong)?))
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
        (Class::Uuid, _, _) => uuid_class(run, name, args)?,
        _ => None,
    })
}

fn no_constant(name: &str) -> Error {
    Error::Evaluate(format!("IllegalArgumentException: No enum constant {name}"))
}

fn datetime_of(date: Date, time: &[Val<'_>]) -> Result<DateTime> {
    let mut parts = [0_i8; 3];
    for (part, value) in parts.iter_mut().zip(time) {
        let number = value.whole().ok_or_else(|| Error::bad_type(value.kind(), "int"))?;
        *part = i8::try_from(number).map_err(wrong)?;
    }
    let time = jiff::civil::Time::new(parts[0], parts[1], parts[2], 0).map_err(wrong)?;
    Ok(date.to_datetime(time))
}

fn uuid_class<'a>(run: &mut Run<'a>, name: &str, args: &[Val<'a>]) -> Found<'a> {
    Ok(match (name, args) {
        ("randomUUID", []) => {
            let seed = Cell::new((run.context.seed as i64 ^ 0x5_DEEC_E66D) & ((1 << 48) - 1));
            let bytes: Vec<u8> = (0..16).map(|_| next_random(&seed, 8) as u8).collect();
            run.context.seed = run.context.seed.wrapping_add(1);
            let bytes: [u8; 16] = bytes.try_into().unwrap_or([0; 16]);
            Some(Val::Uuid(uuid::Builder::from_random_bytes(bytes).into_uuid()))
        }
        ("fromString", [Val::Text(text)]) => Some(Val::Uuid(
            text.parse()
                .map_err(|error| Error::Evaluate(format!("Invalid UUID string: {error}")))?,
        )),
        ("nameUUIDFromBytes", [Val::Array(bytes)]) => {
            let bytes: Vec<u8> =
                bytes.iter().filter_map(Val::whole).map(|byte| byte as u8).collect();
            let digest: [u8; 16] = Md5::digest(&bytes).into();
            Some(Val::Uuid(uuid::Builder::from_md5_bytes(digest).into_uuid()))
        }
        _ => None,
    })
}

/// Makes one of these objects.
pub(super) fn construct<'a>(run: &mut Run<'a>, class: Class, args: &[Val<'a>]) -> Found<'a> {
    Ok(match (class, args) {
        (Class::Date, []) => Some(Val::Date(run.context.now)),
        (Class::Date, [millis]) => {
            let millis = millis.whole().ok_or_else(|| Error::bad_type(millis.kind(), "long"))?;
            Some(Val::Date(Timestamp::from_millisecond(millis).map_err(wrong)?))
        }
        (Class::DateFormat, [Val::Text(pattern)]) => {
            translate(pattern)?;
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

/// `Math.random()`.
pub(super) fn math_random<'a>(run: &mut Run<'a>, args: &[Val<'a>]) -> Option<Val<'a>> {
    let seed = Cell::new((run.context.seed as i64 ^ 0x5_DEEC_E66D) & ((1 << 48) - 1));
    run.context.seed = run.context.seed.wrapping_add(1);
    of_random(&seed, "nextDouble", args)
}

fn random<'a>(seed: i64) -> Val<'a> {
    Val::Random(Rc::new(Cell::new((seed ^ 0x5_DEEC_E66D) & ((1 << 48) - 1))))
}
