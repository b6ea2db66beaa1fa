//! `java.lang.String`.

use std::rc::Rc;

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
        ("substring" | "subSequence", [Val::Int(from), Val::Int(to)]) => {
            Some(substring(text, *from, Some(*to))?)
        }
        ("charAt", [Val::Int(at)]) => Some(substring(text, *at, Some(at.saturating_add(1)))?),
        ("repeat", [Val::Int(times)]) => {
            let times = usize::try_from(*times)
                .map_err(|_| Error::Evaluate(format!("count is negative: {times}")))?;
            run.reserve((text.len() as u64).saturating_mul(times as u64))?;
            Some(Val::text(text.repeat(times)))
        }
        ("format" | "join" | "valueOf" | "copyValueOf", _) => of_class(run, name, args)?,
        ("formatted", _) => Some(Val::text(format(text, args)?)),
        ("getBytes", []) => {
            let bytes = text.bytes().map(|byte| Val::Byte(byte as i8)).collect();
            Some(Val::Array(Rc::new(bytes)))
        }
        ("toCharArray", []) => {
            Some(Val::Array(Rc::new(text.chars().map(|c| Val::text(c.to_string())).collect())))
        }
        ("codePointAt", [Val::Int(at)]) => {
            let place = usize::try_from(*at).ok();
            place.and_then(|at| text.chars().nth(at)).map(|c| Val::Int(c as i32))
        }
        _ => None,
    })
}

/// Methods that cannot fail.
fn question<'a>(text: &str, name: &str, args: &[Val<'a>]) -> Option<Val<'a>> {
    let ordered = |order: std::cmp::Ordering| Val::Int(order as i32);
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
            ordered(text.to_lowercase().cmp(&other.to_lowercase()))
        }
        ("indexOf", [Val::Text(part)]) => place(text, text.find(part.as_ref())),
        ("indexOf", [Val::Text(part), Val::Int(from)]) => {
            let skipped = text.char_indices().nth(usize::try_from(*from).unwrap_or(0));
            let start = skipped.map_or(text.len(), |(at, _)| at);
            place(text, text[start..].find(part.as_ref()).map(|at| at + start))
        }
        ("lastIndexOf", [Val::Text(part)]) => place(text, text.rfind(part.as_ref())),
        _ => return None,
    })
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
    let by = replacement(by);
    let replaced = regex.try_replacen(text, limit, by.as_str());
    replaced.map(Val::text).map_err(|_| too_many_steps(run))
}

/// Java writes a group as `$1`, a literal sign as `\$`.
fn replacement(by: &str) -> String {
    let mut made = String::new();
    let mut letters = by.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('$') => made.push_str("$$"),
                Some(other) => made.push(other),
                None => {}
            },
            '$' => {
                let mut group = String::new();
                while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                    group.push(digit);
                }
                made.push_str(&format!("${{{group}}}"));
            }
            other => made.push(other),
        }
    }
    made
}

/// Java's `split`: empty texts at the end are dropped unless a limit says otherwise.
fn split<'a>(run: &mut Run<'a>, text: &str, re: &str, limit: i32) -> Result<Val<'a>> {
    let regex = pattern(run, re)?;
    let (mut parts, mut start) = (Vec::new(), 0);
    for found in regex.find_iter(text) {
        let found = found.map_err(|_| too_many_steps(run))?;
        if limit > 0 && parts.len() as i32 + 1 >= limit {
            break;
        }
        if found.end() == 0 || (found.start() == found.end() && found.start() >= text.len()) {
            continue;
        }
        parts.push(&text[start..found.start()]);
        start = found.end();
        run.reserve(48)?;
    }
    parts.push(&text[start..]);
    while limit == 0 && parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    run.reserve(text.len() as u64)?;
    Ok(Val::Array(Rc::new(parts.into_iter().map(Val::text).collect())))
}

/// A static method.
pub(super) fn of_class<'a>(run: &mut Run<'a>, name: &str, args: &[Val<'a>]) -> Found<'a> {
    Ok(match (name, args) {
        ("valueOf" | "copyValueOf", [value]) => Some(Val::text(value.to_text())),
        ("format", [Val::Text(pattern), Val::List(list) | Val::Array(list)]) => {
            Some(Val::text(format(pattern, list)?))
        }
        ("format", [Val::Text(pattern), rest @ ..]) => Some(Val::text(format(pattern, rest)?)),
        ("join", [Val::Text(glue), Val::List(list) | Val::Array(list)]) => {
            Some(join(run, glue, list)?)
        }
        ("join", [Val::Text(glue), rest @ ..]) => Some(join(run, glue, rest)?),
        _ => None,
    })
}

fn join<'a>(run: &mut Run<'a>, glue: &str, list: &[Val<'a>]) -> Result<Val<'a>> {
    let parts: Vec<String> = list.iter().map(Val::to_text).collect();
    run.reserve(parts.iter().map(|part| (part.len() + glue.len()) as u64).sum())?;
    Ok(Val::text(parts.join(glue)))
}

/// `String.format` with `%s %S %d %x %X %o %c %b %f %e %n %%`, width, precision and the flags
/// `-`, `0`, `+`, `,` and blank.
fn format(pattern: &str, args: &[Val<'_>]) -> Result<String> {
    let mut made = String::new();
    let mut letters = pattern.chars().peekable();
    let mut next = 0;
    while let Some(letter) = letters.next() {
        if letter != '%' {
            made.push(letter);
            continue;
        }
        let spec = Spec::read(&mut letters)?;
        match spec.conversion {
            '%' => made.push_str(&spec.pad("%".into())),
            'n' => made.push('\n'),
            _ => {
                let place = spec.argument.unwrap_or(next);
                next += usize::from(spec.argument.is_none());
                let missing =
                    || Error::Evaluate(format!("format: argument {} is missing", place + 1));
                made.push_str(&spec.apply(args.get(place).ok_or_else(missing)?)?);
            }
        }
    }
    Ok(made)
}

struct Spec {
    argument: Option<usize>,
    flags: String,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

/// Widest field that a format may ask for.
const FORMAT_WIDTH_MAX: usize = 10_000;

impl Spec {
    fn read(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Self> {
        let mut spec = Self {
            argument: None,
            flags: String::new(),
            width: 0,
            precision: None,
            conversion: ' ',
        };
        while let Some(flag) = letters.next_if(|c| "-0+, #(".contains(*c)) {
            spec.flags.push(flag);
        }
        spec.width = digits(letters).unwrap_or(0);
        if letters.next_if_eq(&'$').is_some() {
            spec.argument = spec.width.checked_sub(1);
            return Self::read(letters).map(|rest| Self { argument: spec.argument, ..rest });
        }
        if letters.next_if_eq(&'.').is_some() {
            spec.precision = digits(letters);
        }
        let wide = spec.width.max(spec.precision.unwrap_or(0)) > FORMAT_WIDTH_MAX;
        spec.conversion = letters
            .next()
            .filter(|_| !wide)
            .ok_or_else(|| Error::Evaluate("format: a conversion is missing or too wide".into()))?;
        Ok(spec)
    }

    fn apply(&self, value: &Val<'_>) -> Result<String> {
        let wrong = || {
            Error::Evaluate(format!("format: %{} does not take {}", self.conversion, value.kind()))
        };
        let text = match self.conversion {
            's' => self.cut(value.to_text()),
            'S' => self.cut(value.to_text()).to_uppercase(),
            'b' => match value {
                Val::Null => "false".into(),
                Val::Bool(truth) => truth.to_string(),
                _ => "true".into(),
            },
            'c' => value.to_text().chars().next().map(String::from).ok_or_else(wrong)?,
            'd' => self.sign(value.whole().ok_or_else(wrong)?.to_string()),
            'x' => hexadecimal(value).ok_or_else(wrong)?,
            'X' => hexadecimal(value).ok_or_else(wrong)?.to_uppercase(),
            'o' => format!("{:o}", value.whole().ok_or_else(wrong)?),
            'f' => {
                let Val::Double(number) = value else { return Err(wrong()) };
                self.sign(format!("{number:.*}", self.precision.unwrap_or(6)))
            }
            'e' => {
                let Val::Double(number) = value else { return Err(wrong()) };
                format!("{number:.*e}", self.precision.unwrap_or(6))
            }
            _ => return Err(wrong()),
        };
        Ok(self.pad(text))
    }

    fn cut(&self, text: String) -> String {
        self.precision.map_or(text.clone(), |length| text.chars().take(length).collect())
    }

    fn sign(&self, text: String) -> String {
        let text = if self.flags.contains(',') { thousands(&text) } else { text };
        match () {
            () if text.starts_with('-') => text,
            () if self.flags.contains('+') => format!("+{text}"),
            () if self.flags.contains(' ') => format!(" {text}"),
            () => text,
        }
    }

    fn pad(&self, text: String) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        match () {
            () if self.flags.contains('-') => format!("{text}{}", " ".repeat(missing)),
            () if self.flags.contains('0') && "dxXofe".contains(self.conversion) => {
                let (sign, digits) =
                    text.strip_prefix('-').map_or(("", text.as_str()), |d| ("-", d));
                format!("{sign}{}{digits}", "0".repeat(missing))
            }
            () => format!("{}{text}", " ".repeat(missing)),
        }
    }
}

fn digits(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut found = String::new();
    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
        found.push(digit);
    }
    found.parse().ok()
}

fn hexadecimal(value: &Val<'_>) -> Option<String> {
    match value {
        Val::Int(number) => Some(format!("{number:x}")),
        other => other.whole().map(|number| format!("{number:x}")),
    }
}

fn thousands(text: &str) -> String {
    let (whole, rest) = text.split_once('.').map_or((text, None), |(a, b)| (a, Some(b)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut made = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            made.push(',');
        }
        made.push(digit);
    }
    rest.map_or(format!("{sign}{made}"), |rest| format!("{sign}{made}.{rest}"))
}

/// `URLEncoder.encode`: letters, digits and `.-*_` stay, a blank is `+`.
pub(super) fn url_encode<'a>(name: &str, args: &[Val<'a>]) -> Option<Val<'a>> {
    let ("encode", [Val::Text(text)] | [Val::Text(text), Val::Text(_)]) = (name, args) else {
        return None;
    };
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
    Some(Val::text(made))
}

/// A double as `Double.toString` shows it.
pub(super) fn of_double<'a>(number: f64) -> Val<'a> {
    Val::text(double_text(number))
}
