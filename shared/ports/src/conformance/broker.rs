//! The suite of [`Broker`].

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::join;
use shared_model::{Capability, WorkerId};

use super::suite::suite;
use super::{Subject, Suite};
use crate::PortError;
use crate::broker::{Broker, Consumer, Delivery, Outgoing, Queue};

/// Every [`Broker`] passes this.
pub fn broker() -> Suite<Subject<dyn Broker>> {
    suite!("broker":
        a_message_arrives_as_it_was_sent,
        depth_counts_what_waits,
        what_is_acknowledged_does_not_come_again,
        what_is_given_back_comes_again,
        what_a_dropped_consumer_had_comes_again,
        prefetch_is_kept,
        a_cancelled_next_loses_nothing,
        queues_do_not_mix,
        consumers_share_a_queue,
        one_consumer_of_reports_receives,
        what_is_rejected_is_set_aside_once,
        what_is_dealt_with_is_not_dealt_with_again,
        a_message_sent_again_is_not_lost,
        who_waits_is_woken_by_a_message,
        who_waits_is_woken_by_what_another_gives_back,
        who_waits_is_woken_by_what_another_leaves_behind,
        who_receives_no_more_leaves_the_rest_to_others,
    )
}

/// How long to look for a delivery that must not come.
const QUIET: Duration = Duration::from_millis(50);

async fn a_message_arrives_as_it_was_sent(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    publish(&*broker, &queue(), ["m"]).await;
    let mut consumer = consume(&*broker, &queue(), 1).await;
    let delivery = next(&mut consumer).await;
    assert_eq!((delivery.id.as_str(), &delivery.body), ("m", &Bytes::from("body of m")));
    assert!(!delivery.redelivered, "it came for the first time");
    ack(&*consumer, &delivery).await;
}

async fn depth_counts_what_waits(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    assert_eq!(depth(&*broker).await, 0);
    publish(&*broker, &queue(), ["a", "b", "c"]).await;
    assert_eq!(depth(&*broker).await, 3);
    let mut consumer = consume(&*broker, &queue(), 1).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(depth(&*broker).await, 2, "what is delivered does not wait");
    ack(&*consumer, &delivery).await;
    let left = depth(&*broker).await;
    assert!((1..=2).contains(&left), "{left}: one may be on its way to the consumer now");
}

async fn what_is_acknowledged_does_not_come_again(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    publish(&*broker, &queue(), ["m"]).await;
    let mut consumer = consume(&*broker, &queue(), 1).await;
    let delivery = next(&mut consumer).await;
    ack(&*consumer, &delivery).await;
    stays_quiet(&mut consumer).await;
    drop(consumer);
    stays_quiet(&mut consume(&*broker, &queue(), 1).await).await;
    assert_eq!(depth(&*broker).await, 0);
}

async fn what_is_given_back_comes_again(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    publish(&*broker, &queue(), ["m"]).await;
    let mut consumer = consume(&*broker, &queue(), 1).await;
    let mut delivery = next(&mut consumer).await;
    for _ in 0..3 {
        nack(&*consumer, &delivery).await;
        delivery = next(&mut consumer).await;
        assert_eq!((delivery.id.as_str(), &delivery.body), ("m", &Bytes::from("body of m")));
        assert!(delivery.redelivered, "it was delivered before");
    }
    ack(&*consumer, &delivery).await;
    stays_quiet(&mut consumer).await;
}

async fn what_a_dropped_consumer_had_comes_again(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    publish(&*broker, &queue(), ["a", "b", "c"]).await;
    let mut first = consume(&*broker, &queue(), 3).await;
    let mut left = BTreeSet::new();
    for number in 0..3 {
        let delivery = next(&mut first).await;
        match number {
            1 => ack(&*first, &delivery).await,
            _ => drop(left.insert(delivery.id)),
        }
    }
    drop(first);
    let mut second = consume(&*broker, &queue(), 3).await;
    let mut found = BTreeSet::new();
    for _ in 0..2 {
        let delivery = next(&mut second).await;
        assert!(delivery.redelivered, "it was delivered before");
        found.insert(delivery.id);
    }
    assert_eq!(found, left);
    stays_quiet(&mut second).await;
}

async fn prefetch_is_kept(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    publish(&*broker, &queue(), ["a", "b", "c", "d"]).await;
    let mut consumer = consume(&*broker, &queue(), 2).await;
    let (first, second) = (next(&mut consumer).await, next(&mut consumer).await);
    stays_quiet(&mut consumer).await;
    ack(&*consumer, &first).await;
    let third = next(&mut consumer).await;
    stays_quiet(&mut consumer).await;
    nack(&*consumer, &second).await;
    next(&mut consumer).await;
    stays_quiet(&mut consumer).await;
    ack(&*consumer, &third).await;
    next(&mut consumer).await;
}

async fn a_cancelled_next_loses_nothing(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    let mut consumer = consume(&*broker, &queue(), 500).await;
    let sent: BTreeSet<String> = (0..200).map(|number| number.to_string()).collect();
    let mut found = BTreeSet::new();
    for id in &sent {
        // Asked and given up before, while and after the message is sent.
        found.extend(consumer.next().now_or_never().flatten().map(|delivery| delivery.id));
        {
            let mut waiting = consumer.next();
            let early = (&mut waiting).now_or_never().flatten();
            publish(&*broker, &queue(), [id.as_str()]).await;
            found.extend(early.map(|delivery| delivery.id));
        }
        found.extend(consumer.next().now_or_never().flatten().map(|delivery| delivery.id));
        let quick = tokio::time::timeout(Duration::ZERO, consumer.next()).await;
        found.extend(quick.ok().flatten().map(|delivery| delivery.id));
    }
    while found.len() < sent.len() {
        found.insert(next(&mut consumer).await.id);
    }
    assert_eq!(found, sent);
}

async fn queues_do_not_mix(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    let queues = [
        queue(),
        Queue::Ready(Capability::new("other")),
        Queue::Reports(0),
        Queue::Reports(1),
        Queue::Control(WorkerId::new("w")),
        Queue::Control(WorkerId::new("v")),
    ];
    for (number, queue) in queues.iter().enumerate() {
        publish(&*broker, queue, [number.to_string().as_str()]).await;
    }
    for (number, queue) in queues.iter().enumerate() {
        let mut consumer = consume(&*broker, queue, 10).await;
        assert_eq!(next(&mut consumer).await.id, number.to_string());
        stays_quiet(&mut consumer).await;
    }
}

async fn consumers_share_a_queue(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    let mut first = consume(&*broker, &queue(), 1).await;
    let mut second = consume(&*broker, &queue(), 1).await;
    publish(&*broker, &queue(), ["a", "b"]).await;
    let (one, other) = (next(&mut first).await, next(&mut second).await);
    assert_ne!(one.id, other.id, "both have the same message");
}

async fn one_consumer_of_reports_receives(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    let reports = Queue::Reports(3);
    let mut first = consume(&*broker, &reports, 10).await;
    let mut second = consume(&*broker, &reports, 10).await;
    publish(&*broker, &reports, ["a", "b"]).await;
    stays_quiet(&mut second).await;
    let (one, other) = (next(&mut first).await, next(&mut first).await);
    assert_ne!(one.id, other.id);
    stays_quiet(&mut second).await;
    ack(&*first, &one).await;
    let left = async {
        tokio::time::sleep(QUIET).await;
        drop(first);
    };
    let (found, ()) = join(next(&mut second), left).await;
    assert_eq!(found.id, other.id, "what the first did not acknowledge goes to the second");
    publish(&*broker, &reports, ["c"]).await;
    assert_eq!(next(&mut second).await.id, "c");
}

async fn what_is_rejected_is_set_aside_once(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    let before = broker.set_aside().await.expect("asking what was set aside");
    publish(&*broker, &queue(), ["garbage", "m"]).await;
    let mut consumer = consume(&*broker, &queue(), 2).await;
    for delivery in [next(&mut consumer).await, next(&mut consumer).await] {
        match delivery.id.as_str() {
            "garbage" => consumer.reject(delivery.tag).await.expect("rejecting"),
            _ => ack(&*consumer, &delivery).await,
        }
    }
    stays_quiet(&mut consumer).await;
    drop(consumer);
    stays_quiet(&mut consume(&*broker, &queue(), 1).await).await;
    assert_eq!(depth(&*broker).await, 0);
    let mut found = None;
    for _ in 0..100 {
        found = Some(broker.set_aside().await.expect("asking what was set aside") - before);
        if found == Some(1) {
            break;
        }
        tokio::time::sleep(QUIET).await;
    }
    assert_eq!(found, Some(1));
}

async fn what_is_dealt_with_is_not_dealt_with_again(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    publish(&*broker, &queue(), ["m", "n"]).await;
    let mut consumer = consume(&*broker, &queue(), 1).await;
    let delivery = next(&mut consumer).await;
    ack(&*consumer, &delivery).await;
    let Delivery { tag, .. } = delivery;
    for again in [consumer.ack(tag).await, consumer.nack(tag).await, consumer.reject(tag).await] {
        assert!(matches!(again, Err(PortError::Refused { .. })), "{again:?}");
    }
    assert_eq!(next(&mut consumer).await.id, "n", "and it goes on");
}

async fn a_message_sent_again_is_not_lost(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    publish(&*broker, &queue(), ["m"]).await;
    publish(&*broker, &queue(), ["m", "n"]).await;
    let mut consumer = consume(&*broker, &queue(), 10).await;
    let mut found = BTreeSet::new();
    while found.len() < 2 {
        found.insert(next(&mut consumer).await.id);
    }
    assert_eq!(found, BTreeSet::from(["m".to_owned(), "n".to_owned()]));
}

async fn who_waits_is_woken_by_a_message(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    let mut consumer = consume(&*broker, &queue(), 1).await;
    let (delivery, ()) = join(next(&mut consumer), publish_late(&*broker)).await;
    assert_eq!(delivery.id, "late");
}

async fn who_waits_is_woken_by_what_another_gives_back(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    publish(&*broker, &queue(), ["m"]).await;
    let mut first = consume(&*broker, &queue(), 1).await;
    let delivery = next(&mut first).await;
    let mut second = consume(&*broker, &queue(), 1).await;
    let give_back = async {
        tokio::time::sleep(QUIET).await;
        nack(&*first, &delivery).await;
    };
    let (found, ()) = join(next(&mut second), give_back).await;
    assert_eq!(found.id, "m");
}

async fn who_waits_is_woken_by_what_another_leaves_behind(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    publish(&*broker, &queue(), ["m"]).await;
    let mut first = consume(&*broker, &queue(), 1).await;
    next(&mut first).await;
    let mut second = consume(&*broker, &queue(), 1).await;
    let leave = async {
        tokio::time::sleep(QUIET).await;
        drop(first);
    };
    let (found, ()) = join(next(&mut second), leave).await;
    assert_eq!(found.id, "m");
}

async fn who_receives_no_more_leaves_the_rest_to_others(subject: Subject<dyn Broker>) {
    let broker = subject.port;
    publish(&*broker, &queue(), ["a", "b", "c"]).await;
    let mut first = consume(&*broker, &queue(), 3).await;
    let mut seen = BTreeSet::new();
    let held = next(&mut first).await;
    seen.insert(held.id.clone());
    // The others may be with the first already.
    tokio::time::sleep(QUIET).await;
    first.stop_receiving().await.expect("receiving no more");
    let ended = tokio::time::timeout(QUIET, first.next()).await.expect("it waits for more");
    assert!(ended.is_none(), "{ended:?}");
    let mut second = consume(&*broker, &queue(), 3).await;
    for _ in 0..2 {
        let delivery = next(&mut second).await;
        ack(&*second, &delivery).await;
        seen.insert(delivery.id);
    }
    assert_eq!(seen.len(), 3, "each went to one of them");
    ack(&*first, &held).await;
    drop(first);
    stays_quiet(&mut second).await;
}

fn queue() -> Queue {
    Queue::Ready(Capability::new("wait"))
}

async fn publish<const N: usize>(broker: &dyn Broker, queue: &Queue, ids: [&str; N]) {
    let message = |id: &str| Outgoing {
        queue: queue.clone(),
        id: id.to_owned(),
        body: Bytes::from(format!("body of {id}")),
    };
    broker.publish(ids.map(message).to_vec()).await.expect("publishing");
}

async fn publish_late(broker: &dyn Broker) {
    tokio::time::sleep(QUIET).await;
    publish(broker, &queue(), ["late"]).await;
}

async fn consume(broker: &dyn Broker, queue: &Queue, prefetch: u16) -> Box<dyn Consumer> {
    broker.consume(queue, prefetch).await.expect("consuming")
}

async fn depth(broker: &dyn Broker) -> u64 {
    broker.depth(&queue()).await.expect("asking for the depth")
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    let delivery = tokio::time::timeout(Duration::from_secs(2), consumer.next()).await;
    delivery.expect("no delivery came").expect("the connection is gone")
}

async fn ack(consumer: &dyn Consumer, delivery: &Delivery) {
    consumer.ack(delivery.tag).await.expect("acknowledging");
}

async fn nack(consumer: &dyn Consumer, delivery: &Delivery) {
    consumer.nack(delivery.tag).await.expect("giving back");
}

async fn stays_quiet(consumer: &mut Box<dyn Consumer>) {
    let delivery = tokio::time::timeout(QUIET, consumer.next()).await;
    assert!(delivery.is_err(), "came though it must not: {delivery:?}");
}
