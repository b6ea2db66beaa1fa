//! Messages that come again: copies of what went through RabbitMQ, sent once more in another order, at once
//! or long after.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use shared_testkit::stack::Management;

use super::faults::text;
use super::site::{Site, lock};
use crate::stand::left::PREFIX;

/// Takes the copies.
const TAP: &str = "storm.tap";
/// Copies that are sent again at once.
const COPIES_MAX: usize = 200;
/// Copies that are kept for long after.
const KEPT_MAX: usize = 1_000;

/// Copies of messages of long ago.
#[derive(Default)]
pub(super) struct Copies(Mutex<Vec<Value>>);

impl Copies {
    /// Copies what goes through RabbitMQ for a while, and sends it, or what was copied earlier, again.
    pub(super) fn repeat(&self, site: &Site, of_long_ago: bool, lasts: Duration) -> Result<()> {
        let rabbitmq = lock(&site.rabbitmq).management();
        let copied = tap(&rabbitmq, lasts)?;
        let mut kept = lock(&self.0);
        let mut again = if of_long_ago { kept.split_off(0) } else { copied.clone() };
        again.reverse();
        for message in again.iter().take(COPIES_MAX) {
            let publish = "/api/exchanges/%2f/amq.default/publish";
            // A queue that is full, or has gone, refuses it.
            drop(rabbitmq.request("POST", publish, &message.to_string())?);
        }
        kept.extend(copied);
        kept.truncate(KEPT_MAX);
        Ok(())
    }
}

/// What was published meanwhile, ready to be published again.
fn tap(rabbitmq: &Management, lasts: Duration) -> Result<Vec<Value>> {
    let queue = json!({ "durable": false, "arguments": { "x-max-length": COPIES_MAX } });
    rabbitmq.must("PUT", &format!("/api/queues/%2f/{TAP}"), &queue.to_string())?;
    let all = json!({ "routing_key": "publish.#" }).to_string();
    rabbitmq.must("POST", &format!("/api/bindings/%2f/e/amq.rabbitmq.trace/q/{TAP}"), &all)?;
    rabbitmq.must("PUT", "/api/vhosts/%2f", r#"{"tracing": true}"#)?;
    std::thread::sleep(lasts);
    rabbitmq.must("PUT", "/api/vhosts/%2f", r#"{"tracing": false}"#)?;
    let get = json!({
        "count": COPIES_MAX, "ackmode": "ack_requeue_false", "encoding": "base64",
    });
    let path = format!("/api/queues/%2f/{TAP}/get");
    let copied: Value =
        serde_json::from_str(&rabbitmq.request("POST", &path, &get.to_string())?.body)?;
    rabbitmq.must("DELETE", &format!("/api/queues/%2f/{TAP}"), "")?;
    let message = |copy: &Value| {
        let of_trace = &copy["properties"]["headers"];
        json!({
            "routing_key": of_trace["routing_keys"][0], "properties": of_trace["properties"],
            "payload": copy["payload"], "payload_encoding": copy["payload_encoding"],
        })
    };
    let all = copied.as_array().into_iter().flatten().map(message);
    Ok(all.filter(|one| text(one, "routing_key").starts_with(PREFIX)).collect())
}
