//! A message as RabbitMQ has it.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery as Arrived;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use shared_ports::broker::{Delivery, Outgoing, Queue};

/// To disk: a quorum queue does so anyway, what is set aside keeps it.
const PERSISTENT: u8 = 2;
/// The header of an id that is too long for the property `message_id`.
const ID: &str = "capstan-id";
const ID_BYTES_MAX: usize = 255;
/// What the ids of watchdog messages begin with, and the type by which they are known.
pub(super) const WATCHDOG: &str = "capstan watchdog";
/// Nobody misses a watchdog message that nobody received.
const WATCHDOG_KEPT_MILLISECONDS: &str = "10000";
/// The header of W3C Trace Context.
const TRACEPARENT: &str = "traceparent";

/// The property by which RabbitMQ and we know a message.
pub(super) fn name(id: &str) -> ShortString {
    if id.len() <= ID_BYTES_MAX { id.into() } else { hex::encode(Sha256::digest(id)).into() }
}

pub(super) fn properties(message: &Outgoing) -> BasicProperties {
    let Outgoing { queue, id, body } = message;
    let mut headers = FieldTable::default();
    if id.len() > ID_BYTES_MAX {
        headers.insert(ID.into(), AMQPValue::LongString(id.as_str().into()));
    }
    if let Some(traceparent) = traceparent(queue, body) {
        headers.insert(TRACEPARENT.into(), AMQPValue::LongString(traceparent.into()));
    }
    let properties = BasicProperties::default()
        .with_message_id(name(id))
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_headers(headers);
    match id.starts_with(WATCHDOG) {
        true => {
            properties.with_type(WATCHDOG.into()).with_expiration(WATCHDOG_KEPT_MILLISECONDS.into())
        }
        false => properties,
    }
}

/// Whether a message was sent only to see whether messages arrive.
pub(super) fn is_watchdog(arrived: &Arrived) -> bool {
    arrived.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == WATCHDOG)
}

pub(super) fn delivery(arrived: Arrived) -> Delivery {
    let Arrived { delivery_tag, redelivered, properties, data, .. } = arrived;
    let long = properties.headers().as_ref().and_then(|headers| headers.inner().get(ID));
    let id = match long {
        Some(AMQPValue::LongString(id)) => String::from_utf8_lossy(id.as_bytes()).into_owned(),
        _ => properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    Delivery { tag: delivery_tag, id, body: Bytes::from(data), redelivered }
}

/// Whoever traces messages on their way through the broker reads headers, not our JSON.
fn traceparent(queue: &Queue, body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Traced {
        traceparent: Option<String>,
    }
    match queue {
        Queue::Ready(_) => serde_json::from_slice::<Traced>(body).ok()?.traceparent,
        Queue::Reports(_) | Queue::Control(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use shared_model::Capability;

    use super::*;

    fn arrives(id: &str, body: &str) -> (Delivery, BasicProperties) {
        let queue = Queue::Ready(Capability::new("wait"));
        let message = Outgoing { queue, id: id.to_owned(), body: body.to_owned().into() };
        let properties = properties(&message);
        let mut arrived = Arrived::mock(7, "".into(), "q".into(), true, body.into());
        arrived.properties = properties.clone();
        (delivery(arrived), properties)
    }

    #[test]
    fn an_id_of_any_length_arrives() {
        for id in ["short".to_owned(), "long".repeat(100)] {
            let (delivery, _) = arrives(&id, "{}");
            assert_eq!((delivery.id, delivery.tag, delivery.redelivered), (id, 7, true));
        }
    }

    #[test]
    fn the_trace_travels_in_a_header() {
        let (_, properties) = arrives("m", r#"{"v": 1, "traceparent": "00-ab-cd-01"}"#);
        let header = properties.headers().as_ref().unwrap().inner().get(TRACEPARENT).cloned();
        assert_eq!(header, Some(AMQPValue::LongString("00-ab-cd-01".into())));
        let (delivery, _) = arrives("m", "not JSON");
        assert_eq!(delivery.body, "not JSON");
    }

    #[test]
    fn a_watchdog_is_told_from_work_and_does_not_stay() {
        let seen = |id: &str| {
            let (_, properties) = arrives(id, "{}");
            let mut arrived = Arrived::mock(7, "".into(), "q".into(), false, Vec::new());
            arrived.properties = properties.clone();
            (is_watchdog(&arrived), properties.expiration().is_some())
        };
        assert_eq!(seen(&format!("{WATCHDOG}/1")), (true, true));
        assert_eq!(seen("work"), (false, false));
    }
}
