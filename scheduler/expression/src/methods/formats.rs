//! `java.text.SimpleDateFormat`, in UTC and English.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::Error;
use crate::eval::Result;
use crate::value::Val;

/// Letters that a pattern may have.
const LETTERS: &str = "GyYMLwWDdFEuaHkKhmsSzZX";
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A method of a format.
pub(super) fn call<'a>(pattern: &str, name: &str, args: &[Val<'a>]) -> Result<Option<Val<'a>>> {
    Ok(match (name, args) {
        ("format", [Val::Date(at)]) => Some(Val::text(format(pattern, *at)?)),
        ("format", [Val::Long(_) | Val::Int(_)]) => {
            let at = Timestamp::from_millisecond(args[0].whole().unwrap_or(0)).map_err(wrong)?;
            Some(Val::text(format(pattern, at)?))
        }
        ("parse", [Val::Text(text)]) => Some(Val::Date(parse(pattern, text)?)),
        ("toPattern" | "toLocalizedPattern", []) => Some(Val::text(pattern)),
        ("isLenient", []) => Some(Val::Bool(true)),
        _ => None,
    })
}

/// Whether it is a pattern.
///
/// # Errors
/// [`Error::Evaluate`] with the letter that means nothing.
pub(super) fn check(pattern: &str) -> Result<()> {
    pieces(pattern).map(|_| ())
}

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::Evaluate(format!("DateTimeException: {error}"))
}

enum Piece {
    Text(String),
    Field(char, usize),
}

fn pieces(pattern: &str) -> Result<Vec<Piece>> {
    let letters: Vec<char> = pattern.chars().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(letter) = letters.get(at).copied() {
        if letter == '\'' {
            let (text, next) = quoted(&letters, at + 1)?;
            found.push(Piece::Text(text));
            at = next;
            continue;
        }
        let length = letters[at..].iter().take_while(|other| **other == letter).count();
        found.push(piece(letter, length)?);
        at += length;
    }
    Ok(found)
}

fn piece(letter: char, length: usize) -> Result<Piece> {
    match letter {
        'X' if length > 3 => Err(wrong(format!("invalid ISO 8601 format: length={length}"))),
        _ if LETTERS.contains(letter) => Ok(Piece::Field(letter, length)),
        _ if letter.is_ascii_alphabetic() => {
            Err(Error::Evaluate(format!("Illegal pattern character '{letter}'")))
        }
        _ => Ok(Piece::Text(std::iter::repeat_n(letter, length).collect())),
    }
}

/// A text in quotes and where it ends; two quotes are one, alone and inside.
fn quoted(letters: &[char], start: usize) -> Result<(String, usize)> {
    if letters.get(start) == Some(&'\'') {
        return Ok(("'".into(), start + 1));
    }
    let (mut text, mut at) = (String::new(), start);
    loop {
        match (letters.get(at), letters.get(at + 1)) {
            (None, _) => return Err(Error::Evaluate("Unterminated quote".into())),
            (Some('\''), Some('\'')) => at += 1,
            (Some('\''), _) => return Ok((text, at + 1)),
            _ => {}
        }
        text.extend(letters.get(at));
        at += 1;
    }
}

fn format(pattern: &str, at: Timestamp) -> Result<String> {
    let at = at.to_zoned(TimeZone::UTC).datetime();
    let shown = pieces(pattern)?.into_iter().map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Field(letter, length) => field(at, letter, length),
    });
    Ok(shown.collect())
}

fn field(at: DateTime, letter: char, length: usize) -> String {
    let named = |name: &str| if length > 3 { name.into() } else { name[..3].to_owned() };
    match letter {
        'G' => if at.year() > 0 { "AD" } else { "BC" }.into(),
        'M' | 'L' if length > 2 => named(MONTHS[usize::from(at.month().unsigned_abs()) - 1]),
        'E' => named(DAYS[usize::from(at.date().weekday().to_monday_zero_offset().unsigned_abs())]),
        'a' => if at.hour() < 12 { "AM" } else { "PM" }.into(),
        'z' if length > 3 => "Coordinated Universal Time".into(),
        'z' => "UTC".into(),
        'Z' => "+0000".into(),
        'X' => "Z".into(),
        'y' | 'Y' if length == 2 => format!("{:02}", number(at, letter) % 100),
        _ => format!("{:0length$}", number(at, letter)),
    }
}

fn number(at: DateTime, letter: char) -> i32 {
    let date = at.date();
    let hour = i32::from(at.hour());
    match letter {
        'y' => at.year().into(),
        'Y' => week_of_year(date).0,
        'M' | 'L' => at.month().into(),
        'w' => week_of_year(date).1,
        'W' => (i32::from(at.day()) - 1 + sundays_offset(date.first_of_month())) / 7 + 1,
        'D' => date.day_of_year().into(),
        'd' => at.day().into(),
        'F' => (i32::from(at.day()) - 1) / 7 + 1,
        'u' => date.weekday().to_monday_one_offset().into(),
        'H' => hour,
        'k' => {
            if hour == 0 {
                24
            } else {
                hour
            }
        }
        'K' => hour % 12,
        'h' => {
            if hour % 12 == 0 {
                12
            } else {
                hour % 12
            }
        }
        'm' => at.minute().into(),
        's' => at.second().into(),
        _ => i32::from(at.millisecond()),
    }
}

fn sundays_offset(date: Date) -> i32 {
    date.weekday().to_sunday_zero_offset().into()
}

/// The week's year and number: weeks begin on Sunday, and the first is the one with 1 January.
fn week_of_year(date: Date) -> (i32, i32) {
    let first = sundays_offset(date.first_of_year());
    let week = (i32::from(date.day_of_year()) - 1 + first) / 7 + 1;
    let left = i32::from(date.days_in_year() - date.day_of_year());
    // The week of the next New Year is the next year's first.
    if left < 7 && sundays_offset(date) + left < 6 {
        return (i32::from(date.year()) + 1, 1);
    }
    (date.year().into(), week)
}

/// What a text was read as; what it does not say is as in 1970.
struct Read {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    afternoon: bool,
    minute: i64,
    second: i64,
    millis: i64,
    offset_minutes: i64,
}

impl Read {
    /// Lenient: what is too large runs over into the next larger part.
    fn timestamp(&self) -> Result<Timestamp> {
        let months = self.month - 1;
        let year = i16::try_from(self.year + months.div_euclid(12)).map_err(wrong)?;
        let month = i8::try_from(months.rem_euclid(12) + 1).map_err(wrong)?;
        let first = Date::new(year, month, 1).map_err(wrong)?.to_datetime(Time::midnight());
        let first = first.to_zoned(TimeZone::UTC).map_err(wrong)?.timestamp();
        let hour = self.hour + if self.afternoon { 12 } else { 0 };
        let minutes = ((self.day - 1) * 24 + hour) * 60 + self.minute - self.offset_minutes;
        let millis = (minutes * 60 + self.second) * 1_000 + self.millis;
        Timestamp::from_millisecond(first.as_millisecond() + millis).map_err(wrong)
    }

    fn set(&mut self, letter: char, length: usize, digits: usize, number: i64) {
        match letter {
            // Two digits are a year from 80 years ago on.
            'y' | 'Y' if length < 3 && digits == 2 => {
                self.year = number + if number > 45 { 1_900 } else { 2_000 };
            }
            'y' | 'Y' => self.year = number,
            'M' | 'L' => self.month = number,
            'd' => self.day = number,
            'D' => (self.month, self.day) = (1, number),
            'H' => self.hour = number,
            'k' => self.hour = number % 24,
            'K' | 'h' => self.hour = number % 12,
            'm' => self.minute = number,
            's' => self.second = number,
            'S' => self.millis = number,
            _ => {}
        }
    }
}

/// Reads the beginning of a text; what follows is not looked at, as in Java.
fn parse(pattern: &str, text: &str) -> Result<Timestamp> {
    let mut read = Read {
        year: 1970,
        month: 1,
        day: 1,
        hour: 0,
        afternoon: false,
        minute: 0,
        second: 0,
        millis: 0,
        offset_minutes: 0,
    };
    let pieces = pieces(pattern)?;
    let mut rest = text;
    for (place, piece) in pieces.iter().enumerate() {
        let next = match piece {
            Piece::Text(text) => rest.strip_prefix(text.as_str()),
            Piece::Field(letter, length) => {
                // Numbers that stand close together have as many digits as letters.
                let close = matches!(pieces.get(place + 1), Some(Piece::Field(..)));
                read_field(&mut read, *letter, *length, close, rest)
            }
        };
        rest = next.ok_or_else(|| wrong(format!("Unparseable date: \"{text}\"")))?;
    }
    read.timestamp()
}

fn read_field<'t>(
    read: &mut Read,
    letter: char,
    length: usize,
    close: bool,
    text: &'t str,
) -> Option<&'t str> {
    match letter {
        'M' | 'L' if length > 2 => {
            let (place, rest) = word(&MONTHS, text)?;
            read.month = place + 1;
            Some(rest)
        }
        'E' => word(&DAYS, text).map(|(_, rest)| rest),
        'G' => text.strip_prefix("AD"),
        'a' => {
            let half = text.get(..2)?.to_ascii_uppercase();
            read.afternoon = half == "PM";
            ["AM", "PM"].contains(&half.as_str()).then(|| &text[2..])
        }
        'z' | 'Z' | 'X' => zone(read, text),
        _ => digits(read, letter, length, close, text),
    }
}

fn word<'t>(names: &[&str], text: &'t str) -> Option<(i64, &'t str)> {
    let long = |name: &&str| text.get(..name.len()).filter(|t| t.eq_ignore_ascii_case(name));
    let short = |name: &&str| text.get(..3).filter(|t| t.eq_ignore_ascii_case(&name[..3]));
    let found = names.iter().position(|name| long(name).is_some());
    let length = found.map_or(3, |place| names[place].len());
    let place = found.or_else(|| names.iter().position(|name| short(name).is_some()))?;
    Some((i64::try_from(place).ok()?, &text[length..]))
}

fn digits<'t>(
    read: &mut Read,
    letter: char,
    length: usize,
    close: bool,
    text: &'t str,
) -> Option<&'t str> {
    let text = text.trim_start_matches([' ', '\t']);
    let max = if close { length } else { 18 };
    let count = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
    read.set(letter, length, count, text[..count].parse().ok()?);
    Some(&text[count..])
}

/// `Z`, `UTC`, `GMT`, `+01`, `+0100`, `+01:00`.
fn zone<'t>(read: &mut Read, text: &'t str) -> Option<&'t str> {
    if let Some(rest) = ["UTC", "GMT", "Z"].iter().find_map(|name| text.strip_prefix(name)) {
        return Some(rest);
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let hours: i64 = text.get(1..3)?.parse().ok()?;
    let rest = &text[3..];
    let after = rest.strip_prefix(':').unwrap_or(rest);
    let minutes: Option<i64> = after.get(..2).and_then(|digits| digits.parse().ok());
    read.offset_minutes = sign * (hours * 60 + minutes.unwrap_or(0));
    Some(if minutes.is_some() { &after[2..] } else { rest })
}
