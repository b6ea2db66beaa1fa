//! `java.lang.String`.

use std::rc::Rc;

use super::printf::{FORMAT_WIDTH_MAX, format};
use super::{full_match, pattern, too_many_steps};
use crate::Error;
use crate::eval::{Result, Run};
use crate::value::{Val, double_text};

type Found<'a> = Result<Option<Val<'a>>>;

/// A method of a text; `None` if there is none of that name for these arguments. Places count UTF-16
/// units in Java; here they count characters, which differs only beyond the basic plane.
pub(super) fn call<'a>(run: &mut Run<'a>, text: &str, name: &str, args: &[Val<'a>]) -> Found<'a> {
    run.burn(text.len() as u64 / 16)?;
    if let Some(found) = question(text, name, args) {
        return Ok(Some(found));
    }
    Ok(match (name, args) {
        ("matches", [Val::Text(pattern)]) => Some(Val::Bool(full_match(run, pattern, text)?)),
        ("regionMatches", _) => region_matches(text, args),
        ("replaceAll", [Val::Text(re), Val::Text(by)]) => Some(replace(run, text, re, by, 0)?),
        ("replaceFirst", [Val::Text(re), Val::Text(by)]) => Some(replace(run, text, re, by, 1)?),
        ("replace", [Val::Text(from), Val::Text(to)]) => {
            let growth = text.matches(from.as_ref()).count() as u64 * to.len() as u64;
            run.reserve(growth)?;
            Some(Val::text(text.replace(from.as_ref(), to)))
        }
        ("split", [Val::Text(re)]) => Some(split(run, text, re, 0)?),
        ("split", [Val::Text(re), Val::Int(limit)]) => Some(split(run, text, re, *limit)?),
        ("substring", [Val::Int(from)]) => Some(substring(text, *from, None)?),
        ("substring", [Val::Int(from), Val::Int(to)]) => Some(substring(text, *from, Some(*to))?),
        ("charAt", [Val::Int(at)]) => Some(substring(text, *at, Some(at.saturating_add(1)))?),
        ("repeat", [Val::Int(times)]) => {
            let times = usize::try_from(*times)
                .map_err(|_| Error::Evaluate(format!("count is negative: {times}")))?;
            run.reserve((text.len() as u64).saturating_mul(times as u64))?;
            Some(Val::text(text.repeat(times)))
        }
        ("format" | "join" | "valueOf" | "copyValueOf", _) => of_class(run, name, args)?,
        ("formatted", _) => Some(Val::text(format(text, args)?)),
        ("getBytes", []) => Some(bytes(text)),
        ("getBytes", [Val::Text(charset)]) => {
            charset_check(charset)?;
            Some(bytes(text))
        }
        ("toCharArray", []) => {
            Some(Val::Array(Rc::new(text.chars().map(|c| Val::text(c.to_string())).collect())))
        }
        ("codePointAt", [Val::Int(at)]) => Some(code_point(text, *at)?),
        ("codePointBefore", [Val::Int(at)]) => Some(code_point(text, at.saturating_sub(1))?),
        ("codePointCount", [Val::Int(from), Val::Int(to)]) => {
            substring(text, *from, Some(*to))?;
            Some(Val::Int(to - from))
        }
        ("offsetByCodePoints", [Val::Int(from), Val::Int(by)]) => {
            let to = from.saturating_add(*by);
            substring(text, 0, Some(*from))?;
            substring(text, 0, Some(to))?;
            Some(Val::Int(to))
        }
        ("indent", [Val::Int(by)]) => Some(Val::text(indent(run, text, *by)?)),
        _ => None,
    })
}

/// Methods that cannot fail.
fn question<'a>(text: &str, name: &str, args: &[Val<'a>]) -> Option<Val<'a>> {
    Some(match (name, args) {
        ("toString" | "intern" | "strip" | "trim", [])
            if name == "toString" || name == "intern" =>
        {
            Val::text(text)
        }
        ("trim" | "strip", []) => Val::text(text.trim()),
        ("stripLeading", []) => Val::text(text.trim_start()),
        ("stripTrailing", []) => Val::text(text.trim_end()),
        ("length", []) => Val::Int(text.encode_utf16().count() as i32),
        ("isEmpty", []) => Val::Bool(text.is_empty()),
        ("isBlank", []) => Val::Bool(text.trim().is_empty()),
        ("toLowerCase", []) => Val::text(text.to_lowercase()),
        ("toUpperCase", []) => Val::text(text.to_uppercase()),
        ("hashCode", []) => Val::Int(hash(text)),
        ("contains", [Val::Text(part) | Val::Status(part)]) => {
            Val::Bool(text.contains(part.as_ref()))
        }
        ("startsWith", [Val::Text(part)]) => Val::Bool(text.starts_with(part.as_ref())),
        ("startsWith", [Val::Text(part), Val::Int(from)]) => {
            let rest: String = text.chars().skip(usize::try_from(*from).ok()?).collect();
            Val::Bool(rest.starts_with(part.as_ref()))
        }
        ("endsWith", [Val::Text(part)]) => Val::Bool(text.ends_with(part.as_ref())),
        ("concat", [Val::Text(more)]) => Val::text(format!("{text}{more}")),
        ("equals" | "contentEquals", [Val::Text(other)]) => Val::Bool(text == other.as_ref()),
        ("equals", [_]) => Val::Bool(false),
        ("equalsIgnoreCase", [Val::Text(other) | Val::Status(other)]) => {
            Val::Bool(text.to_lowercase() == other.to_lowercase())
        }
        ("equalsIgnoreCase", [_]) => Val::Bool(false),
        ("compareTo", [Val::Text(other)]) => Val::Int(difference(text, other)),
        ("compareToIgnoreCase", [Val::Text(other)]) => {
            Val::Int(difference(&text.to_lowercase(), &other.to_lowercase()))
        }
        ("indexOf" | "lastIndexOf", [Val::Int(letter), rest @ ..]) => {
            let letter = char::from_u32(u32::try_from(*letter).ok()?)?;
            let args: Vec<Val<'a>> =
                [Val::text(letter.to_string())].into_iter().chain(rest.iter().cloned()).collect();
            return question(text, name, &args);
        }
        ("indexOf", [Val::Text(part)]) => place(text, text.find(part.as_ref())),
        ("indexOf", [Val::Text(part), Val::Int(from)]) => {
            let skipped = text.char_indices().nth(usize::try_from(*from).unwrap_or(0));
            let start = skipped.map_or(text.len(), |(at, _)| at);
            place(text, text[start..].find(part.as_ref()).map(|at| at + start))
        }
        ("lastIndexOf", [Val::Text(part)]) => place(text, text.rfind(part.as_ref())),
        ("lastIndexOf", [Val::Text(part), Val::Int(from)]) => {
            let Ok(from) = usize::try_from(*from) else { return Some(Val::Int(-1)) };
            let begins = |at: &usize| text[..*at].chars().count() <= from;
            let found = text.match_indices(part.as_ref()).map(|(at, _)| at).filter(begins);
            place(text, found.last())
        }
        _ => return None,
    })
}

/// A text as bytes.
pub(crate) fn bytes<'a>(text: &str) -> Val<'a> {
    Val::Array(Rc::new(text.bytes().map(|byte| Val::Byte(byte as i8)).collect()))
}

fn charset_check(name: &str) -> Result<()> {
    if ["UTF-8", "UTF8"].contains(&name.to_ascii_uppercase().as_str()) {
        return Ok(());
    }
    Err(Error::Evaluate(format!("UnsupportedEncodingException: {name}; only UTF-8 is known here")))
}

/// Whether an array holds bytes or letters: what a text can be made of.
pub(super) fn is_raw(parts: &[Val<'_>]) -> bool {
    let letter = |part: &Val<'_>| matches!(part, Val::Text(text) if text.chars().count() == 1);
    let byte = |part: &Val<'_>| matches!(part, Val::Byte(_));
    !parts.is_empty() && (parts.iter().all(byte) || parts.iter().all(letter))
}

/// The text that bytes or letters spell.
pub(super) fn of_raw<'a>(parts: &[Val<'a>]) -> Val<'a> {
    let bytes: Option<Vec<u8>> =
        parts.iter().map(|part| part.whole().map(|byte| byte as u8)).collect();
    match bytes {
        Some(bytes) => Val::text(String::from_utf8_lossy(&bytes)),
        None => Val::text(parts.iter().map(Val::to_text).collect::<String>()),
    }
}

fn code_point<'a>(text: &str, at: i32) -> Result<Val<'a>> {
    let letter = usize::try_from(at).ok().and_then(|at| text.chars().nth(at));
    let wrong = || Error::Evaluate(format!("index {at}, length {}", text.chars().count()));
    letter.map(|letter| Val::Int(letter as i32)).ok_or_else(wrong)
}

/// Java's `indent`: every line is moved and ends in a line feed.
fn indent(run: &mut Run<'_>, text: &str, by: i32) -> Result<String> {
    let blanks = " ".repeat(usize::try_from(by).unwrap_or(0).min(FORMAT_WIDTH_MAX));
    run.reserve((blanks.len() as u64 + 1).saturating_mul(text.lines().count() as u64))?;
    let cut = usize::try_from(by.saturating_neg()).unwrap_or(0);
    let moved = text.lines().map(|line| {
        let white = line.chars().take(cut).take_while(|c| c.is_whitespace()).map(char::len_utf8);
        format!("{blanks}{}\n", &line[white.sum::<usize>()..])
    });
    Ok(moved.collect())
}

/// `regionMatches(at, other, otherAt, length)`, with "ignore case" before it or not.
fn region_matches<'a>(text: &str, args: &[Val<'a>]) -> Option<Val<'a>> {
    let (ignore, args) = match args {
        [Val::Bool(ignore), rest @ ..] => (*ignore, rest),
        _ => (false, args),
    };
    let [Val::Int(at), Val::Text(other), Val::Int(other_at), Val::Int(length)] = args else {
        return None;
    };
    let part = |text: &str, at: i32| {
        let found = substring(text, at, Some(at.checked_add(*length)?)).ok()?.to_text();
        Some(if ignore { found.to_lowercase() } else { found })
    };
    let (a, b) = (part(text, *at), part(other, *other_at));
    Some(Val::Bool(a.is_some() && a == b))
}

fn place<'a>(text: &str, byte: Option<usize>) -> Val<'a> {
    Val::Int(byte.map_or(-1, |byte| text[..byte].chars().count() as i32))
}

/// Java's `String.hashCode`.
pub(super) fn hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, c| hash.wrapping_mul(31).wrapping_add(i32::from(c)))
}

/// Java's `String.compareTo`: the difference of the first that differ, else of the lengths.
fn difference(a: &str, b: &str) -> i32 {
    let first = a.encode_utf16().zip(b.encode_utf16()).find(|(a, b)| a != b);
    match first {
        Some((a, b)) => i32::from(a) - i32::from(b),
        None => a.encode_utf16().count() as i32 - b.encode_utf16().count() as i32,
    }
}

fn substring<'a>(text: &str, from: i32, to: Option<i32>) -> Result<Val<'a>> {
    let letters: Vec<char> = text.chars().collect();
    let end = to.unwrap_or(letters.len() as i32);
    let range = usize::try_from(from).ok().zip(usize::try_from(end).ok());
    let found = range.and_then(|(from, end)| letters.get(from..end));
    let wrong = || {
        Error::Evaluate(format!("begin {from}, end {end}, length {}: out of bounds", letters.len()))
    };
    found.map(|part| Val::text(part.iter().collect::<String>())).ok_or_else(wrong)
}

fn replace<'a>(run: &mut Run<'a>, text: &str, re: &str, by: &str, limit: usize) -> Result<Val<'a>> {
    let regex = pattern(run, re)?;
    let found = regex.find_iter(text).take(run.context.limits.regex_steps_max).count() as u64;
    run.reserve(found.saturating_mul(by.len() as u64 + 16))?;
    if found == 0 {
        return Ok(Val::text(text));
    }
    let by = replacement(by, regex.captures_len())?;
    let replaced = regex.try_replacen(text, limit, by.as_str());
    replaced.map(Val::text).map_err(|_| too_many_steps(run))
}

/// Java writes a group as `$1`, a literal sign as `\$`.
fn replacement(by: &str, groups: usize) -> Result<String> {
    let mut made = String::new();
    let mut letters = by.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('$') => made.push_str("$$"),
                Some(other) => made.push(other),
                None => {}
            },
            '$' => made.push_str(&format!("${{{}}}", group(&mut letters, groups)?)),
            other => made.push(other),
        }
    }
    Ok(made)
}

/// `1` or `{name}`; a second digit belongs to the number only if there are that many groups.
fn group(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, groups: usize) -> Result<String> {
    if letters.next_if_eq(&'{').is_some() {
        return Ok(letters.by_ref().take_while(|letter| *letter != '}').collect());
    }
    let mut number = String::new();
    while let Some(digit) = letters.peek().filter(|c| c.is_ascii_digit()) {
        let longer: usize = format!("{number}{digit}").parse().unwrap_or(usize::MAX);
        if !number.is_empty() && longer >= groups {
            break;
        }
        number.push(*digit);
        letters.next();
    }
    match number.parse::<usize>() {
        Ok(found) if found < groups => Ok(number),
        Ok(_) => Err(Error::Evaluate(format!("IndexOutOfBoundsException: No group {number}"))),
        Err(_) => Err(Error::Evaluate("Illegal group reference".into())),
    }
}

/// Java's `split`: empty texts at the end are dropped unless a limit says otherwise.
fn split<'a>(run: &mut Run<'a>, text: &str, re: &str, limit: i32) -> Result<Val<'a>> {
    let regex = pattern(run, re)?;
    let (mut parts, mut start, mut cut) = (Vec::new(), 0, false);
    for found in regex.find_iter(text) {
        let found = found.map_err(|_| too_many_steps(run))?;
        if limit > 0 && parts.len() as i32 + 1 >= limit {
            break;
        }
        if found.end() == 0 || (found.start() == found.end() && found.start() >= text.len()) {
            continue;
        }
        parts.push(&text[start..found.start()]);
        (start, cut) = (found.end(), true);
        run.reserve(48)?;
    }
    parts.push(&text[start..]);
    // Where nothing was cut off, the text itself stays, though it may be empty.
    while limit == 0 && cut && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    run.reserve(text.len() as u64)?;
    Ok(Val::Array(Rc::new(parts.into_iter().map(Val::text).collect())))
}

/// A static method.
pub(super) fn of_class<'a>(run: &mut Run<'a>, name: &str, args: &[Val<'a>]) -> Found<'a> {
    Ok(match (name, args) {
        ("valueOf" | "copyValueOf", [Val::Null]) => {
            return Err(Error::Evaluate("valueOf(null) is meant for arrays".into()));
        }
        ("valueOf" | "copyValueOf", [Val::Array(parts)]) if is_raw(parts) => Some(of_raw(parts)),
        ("valueOf" | "copyValueOf", [value]) => Some(Val::text(value.to_text())),
        ("format", [Val::Text(pattern), rest @ ..]) => Some(Val::text(format(pattern, rest)?)),
        ("join", [Val::Text(glue), Val::List(list)]) => Some(join(run, glue, list)?),
        ("join", [Val::Text(glue), rest @ ..]) => Some(join(run, glue, rest)?),
        _ => None,
    })
}

fn join<'a>(run: &mut Run<'a>, glue: &str, list: &[Val<'a>]) -> Result<Val<'a>> {
    let text = |part: &Val<'a>| match part {
        Val::Text(_) | Val::Status(_) | Val::Null => Ok(part.to_text()),
        other => Err(Error::bad_type(other.kind(), "CharSequence")),
    };
    let parts: Vec<String> = list.iter().map(text).collect::<Result<_>>()?;
    run.reserve(parts.iter().map(|part| (part.len() + glue.len()) as u64).sum())?;
    Ok(Val::text(parts.join(glue)))
}

/// `URLEncoder.encode`: letters, digits and `.-*_` stay, a blank is `+`.
pub(super) fn url_encode<'a>(name: &str, args: &[Val<'a>]) -> Found<'a> {
    let ("encode", [Val::Text(text), charset @ ..]) = (name, args) else { return Ok(None) };
    match charset {
        [] => {}
        [Val::Text(charset)] => charset_check(charset)?,
        _ => return Ok(None),
    }
    let mut made = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                made.push(char::from(byte));
            }
            b' ' => made.push('+'),
            _ => made.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(Some(Val::text(made)))
}

/// A double as `Double.toString` shows it.
pub(super) fn of_double<'a>(number: f64) -> Val<'a> {
    Val::text(double_text(number))
}
