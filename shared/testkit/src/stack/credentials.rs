//! Tokens of the users of the test cluster, new for each stack.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result};

/// The user that tests act as.
pub(super) const ADMIN: &str = "capstan-test";
/// A user that may do nothing.
pub(super) const NOBODY: &str = "nobody";
/// The user of the control plane itself; its requests are not audited.
pub(super) const CONTROL_PLANE: &str = "system:control-plane";

/// One bearer token a user.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) admin: String,
    pub(super) nobody: String,
    pub(super) control_plane: String,
}

impl Credentials {
    pub(super) fn make() -> Result<Self> {
        Ok(Self { admin: token()?, nobody: token()?, control_plane: token()? })
    }

    /// The lines of the API server's token file: token, user, id, groups.
    pub(super) fn token_file(&self) -> String {
        let Self { admin, nobody, control_plane } = self;
        format!(
            "{admin},{ADMIN},{ADMIN},\"system:masters\"\n\
             {control_plane},{CONTROL_PLANE},{CONTROL_PLANE},\"system:masters\"\n\
             {nobody},{NOBODY},{NOBODY}\n"
        )
    }
}

pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("failed to read random bytes from /dev/urandom")?;
    Ok(bytes)
}

/// A secret that nobody guesses.
pub(super) fn token() -> Result<String> {
    Ok(random_bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}
