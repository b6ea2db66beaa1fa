//! What kinds of arguments methods take. Spring converts arguments (`substring('6')`), prefers the
//! method that needs no conversion, and refuses a call that several would fit only by conversion.

use crate::Error;
use crate::eval::Result;
use crate::value::{Class, Val};

/// Overloads by method, each a word of one letter a parameter: `I` int, `L` long, `D` double,
/// `F` float (for which there is no value here), `B` byte, `Z` boolean, `S` String, `Q` CharSequence,
/// `O` anything.
type Table = &'static [(&'static str, &'static str)];

const TEXT: Table = &[
    ("charAt codePointAt codePointBefore repeat indent", "I"),
    ("substring", "I II"),
    ("codePointCount offsetByCodePoints", "II"),
    ("split", "S SI"),
    ("startsWith", "S SI"),
    ("endsWith concat equalsIgnoreCase matches compareTo compareToIgnoreCase", "S"),
    ("indexOf lastIndexOf", "S SI I II"),
    ("replaceAll replaceFirst", "SS"),
    ("regionMatches", "ISII ZISII"),
];
const MATH: Table = &[
    ("abs", "I L F D"),
    ("max min", "II LL FF DD"),
    ("round signum ulp nextUp nextDown getExponent", "F D"),
    ("addExact subtractExact floorDiv floorMod multiplyExact", "II LI LL"),
    ("negateExact incrementExact decrementExact absExact", "I L"),
    ("toIntExact", "L"),
    ("pow hypot atan2 IEEEremainder", "DD"),
    ("ceil floor rint sqrt cbrt exp expm1 log log10 log1p toRadians toDegrees", "D"),
    ("sin cos tan asin acos atan sinh cosh tanh", "D"),
    ("fma", "DDD FFF"),
    ("copySign", "DD FF"),
    ("scalb", "DI FI"),
];
const INTEGER: Table = &[
    ("parseInt parseUnsignedInt", "S SI"),
    ("valueOf", "S SI I"),
    ("decode", "S"),
    ("toString toUnsignedString", "I II"),
    ("toHexString toOctalString toBinaryString signum bitCount reverse reverseBytes", "I"),
    ("highestOneBit lowestOneBit numberOfLeadingZeros numberOfTrailingZeros", "I"),
    ("hashCode toUnsignedLong", "I"),
    ("rotateLeft rotateRight compare max min sum", "II"),
    ("divideUnsigned remainderUnsigned compareUnsigned", "II"),
];
const LONG: Table = &[
    ("parseLong parseUnsignedLong", "S SI"),
    ("valueOf", "S SI L"),
    ("decode", "S"),
    ("toString toUnsignedString", "L LI"),
    ("toHexString toOctalString toBinaryString signum bitCount reverse reverseBytes", "L"),
    ("highestOneBit lowestOneBit numberOfLeadingZeros numberOfTrailingZeros hashCode", "L"),
    ("rotateLeft rotateRight", "LI"),
    ("compare max min sum divideUnsigned remainderUnsigned compareUnsigned", "LL"),
];
const DOUBLE: Table = &[
    ("parseDouble", "S"),
    ("valueOf", "S D"),
    ("toString isNaN isInfinite isFinite hashCode doubleToLongBits", "D"),
    ("longBitsToDouble", "L"),
    ("compare max min sum", "DD"),
];
const BYTE: Table = &[
    ("parseByte", "S SI"),
    ("valueOf", "S SI B"),
    ("decode", "S"),
    ("toString hashCode toUnsignedInt toUnsignedLong", "B"),
    ("compare compareUnsigned", "BB"),
];
const BOOLEAN: Table = &[
    ("parseBoolean", "S"),
    ("valueOf", "S Z"),
    ("toString hashCode", "Z"),
    ("logicalAnd logicalOr logicalXor compare", "ZZ"),
];
const RANDOM: Table = &[("nextInt", "I II"), ("nextDouble", "D DD"), ("nextLong", "L LL")];
const DATE: Table = &[
    ("plusDays plusWeeks plusMonths plusYears minusDays minusWeeks minusMonths minusYears", "L"),
    ("withDayOfMonth withDayOfYear withMonth withYear", "I"),
    ("atTime", "II III IIII"),
    ("plus minus", "LO"),
];
const DATETIME: Table = &[
    ("plusDays plusWeeks plusMonths plusYears plusHours plusMinutes plusSeconds plusNanos", "L"),
    ("minusDays minusWeeks minusMonths minusYears", "L"),
    ("minusHours minusMinutes minusSeconds minusNanos", "L"),
    ("withDayOfMonth withDayOfYear withMonth withYear", "I"),
    ("withHour withMinute withSecond withNano", "I"),
    ("plus minus", "LO"),
];
const INSTANT: Table = &[
    ("plusSeconds plusMillis plusNanos minusSeconds minusMillis minusNanos", "L"),
    ("plus minus", "LO"),
];
const DATE_CLASS: Table =
    &[("parse", "Q"), ("of", "III"), ("ofYearDay", "II"), ("ofEpochDay", "L")];
const DATETIME_CLASS: Table = &[("parse", "Q"), ("of", "IIIII IIIIII IIIIIII")];
const INSTANT_CLASS: Table = &[("parse", "Q"), ("ofEpochMilli", "L"), ("ofEpochSecond", "L LL")];
const WEEKDAY: Table = &[("plus minus", "L")];
const WEEKDAY_CLASS: Table = &[("of", "I"), ("valueOf", "S")];
const UNIT_CLASS: Table = &[("valueOf", "S")];
const LIST: Table = &[("subList", "II")];
const ENCODER: Table = &[("encode", "S SS")];

fn table(of: &Val<'_>) -> Option<Table> {
    Some(match of {
        Val::Text(_) => TEXT,
        Val::List(_) => LIST,
        Val::Random(_) => RANDOM,
        Val::LocalDate(_) => DATE,
        Val::LocalDateTime(_) => DATETIME,
        Val::Instant(_) => INSTANT,
        Val::DayOfWeek(_) => WEEKDAY,
        Val::Class(class) => class_table(*class)?,
        _ => return None,
    })
}

fn class_table(class: Class) -> Option<Table> {
    Some(match class {
        Class::Integer => INTEGER,
        Class::Long => LONG,
        Class::Double => DOUBLE,
        Class::Byte => BYTE,
        Class::Boolean => BOOLEAN,
        Class::Math => MATH,
        Class::LocalDate => DATE_CLASS,
        Class::LocalDateTime => DATETIME_CLASS,
        Class::Instant => INSTANT_CLASS,
        Class::DayOfWeek => WEEKDAY_CLASS,
        Class::ChronoUnit => UNIT_CLASS,
        Class::UrlEncoder => ENCODER,
        Class::Text
        | Class::Date
        | Class::DateFormat
        | Class::Random
        | Class::Uuid
        | Class::TemporalAdjusters => return None,
    })
}

/// The arguments as the method takes them; as they are if nothing is known about it.
///
/// # Errors
/// [`Error::Evaluate`] if none or several of the method's overloads fit.
pub(super) fn fit<'a>(of: &Val<'a>, name: &str, args: Vec<Val<'a>>) -> Result<Vec<Val<'a>>> {
    let found = table(of).and_then(|table| {
        table.iter().find(|(names, _)| names.split(' ').any(|known| known == name))
    });
    let Some((_, overloads)) = found else { return Ok(args) };
    choose(overloads, name, args)
}

/// The arguments of a constructor.
///
/// # Errors
/// [`Error::Evaluate`] as for methods.
pub(super) fn fit_constructor<'a>(class: Class, args: Vec<Val<'a>>) -> Result<Vec<Val<'a>>> {
    let overloads = match class {
        Class::Integer => "I S",
        Class::Long | Class::Date => "L S III IIIII IIIIII",
        Class::Random => "L",
        Class::Double => "D S",
        Class::Byte => "B S",
        Class::Boolean => "Z S",
        Class::Uuid => "LL",
        _ => return Ok(args),
    };
    // A constructor takes the first that fits by conversion, where a method would be ambiguous.
    let lists = overloads.split(' ').filter(|list| list.len() == args.len());
    let close = lists.clone().find(|list| all(list, &args, is_close));
    match close.or_else(|| lists.clone().find(|list| all(list, &args, converts))) {
        Some(list) => convert_all(list, &args),
        None => Ok(args),
    }
}

fn choose<'a>(overloads: &str, name: &str, args: Vec<Val<'a>>) -> Result<Vec<Val<'a>>> {
    let lists = overloads.split(' ').filter(|list| list.len() == args.len());
    if let Some(list) = lists.clone().find(|list| all(list, &args, is_close)) {
        return convert_all(list, &args);
    }
    let mut fitting = lists.filter(|list| all(list, &args, converts));
    match (fitting.next(), fitting.next()) {
        (Some(list), None) => convert_all(list, &args),
        (Some(_), Some(_)) => Err(Error::Evaluate(format!(
            "EL1031E: Problem locating method {name}(): several fit these arguments"
        ))),
        (None, _) => Ok(args),
    }
}

fn all(list: &str, args: &[Val<'_>], test: fn(char, &Val<'_>) -> bool) -> bool {
    list.chars().zip(args).all(|(kind, value)| test(kind, value))
}

/// Whether a parameter takes a value as it is. A smaller whole number is close to a larger primitive
/// in Java's eyes, but not in Spring's.
fn is_close(kind: char, value: &Val<'_>) -> bool {
    match kind {
        'I' => matches!(value, Val::Int(_)),
        'L' => matches!(value, Val::Long(_)),
        'D' => matches!(value, Val::Double(_)),
        'B' => matches!(value, Val::Byte(_)),
        'Z' => matches!(value, Val::Bool(_)),
        'S' | 'Q' => matches!(value, Val::Text(_) | Val::Status(_) | Val::Null),
        'O' => true,
        _ => false,
    }
}

/// Whether Spring knows how to make the parameter of the value.
fn converts(kind: char, value: &Val<'_>) -> bool {
    if is_close(kind, value) {
        return true;
    }
    let (is_number, is_text) = (value.number().is_some(), matches!(value, Val::Text(_)));
    match kind {
        'I' | 'L' | 'F' | 'D' | 'B' => is_number || is_text,
        'Z' => is_text,
        'S' => is_number || matches!(value, Val::Bool(_) | Val::List(_) | Val::Array(_)),
        _ => false,
    }
}

fn convert_all<'a>(list: &str, args: &[Val<'a>]) -> Result<Vec<Val<'a>>> {
    list.chars().zip(args).map(|(kind, value)| convert(kind, value)).collect()
}

/// A value as a parameter of a kind takes it.
///
/// # Errors
/// [`Error`] if it cannot be converted.
pub(super) fn convert<'a>(kind: char, value: &Val<'a>) -> Result<Val<'a>> {
    Ok(match kind {
        'I' => Val::Int(narrow(whole(value)?)?),
        'B' => Val::Byte(narrow(whole(value)?)?),
        'L' => Val::Long(whole(value)?),
        'D' | 'F' => Val::Double(double(value)?),
        'Z' => Val::Bool(crate::eval::truth(value)?),
        'S' if !is_close('S', value) => Val::text(crate::walk::within_text(value)?),
        _ => value.clone(),
    })
}

fn narrow<T: TryFrom<i64>>(number: i64) -> Result<T> {
    T::try_from(number).map_err(|_| Error::Evaluate(format!("EL1001E: {number} is out of range")))
}

fn whole(value: &Val<'_>) -> Result<i64> {
    let wrong = || Error::bad_type(value.kind(), "a whole number");
    match value {
        // A fraction is cut off.
        Val::Double(number) => Ok(*number as i64),
        Val::Text(text) => super::numbers::decode(text.trim()),
        other => other.whole().ok_or_else(wrong),
    }
}

fn double(value: &Val<'_>) -> Result<f64> {
    match value {
        Val::Text(text) => super::numbers::parse_double(text),
        other => other.number().ok_or_else(|| Error::bad_type(other.kind(), "double")),
    }
}
