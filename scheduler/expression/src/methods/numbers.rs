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
        ("byteValue", []) if number.is_some() => match of {
            Val::Double(number) => Some(Val::Byte(*number as i32 as i8)),
            other => other.whole().map(|number| Val::Byte(number as i8)),
        },
        ("shortValue", []) if number.is_some() => match of {
            Val::Double(number) => Some(Val::Int(i32::from(*number as i32 as i16))),
            other => other.whole().map(|number| Val::Int(i32::from(number as i16))),
        },
        ("hashCode", []) => Some(Val::Int(super::collections::hash_of(of))),
        // A static method may be called on a value too.
        _ => {
            let class = class_of(of);
            let args = super::signatures::fit(&Val::Class(class), name, args.to_vec())?;
            of_class(class, name, &args)?
        }
    })
}

fn class_of(value: &Val<'_>) -> Class {
    match value {
        Val::Int(_) => Class::Integer,
        Val::Long(_) => Class::Long,
        Val::Double(_) => Class::Double,
        Val::Byte(_) => Class::Byte,
        _ => Class::Boolean,
    }
}

fn no_number(text: &str) -> Error {
    Error::Evaluate(format!("NumberFormatException: For input string: \"{text}\""))
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| no_number(text))
}

/// Java's `decode`: `0x`, `#` and a leading zero choose the radix.
pub(super) fn decode(text: &str) -> Result<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = ["0x", "0X", "#"].iter().find_map(|prefix| digits.strip_prefix(prefix));
    let (digits, radix) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    let number = i128::from_str_radix(digits, radix).ok().filter(|number| *number >= 0);
    let number = number.and_then(|number| i64::try_from(sign * number).ok());
    number.filter(|_| !digits.starts_with(['+', '-'])).ok_or_else(|| no_number(text))
}

fn narrowed<T: TryFrom<i64>>(number: i64, text: &str) -> Result<T> {
    T::try_from(number).map_err(|_| no_number(text))
}

fn in_radix(number: i64, radix: i32) -> String {
    let radix = u64::try_from(radix).ok().filter(|radix| (2..=36).contains(radix)).unwrap_or(10);
    let (mut rest, mut digits) = (number.unsigned_abs(), Vec::new());
    loop {
        digits.extend(char::from_digit((rest % radix) as u32, radix as u32));
        rest /= radix;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        digits.push('-');
    }
    digits.into_iter().rev().collect()
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
            ("parseByte" | "valueOf", [Val::Text(text), Val::Int(radix)]) => {
                Some(Val::Byte(narrowed(parse_radix(text, *radix)?, text)?))
            }
            ("decode", [Val::Text(text)]) => Some(Val::Byte(narrowed(decode(text)?, text)?)),
            ("valueOf", [Val::Byte(_)]) => Some(args[0].clone()),
            ("toString", [Val::Byte(number)]) => Some(Val::text(number.to_string())),
            ("hashCode", [Val::Byte(number)]) => Some(Val::Int(i32::from(*number))),
            ("toUnsignedInt", [Val::Byte(number)]) => Some(Val::Int(i32::from(*number as u8))),
            ("toUnsignedLong", [Val::Byte(number)]) => Some(Val::Long(i64::from(*number as u8))),
            // Java gives the difference here, where other kinds of numbers give one.
            ("compare", [Val::Byte(a), Val::Byte(b)]) => {
                Some(Val::Int(i32::from(*a) - i32::from(*b)))
            }
            _ => None,
        }),
        _ => Ok(boolean(name, args)),
    }
}

fn integer<'a>(name: &str, args: &[Val<'a>]) -> Found<'a> {
    Ok(match (name, args) {
        ("parseInt" | "valueOf", [Val::Text(text)]) => Some(Val::Int(parse(text)?)),
        ("parseUnsignedInt", [Val::Text(text)]) => Some(Val::Int(parse::<u32>(text)? as i32)),
        ("decode", [Val::Text(text)]) => Some(Val::Int(narrowed(decode(text)?, text)?)),
        ("toString", [Val::Int(number), Val::Int(radix)]) => {
            Some(Val::text(in_radix(i64::from(*number), *radix)))
        }
        ("toUnsignedString", [Val::Int(number)]) => Some(Val::text((*number as u32).to_string())),
        ("toUnsignedLong", [Val::Int(number)]) => Some(Val::Long(i64::from(*number as u32))),
        ("hashCode", [Val::Int(number)]) => Some(Val::Int(*number)),
        ("reverse", [Val::Int(number)]) => Some(Val::Int(number.reverse_bits())),
        ("reverseBytes", [Val::Int(number)]) => Some(Val::Int(number.swap_bytes())),
        ("highestOneBit", [Val::Int(number)]) => {
            Some(Val::Int((*number as u32).checked_ilog2().map_or(0, |bit| 1_i32 << bit)))
        }
        ("lowestOneBit", [Val::Int(number)]) => Some(Val::Int(number & number.wrapping_neg())),
        ("numberOfLeadingZeros", [Val::Int(n)]) => Some(Val::Int(n.leading_zeros() as i32)),
        ("numberOfTrailingZeros", [Val::Int(n)]) => Some(Val::Int(n.trailing_zeros() as i32)),
        ("rotateLeft", [Val::Int(n), Val::Int(by)]) => {
            Some(Val::Int(n.rotate_left(by.rem_euclid(32) as u32)))
        }
        ("rotateRight", [Val::Int(n), Val::Int(by)]) => {
            Some(Val::Int(n.rotate_right(by.rem_euclid(32) as u32)))
        }
        ("divideUnsigned", [Val::Int(a), Val::Int(b)]) if *b != 0 => {
            Some(Val::Int((*a as u32 / *b as u32) as i32))
        }
        ("remainderUnsigned", [Val::Int(a), Val::Int(b)]) if *b != 0 => {
            Some(Val::Int((*a as u32 % *b as u32) as i32))
        }
        ("compareUnsigned", [Val::Int(a), Val::Int(b)]) => {
            Some(Val::Int((*a as u32).cmp(&(*b as u32)) as i32))
        }
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
        ("parseLong" | "valueOf", [Val::Text(text)], _) => Some(Val::Long(parse(text)?)),
        ("decode", [Val::Text(text)], _) => Some(Val::Long(decode(text)?)),
        ("toString", [Val::Long(number), Val::Int(radix)], _) => {
            Some(Val::text(in_radix(*number, *radix)))
        }
        ("hashCode", [number], Some(_)) => Some(Val::Int(super::collections::hash_of(number))),
        ("toOctalString", _, Some([number])) => Some(Val::text(format!("{number:o}"))),
        ("bitCount", _, Some([number])) => Some(Val::Int(number.count_ones() as i32)),
        ("reverse", _, Some([number])) => Some(Val::Long(number.reverse_bits())),
        ("reverseBytes", _, Some([number])) => Some(Val::Long(number.swap_bytes())),
        ("highestOneBit", _, Some([number])) => {
            Some(Val::Long((*number as u64).checked_ilog2().map_or(0, |bit| 1_i64 << bit)))
        }
        ("lowestOneBit", _, Some([number])) => Some(Val::Long(number & number.wrapping_neg())),
        ("numberOfLeadingZeros", _, Some([n])) => Some(Val::Int(n.leading_zeros() as i32)),
        ("numberOfTrailingZeros", _, Some([n])) => Some(Val::Int(n.trailing_zeros() as i32)),
        ("divideUnsigned", _, Some([a, b])) if *b != 0 => {
            Some(Val::Long((*a as u64 / *b as u64) as i64))
        }
        ("remainderUnsigned", _, Some([a, b])) if *b != 0 => {
            Some(Val::Long((*a as u64 % *b as u64) as i64))
        }
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
        ("isInfinite", _, Some([number])) => Some(Val::Bool(number.is_infinite())),
        ("isFinite", _, Some([number])) => Some(Val::Bool(number.is_finite())),
        ("hashCode", [number], Some(_)) => Some(Val::Int(super::collections::hash_of(number))),
        ("doubleToLongBits", _, Some([number])) => Some(Val::Long(number.to_bits() as i64)),
        ("longBitsToDouble", [Val::Long(bits)], _) => {
            Some(Val::Double(f64::from_bits(*bits as u64)))
        }
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
        ("compare", [Val::Bool(a), Val::Bool(b)]) => Val::Int(a.cmp(b) as i32),
        ("hashCode", [value @ Val::Bool(_)]) => Val::Int(super::collections::hash_of(value)),
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
        ("floorMod" | "floorDiv", [a, b]) => floored(name, a, b)?,
        ("addExact" | "subtractExact" | "multiplyExact", [a, b]) => exact(name, a, b)?,
        ("negateExact", [a]) => exact("subtractExact", &zero_like(a), a)?,
        ("incrementExact", [a]) => exact("addExact", a, &Val::Int(1))?,
        ("decrementExact", [a]) => exact("subtractExact", a, &Val::Int(1))?,
        ("absExact", [a]) if a.whole().is_some_and(|a| a < 0) => {
            exact("subtractExact", &zero_like(a), a)?
        }
        ("absExact", [a]) => a.whole().map(|_| a.clone()),
        ("toIntExact", [Val::Long(number)]) => {
            Some(Val::Int(i32::try_from(*number).map_err(|_| overflow())?))
        }
        ("getExponent", [Val::Double(number)]) => {
            Some(Val::Int(((number.to_bits() >> 52) & 0x7ff) as i32 - 1_023))
        }
        ("fma", [Val::Double(a), Val::Double(b), Val::Double(c)]) => {
            Some(Val::Double(a.mul_add(*b, *c)))
        }
        ("scalb", [Val::Double(a), Val::Int(by)]) => Some(Val::Double(a * 2_f64.powi(*by))),
        ("copySign", [a, b]) => both(a, b).map(|(a, b)| Val::Double(a.copysign(b))),
        ("IEEEremainder", [a, b]) => {
            both(a, b).map(|(a, b)| Val::Double(a - b * (a / b).round_ties_even()))
        }
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

fn overflow() -> Error {
    Error::Evaluate("ArithmeticException: overflow".into())
}

fn zero_like<'a>(value: &Val<'a>) -> Val<'a> {
    if matches!(value, Val::Long(_)) { Val::Long(0) } else { Val::Int(0) }
}

/// A whole number of the wider kind of two.
fn wider<'a>(a: &Val<'a>, b: &Val<'a>, number: i64) -> Result<Val<'a>> {
    match (a, b) {
        (Val::Int(_), Val::Int(_)) => i32::try_from(number).map(Val::Int).map_err(|_| overflow()),
        _ => Ok(Val::Long(number)),
    }
}

fn exact<'a>(name: &str, a: &Val<'a>, b: &Val<'a>) -> Found<'a> {
    let Some((x, y)) = a.whole().zip(b.whole()) else { return Ok(None) };
    let number = match name {
        "addExact" => x.checked_add(y),
        "subtractExact" => x.checked_sub(y),
        _ => x.checked_mul(y),
    };
    wider(a, b, number.ok_or_else(overflow)?).map(Some)
}

/// Division towards negative infinity, and what it leaves.
fn floored<'a>(name: &str, a: &Val<'a>, b: &Val<'a>) -> Found<'a> {
    let Some((x, y)) = a.whole().zip(b.whole()) else { return Ok(None) };
    if y == 0 {
        return Err(Error::Evaluate("/ by zero".into()));
    }
    let rest = x.wrapping_rem(y).wrapping_add(y).wrapping_rem(y);
    let number = if name == "floorMod" { rest } else { x.wrapping_sub(rest).wrapping_div(y) };
    // Of a long and an int, the remainder is an int.
    match (name, b) {
        ("floorMod", Val::Int(_)) => Ok(Some(Val::Int(number as i32))),
        _ => wider(a, b, number).map(Some),
    }
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
        "asin" => x.asin(),
        "acos" => x.acos(),
        "atan" => x.atan(),
        "sinh" => x.sinh(),
        "cosh" => x.cosh(),
        "tanh" => x.tanh(),
        "expm1" => x.exp_m1(),
        "log1p" => x.ln_1p(),
        "ulp" => x.abs().next_up() - x.abs(),
        "nextUp" => x.next_up(),
        "nextDown" => x.next_down(),
        "toRadians" => x.to_radians(),
        "toDegrees" => x.to_degrees(),
        _ => return None,
    })
}
