//! What an error of object storage means to the caller of a port, and what to do about it.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use object_store::Error;
use object_store::client::HttpError;
use shared_ports::PortError;

/// A limit of ours ran out.
#[derive(Debug, thiserror::Error)]
#[error("no answer came within {0:?}")]
pub(super) struct OutOfTime(pub(super) Duration);

/// Whether the answer was lost, or there was none: what was asked may have been done.
pub(super) fn is_lost(error: &Error) -> bool {
    causes(error).any(|cause| cause.is::<HttpError>())
}

/// Whether it is the bucket that is missing, and not an object in it.
pub(super) fn is_no_bucket(error: &Error) -> bool {
    let code = code(error);
    ["NoSuchBucket", "ContainerNotFound"].contains(&code.as_str())
        || (code.is_empty() && error.to_string().contains("bucket does not exist"))
}

/// The class of an error.
pub(super) fn class(doing: &str, shown: &str, error: Error) -> PortError {
    let doing = format!("{doing} in {shown}");
    let of_system = causes(&error).find_map(|cause| cause.downcast_ref::<io::Error>());
    if let Some(class) = of_system.and_then(|error| class_of_io(&doing, error)) {
        return class;
    }
    let (code, status) = (code(&error), status(&error));
    let is_full = status == Some(507)
        || ["XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded"]
            .contains(&code.as_str());
    if is_full {
        return PortError::Full { doing };
    }
    match advice(&error, &code) {
        Some(why) => PortError::Refused { doing, why },
        None => PortError::Unavailable { doing, source: Box::new(error) },
    }
}

fn class_of_io(doing: &str, error: &io::Error) -> Option<PortError> {
    let kind = error.kind();
    if [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&kind) {
        return Some(PortError::Full { doing: doing.to_owned() });
    }
    let not_writable = [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem];
    not_writable.contains(&kind).then(|| PortError::Refused {
        doing: doing.to_owned(),
        why: format!("{error}; make the folder writable"),
    })
}

/// Why it is for somebody to do something, and what.
fn advice(error: &Error, code: &str) -> Option<String> {
    if is_no_bucket(error) {
        return Some("there is no such bucket; make it, or correct `blobs.url`".to_owned());
    }
    let keys = "check the keys in `blobs.options`";
    let said = |what: &str, todo: &str| Some(format!("{what} ({code}); {todo}"));
    match code {
        "InvalidAccessKeyId" => return said("the access key is not known there", keys),
        "SignatureDoesNotMatch" => return said("the secret key is wrong", keys),
        "ExpiredToken" | "InvalidToken" => return said("the session token is not valid", keys),
        "RequestTimeTooSkewed" => {
            return said("the clock here and the clock there differ", "set both by NTP");
        }
        "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraint" => {
            return said("the bucket is in another region", "correct `region` in `blobs.options`");
        }
        _ => {}
    }
    let text = error.to_string();
    if text.contains("redirect without LOCATION") {
        let why = "the bucket is in another region; correct `region` in `blobs.options`";
        return Some(why.to_owned());
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open: the library adds kinds")]
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => said(
            "these credentials may not do that",
            "check the keys in `blobs.options`, and let them get, put, list and delete objects",
        ),
        Error::NotImplemented { .. } | Error::NotSupported { .. } => Some(text),
        _ if text.contains("NotImplemented") => Some(format!(
            "it cannot do what we need, which is to put an object where there is none: {code}"
        )),
        _ => None,
    }
}

/// What the server calls it: `<Code>…</Code>` in its answer. The library keeps the answer in the
/// text of its error only.
fn code(error: &Error) -> String {
    let text = error.to_string();
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map(|(code, _)| code.to_owned()).unwrap_or_default()
}

fn status(error: &Error) -> Option<u16> {
    let text = error.to_string();
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

fn causes<'a>(error: &'a Error) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: &str, body: &str) -> String {
        let source = format!("Server returned non-2xx status code: {status}: {body}");
        let error = Error::Generic { store: "S3", source: source.into() };
        match class("storing a blob", "S3 bucket `b`", error) {
            PortError::Unavailable { doing, .. } => format!("unavailable: {doing}"),
            PortError::Full { doing } => format!("full: {doing}"),
            PortError::Refused { why, .. } => format!("refused: {why}"),
        }
    }

    #[test]
    fn what_a_server_says_becomes_a_class_and_advice() {
        for (status, code, expected) in [
            ("404 Not Found", "NoSuchBucket", "refused: there is no such bucket; make it"),
            ("403 Forbidden", "SignatureDoesNotMatch", "refused: the secret key is wrong"),
            ("403 Forbidden", "RequestTimeTooSkewed", "refused: the clock here"),
            ("507 Insufficient Storage", "XMinioStorageFull", "full: storing a blob in S3 bucket"),
            ("503 Service Unavailable", "SlowDown", "unavailable: storing a blob in S3 bucket"),
        ] {
            let said = said(status, &format!("<Error><Code>{code}</Code></Error>"));
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
