//! PURE: may a token of this scope do that?

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far a token reaches; each reaches as far as those before it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Looks.
    Read,
    /// Saves, starts, cancels, judges.
    Operate,
    /// Gives and takes tokens, ends executions without waiting for anybody.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        })
    }
}

/// What a request needs: `changes` is whether its method changes something.
pub fn needed(changes: bool, path: &str) -> Scope {
    let is_about_tokens = path == "/v1/tokens" || path.starts_with("/v1/tokens/");
    let is_admins = is_about_tokens || path.starts_with("/admin/");
    match (is_admins, changes) {
        (true, _) => Scope::Admin,
        (false, true) => Scope::Operate,
        (false, false) => Scope::Read,
    }
}

/// Whether anybody may ask: probes carry no token, and learn nothing but that we are there.
pub fn is_open(path: &str) -> bool {
    matches!(path, "/health" | "/livez" | "/readyz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_scope_reaches_further() {
        assert!(Scope::Read < Scope::Operate && Scope::Operate < Scope::Admin);
        assert_eq!(needed(false, "/applications"), Scope::Read);
        assert_eq!(needed(true, "/pipelines"), Scope::Operate);
        assert_eq!(needed(false, "/v1/tokens"), Scope::Admin);
        assert_eq!(needed(true, "/v1/tokens/x"), Scope::Admin);
        assert_eq!(needed(true, "/admin/forceCancelExecution"), Scope::Admin);
        assert!(is_open("/livez") && !is_open("/version") && !is_open("/livez/.."));
    }
}
