//! Answers: their bodies, bounded, and errors in Spring's shape.

use reqwest::{Response, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use shared_model::Problem;

use crate::{Client, Error, Refusal};

/// Most of an error answer.
const ERROR_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The body of an answer.
pub(crate) async fn bytes(
    client: &Client,
    call: &str,
    response: Response,
) -> Result<Vec<u8>, Error> {
    read(client, call, response, client.body_bytes_max).await
}

/// The body of an answer that has to be JSON.
pub(crate) async fn json(client: &Client, call: &str, response: Response) -> Result<Value, Error> {
    let kind = kind(&response);
    if !kind.contains("json") {
        return Err(client.foreign(call, format!("the answer is `{kind}`, not JSON")));
    }
    let body = bytes(client, call, response).await?;
    serde_json::from_slice(&body)
        .map_err(|error| client.foreign(call, format!("the answer is not readable: {error}")))
}

/// What an answer that is no success says.
pub(crate) async fn refusal(client: &Client, call: &str, response: Response) -> Error {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
        let to = to.unwrap_or("somewhere else").to_owned();
        return client.foreign(call, format!("it sends us to {to}; redirects are not followed"));
    }
    let kind = kind(&response);
    let body = read(client, call, response, ERROR_BYTES_MAX).await.unwrap_or_default();
    match serde_json::from_slice::<Body>(&body) {
        Ok(body) => Error::Refused(Box::new(body.into_refusal(status))),
        // Whoever stands in front of a server speaks for it here.
        Err(_) if matches!(status.as_u16(), 401 | 403 | 429 | 502..=504) => {
            let message = status.canonical_reason().unwrap_or_default().to_owned();
            let status = status.as_u16();
            Error::Refused(Box::new(Refusal { status, message, ..Refusal::default() }))
        }
        Err(_) => client.foreign(call, format!("the answer is `{status}` and `{kind}`")),
    }
}

/// Spring's body; `/v1` speaks problem+json, which says the same in other words.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    status: u16,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: String,
    #[serde(default, alias = "instance")]
    path: String,
    #[serde(default)]
    errors: Vec<Value>,
}

impl Body {
    fn into_refusal(self, status: StatusCode) -> Refusal {
        let said = if self.message.is_empty() { self.detail } else { self.message };
        let status = if self.status == 0 { status.as_u16() } else { self.status };
        let problems = self.errors.into_iter().filter_map(problem).collect();
        Refusal { status, code: self.code, message: said, path: self.path, problems }
    }
}

/// Gate's own lists of errors have other shapes: what is no problem of ours is left out.
fn problem(value: Value) -> Option<Problem> {
    serde_json::from_value(value).ok()
}

fn kind(response: &Response) -> String {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok()).unwrap_or("without a content type").to_owned()
}

async fn read(
    client: &Client,
    call: &str,
    mut response: Response,
    limit: usize,
) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    let broken = |error: reqwest::Error| client.failure(call, error.without_url());
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > limit {
            let (server, call) = (client.server(), call.to_owned());
            return Err(Error::TooLarge { server, call, limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
