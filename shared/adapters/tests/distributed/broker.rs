//! RabbitMQ of the test stack.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shared_adapters::{Amqp, AmqpBroker};
use shared_model::{Capability, WorkerId};
use shared_ports::conformance::{self, Subject};
use shared_ports::{Broker, Outgoing, PortError, Queue};
use shared_testkit::env;
use shared_testkit::stack::Management;

use crate::{is_refused, is_unavailable, own_name, text, within};

/// A virtual host of a test; removed with it.
pub(crate) struct Vhost {
    pub(crate) name: String,
    management: Management,
    amqp_url: String,
}

impl Vhost {
    pub(crate) fn make() -> Self {
        Self::make_at(Management::at(&env::rabbitmq_management_url()), &env::amqp_url())
    }

    pub(crate) fn make_at(management: Management, amqp_url: &str) -> Self {
        let name = own_name();
        management.make_vhost(&name).unwrap();
        Self { name, management, amqp_url: amqp_url.to_owned() }
    }

    pub(crate) fn url(&self) -> String {
        self.amqp_url.replace("%2f", &self.name)
    }

    pub(crate) fn settings(&self) -> Amqp {
        Amqp::at(self.url())
    }

    pub(crate) fn delete_queue(&self, name: &str) {
        let path = format!("/api/queues/{}/{name}", self.name);
        self.management.must("DELETE", &path, "").unwrap();
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        // The server may have been ended by its test.
        let _ = self.management.request("DELETE", &format!("/api/vhosts/{}", self.name), "");
    }
}

pub(crate) fn ready(name: &str) -> Queue {
    Queue::Ready(Capability::new(name))
}

pub(crate) fn message(queue: &Queue, id: impl ToString) -> Outgoing {
    let (queue, id) = (queue.clone(), id.to_string());
    Outgoing { queue, body: Bytes::from(format!("body of {id}")), id }
}

async fn refused(settings: &Amqp) -> String {
    let error = AmqpBroker::open(settings).await.err().unwrap();
    assert!(is_refused(&error), "{error:?}");
    text(&error)
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_passes_the_suite() {
    let new = async || {
        let vhost = Vhost::make();
        let broker = AmqpBroker::open(&vhost.settings()).await.unwrap();
        Subject { port: Arc::new(broker) as Arc<dyn Broker>, keep: Box::new(vhost) }
    };
    conformance::broker::broker().pass(new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_a_missing_vhost_and_missing_rights_are_told() {
    let vhost = Vhost::make();
    let wrong = vhost.url().replace("guest:guest", "guest:pa55word");
    let said = refused(&Amqp::at(wrong)).await;
    assert!(said.contains("check user and password in `amqp.url`"), "{said}");
    assert!(said.contains("as user `guest`") && !said.contains("pa55word"), "{said}");

    let said = refused(&Amqp::at(vhost.url() + "-not-there")).await;
    assert!(said.contains("create the virtual host"), "{said}");

    let user = own_name();
    let made = r#"{"password": "pa55word", "tags": ""}"#;
    vhost.management.must("PUT", &format!("/api/users/{user}"), made).unwrap();
    let nobody = Amqp::at(vhost.url().replace("guest:guest", &format!("{user}:pa55word")));
    let said = refused(&nobody).await;
    assert!(said.contains("give the user access"), "{said}");

    let rights = format!("/api/permissions/{}/{user}", vhost.name);
    let none = r#"{"configure": "^$", "write": "^$", "read": "^$"}"#;
    vhost.management.must("PUT", &rights, none).unwrap();
    let broker = AmqpBroker::open(&nobody).await.unwrap();
    let queue = ready("wait");
    for error in [
        broker.publish(vec![message(&queue, "m")]).await.unwrap_err(),
        broker.consume(&queue, 1).await.err().unwrap(),
    ] {
        assert!(is_refused(&error), "{error:?}");
        assert!(text(&error).contains("rabbitmqctl set_permissions"), "{}", text(&error));
    }
    vhost.management.must("DELETE", &format!("/api/users/{user}"), "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let settings = Amqp::at(format!("amqp://guest:guest@127.0.0.1:{port}/%2f"));
    let error = AmqpBroker::open(&settings).await.err().unwrap();
    assert!(is_unavailable(&error), "{error:?}");
    assert!(text(&error).contains(&format!("127.0.0.1:{port}")), "{}", text(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_exists_with_other_arguments_is_named_with_what_to_do() {
    let vhost = Vhost::make();
    let queue = ready("wait");
    let first = AmqpBroker::open(&vhost.settings()).await.unwrap();
    first.publish(vec![message(&queue, "m")]).await.unwrap();
    let other = Amqp { queue_len_max: 7, ..vhost.settings() };
    let other = AmqpBroker::open(&other).await.unwrap();
    for error in [
        other.publish(vec![message(&queue, "n")]).await.unwrap_err(),
        other.consume(&queue, 1).await.err().unwrap(),
    ] {
        assert!(is_refused(&error), "{error:?}");
        for part in ["`x-max-length`", "`capstan.ready.wait`", "delete_queue"] {
            assert!(text(&error).contains(part), "{}", text(&error));
        }
    }
    other.publish(vec![message(&ready("another"), "n")]).await.unwrap();
    first.publish(vec![message(&queue, "o")]).await.unwrap();
    assert_eq!(first.depth(&queue).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_named_with_its_limit_and_others_go_on() {
    let vhost = Vhost::make();
    let settings = Amqp { queue_len_max: 10, ..vhost.settings() };
    let broker = AmqpBroker::open(&settings).await.unwrap();
    let queue = ready("full");
    let error = within(Duration::from_secs(20), "a full queue", async || {
        let some = (0..50).map(|id| message(&queue, id)).collect();
        broker.publish(some).await.err()
    })
    .await;
    assert!(is_unavailable(&error), "{error:?}");
    assert!(text(&error).contains("`queue_len_max` of 10"), "{}", text(&error));
    broker.publish(vec![message(&ready("empty"), "m")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_again_too_often_is_set_aside() {
    let vhost = Vhost::make();
    let settings = Amqp { deliveries_max: 3, ..vhost.settings() };
    let broker = AmqpBroker::open(&settings).await.unwrap();
    let queue = ready("wait");
    broker.publish(vec![message(&queue, "poison")]).await.unwrap();
    let mut consumer = broker.consume(&queue, 1).await.unwrap();
    let mut deliveries = 0;
    let set_aside = async {
        while let Some(delivery) = consumer.next().await {
            deliveries += 1;
            consumer.nack(delivery.tag).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(2), set_aside).await.is_err());
    assert_eq!(deliveries, 4, "once, and three times again");
    let found = async || (broker.set_aside().await.unwrap() == 1).then_some(());
    within(Duration::from_secs(10), "it is set aside", found).await;
    assert_eq!(broker.depth(&queue).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_deleted_under_its_consumer_is_made_again() {
    let vhost = Vhost::make();
    let broker = AmqpBroker::open(&vhost.settings()).await.unwrap();
    let queue = ready("wait");
    let mut consumer = broker.consume(&queue, 1).await.unwrap();
    broker.publish(vec![message(&queue, "before")]).await.unwrap();
    assert_eq!(consumer.next().await.unwrap().id, "before");
    vhost.delete_queue("capstan.ready.wait");
    let ended = tokio::time::timeout(Duration::from_secs(10), consumer.next()).await.unwrap();
    assert!(ended.is_none(), "{ended:?}");
    // Its publisher does not know yet.
    broker.publish(vec![message(&queue, "after")]).await.unwrap();
    let mut consumer = broker.consume(&queue, 1).await.unwrap();
    let found = tokio::time::timeout(Duration::from_secs(10), consumer.next()).await.unwrap();
    assert_eq!(found.unwrap().id, "after");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_of_a_worker_goes_after_it() {
    let vhost = Vhost::make();
    let kept = jiff::SignedDuration::from_secs(1);
    let settings = Amqp { control_kept: kept, ..vhost.settings() };
    let broker = AmqpBroker::open(&settings).await.unwrap();
    let queue = Queue::Control(WorkerId::new("w"));
    let consumer = broker.consume(&queue, 1).await.unwrap();
    broker.publish(vec![message(&queue, "stop")]).await.unwrap();
    drop(consumer);
    let path = format!("/api/queues/{}/capstan.control.w", vhost.name);
    let gone = async || {
        let asked = vhost.management.request("GET", &path, "");
        (asked.unwrap().status == 404).then_some(())
    };
    within(Duration::from_secs(20), "the queue is gone", gone).await;
    assert_eq!(broker.depth(&queue).await.unwrap(), 0);
    broker.publish(vec![message(&queue, "again")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_refused_and_harms_nobody() {
    let vhost = Vhost::make();
    let broker = AmqpBroker::open(&vhost.settings()).await.unwrap();
    let long = Outgoing { body: vec![0; 9 << 20].into(), ..message(&ready("wait"), "long") };
    let named = message(&ready(&"x".repeat(300)), "named");
    for (message, part) in [(long, "put them into a blob"), (named, "255 bytes")] {
        let error = broker.publish(vec![message]).await.unwrap_err();
        assert!(is_refused(&error) && text(&error).contains(part), "{}", text(&error));
    }
    let id = "long".repeat(200);
    broker.publish(vec![message(&ready("wait"), &id)]).await.unwrap();
    let mut consumer = broker.consume(&ready("wait"), 1).await.unwrap();
    assert_eq!(consumer.next().await.unwrap().id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_broker_refuses() {
    let vhost = Vhost::make();
    let broker = AmqpBroker::open(&vhost.settings()).await.unwrap();
    broker.publish(vec![message(&ready("wait"), "m")]).await.unwrap();
    broker.close().await;
    let error: PortError = broker.publish(vec![message(&ready("wait"), "n")]).await.unwrap_err();
    assert!(is_refused(&error), "{error:?}");
}
