//! What an error of RabbitMQ means to the caller of a port, and what to do about it.

use std::time::Duration;

use lapin::ErrorKind;
use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError};
use shared_ports::PortError;

/// A limit of ours ran out.
#[derive(Debug, thiserror::Error)]
#[error("RabbitMQ did not answer within {0:?}")]
pub(super) struct OutOfTime(pub(super) Duration);

/// RabbitMQ does not read what is published.
#[derive(Debug, thiserror::Error)]
#[error(
    "RabbitMQ takes no messages: it has a memory or disk alarm; free memory or disk there (`rabbitmq-diagnostics alarms` says which)"
)]
pub(super) struct Alarm;

/// RabbitMQ did not take a message.
#[derive(Debug, thiserror::Error)]
#[error(
    "RabbitMQ did not take the message for queue `{queue}`: it is full (limits `queue_len_max` of \
     {queue_len_max} messages, `queue_bytes_max` of {queue_bytes_max} bytes; its consumers are too \
     slow or absent), or most of its members are down"
)]
pub(super) struct NotTaken {
    pub(super) queue: String,
    pub(super) queue_len_max: u32,
    pub(super) queue_bytes_max: u32,
}

/// RabbitMQ gave a message back.
#[derive(Debug, thiserror::Error)]
#[error("RabbitMQ has no queue `{0}` for the message; somebody deletes it")]
pub(super) struct NoQueue(pub(super) String);

pub(super) fn unavailable(
    doing: impl Into<String>,
    source: impl std::error::Error + Send + Sync + 'static,
) -> PortError {
    PortError::Unavailable { doing: doing.into(), source: Box::new(source) }
}

/// The class of an error: what somebody must do something about is refused.
pub(super) fn refused(doing: impl Into<String>, error: &lapin::Error) -> PortError {
    match why(error) {
        Some(why) => PortError::Refused { doing: doing.into(), why },
        None => unavailable(doing, error.clone()),
    }
}

fn why(error: &lapin::Error) -> Option<String> {
    let ErrorKind::ProtocolError(error) = error.kind() else { return None };
    let said = error.get_message().as_str();
    let advice = match error.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) if said.contains("Login") => {
            "check user and password in `amqp.url`".to_owned()
        }
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => {
            "give the user the rights to configure, write and read queues and exchanges of this \
             virtual host (`rabbitmqctl set_permissions`)"
                .to_owned()
        }
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => other_arguments(said)?,
        AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => {
            "create the virtual host, give the user access to it, or correct `amqp.url` (the \
             default one is written `/%2f`)"
                .to_owned()
        }
        AMQPErrorKind::Soft(_) | AMQPErrorKind::Hard(_) => return None,
    };
    Some(format!("{said}; {advice}"))
}

/// From `inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received …`.
fn other_arguments(said: &str) -> Option<String> {
    let after = |word: &str| said.split_once(word)?.1.split('\'').next();
    let (argument, queue) = (after("inequivalent arg '")?, after(" for queue '")?);
    Some(format!(
        "queue `{queue}` was made with another `{argument}`, and that cannot be changed: set it back \
         in the settings, or delete the queue once it is empty (`rabbitmqctl delete_queue {queue} \
         --if-empty`), it is then made again by itself"
    ))
}

/// What RabbitMQ said, or what else went wrong.
pub(super) fn text(error: &lapin::Error) -> String {
    if let ErrorKind::ProtocolError(error) = error.kind() {
        return AMQPError::get_message(error).to_string();
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: AMQPErrorKind, said: &str) -> PortError {
        refused("declaring", &ErrorKind::ProtocolError(AMQPError::new(kind, said.into())).into())
    }

    #[test]
    fn another_argument_is_named_with_what_to_do() {
        let said = "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'capstan.q' in \
                    vhost '/': received '5' but current is '9'";
        let text = of(AMQPSoftError::PRECONDITIONFAILED.into(), said).to_string();
        for part in ["`x-max-length`", "`capstan.q`", "received '5'", "delete_queue capstan.q"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_double_acknowledgement_is_nobody_s_setting() {
        let said = "PRECONDITION_FAILED - unknown delivery tag 1";
        let error = of(AMQPSoftError::PRECONDITIONFAILED.into(), said);
        assert!(matches!(error, PortError::Unavailable { .. }), "{error}");
    }
}
