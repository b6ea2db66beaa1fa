//! Operators, by Spring's rules.

use std::cmp::Ordering;

use super::{Result, Run, truth};
use crate::ast::{Binary, Node, Unary};
use crate::value::{Class, Val};
use crate::{Error, methods};

impl<'a> Run<'a> {
    pub(super) fn unary(&mut self, operator: Unary, operand: &Node) -> Result<Val<'a>> {
        let operand = self.node(operand)?;
        match (operator, &operand) {
            (Unary::Not, value) => truth(value).map(|truth| Val::Bool(!truth)),
            (Unary::Minus, Val::Int(number)) => Ok(Val::Int(number.wrapping_neg())),
            (Unary::Minus, Val::Long(number)) => Ok(Val::Long(number.wrapping_neg())),
            (Unary::Minus, Val::Double(number)) => Ok(Val::Double(-number)),
            (Unary::Plus, Val::Int(_) | Val::Long(_) | Val::Double(_)) => Ok(operand),
            (Unary::Minus | Unary::Plus, other) => Err(no_operator("sign", other, &Val::Null)),
        }
    }

    pub(super) fn binary(
        &mut self,
        operator: Binary,
        left: &Node,
        right: &Node,
    ) -> Result<Val<'a>> {
        let left = self.node(left)?;
        match operator {
            Binary::Or => Ok(Val::Bool(truth(&left)? || truth(&self.node(right)?)?)),
            Binary::And => Ok(Val::Bool(truth(&left)? && truth(&self.node(right)?)?)),
            Binary::InstanceOf => {
                let class = self.node(right)?;
                instance_of(&left, &class).map(Val::Bool)
            }
            _ => {
                let right = self.node(right)?;
                self.strict(operator, &left, &right)
            }
        }
    }

    fn strict(&mut self, operator: Binary, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
        match operator {
            Binary::Equal => Ok(Val::Bool(equal(left, right))),
            Binary::NotEqual => Ok(Val::Bool(!equal(left, right))),
            Binary::Less => compare(left, right).map(|order| Val::Bool(order.is_lt())),
            Binary::LessOrEqual => compare(left, right).map(|order| Val::Bool(order.is_le())),
            Binary::Greater => compare(left, right).map(|order| Val::Bool(order.is_gt())),
            Binary::GreaterOrEqual => compare(left, right).map(|order| Val::Bool(order.is_ge())),
            Binary::Between => between(left, right).map(Val::Bool),
            Binary::Matches => self.matches(left, right),
            Binary::Add => self.add(left, right),
            Binary::Multiply => self.multiply(left, right),
            Binary::Subtract => subtract(left, right),
            Binary::Divide | Binary::Remainder | Binary::Power => arithmetic(operator, left, right),
            Binary::Or | Binary::And | Binary::InstanceOf => Ok(Val::Null),
        }
    }

    fn matches(&mut self, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
        // Spring takes the left one as text, whatever it is, but for null.
        let (text, pattern) = match (left, right) {
            (Val::Null, _) => return Err(no_operator("matches", left, right)),
            (left, Val::Text(pattern)) => (joined(left), pattern),
            _ => return Err(no_operator("matches", left, right)),
        };
        self.burn(text.len() as u64)?;
        methods::full_match(self, pattern, &text).map(Val::Bool)
    }

    fn add(&mut self, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
        if left.number().is_some() && right.number().is_some() {
            return arithmetic(Binary::Add, left, right);
        }
        if !matches!(left, Val::Text(_)) && !matches!(right, Val::Text(_)) {
            return Err(no_operator("+", left, right));
        }
        let text = format!("{}{}", joined(left), joined(right));
        self.make(Val::text(text))
    }

    fn multiply(&mut self, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
        if let (Val::Text(text), Val::Int(times)) = (left, right) {
            let times = usize::try_from(*times).unwrap_or(0);
            self.reserve((text.len() as u64).saturating_mul(times as u64))?;
            return Ok(Val::text(text.repeat(times)));
        }
        arithmetic(Binary::Multiply, left, right)
    }
}

/// A value as text within a sum: lists are joined by commas there.
fn joined(value: &Val<'_>) -> String {
    match value {
        Val::List(list) | Val::Array(list) => list.iter().map(joined).collect::<Vec<_>>().join(","),
        other => other.to_text(),
    }
}

/// From a single letter a number may be taken: the letter so many places before.
fn subtract<'a>(left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
    if let (Val::Text(text), Val::Int(by)) = (left, right) {
        let mut letters = text.chars();
        if let (Some(letter), None) = (letters.next(), letters.next()) {
            let code = u32::try_from(i64::from(u32::from(letter)) - i64::from(*by)).ok();
            let letter = code.and_then(char::from_u32);
            return letter
                .map(|letter| Val::text(letter.to_string()))
                .ok_or_else(|| no_operator("-", left, right));
        }
    }
    arithmetic(Binary::Subtract, left, right)
}

fn no_operator(sign: &str, left: &Val<'_>, right: &Val<'_>) -> Error {
    Error::Evaluate(format!(
        "EL1030E: The operator '{sign}' is not supported between objects of type '{}' and '{}'",
        left.kind(),
        right.kind()
    ))
}

fn sign(operator: Binary) -> &'static str {
    match operator {
        Binary::Add => "+",
        Binary::Subtract => "-",
        Binary::Multiply => "*",
        Binary::Divide => "/",
        Binary::Remainder => "%",
        Binary::Power => "^",
        _ => "?",
    }
}

/// Numbers widen to the larger of both kinds, as in Java; int and long wrap around.
fn arithmetic<'a>(operator: Binary, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
    let wrong = || no_operator(sign(operator), left, right);
    match (left, right) {
        (Val::Double(_), other) | (other, Val::Double(_)) if other.number().is_some() => {
            let (a, b) = (left.number().ok_or_else(wrong)?, right.number().ok_or_else(wrong)?);
            Ok(Val::Double(real(operator, a, b)))
        }
        _ => {
            let (a, b) = (left.whole().ok_or_else(wrong)?, right.whole().ok_or_else(wrong)?);
            let is_long = matches!(left, Val::Long(_)) || matches!(right, Val::Long(_));
            whole(operator, a, b, is_long)
        }
    }
}

fn real(operator: Binary, a: f64, b: f64) -> f64 {
    match operator {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::Remainder => a % b,
        Binary::Power => a.powf(b),
        _ => f64::NAN,
    }
}

fn whole<'a>(operator: Binary, a: i64, b: i64, is_long: bool) -> Result<Val<'a>> {
    let by_zero = || Error::Evaluate("/ by zero".into());
    let number = match operator {
        Binary::Add => a.wrapping_add(b),
        Binary::Subtract => a.wrapping_sub(b),
        Binary::Multiply => a.wrapping_mul(b),
        Binary::Divide if b == 0 => return Err(by_zero()),
        Binary::Remainder if b == 0 => return Err(by_zero()),
        Binary::Divide => a.wrapping_div(b),
        Binary::Remainder => a.wrapping_rem(b),
        Binary::Power => return Ok(power(a, b, is_long)),
        _ => 0,
    };
    // Both were ints: the sum wraps around as an int.
    Ok(if is_long { Val::Long(number) } else { Val::Int(number as i32) })
}

fn power<'a>(a: i64, b: i64, is_long: bool) -> Val<'a> {
    let number = (a as f64).powf(b as f64);
    let fits = number.abs() <= f64::from(i32::MAX);
    if fits && !is_long { Val::Int(number as i32) } else { Val::Long(number as i64) }
}

/// Spring's equality: numbers by value, a status by its name, the rest by kind and content.
pub(crate) fn equal(left: &Val<'_>, right: &Val<'_>) -> bool {
    if let (Some(a), Some(b)) = (left.whole(), right.whole()) {
        return a == b;
    }
    if let (Some(a), Some(b)) = (left.number(), right.number()) {
        return a == b;
    }
    match (left, right) {
        (Val::Null, Val::Null) => true,
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Text(a) | Val::Status(a), Val::Text(b) | Val::Status(b)) => a == b,
        (Val::List(a), Val::List(b)) | (Val::Array(a), Val::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b))
        }
        (Val::Map(a), Val::Map(b)) => {
            let has = |(key, value): (&String, &Val<'_>)| {
                b.get(key).is_some_and(|other| same(value, other))
            };
            a.len() == b.len() && a.iter().all(has)
        }
        (Val::Stage(a), Val::Stage(b)) | (Val::Execution(a), Val::Execution(b)) => {
            std::ptr::eq(*a, *b)
        }
        (Val::Instant(a), Val::Instant(b)) | (Val::Date(a), Val::Date(b)) => a == b,
        (Val::LocalDate(a), Val::LocalDate(b)) => a == b,
        (Val::LocalDateTime(a), Val::LocalDateTime(b)) => a == b,
        (Val::DayOfWeek(a), Val::DayOfWeek(b)) => a == b,
        (Val::Unit(a), Val::Unit(b)) => a == b,
        (Val::Uuid(a), Val::Uuid(b)) => a == b,
        (Val::Class(a), Val::Class(b)) => a == b,
        _ => false,
    }
}

/// Java's `equals`, by which collections compare what they hold: numbers of different kinds differ.
pub(crate) fn same(left: &Val<'_>, right: &Val<'_>) -> bool {
    let is_number = left.number().is_some() && right.number().is_some();
    (!is_number || left.kind() == right.kind()) && equal(left, right)
}

/// Null is smaller than anything; else both must be of a kind.
pub(crate) fn compare(left: &Val<'_>, right: &Val<'_>) -> Result<Ordering> {
    let wrong = || {
        Error::Evaluate(format!(
            "EL1013E: Cannot compare instances of {} and {}",
            left.kind(),
            right.kind()
        ))
    };
    if let (Some(a), Some(b)) = (left.whole(), right.whole()) {
        return Ok(a.cmp(&b));
    }
    if let (Some(a), Some(b)) = (left.number(), right.number()) {
        return Ok(a.partial_cmp(&b).unwrap_or(Ordering::Equal));
    }
    match (left, right) {
        (Val::Null, Val::Null) => Ok(Ordering::Equal),
        (Val::Null, _) => Ok(Ordering::Less),
        (_, Val::Null) => Ok(Ordering::Greater),
        (Val::Text(a), Val::Text(b)) => Ok(a.encode_utf16().cmp(b.encode_utf16())),
        (Val::Bool(a), Val::Bool(b)) => Ok(a.cmp(b)),
        (Val::Instant(a), Val::Instant(b)) | (Val::Date(a), Val::Date(b)) => Ok(a.cmp(b)),
        (Val::LocalDate(a), Val::LocalDate(b)) => Ok(a.cmp(b)),
        (Val::LocalDateTime(a), Val::LocalDateTime(b)) => Ok(a.cmp(b)),
        (Val::DayOfWeek(a), Val::DayOfWeek(b)) => {
            Ok(a.to_monday_zero_offset().cmp(&b.to_monday_zero_offset()))
        }
        (Val::Uuid(a), Val::Uuid(b)) => Ok(a.cmp(b)),
        _ => Err(wrong()),
    }
}

fn between(value: &Val<'_>, range: &Val<'_>) -> Result<bool> {
    match range {
        Val::List(range) if range.len() == 2 => {
            Ok(compare(value, &range[0])?.is_ge() && compare(value, &range[1])?.is_le())
        }
        _ => Err(Error::Evaluate("EL1031E: between needs a list of two".into())),
    }
}

fn instance_of(value: &Val<'_>, class: &Val<'_>) -> Result<bool> {
    let Val::Class(class) = class else {
        return Err(Error::Evaluate("EL1016E: instanceof needs a type, as T(String)".into()));
    };
    Ok(match value {
        Val::Text(_) => *class == Class::Text,
        Val::Int(_) => *class == Class::Integer,
        Val::Long(_) => *class == Class::Long,
        Val::Double(_) => *class == Class::Double,
        Val::Byte(_) => *class == Class::Byte,
        Val::Bool(_) => *class == Class::Boolean,
        Val::Date(_) => *class == Class::Date,
        Val::Instant(_) => *class == Class::Instant,
        Val::LocalDate(_) => *class == Class::LocalDate,
        Val::LocalDateTime(_) => *class == Class::LocalDateTime,
        Val::DayOfWeek(_) => *class == Class::DayOfWeek,
        Val::Unit(_) => *class == Class::ChronoUnit,
        Val::Uuid(_) => *class == Class::Uuid,
        Val::Random(_) => *class == Class::Random,
        Val::DateFormat(_) => *class == Class::DateFormat,
        _ => false,
    })
}
