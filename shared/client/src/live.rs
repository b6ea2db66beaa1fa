//! What happens, as it happens: history and logs, over connections that may break.
//!
//! A stream goes on where it was after a lost connection: the server is told the last id it sent.
//! The caller hears of the loss, and of the end. Every `next` may be dropped and called again.

mod stream;

use serde::{Deserialize, Serialize};

pub use self::stream::{Chunk, Happening, Happenings, LogStream};
use crate::{Client, Error, answer};

/// One entry of an execution's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1.
    pub number: u64,
    /// When, in RFC 3339.
    pub at: String,
    /// The `refId` of the stage that it is about.
    #[serde(default)]
    pub stage: Option<String>,
    /// Its kind, e.g. `stage-started`.
    pub kind: String,
    /// What happened, for people.
    pub text: String,
}

impl Client {
    /// What happened in an execution after an entry, oldest first; a page of it.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is no such execution.
    pub async fn history(&self, id: &str, after: u64) -> Result<Vec<Entry>, Error> {
        let segments = ["v1", "executions", id, "history"];
        let body = self.get(&segments, &[("after", &after.to_string())]).await?;
        serde_json::from_value(body).map_err(|error| {
            self.foreign("GET …/history", format!("the answer is not readable: {error}"))
        })
    }

    /// A stage's log from a byte on; a page of it, empty at its end.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is no such stage.
    pub async fn log(&self, id: &str, stage: &str, offset: u64) -> Result<Vec<u8>, Error> {
        let segments = ["v1", "executions", id, "stages", stage, "log"];
        let url = self.address.of(&segments, &[("offset", &offset.to_string())])?;
        let call = self.call(reqwest::Method::GET, url);
        self.within(&call.name.clone(), async {
            let (name, response) = self.send(call).await?;
            answer::bytes(self, &name, response).await
        })
        .await
    }

    /// Follows what happens in an execution after an entry, to its end.
    pub fn happenings(&self, id: &str, after: u64) -> Happenings {
        Happenings::new(self, id, after)
    }

    /// Follows a stage's log from a byte on.
    pub fn log_stream(&self, id: &str, stage: &str, offset: u64) -> LogStream {
        LogStream::new(self, id, stage, offset)
    }
}
