//! Identifiers and random numbers. The seed comes from the caller (D13).

use std::cell::Cell;
use std::rc::Rc;

use md5::{Digest, Md5};
use uuid::Uuid;

use super::time::Found;
use crate::Error;
use crate::eval::Run;
use crate::value::Val;

/// A method of a UUID.
pub(super) fn of_uuid<'a>(uuid: Uuid, name: &str, args: &[Val<'a>]) -> Option<Val<'a>> {
    let (most, least) = uuid.as_u64_pair();
    match (name, args) {
        ("getMostSignificantBits", []) => Some(Val::Long(most as i64)),
        ("getLeastSignificantBits", []) => Some(Val::Long(least as i64)),
        ("version", []) => Some(Val::Int(uuid.get_version_num() as i32)),
        ("variant", []) => Some(Val::Int(match least >> 62 {
            0 | 1 => 0,
            2 => 2,
            _ => (least >> 61) as i32,
        })),
        ("timestamp", []) if uuid.get_version_num() == 1 => Some(Val::Long(
            (((most & 0xFFF) << 48) | (((most >> 16) & 0xFFFF) << 32) | (most >> 32)) as i64,
        )),
        ("clockSequence", []) if uuid.get_version_num() == 1 => {
            Some(Val::Int(((least >> 48) & 0x3FFF) as i32))
        }
        ("node", []) if uuid.get_version_num() == 1 => {
            Some(Val::Long((least & 0xFFFF_FFFF_FFFF) as i64))
        }
        _ => None,
    }
}

/// The next bits of `java.util.Random`'s generator.
fn next_random(state: &Cell<i64>, bits: u32) -> i32 {
    let next = state.get().wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & ((1 << 48) - 1);
    state.set(next);
    (next >> (48 - bits)) as i32
}

/// A method of a generator.
pub(super) fn of_random<'a>(state: &Cell<i64>, name: &str, args: &[Val<'a>]) -> Option<Val<'a>> {
    match (name, args) {
        ("nextInt", []) => Some(Val::Int(next_random(state, 32))),
        ("nextInt", [Val::Int(bound)]) if *bound > 0 => Some(Val::Int(below(state, *bound))),
        ("nextFloat", []) => {
            Some(Val::Double(f64::from(next_random(state, 24)) / f64::from(1 << 24)))
        }
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

/// Five hexadecimal numbers: Java fills up those that are too short, and cuts those too long.
fn uuid_of(text: &str) -> Option<Uuid> {
    let parts: Option<Vec<u64>> = text
        .split('-')
        .map(|part| i64::from_str_radix(part, 16).ok().map(|number| number as u64))
        .collect();
    let [a, b, c, d, e] = parts?.try_into().ok()?;
    let most = ((a & 0xFFFF_FFFF) << 32) | ((b & 0xFFFF) << 16) | (c & 0xFFFF);
    let least = ((d & 0xFFFF) << 48) | (e & 0xFFFF_FFFF_FFFF);
    (text.len() <= 36).then(|| Uuid::from_u64_pair(most, least))
}

/// A static method of `UUID`.
pub(super) fn uuid_class<'a>(run: &mut Run<'a>, name: &str, args: &[Val<'a>]) -> Found<'a> {
    Ok(match (name, args) {
        ("randomUUID", []) => {
            let seed = Cell::new((run.context.seed as i64 ^ 0x5_DEEC_E66D) & ((1 << 48) - 1));
            let bytes: Vec<u8> = (0..16).map(|_| next_random(&seed, 8) as u8).collect();
            run.context.seed = run.context.seed.wrapping_add(1);
            let bytes: [u8; 16] = bytes.try_into().unwrap_or([0; 16]);
            Some(Val::Uuid(uuid::Builder::from_random_bytes(bytes).into_uuid()))
        }
        ("fromString", [Val::Text(text)]) => Some(Val::Uuid(
            uuid_of(text).ok_or_else(|| Error::Evaluate(format!("Invalid UUID string: {text}")))?,
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

/// `Math.random()`.
pub(super) fn math_random<'a>(run: &mut Run<'a>, args: &[Val<'a>]) -> Option<Val<'a>> {
    let seed = Cell::new((run.context.seed as i64 ^ 0x5_DEEC_E66D) & ((1 << 48) - 1));
    run.context.seed = run.context.seed.wrapping_add(1);
    of_random(&seed, "nextDouble", args)
}

/// A generator as `java.util.Random` seeds it.
pub(super) fn random<'a>(seed: i64) -> Val<'a> {
    Val::Random(Rc::new(Cell::new((seed ^ 0x5_DEEC_E66D) & ((1 << 48) - 1))))
}
