//! Methods and constructors that expressions may call; all others do not exist here.

mod collections;
mod formats;
mod ids;
mod numbers;
mod printf;
mod signatures;
mod strings;
mod time;

pub(crate) use numbers::parse_double;
pub(crate) use strings::bytes;

use fancy_regex::{Regex, RegexBuilder};

use crate::Error;
use crate::eval::{Result, Run};
use crate::value::{Class, Val};

/// Classes by their full names; those of `java.lang` go by their short ones too.
const CLASSES: [(&str, Class); 18] = [
    ("java.lang.String", Class::Text),
    ("java.lang.Integer", Class::Integer),
    ("java.lang.Long", Class::Long),
    ("java.lang.Double", Class::Double),
    ("java.lang.Byte", Class::Byte),
    ("java.lang.Boolean", Class::Boolean),
    ("java.lang.Math", Class::Math),
    ("java.util.Date", Class::Date),
    ("java.text.SimpleDateFormat", Class::DateFormat),
    ("java.util.Random", Class::Random),
    ("java.util.UUID", Class::Uuid),
    ("java.time.LocalDate", Class::LocalDate),
    ("java.time.LocalDateTime", Class::LocalDateTime),
    ("java.time.Instant", Class::Instant),
    ("java.time.DayOfWeek", Class::DayOfWeek),
    ("java.time.temporal.ChronoUnit", Class::ChronoUnit),
    ("java.time.temporal.TemporalAdjusters", Class::TemporalAdjusters),
    ("java.net.URLEncoder", Class::UrlEncoder),
];

/// The class of a name.
///
/// # Errors
/// [`Error::Forbidden`] for every class that is not on the list.
pub(crate) fn class(name: &str) -> Result<Class> {
    let full = if name.contains('.') { name.to_owned() } else { format!("java.lang.{name}") };
    let found = CLASSES.iter().find(|(known, _)| *known == full);
    found.map(|(_, class)| *class).ok_or_else(|| forbidden_class(name))
}

/// A class's full name.
pub(crate) fn class_name(class: Class) -> &'static str {
    CLASSES.iter().find(|(_, known)| *known == class).map_or("", |(name, _)| name)
}

/// Makes an array: its elements are converted to what it holds.
///
/// # Errors
/// [`Error`] for elements that are not on the list, and for those that cannot be converted.
pub(crate) fn array<'a>(element: &str, items: &[Val<'a>]) -> Result<Vec<Val<'a>>> {
    let kind = element_kind(element)?;
    items.iter().map(|item| signatures::convert(kind, item)).collect()
}

/// Makes an array of a length.
///
/// # Errors
/// [`Error`] for elements that are not on the list, and for a length that is too large.
pub(crate) fn empty_array<'a>(
    run: &mut Run<'a>,
    element: &str,
    length: &Val<'a>,
) -> Result<Vec<Val<'a>>> {
    let kind = element_kind(element)?;
    let Val::Int(length) = signatures::convert('I', length)? else { return Ok(Vec::new()) };
    let length = usize::try_from(length)
        .map_err(|_| Error::Evaluate(format!("NegativeArraySizeException: {length}")))?;
    run.reserve(32 * length as u64)?;
    // Only primitives have a value to begin with.
    let is_primitive = element.chars().next().is_some_and(char::is_lowercase);
    let first = match kind {
        _ if !is_primitive || element.contains('.') => Val::Null,
        'I' => Val::Int(0),
        'L' => Val::Long(0),
        'D' => Val::Double(0.0),
        'B' => Val::Byte(0),
        _ => Val::Bool(false),
    };
    Ok(vec![first; length])
}

fn element_kind(element: &str) -> Result<char> {
    Ok(match element {
        "int" => 'I',
        "long" => 'L',
        "double" => 'D',
        "byte" => 'B',
        "boolean" => 'Z',
        _ => match class(element)? {
            Class::Text => 'S',
            Class::Integer => 'I',
            Class::Long => 'L',
            Class::Double => 'D',
            Class::Byte => 'B',
            Class::Boolean => 'Z',
            _ => 'O',
        },
    })
}

pub(crate) fn forbidden_class(name: &str) -> Error {
    Error::Forbidden(format!("EL1005E: Type cannot be found '{name}': it is not on the allow list"))
}

/// Calls a method.
///
/// # Errors
/// [`Error::Evaluate`] if there is none of that name for these arguments.
pub(crate) fn call<'a>(
    run: &mut Run<'a>,
    of: &Val<'a>,
    name: &str,
    args: Vec<Val<'a>>,
) -> Result<Val<'a>> {
    run.burn(1)?;
    let of = &run.whole_root(of.clone());
    let args = signatures::fit(of, name, args)?;
    let found = match of {
        Val::Text(text) => strings::call(run, text, name, &args)?,
        Val::List(list) => collections::of_list(run, list, name, &args)?,
        // An array has none of its own but what every object has.
        Val::Array(list) if ["hashCode", "equals", "toString"].contains(&name) => {
            collections::of_list(run, list, name, &args)?
        }
        Val::Map(map) => collections::of_map(run, map, name, &args)?,
        Val::Bool(_) | Val::Byte(_) | Val::Int(_) | Val::Long(_) | Val::Double(_) => {
            numbers::call(of, name, &args)?
        }
        Val::Status(status) => match (name, args.as_slice()) {
            ("toString" | "name", []) => Some(Val::text(status)),
            ("equals", [other]) => {
                Some(Val::Bool(matches!(other, Val::Status(other) if other == status)))
            }
            ("length" | "isEmpty" | "contains" | "startsWith" | "endsWith" | "matches", _) => {
                strings::call(run, status, name, &args)?
            }
            ("equalsIgnoreCase" | "toLowerCase" | "toUpperCase" | "replace" | "trim", _) => {
                strings::call(run, status, name, &args)?
            }
            _ => None,
        },
        Val::Class(class) => class_method(run, *class, name, &args)?,
        Val::Instant(_)
        | Val::Date(_)
        | Val::LocalDate(_)
        | Val::LocalDateTime(_)
        | Val::DayOfWeek(_)
        | Val::Unit(_)
        | Val::Uuid(_)
        | Val::Random(_)
        | Val::DateFormat(_) => time::call(of, name, &args)?,
        Val::Execution(_) | Val::Stage(_) | Val::Trigger(_) => getter(run, of, name, &args)?,
        Val::Kept(kept) => return call(run, &kept.clone(), name, args),
        Val::Array(_) | Val::Null | Val::Root | Val::Entry(_) => None,
    };
    let value = found.ok_or_else(|| Error::no_method(name, of.kind()))?;
    run.make(value)
}

fn class_method<'a>(
    run: &mut Run<'a>,
    class: Class,
    name: &str,
    args: &[Val<'a>],
) -> Result<Option<Val<'a>>> {
    match class {
        Class::Text => strings::of_class(run, name, args),
        Class::Integer | Class::Long | Class::Double | Class::Byte | Class::Boolean => {
            numbers::of_class(class, name, args)
        }
        Class::Math if name == "random" => Ok(ids::math_random(run, args)),
        Class::Math => numbers::math(name, args),
        Class::UrlEncoder => strings::url_encode(name, args),
        Class::Date
        | Class::DateFormat
        | Class::Random
        | Class::Uuid
        | Class::LocalDate
        | Class::LocalDateTime
        | Class::Instant
        | Class::DayOfWeek
        | Class::ChronoUnit
        | Class::TemporalAdjusters => time::of_class(run, class, name, args),
    }
}

/// `getName()` of an execution, a stage or a trigger is its `name`.
fn getter<'a>(
    run: &mut Run<'a>,
    of: &Val<'a>,
    name: &str,
    args: &[Val<'a>],
) -> Result<Option<Val<'a>>> {
    if let (Val::Execution(execution), [Val::Text(wanted)]) = (of, args) {
        return run.stage_of_execution(execution, name, wanted);
    }
    let property = name.strip_prefix("get").filter(|_| args.is_empty());
    let Some(property) = property.filter(|property| !property.is_empty()) else { return Ok(None) };
    let mut letters = property.chars();
    let first = letters.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    let rest: String = letters.collect();
    run.property_of(of, &format!("{first}{rest}")).map(Some)
}

/// Makes an object.
///
/// # Errors
/// [`Error::Forbidden`] for a class that is not on the list.
pub(crate) fn construct<'a>(run: &mut Run<'a>, name: &str, args: Vec<Val<'a>>) -> Result<Val<'a>> {
    let class = class(name)?;
    let args = signatures::fit_constructor(class, args)?;
    let made = match (class, args.as_slice()) {
        (Class::Text, []) => Some(Val::text("")),
        (Class::Text, [Val::Text(text)]) => Some(Val::Text(text.clone())),
        (Class::Text, [Val::Array(parts)]) if strings::is_raw(parts) => {
            Some(strings::of_raw(parts))
        }
        // Anything else becomes its text, whatever constructor was meant.
        (Class::Text, [one]) if !matches!(one, Val::Null | Val::Map(_)) => {
            Some(Val::text(crate::walk::within_text(one)?))
        }
        (Class::Integer | Class::Long | Class::Double | Class::Byte | Class::Boolean, [_]) => {
            numbers::of_class(class, "valueOf", &args)?
        }
        _ => time::construct(run, class, &args)?,
    };
    let wrong =
        || Error::Evaluate(format!("EL1002E: {name} cannot be made of {} arguments", args.len()));
    run.make(made.ok_or_else(wrong)?)
}

/// A pattern, whose steps back are bounded.
///
/// # Errors
/// [`Error::Evaluate`] if it is no pattern.
pub(crate) fn pattern(run: &Run<'_>, pattern: &str) -> Result<Regex> {
    let mut builder = RegexBuilder::new(pattern);
    builder.backtrack_limit(run.context.limits.regex_steps_max);
    builder.delegate_size_limit(1 << 20).delegate_dfa_size_limit(1 << 20);
    builder
        .build()
        .map_err(|error| Error::Evaluate(format!("`{pattern}` is no regular expression: {error}")))
}

/// Whether the whole text fits.
///
/// # Errors
/// [`Error`] if the pattern is none or takes too many steps.
pub(crate) fn full_match(run: &Run<'_>, text_pattern: &str, text: &str) -> Result<bool> {
    // Checked alone first: wrapped, a broken pattern may look whole.
    pattern(run, text_pattern)?;
    let whole = pattern(run, &format!("^(?:{text_pattern})$"))?;
    whole.is_match(text).map_err(|_| too_many_steps(run))
}

pub(crate) fn too_many_steps(run: &Run<'_>) -> Error {
    Error::Limit { name: "regex_steps_max", limit: run.context.limits.regex_steps_max as u64 }
}
