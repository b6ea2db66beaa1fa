//! What an expression may ask of the outside world, through whoever evaluates it.

use serde_json::Value;

/// The outside world. The scheduler refuses all of it: such an expression is a worker's task (D13).
pub trait Outside {
    /// The body at a URL.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn fetch(&self, url: &str) -> Result<String, String>;
    /// What a stored artifact's reference stands for, in base64.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn stored(&self, reference: &str) -> Result<String, String>;
    /// The ids of an application's pipelines by name; `None` if there is no such application.
    ///
    /// # Errors
    /// Why they cannot be had.
    fn pipeline_id(&self, application: &str, name: &str) -> Result<Option<String>, String>;
    /// An application's attributes.
    ///
    /// # Errors
    /// Why they cannot be had.
    fn application(&self, name: &str) -> Result<Option<Value>, String>;
    /// The id of a canary configuration.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn canary_config_id(&self, name: &str, application: &str) -> Result<Option<String>, String>;
}

/// Refuses everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refusing;

const REFUSED: &str = "expressions that need the outside world are not evaluated here yet; let an \
                       earlier stage fetch what is needed and refer to its outputs";

impl Outside for Refusing {
    fn fetch(&self, _: &str) -> Result<String, String> {
        Err(REFUSED.into())
    }
    fn stored(&self, _: &str) -> Result<String, String> {
        Err(REFUSED.into())
    }
    fn pipeline_id(&self, _: &str, _: &str) -> Result<Option<String>, String> {
        Err(REFUSED.into())
    }
    fn application(&self, _: &str) -> Result<Option<Value>, String> {
        Err(REFUSED.into())
    }
    fn canary_config_id(&self, _: &str, _: &str) -> Result<Option<String>, String> {
        Err(REFUSED.into())
    }
}
