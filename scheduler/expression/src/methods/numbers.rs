//! Numbers, booleans, `java.lang.Math`.

use super::strings::of_double;
use crate::Error;
use crate::eval::Result;
use crate::eval::operators::{compare, equal};
use crate::value::{Class, Val};

type Found<'a> = Result<Option<Val<'a>>>;

/// A method of a number or a boolean.
pub(super) fn call<'a>(of: &Val<'a>, name: &str, args: &[Val<'a>]) -> Found<'a> {
    let number = of.number();
    Ok(match (name, args) {
        ("toString", []) => Some(Val::text(of.to_text())),
        ("equals", [other]) => Some(Val::Bool(of.kind() == other.kind() && equal(of, other))),
        ("compareTo", [other]) if of.kind() == other.kind() => {
            Some(Val::Int(compare(of, other)? as i32))
        }
        ("booleanValue", []) => matches!(of, Val::Bool(_)).then(|| of.clone()),
        ("intValue", []) => match of {
            Val::Double(number) => Some(Val::Int(*number as i32)),
            other => other.whole().map(|number| Val::Int(number as i32)),
        },
        ("longValue", []) => match of {
            Val::Double(number) => Some(Val::Long(*number as i64)),
            other => other.whole().map(Val::Long),
        },
        ("doubleValue" | "floatValue", []) => number.map(Val::Double),
        ("isNaN", []) => number.map(|number| Val::Bool(number.is_nan())),
        ("isInfinite", []) => number.map(|number| Val::Bool(number.is_infinite())),
        ("hashCode", []) => match of {
            Val::Int(number) => Some(Val::Int(*number)),
            Val::Bool(truth) => Some(Val::Int(if *truth { 1_231 } else { 1_237 })),
            _ => None,
        },
        _ if matches!(name, "parseInt" | "parseLong" | "parseDouble" | "valueOf") => {
            let class = match of {
                Val::Int(_) => Class::Integer,
                Val::Long(_) => Class::Long,
                Val::Double(_) => Class::Double,
                Val::Byte(_) => Class::Byte,
                _ => Class::Boolean,
            };
            of_class(class, name, args)?
        }
        _ => None,
    })
}

fn no_number(text: &str) -> Error {
    Error::Evaluate(format!("NumberFormatException: For input string: \"{text}\""))
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| no_number(text))
}

fn parse_radix(text: &str, radix: i32) -> Result<i64> {
    let radix = u32::try_from(radix).ok().filter(|radix| (2..=36).contains(radix));
    let number = radix.and_then(|radix| i64::from_str_radix(text, radix).ok());
    number.ok_or_else(|| no_number(text))
}

/// Java's `Double.parseDouble`: blanks around are allowed.
pub(crate) fn parse_double(text: &str) -> Result<f64> {
    let trimmed = text.trim();
    let is_number = trimmed.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let digits = trimmed.trim_end_matches(['d', 'D', 'f', 'F']);
    match digits.parse() {
        Ok(number) if is_number => Ok(number),
        _ => Err(no_number(text)),
    }
}

/// A static method of a number's class.
pub(super) fn of_class<'a>(class: Class, name: &str, args: &[Val<'a>]) -> Found<'a> {
    match class {
        Class::Integer => integer(name, args),
        Class::Long => long(name, args),
        Class::Double => double(name, args),
        Class::Byte => Ok(match (name, args) {
            ("parseByte" | "valueOf", [Val::Text(text)]) => Some(Val::Byte(parse(text)?)),
            ("toString", [Val::Byte(number)]) => Some(Val::text(number.to_string())),
            _ => None,
        }),
        _ => Ok(boolean(name, args)),
    }
}

fn integer<'a>(name: &str, args: &[Val<'a>]) -> Found<'a> {
    Ok(match (name, args) {
        ("parseInt" | "valueOf" | "decode", [Val::Text(text)]) => Some(Val::Int(parse(text)?)),
        ("parseInt" | "valueOf", [Val::Text(text), Val::Int(radix)]) => {
            let number = parse_radix(text, *radix)?;
            Some(Val::Int(i32::try_from(number).map_err(|_| no_number(text))?))
        }
        ("valueOf", [Val::Int(number)]) => Some(Val::Int(*number)),
        ("toString", [Val::Int(number)]) => Some(Val::text(number.to_string())),
        ("toHexString", [Val::Int(number)]) => Some(Val::text(format!("{number:x}"))),
        ("toOctalString", [Val::Int(number)]) => Some(Val::text(format!("{number:o}"))),
        ("toBinaryString", [Val::Int(number)]) => Some(Val::text(format!("{number:b}"))),
        ("signum", [Val::Int(number)]) => Some(Val::Int(number.signum())),
        ("bitCount", [Val::Int(number)]) => Some(Val::Int(number.count_ones() as i32)),
        ("abs", [Val::Int(number)]) => Some(Val::Int(number.wrapping_abs())),
        ("compare", [Val::Int(a), Val::Int(b)]) => Some(Val::Int(a.cmp(b) as i32)),
        ("max", [Val::Int(a), Val::Int(b)]) => Some(Val::Int(*a.max(b))),
        ("min", [Val::Int(a), Val::Int(b)]) => Some(Val::Int(*a.min(b))),
        ("sum", [Val::Int(a), Val::Int(b)]) => Some(Val::Int(a.wrapping_add(*b))),
        _ => None,
    })
}

fn long<'a>(name: &str, args: &[Val<'a>]) -> Found<'a> {
    let wholes: Option<Vec<i64>> = args.iter().map(Val::whole).collect();
    Ok(match (name, args, wholes.as_deref()) {
        ("parseLong" | "valueOf" | "decode", [Val::Text(text)], _) => Some(Val::Long(parse(text)?)),
        ("parseLong" | "valueOf", [Val::Text(text), Val::Int(radix)], _) => {
            Some(Val::Long(parse_radix(text, *radix)?))
        }
        ("valueOf", _, Some([number])) => Some(Val::Long(*number)),
        ("toString", _, Some([number])) => Some(Val::text(number.to_string())),
        ("toHexString", _, Some([number])) => Some(Val::text(format!("{number:x}"))),
        ("toBinaryString", _, Some([number])) => Some(Val::text(format!("{number:b}"))),
        ("signum", _, Some([number])) => Some(Val::Int(number.signum() as i32)),
        ("compare", _, Some([a, b])) => Some(Val::Int(a.cmp(b) as i32)),
        ("max", _, Some([a, b])) => Some(Val::Long(*a.max(b))),
        ("min", _, Some([a, b])) => Some(Val::Long(*a.min(b))),
        ("sum", _, Some([a, b])) => Some(Val::Long(a.wrapping_add(*b))),
        _ => None,
    })
}

fn double<'a>(name: &str, args: &[Val<'a>]) -> Found<'a> {
    let reals: Option<Vec<f64>> = args.iter().map(Val::number).collect();
    Ok(match (name, args, reals.as_deref()) {
        ("parseDouble" | "valueOf", [Val::Text(text)], _) => Some(Val::Double(parse_double(text)?)),
        ("valueOf", _, Some([number])) => Some(Val::Double(*number)),
        ("toString", _, Some([number])) => Some(of_double(*number)),
        ("isNaN", _, Some([number])) => Some(Val::Bool(number.is_nan())),
        ("compare", _, Some([a, b])) => Some(Val::Int(a.total_cmp(b) as i32)),
        ("max", _, Some([a, b])) => Some(Val::Double(a.max(*b))),
        ("min", _, Some([a, b])) => Some(Val::Double(a.min(*b))),
        ("sum", _, Some([a, b])) => Some(Val::Double(a + b)),
        _ => None,
    })
}

fn boolean<'a>(name: &str, args: &[Val<'a>]) -> Option<Val<'a>> {
    Some(match (name, args) {
        ("parseBoolean" | "valueOf", [Val::Text(text)]) => {
            Val::Bool(text.eq_ignore_ascii_case("true"))
        }
        ("parseBoolean" | "valueOf", [Val::Null]) => Val::Bool(false),
        ("valueOf", [Val::Bool(truth)]) => Val::Bool(*truth),
        ("toString", [Val::Bool(truth)]) => Val::text(truth.to_string()),
        ("logicalAnd", [Val::Bool(a), Val::Bool(b)]) => Val::Bool(*a && *b),
        ("logicalOr", [Val::Bool(a), Val::Bool(b)]) => Val::Bool(*a || *b),
        ("logicalXor", [Val::Bool(a), Val::Bool(b)]) => Val::Bool(a != b),
        _ => return None,
    })
}

/// `java.lang.Math`.
pub(super) fn math<'a>(name: &str, args: &[Val<'a>]) -> Found<'a> {
    Ok(match (name, args) {
        ("abs", [Val::Int(number)]) => Some(Val::Int(number.wrapping_abs())),
        ("abs", [Val::Long(number)]) => Some(Val::Long(number.wrapping_abs())),
        ("max" | "min", [a, b]) => extreme(name, a, b),
        ("round", [Val::Double(number)]) => Some(Val::Long((number + 0.5).floor() as i64)),
        ("round", [Val::Int(number)]) => Some(Val::Int(*number)),
        ("floorMod", [a, b]) => floor_mod(a, b)?,
        ("pow", [a, b]) => both(a, b).map(|(a, b)| Val::Double(a.powf(b))),
        ("hypot", [a, b]) => both(a, b).map(|(a, b)| Val::Double(a.hypot(b))),
        ("atan2", [a, b]) => both(a, b).map(|(a, b)| Val::Double(a.atan2(b))),
        (_, [number]) => number.number().and_then(|number| real(name, number)).map(Val::Double),
        _ => None,
    })
}

fn both(a: &Val<'_>, b: &Val<'_>) -> Option<(f64, f64)> {
    a.number().zip(b.number())
}

fn extreme<'a>(name: &str, a: &Val<'a>, b: &Val<'a>) -> Option<Val<'a>> {
    let first =
        if name == "max" { a.number()? >= b.number()? } else { a.number()? <= b.number()? };
    let chosen = if first { a } else { b };
    let is = |kind: &str| a.kind() == kind || b.kind() == kind;
    match () {
        () if is("Double") => chosen.number().map(Val::Double),
        () if is("Long") => chosen.whole().map(Val::Long),
        () => Some(chosen.clone()),
    }
}

fn floor_mod<'a>(a: &Val<'a>, b: &Val<'a>) -> Found<'a> {
    let Some((x, y)) = a.whole().zip(b.whole()) else { return Ok(None) };
    if y == 0 {
        return Err(Error::Evaluate("/ by zero".into()));
    }
    let number = x.wrapping_rem(y).wrapping_add(y).wrapping_rem(y);
    let is_int = matches!((a, b), (Val::Int(_), Val::Int(_)));
    Ok(Some(if is_int { Val::Int(number as i32) } else { Val::Long(number) }))
}

fn real(name: &str, x: f64) -> Option<f64> {
    Some(match name {
        "abs" => x.abs(),
        "ceil" => x.ceil(),
        "floor" => x.floor(),
        "rint" => x.round_ties_even(),
        "sqrt" => x.sqrt(),
        "cbrt" => x.cbrt(),
        "exp" => x.exp(),
        "log" => x.ln(),
        "log10" => x.log10(),
        "signum" => {
            if x == 0.0 {
                0.0
            } else {
                x.signum()
            }
        }
        "sin" => x.sin(),
        "cos" => x.cos(),
        "tan" => x.tan(),
        "toRadians" => x.to_radians(),
        "toDegrees" => x.to_degrees(),
        _ => return None,
    })
}
