//! The audit log of the test cluster, read: which writes a user made, and what they changed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// One write request that the API server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The user who asked.
    pub user: String,
    /// The client's own name for itself.
    pub user_agent: String,
    /// The plural resource, `deployments` for instance, with `/status` or another subresource.
    pub resource: String,
    /// The namespace, empty where there is none.
    pub namespace: String,
    /// The object's name; empty for a collection.
    pub name: String,
    /// The path and query that were asked for: tells the field manager, and a dry run.
    pub request_uri: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The object's version after it; empty for Secrets, whose content is not logged.
    pub resource_version: String,
}

impl Write {
    /// Whether nothing was to be changed.
    pub fn is_dry_run(&self) -> bool {
        self.request_uri.contains("dryRun=")
    }
}

/// Reads every write so far, in the order of the log.
///
/// # Errors
/// The file can't be read, or a whole line of it is not an audit event.
pub fn writes(log: &Path) -> Result<Vec<Write>> {
    let text =
        fs::read_to_string(log).with_context(|| format!("failed to read {}", log.display()))?;
    parse(&text).with_context(|| format!("failed to read {}", log.display()))
}

/// The last line may still be being written: without its end it is left out.
fn parse(text: &str) -> Result<Vec<Write>> {
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| Ok(write(&serde_json::from_str(line)?)))
        .collect()
}

fn write(event: &Value) -> Write {
    let text = |pointer: &str| {
        event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let status = event.pointer("/responseStatus/code").and_then(Value::as_u64);
    let subresource = text("/objectRef/subresource");
    let separator = if subresource.is_empty() { "" } else { "/" };
    // The name in the address is missing for an object whose creation made its name up.
    let name = Some(text("/objectRef/name"))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| text("/responseObject/metadata/name"));
    Write {
        verb: text("/verb"),
        user: text("/user/username"),
        user_agent: text("/userAgent"),
        resource: format!("{}{separator}{subresource}", text("/objectRef/resource")),
        namespace: text("/objectRef/namespace"),
        name,
        request_uri: text("/requestURI"),
        status: status.and_then(|code| u16::try_from(code).ok()).unwrap_or_default(),
        resource_version: text("/responseObject/metadata/resourceVersion"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_read_and_an_unfinished_line_is_not() {
        let event = r#"{"verb":"patch","user":{"username":"capstan-test"},"userAgent":"capstan/1","requestURI":"/x?dryRun=All","objectRef":{"resource":"deployments","namespace":"shop","name":"web","subresource":"status"},"responseStatus":{"code":200},"responseObject":{"metadata":{"resourceVersion":"7"}}}"#;
        let read = parse(&format!("{event}\n{{\"verb\":\"pat")).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].resource, "deployments/status");
        assert_eq!((read[0].status, read[0].resource_version.as_str()), (200, "7"));
        assert!(read[0].is_dry_run());
    }

    #[test]
    fn a_line_that_is_no_event_is_an_error() {
        assert!(parse("not json\n").is_err());
    }
}
