//! Takes an answer in, and no more of it than is allowed.

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;

use super::HttpLimits;
use super::error::HttpError;

/// Bytes per header beside its name and value, as HTTP counts them (`: ` and the line's end).
const HEADER_FRAME_BYTES: usize = 4;

/// Checks that the headers are within their limit.
///
/// # Errors
/// [`HttpError::TooLarge`].
pub(super) fn check_headers(
    headers: &HeaderMap,
    limits: &HttpLimits,
    url: &str,
) -> Result<(), HttpError> {
    let sizes = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    let bytes: usize = sizes.map(|size| size + HEADER_FRAME_BYTES).sum();
    if bytes > limits.header_bytes_max {
        return Err(headers_too_large(limits, url));
    }
    Ok(())
}

pub(super) fn headers_too_large(limits: &HttpLimits, url: &str) -> HttpError {
    let (url, limit) = (url.to_owned(), limits.header_bytes_max);
    HttpError::TooLarge { url, limit, setting: "header_bytes_max" }
}

/// Reads the body; it ends as soon as it is known to be too large.
///
/// # Errors
/// [`HttpError::TooLarge`], or [`HttpError::Broken`] if it breaks off.
pub(super) async fn body(
    mut response: reqwest::Response,
    limits: &HttpLimits,
    url: &str,
) -> Result<Bytes, HttpError> {
    let limit = limits.response_bytes_max;
    let too_large =
        || HttpError::TooLarge { url: url.to_owned(), limit, setting: "response_bytes_max" };
    let announced = response.content_length().unwrap_or_default();
    if usize::try_from(announced).map_or(true, |bytes| bytes > limit) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    loop {
        let chunk = response.chunk().await.map_err(|error| HttpError::Broken {
            url: url.to_owned(),
            why: super::exchange::innermost(&error),
        })?;
        let Some(chunk) = chunk else { return Ok(body.freeze()) };
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
}
