//! Messages per second through RabbitMQ, and leases per second in Redis.
//!
//! `export $(cargo xtask stack up)`, then `cargo run -p shared-adapters --profile dist --example
//! messages -- "$AMQP_URL" "$REDIS_URL"`.
#![expect(clippy::print_stdout, reason = "prints what it measures")]

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures::future::try_join_all;
use jiff::SignedDuration;
use shared_adapters::{Amqp, AmqpBroker, Redis, RedisLeases, SystemClock};
use shared_model::{AttemptId, Capability, Epoch, ExecutionId, StageRef, WorkerId};
use shared_ports::leases::{Heartbeat, Holder, Vitals};
use shared_ports::{Broker, Clock, Leases, Outgoing, Queue};

const MESSAGES: usize = 20_000;
const ONE_BY_ONE: usize = 1_000;
const BODY_BYTES: usize = 1024;
const CLAIMS: usize = 20_000;
const CALLERS: usize = 64;
const BEATS: usize = 5_000;
const TTL: SignedDuration = SignedDuration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut urls = std::env::args().skip(1);
    let amqp = urls.next().context("give the URL of RabbitMQ and that of Redis")?;
    let redis = urls.next().context("give the URL of Redis, too")?;
    let clock = SystemClock::default();
    messages(&clock, &amqp).await?;
    leases(&clock, &redis).await
}

async fn messages(clock: &SystemClock, url: &str) -> anyhow::Result<()> {
    let prefix = format!("capstan-{}", clock.new_id());
    let kept = SignedDuration::from_secs(60);
    let broker = AmqpBroker::open(&Amqp { prefix, control_kept: kept, ..Amqp::at(url) }).await?;
    // The queue of a worker: it goes away by itself.
    let queue = Queue::Control(WorkerId::new("example"));
    let body = Bytes::from(vec![b' '; BODY_BYTES]);
    let message =
        |id: usize| Outgoing { queue: queue.clone(), id: id.to_string(), body: body.clone() };
    let begun = clock.elapsed();
    for id in 0..ONE_BY_ONE {
        broker.publish(vec![message(id)]).await?;
    }
    tell("published one by one", ONE_BY_ONE, clock.elapsed() - begun);
    let begun = clock.elapsed();
    broker.publish((0..MESSAGES).map(message).collect()).await?;
    tell("published in windows", MESSAGES, clock.elapsed() - begun);
    let begun = clock.elapsed();
    let mut consumer = broker.consume(&queue, 500).await?;
    for _ in 0..MESSAGES + ONE_BY_ONE {
        let delivery = consumer.next().await.context("the connection is gone")?;
        consumer.ack(delivery.tag).await?;
    }
    tell("received and acknowledged", MESSAGES + ONE_BY_ONE, clock.elapsed() - begun);
    drop(consumer);
    broker.close().await;
    Ok(())
}

async fn leases(clock: &SystemClock, url: &str) -> anyhow::Result<()> {
    let settings = Redis {
        prefix: format!("capstan-{}", clock.new_id()),
        grace: SignedDuration::ZERO,
        ..Redis::at(url)
    };
    let leases = RedisLeases::open(&settings).await?;
    let begun = clock.elapsed();
    try_join_all((0..CALLERS).map(|caller| claim(&leases, caller))).await?;
    tell("claimed by 64 callers", CLAIMS / CALLERS * CALLERS, clock.elapsed() - begun);
    let heartbeat = Heartbeat {
        worker: WorkerId::new("worker"),
        instance: "1".to_owned(),
        capabilities: vec![Capability::new("wait")],
        slots: 16,
        in_flight: (0..16).map(|number| (attempt(0, number), Epoch(1))).collect(),
        vitals: Vitals::default(),
        catalog: "catalog".to_owned(),
        draining: false,
        takes_out: true,
    };
    let begun = clock.elapsed();
    for _ in 0..BEATS {
        leases.beat(&heartbeat, TTL).await?;
    }
    tell("beats of one worker with 16 leases, one by one", BEATS, clock.elapsed() - begun);
    Ok(())
}

async fn claim(leases: &RedisLeases, caller: usize) -> anyhow::Result<()> {
    let worker = Holder::new(WorkerId::new("worker"), "1");
    for number in 0..CLAIMS / CALLERS {
        leases.claim(&attempt(caller, number), Epoch(1), &worker, TTL).await?;
    }
    Ok(())
}

fn attempt(caller: usize, number: usize) -> AttemptId {
    AttemptId {
        execution: ExecutionId::new(format!("{caller}-{number}")),
        stage: StageRef::new("1"),
        run: 1,
        task: 0,
        number: 1,
    }
}

fn tell(what: &str, count: usize, took: Duration) {
    println!("{:8.0} per second {what}", count as f64 / took.as_secs_f64());
}
