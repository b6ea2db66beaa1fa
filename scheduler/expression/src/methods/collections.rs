//! Lists, sets and maps. What returns an untyped object in Java (`get`) is refused there, and here.

use std::rc::Rc;

use crate::Error;
use crate::eval::operators::{equal, same};
use crate::eval::{Result, Run};
use crate::value::{Entries, Val};

type Found<'a> = Result<Option<Val<'a>>>;

/// A method of a list or a set.
pub(super) fn of_list<'a>(
    run: &mut Run<'a>,
    list: &Rc<Vec<Val<'a>>>,
    name: &str,
    args: &[Val<'a>],
) -> Found<'a> {
    run.burn(list.len() as u64)?;
    let place = |found: Option<usize>| Val::Int(found.map_or(-1, |place| place as i32));
    Ok(match (name, args) {
        ("size", []) => Some(Val::Int(list.len() as i32)),
        ("isEmpty", []) => Some(Val::Bool(list.is_empty())),
        ("contains", [item]) => Some(Val::Bool(list.iter().any(|other| same(other, item)))),
        ("containsAll", [Val::List(others) | Val::Array(others)]) => {
            run.burn((list.len() as u64).saturating_mul(others.len() as u64))?;
            let has = |item: &Val<'a>| list.iter().any(|other| same(other, item));
            Some(Val::Bool(others.iter().all(has)))
        }
        ("indexOf", [item]) => Some(place(list.iter().position(|other| same(other, item)))),
        ("lastIndexOf", [item]) => Some(place(list.iter().rposition(|other| same(other, item)))),
        ("subList", [Val::Int(from), Val::Int(to)]) => Some(sub_list(list, *from, *to)?),
        ("toString", []) => {
            let text = Val::List(Rc::clone(list)).to_text();
            run.reserve(text.len() as u64)?;
            Some(Val::text(text))
        }
        ("hashCode", []) => Some(Val::Int(
            list.iter()
                .fold(1, |hash: i32, item| hash.wrapping_mul(31).wrapping_add(hash_of(item))),
        )),
        ("equals", [other]) => Some(Val::Bool(equal(&Val::List(Rc::clone(list)), other))),
        _ => None,
    })
}

fn sub_list<'a>(list: &[Val<'a>], from: i32, to: i32) -> Result<Val<'a>> {
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    let part = range.and_then(|(from, to)| list.get(from..to));
    let wrong = || Error::Evaluate(format!("subList({from}, {to}) of a list of {}", list.len()));
    part.map(|part| Val::list(part.to_vec())).ok_or_else(wrong)
}

/// Java's `hashCode`, as far as it is the same on every machine.
pub(super) fn hash_of(value: &Val<'_>) -> i32 {
    match value {
        Val::Null => 0,
        Val::Bool(truth) => {
            if *truth {
                1_231
            } else {
                1_237
            }
        }
        Val::Byte(number) => i32::from(*number),
        Val::Int(number) => *number,
        Val::Long(number) => (*number ^ (*number >> 32)) as i32,
        Val::Double(number) => {
            let bits = number.to_bits() as i64;
            (bits ^ (bits >> 32)) as i32
        }
        Val::List(list) | Val::Array(list) => {
            list.iter().fold(1, |hash: i32, item| hash.wrapping_mul(31).wrapping_add(hash_of(item)))
        }
        Val::Map(map) => map.iter().fold(0, |sum: i32, (key, value)| {
            sum.wrapping_add(super::strings::hash(key) ^ hash_of(value))
        }),
        other => super::strings::hash(&other.to_text()),
    }
}

/// A method of a map.
pub(super) fn of_map<'a>(
    run: &mut Run<'a>,
    map: &Rc<Entries<'a>>,
    name: &str,
    args: &[Val<'a>],
) -> Found<'a> {
    run.burn(map.len() as u64)?;
    Ok(match (name, args) {
        ("size", []) => Some(Val::Int(map.len() as i32)),
        ("isEmpty", []) => Some(Val::Bool(map.is_empty())),
        ("containsKey", [Val::Text(key)]) => Some(Val::Bool(map.contains_key(key.as_ref()))),
        ("containsKey", [_]) => Some(Val::Bool(false)),
        ("containsValue", [item]) => Some(Val::Bool(map.values().any(|other| same(other, item)))),
        ("keySet", []) => Some(Val::list(map.keys().map(Val::text).collect())),
        ("values", []) => Some(Val::list(map.values().cloned().collect())),
        ("entrySet", []) => Some(Val::list(Val::entries(map))),
        ("toString", []) => {
            let text = Val::Map(Rc::clone(map)).to_text();
            run.reserve(text.len() as u64)?;
            Some(Val::text(text))
        }
        ("hashCode", []) => Some(Val::Int(hash_of(&Val::Map(Rc::clone(map))))),
        ("equals", [other]) => Some(Val::Bool(equal(&Val::Map(Rc::clone(map)), other))),
        _ => None,
    })
}
