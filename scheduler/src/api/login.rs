//! Whose request it is. Behind this, `X-Spinnaker-User` is whoever the request acts as.

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::State;
use super::connections::Peer;
use super::error::ApiError;
use super::rates::Client;
use crate::access::{Token, policy};

const USER: HeaderName = HeaderName::from_static("x-spinnaker-user");
/// Spinnaker's own header for a token.
const TOKEN: HeaderName = HeaderName::from_static("x-spinnaker-token");

/// Lets a request through with a token that reaches far enough, or, on loopback, without one.
pub(super) async fn check(
    Shared(state): Shared<State>,
    mut request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let who = log_in(&state, &method, &path, request.headers()).await;
    let peer = request.extensions().get::<Peer>().copied();
    if let Err(refusal) = count(&state, &who, peer) {
        return refusal.into_response();
    }
    match who {
        Ok(Some(token)) => {
            let roles = roles(&token, request.headers());
            request.extensions_mut().insert(roles);
            act_as(&token, request.headers_mut());
        }
        Ok(None) => {}
        Err(refusal) => return refusal.into_response(),
    }
    next.run(request).await
}

/// Counts a request for the token that it brings, else for the address that it comes from: whoever
/// guesses tokens is slowed down, too.
fn count(
    state: &State,
    who: &Result<Option<Token>, ApiError>,
    peer: Option<Peer>,
) -> Result<(), ApiError> {
    let client = match who {
        Ok(Some(token)) => Some(Client::Token(token.id.clone())),
        Ok(None) | Err(_) => peer.and_then(|Peer(address)| Client::at(address)),
    };
    let Some(client) = client else { return Ok(()) };
    state.rates.count(&client).map_err(|wait| {
        let why = "this token, or this address, asks more often than it may \
                   (requests_per_second_max, requests_burst_max); wait as `Retry-After` says";
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", why).retry_after(wait)
    })
}

async fn log_in(
    state: &State,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<Option<Token>, ApiError> {
    let Some(text) = presented(headers) else {
        // On loopback the operating system's users are trusted, and `guard` keeps pages out.
        let is_trusted = state.address.ip().is_loopback() || policy::is_open(path);
        return if is_trusted { Ok(None) } else { Err(unknown("a token is needed")) };
    };
    let token = state.scheduler.tokens().prove(text).await?;
    let token = token.ok_or_else(|| unknown("the token is unknown, was taken back, or is over"))?;
    let needed = policy::needed(!method.is_safe(), path);
    if token.scope < needed {
        let why = format!(
            "the token `{}` has the scope `{}`, and this needs `{needed}`",
            token.name, token.scope
        );
        return Err(ApiError::new(StatusCode::FORBIDDEN, "not-allowed", why));
    }
    Ok(Some(token))
}

fn unknown(why: &str) -> ApiError {
    let why = format!("{why}; send `Authorization: Bearer …` with one of `capstan token create`");
    ApiError::new(StatusCode::UNAUTHORIZED, "not-authenticated", why)
}

/// The text of a token that a request brings. One that is no text is none that we gave.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).map(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split_once(' ')
            .filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"))
            .map_or("", |(_, token)| token.trim())
    });
    bearer.or_else(|| headers.get(TOKEN).map(|value| value.to_str().unwrap_or_default()))
}

/// What is known of the roles of whoever a request acts as.
#[derive(Debug, Clone, Default)]
pub(super) struct Roles(pub(super) Option<Vec<String>>);

/// Those of the token's user; of others whom it speaks for nothing is known.
fn roles(token: &Token, headers: &HeaderMap) -> Roles {
    let is_other = token.speaks_for_others && headers.contains_key(USER);
    Roles(token.roles.clone().filter(|_| !is_other))
}

/// The acting user is the token's, unless the token may speak for others and does.
fn act_as(token: &Token, headers: &mut HeaderMap) {
    if token.speaks_for_others && headers.contains_key(USER) {
        return;
    }
    // A name of a user is visible ASCII: checked when the token was made.
    let user = HeaderValue::from_str(&token.user);
    headers.insert(USER, user.unwrap_or(HeaderValue::from_static("unknown")));
}
