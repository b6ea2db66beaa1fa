//! File names from names that somebody else chose.

use sha2::{Digest, Sha256};

/// Longest file name made here; file systems take 255.
const NAME_BYTES_MAX: usize = 200;
/// How much of a name that is too long is kept to be recognised.
const PREFIX_BYTES: usize = 100;

/// A file name that stays in its folder and differs from that of every other `text`: bytes other
/// than letters, digits and `-_.:` become `%` and two hexadecimal digits, and so does a dot in
/// front; a name that gets too long ends in a hash instead.
pub(crate) fn escape(text: &str) -> String {
    let escaped: String =
        text.bytes().enumerate().map(|(at, byte)| escape_byte(at, byte)).collect();
    match escaped.len() {
        0 => "%".to_owned(),
        1..=NAME_BYTES_MAX => escaped,
        _ => {
            let hash = hex::encode(Sha256::digest(text));
            format!("{}%~{hash}", escaped.get(..PREFIX_BYTES).unwrap_or_default())
        }
    }
}

fn escape_byte(at: usize, byte: u8) -> String {
    let plain = byte.is_ascii_alphanumeric() || b"-_:".contains(&byte) || (byte == b'.' && at > 0);
    if plain { char::from(byte).to_string() } else { format!("%{byte:02x}") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_leaves_its_folder() {
        assert_eq!(escape("1<2"), "1%3c2");
        assert_eq!(escape(".."), "%2e.");
        assert_eq!(escape("../../etc/passwd"), "%2e.%2f..%2fetc%2fpasswd");
        assert_eq!(escape("a.b:c_d-e"), "a.b:c_d-e");
        assert_eq!(escape("\0"), "%00");
    }

    #[test]
    fn names_that_differ_stay_different() {
        let long = "é".repeat(250);
        let texts = ["", "%", "%25", "a/b", "a%2fb", "a%2Fb", ".", "%2e", &long, &long[2..]];
        let names: BTreeSet<String> = texts.iter().map(|text| escape(text)).collect();
        assert_eq!(names.len(), texts.len());
        assert!(names.iter().all(|name| name.len() <= NAME_BYTES_MAX && !name.contains('/')));
    }
}
