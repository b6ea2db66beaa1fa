//! PURE: where an answer sends a request on to, and what goes with it.

use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, COOKIE, HeaderMap, LOCATION,
    PROXY_AUTHORIZATION,
};
use reqwest::{Method, StatusCode, Url};

use super::HttpRequest;
use super::error::HttpError;
use super::target::shown;

/// Where an answer leads; `None` if it leads nowhere. A `Location` that is no URL is an error.
///
/// # Errors
/// [`HttpError::Url`].
pub(super) fn location(
    status: StatusCode,
    headers: &HeaderMap,
    base: &Url,
) -> Result<Option<Url>, HttpError> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = headers.get(LOCATION) else { return Ok(None) };
    let text = std::str::from_utf8(location.as_bytes()).ok();
    let text = text.ok_or_else(|| HttpError::Url { why: "`Location` is not UTF-8".to_owned() })?;
    let url = base.join(text.trim()).map_err(|error| HttpError::Url { why: error.to_string() })?;
    Ok(Some(url))
}

/// Makes of a request what is asked at the next URL: as browsers do (Fetch §4.4), and secrets do not
/// leave the origin that they were meant for.
///
/// # Errors
/// [`HttpError::Downgrade`].
pub(super) fn follow(
    request: &mut HttpRequest,
    status: StatusCode,
    from: &Url,
    to: &Url,
) -> Result<(), HttpError> {
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(HttpError::Downgrade { url: shown(from), to: shown(to) });
    }
    if becomes_get(status, &request.method) {
        request.method = Method::GET;
        request.body = None;
        for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE] {
            request.headers.remove(name);
        }
    }
    if from.origin() != to.origin() {
        request.headers = without_secrets(&request.headers);
    }
    Ok(())
}

fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status {
        StatusCode::SEE_OTHER => *method != Method::HEAD && *method != Method::GET,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *method == Method::POST,
        _ => false,
    }
}

fn without_secrets(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, value)| {
        !value.is_sensitive() && ![AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name)
    });
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{ACCEPT, HeaderValue};

    use super::*;

    fn request(method: Method) -> HttpRequest {
        let mut request = HttpRequest::new(method, "https://a.example/x");
        request.body = Some("secret".into());
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        request.headers.insert(ACCEPT, HeaderValue::from_static("text/html"));
        request.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        request.headers.insert(COOKIE, HeaderValue::from_static("a=b"));
        let mut secret = HeaderValue::from_static("x");
        secret.set_sensitive(true);
        request.headers.insert("x-token", secret);
        request
    }

    fn followed(method: Method, status: u16, to: &str) -> Result<HttpRequest, HttpError> {
        let mut request = request(method);
        let from = Url::parse("https://a.example/x").unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        follow(&mut request, status, &from, &from.join(to).unwrap())?;
        Ok(request)
    }

    #[test]
    fn a_body_goes_on_only_where_the_method_does() {
        for (method, status, expected) in [
            (Method::POST, 301, Method::GET),
            (Method::POST, 302, Method::GET),
            (Method::POST, 303, Method::GET),
            (Method::POST, 307, Method::POST),
            (Method::POST, 308, Method::POST),
            (Method::PUT, 302, Method::PUT),
            (Method::PUT, 303, Method::GET),
            (Method::HEAD, 303, Method::HEAD),
            (Method::DELETE, 301, Method::DELETE),
        ] {
            let request = followed(method.clone(), status, "/y").unwrap();
            assert_eq!(request.method, expected, "{method} {status}");
            let kept = expected == method;
            assert_eq!(request.body.is_some(), kept, "{method} {status}");
            assert_eq!(request.headers.contains_key(CONTENT_TYPE), kept, "{method} {status}");
        }
    }

    #[test]
    fn secrets_stay_at_their_origin() {
        let all = ["accept", "authorization", "content-type", "cookie", "x-token"];
        for (to, expected) in [
            ("/y", &all[..]),
            ("https://a.example:443/y", &all[..]),
            ("https://b.example/y", &["accept", "content-type"]),
            ("https://a.example:8443/y", &["accept", "content-type"]),
            ("https://a.example.evil.example/y", &["accept", "content-type"]),
        ] {
            let request = followed(Method::POST, 307, to).unwrap();
            let mut names: Vec<&str> = request.headers.keys().map(|name| name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, expected, "{to}");
        }
        let downgrade = followed(Method::GET, 302, "http://a.example/x?hunter2").unwrap_err();
        assert!(matches!(downgrade, HttpError::Downgrade { .. }));
        assert!(!downgrade.to_string().contains("hunter2"));
    }
}
