//! What is done to RabbitMQ while messages are published and received.

use std::time::{Duration, Instant};

use shared_adapters::{Amqp, AmqpBroker};
use shared_ports::Broker;
use shared_testkit::env;
use shared_testkit::stack::RabbitMq;
use tokio::time::{sleep, timeout};

use crate::broker::{Vhost, message, ready};
use crate::load::{Figures, Load};
use crate::proxy::Proxy;
use crate::{is_unavailable, text, within};

/// After this a queue is not new any more.
const QUEUE_IS_OLD: Duration = Duration::from_secs(10);

/// For people who read the log of a run.
#[expect(clippy::print_stdout, reason = "the figures of a run")]
fn tell(what: &str, figures: &Figures) {
    println!("{what}: {figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_confirmed_survives_kill_9_and_a_freeze() {
    let folder = tempfile::tempdir().unwrap();
    let mut rabbitmq = RabbitMq::start_ready(folder.path(), &[]).unwrap();
    let broker = AmqpBroker::open(&Amqp::at(rabbitmq.url())).await.unwrap();

    let quiet = async |load: &Load| load.flows(2000).await;
    tell("nothing is done", &Load::run(&broker, &ready("quiet"), quiet).await);

    let kill = async |load: &Load| {
        // RabbitMQ 3.10 writes the term of a new queue to disk only after seconds; killed before
        // that, it comes up with a queue that never has a leader again.
        sleep(QUEUE_IS_OLD).await;
        rabbitmq.crash().unwrap();
        sleep(Duration::from_millis(500)).await;
        rabbitmq.start_again().unwrap();
        within(Duration::from_secs(90), "it is up again", async || {
            rabbitmq.check().unwrap();
            rabbitmq.is_ready().then_some(())
        })
        .await;
        load.flows(1000).await;
    };
    let figures = Load::run(&broker, &ready("killed"), kill).await;
    tell("kill -9 and started again", &figures);
    assert!(figures.consumers >= 2, "{figures:?}");

    let freeze = async |load: &Load| {
        rabbitmq.freeze().unwrap();
        sleep(Duration::from_secs(8)).await;
        rabbitmq.thaw().unwrap();
        load.flows(1000).await;
    };
    let figures = Load::run(&broker, &ready("frozen"), freeze).await;
    tell("frozen for 8 s", &figures);
    assert!(figures.publish_gap >= Duration::from_secs(7), "{figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_are_made_again() {
    let vhost = Vhost::make();
    let port = env::amqp_url().rsplit_once(':').unwrap().1.split('/').next().unwrap().to_owned();
    let proxy = Proxy::start(port.parse().unwrap()).await;
    let settings = Amqp::at(vhost.url().replace(&port, &proxy.port.to_string()));
    let broker = AmqpBroker::open(&settings).await.unwrap();
    let cut = async |load: &Load| {
        for _ in 0..10 {
            proxy.cut();
            load.flows(200).await;
        }
    };
    let figures = Load::run(&broker, &ready("wait"), cut).await;
    tell("cut ten times", &figures);
    assert!(figures.consumers >= 10, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "real servers need real time")]
async fn a_consumer_that_hears_nothing_is_ended_and_the_next_one_hears() {
    let vhost = Vhost::make();
    let port = env::amqp_url().rsplit_once(':').unwrap().1.split('/').next().unwrap().to_owned();
    let proxy = Proxy::start_for_amqp(port.parse().unwrap()).await;
    let through = vhost.url().replace(&port, &proxy.port.to_string());
    let interval = jiff::SignedDuration::from_millis(300);
    let broker = Amqp { watchdog_interval: interval, ..Amqp::at(through) };
    let broker = AmqpBroker::open(&broker).await.unwrap();
    let queue = ready("wait");
    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    let quiet = timeout(Duration::from_secs(4), consumer.next()).await;
    assert!(quiet.is_err(), "a watchdog is no message, and who hears it is not deaf: {quiet:?}");

    proxy.mute(true);
    broker.publish(vec![message(&queue, "unheard")]).await.unwrap();
    let muted = Instant::now();
    let ended = timeout(Duration::from_secs(30), consumer.next()).await;
    assert!(ended.is_ok_and(|next| next.is_none()));
    println!("deaf for {:?} until that was known", muted.elapsed());
    proxy.mute(false);
    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    let heard = timeout(Duration::from_secs(30), consumer.next()).await.unwrap().unwrap();
    assert_eq!(heard.id, "unheard");
    consumer.ack(heard.tag).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_wait_nobody_is_taken_for_deaf() {
    let vhost = Vhost::make();
    let interval = jiff::SignedDuration::from_millis(200);
    let settings = Amqp { watchdog_interval: interval, ..vhost.settings() };
    let broker = AmqpBroker::open(&settings).await.unwrap();
    let queue = ready("wait");
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.push(broker.consume(&queue, 2).await.unwrap());
    }
    let each = waiting.iter_mut().map(|consumer| consumer.next());
    let nobody = timeout(Duration::from_secs(6), futures::future::select_all(each)).await;
    assert!(nobody.is_err(), "one received or was ended");
    assert_eq!(broker.set_aside().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_again_after_the_end_is_told_again() {
    let vhost = Vhost::make();
    let port = env::amqp_url().rsplit_once(':').unwrap().1.split('/').next().unwrap().to_owned();
    let proxy = Proxy::start(port.parse().unwrap()).await;
    let settings = Amqp::at(vhost.url().replace(&port, &proxy.port.to_string()));
    let broker = AmqpBroker::open(&settings).await.unwrap();
    let mut consumer = broker.consume(&ready("wait"), 1).await.unwrap();
    proxy.cut();
    for asked in 1..=4 {
        let ended = timeout(Duration::from_secs(30), consumer.next()).await;
        assert!(ended.is_ok_and(|next| next.is_none()), "asked {asked} times");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_the_server_closed_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let rabbitmq = RabbitMq::start_ready(folder.path(), &[]).unwrap();
    // The server closes the channel of who holds a delivery for longer than two seconds.
    for (name, milliseconds) in [("consumer_timeout", 2000), ("channel_tick_interval", 1000)] {
        let set = format!("application:set_env(rabbit, {name}, {milliseconds}).");
        rabbitmq.control(&["eval", &set]).unwrap();
    }
    let broker = AmqpBroker::open(&Amqp::at(rabbitmq.url())).await.unwrap();
    let queue = ready("wait");
    broker.publish(vec![message(&queue, "held")]).await.unwrap();
    let mut consumer = broker.consume(&queue, 1).await.unwrap();
    let held = consumer.next().await.unwrap();
    let ended = timeout(Duration::from_secs(60), consumer.next()).await.unwrap();
    assert!(ended.is_none(), "{ended:?}");
    let late = consumer.ack(held.tag).await.unwrap_err();
    assert!(is_unavailable(&late), "{late:?}");
    let mut consumer = broker.consume(&queue, 1).await.unwrap();
    let again = timeout(Duration::from_secs(10), consumer.next()).await.unwrap().unwrap();
    assert_eq!((again.id.as_str(), again.redelivered), ("held", true));
    consumer.ack(again.tag).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_holds_up_publishers_for_a_while_and_consumers_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let rabbitmq = RabbitMq::start_ready(folder.path(), &[]).unwrap();
    let short = jiff::SignedDuration::from_secs(3);
    let second = jiff::SignedDuration::from_secs(1);
    let settings = Amqp { publish_max: short, confirm_max: second, ..Amqp::at(rabbitmq.url()) };
    let broker = AmqpBroker::open(&settings).await.unwrap();
    let queue = ready("wait");
    broker.publish(["a", "b"].map(|id| message(&queue, id)).to_vec()).await.unwrap();

    rabbitmq.control(&["set_vm_memory_high_watermark", "absolute", "1MB"]).unwrap();
    for _ in 0..2 {
        let publish = broker.publish(vec![message(&queue, "held up")]);
        let error = timeout(Duration::from_secs(6), publish).await.unwrap().unwrap_err();
        assert!(is_unavailable(&error), "{error:?}");
        assert!(text(&error).contains("memory or disk alarm"), "{}", text(&error));
    }
    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    for _ in 0..2 {
        let delivery = timeout(Duration::from_secs(5), consumer.next()).await.unwrap().unwrap();
        consumer.ack(delivery.tag).await.unwrap();
    }

    rabbitmq.control(&["set_vm_memory_high_watermark", "0.4"]).unwrap();
    let sent = async || broker.publish(vec![message(&queue, "after")]).await.ok();
    within(Duration::from_secs(20), "publishing goes on", sent).await;
    let after = async || {
        let delivery = consumer.next().await.unwrap();
        consumer.ack(delivery.tag).await.unwrap();
        (delivery.id == "after").then_some(())
    };
    within(Duration::from_secs(10), "it arrives", after).await;
}
