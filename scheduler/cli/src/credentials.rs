//! The token that a command brings.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use secrecy::{ExposeSecret, SecretString};

use crate::say::say;

/// Size of a file that may be a token's.
const FILE_BYTES_MAX: u64 = 4 * 1024;

/// The token that is given, as it is or in a file; empty is how a shell script says that there is
/// none.
///
/// # Errors
/// If both are given, or the file holds none.
pub(crate) fn token(
    given: Option<&SecretString>,
    file: Option<&Path>,
) -> Result<Option<SecretString>> {
    let given = given.filter(|token| !token.expose_secret().is_empty());
    match (given, file.filter(|file| !file.as_os_str().is_empty())) {
        (None, None) => Ok(None),
        (Some(token), None) => Ok(Some(token.clone())),
        (None, Some(file)) => of_file(file).map(Some),
        (Some(_), Some(file)) => bail!(
            "there is a token, and a token file `{}`; give one of them (--token or CAPSTAN_TOKEN, \
             --token-file or CAPSTAN_TOKEN_FILE)",
            file.display()
        ),
    }
}

fn of_file(file: &Path) -> Result<SecretString> {
    let shown = file.display();
    let text = read(file).map_err(|error| {
        anyhow::anyhow!(
            "the token file `{shown}` cannot be read: {error}; name a file that holds one of \
             `capstan token create`, and that this user may read"
        )
    })?;
    let token = text.trim();
    let is_one = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
    ensure!(
        is_one,
        "the token file `{shown}` holds no token; write one of `capstan token create` into it, and \
         nothing else"
    );
    Ok(token.into())
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut opened = File::open(file)?;
    warn_if_open(file, &opened.metadata()?);
    let mut text = String::new();
    opened.by_ref().take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Says that others can read it. It is used nevertheless: whoever mounts secrets into a container
/// has no say in its rights.
fn warn_if_open(file: &Path, about: &Metadata) {
    const OTHERS: u32 = 0o077;
    if about.is_file() && about.permissions().mode() & OTHERS != 0 {
        let shown = crate::say::quoted(&file.to_string_lossy());
        say(&format!(
            "warning: others can read the token file; `chmod 600 {shown}` keeps it yours"
        ));
    }
}
