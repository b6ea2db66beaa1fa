//! How settings are shown: durations for people, secrets to nobody.

use jiff::SignedDuration;
use jiff::fmt::serde::duration::friendly::compact;
use secrecy::SecretString;
use serde::Serializer;

/// What stands in place of a secret.
const MASK: &str = "***";

/// As a mask.
///
/// # Errors
/// Of the serializer.
pub fn secret<S: Serializer>(_: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(MASK)
}

/// As a mask, or nothing.
///
/// # Errors
/// Of the serializer.
pub fn optional_secret<S: Serializer>(
    secret: &Option<SecretString>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match secret {
        Some(_) => to.serialize_some(MASK),
        None => to.serialize_none(),
    }
}

/// As `15s`.
///
/// # Errors
/// Of the serializer.
pub fn duration<S: Serializer>(duration: &SignedDuration, to: S) -> Result<S::Ok, S::Error> {
    compact::required(duration, to)
}
