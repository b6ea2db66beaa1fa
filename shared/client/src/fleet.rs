//! The server's workers.

use serde_json::Value;

use crate::{Client, Error};

impl Client {
    /// The live workers, what is asked of them, and how many are wanted.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fleet(&self) -> Result<Value, Error> {
        self.get(&["v1", "fleet"], &[]).await
    }
}
