//! Redis of the test stack.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use shared_adapters::{Redis, RedisLeases};
use shared_model::{AttemptId, Capability, Epoch, ExecutionId, StageRef, WorkerId};
use shared_ports::conformance::{self, Timed};
use shared_ports::leases::{Claim, Heartbeat, Holder, Leases, Vitals};
use shared_testkit::env;

use crate::{is_unavailable, own_name, within};

pub(crate) const TTL: SignedDuration = SignedDuration::from_secs(5);

/// Leases under a prefix of their own, with a grace that a test can wait for.
pub(crate) fn settings(url: &str) -> Redis {
    Redis { prefix: own_name(), grace: SignedDuration::from_millis(1200), ..Redis::at(url) }
}

pub(crate) fn attempt(name: &str) -> AttemptId {
    AttemptId {
        execution: ExecutionId::new(name),
        stage: StageRef::new("1"),
        run: 1,
        task: 0,
        number: 1,
    }
}

pub(crate) fn heartbeat(worker: &str, in_flight: &[(&str, u64)]) -> Heartbeat {
    Heartbeat {
        worker: WorkerId::new(worker),
        instance: "1".to_owned(),
        capabilities: vec![Capability::new("wait")],
        slots: 4,
        in_flight: in_flight.iter().map(|(name, epoch)| (attempt(name), Epoch(*epoch))).collect(),
        vitals: Vitals::default(),
        catalog: "catalog".to_owned(),
        draining: false,
        takes_out: true,
    }
}

/// The only process of a worker.
pub(crate) fn process(worker: &str) -> Holder {
    Holder::new(WorkerId::new(worker), "1")
}

pub(crate) async fn claim(
    leases: &dyn Leases,
    name: &str,
    epoch: u64,
    worker: &str,
) -> Result<Claim, shared_ports::PortError> {
    leases.claim(&attempt(name), Epoch(epoch), &process(worker), TTL).await
}

/// Waits until Redis counts as one that has been up for long enough.
pub(crate) async fn past_the_grace(leases: &RedisLeases) {
    let claimed = async || {
        let claimed = claim(leases, "probe", 1, "probe").await;
        claimed.inspect_err(|error| assert!(is_unavailable(error), "{error:?}")).ok()
    };
    within(Duration::from_secs(20), "the grace ends", claimed).await;
    let known = async || leases.holders(&[attempt("unknown")]).await.ok();
    within(Duration::from_secs(20), "Redis has been up for long enough", known).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_passes_the_suite() {
    let new = async || {
        let leases = RedisLeases::open(&settings(&env::redis_url())).await.unwrap();
        past_the_grace(&leases).await;
        let port: Arc<dyn Leases> = Arc::new(leases);
        let pass = Box::new(|duration: Duration| {
            let passed: futures::future::BoxFuture<'static, ()> =
                Box::pin(tokio::time::sleep(duration));
            passed
        });
        Timed { port, pass, keep: Box::new(()) }
    };
    conformance::leases::leases().pass(new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_of_any_size_are_compared_exactly() {
    let leases = RedisLeases::open(&settings(&env::redis_url())).await.unwrap();
    past_the_grace(&leases).await;
    for epoch in [9, 10, (1 << 53) + 1, (1 << 53) + 2, u64::MAX - 1, u64::MAX] {
        assert_eq!(claim(&leases, "x", epoch, "a").await.unwrap(), Claim::Granted, "{epoch}");
        let older = claim(&leases, "x", epoch - 1, "b").await.unwrap();
        let refused = Claim::Refused { holder: WorkerId::new("a"), epoch: Epoch(epoch) };
        assert_eq!(older, refused);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_stage_are_different_attempts_and_many_are_asked_for_at_once() {
    let leases = RedisLeases::open(&settings(&env::redis_url())).await.unwrap();
    past_the_grace(&leases).await;
    let attempts: Vec<AttemptId> = (0..2500).map(|run| AttemptId { run, ..attempt("x") }).collect();
    let held = attempts[1500].clone();
    leases.claim(&held, Epoch(1), &process("a"), TTL).await.unwrap();
    let holders = leases.holders(&attempts).await.unwrap();
    assert_eq!(holders.len(), attempts.len());
    for (attempt, holder) in attempts.iter().zip(holders) {
        let expected = (*attempt == held).then(|| (WorkerId::new("a"), Epoch(1)));
        assert_eq!(holder, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_written_has_an_end() {
    let settings = settings(&env::redis_url());
    let leases = RedisLeases::open(&settings).await.unwrap();
    past_the_grace(&leases).await;
    claim(&leases, "x", 1, "a").await.unwrap();
    leases.beat(&heartbeat("a", &[("x", 1)]), SignedDuration::from_millis(100)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    leases.beat(&heartbeat("b", &[]), TTL).await.unwrap();
    let live = leases.live().await.unwrap();
    assert_eq!(live.len(), 1, "{live:?}");
    let client = redis::Client::open(env::redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let prefix = format!("{{{}}}", settings.prefix);
    let beats: usize = redis::cmd("HLEN")
        .arg(format!("{prefix}:beats"))
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(beats, 1, "who is gone is swept away");
    let key = format!("{prefix}:lease:x/1/1/0#1");
    let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
    assert!(left > 3_600_000, "an epoch is remembered for an hour: {left} ms");
    claim(&leases, "y", 1, "b").await.unwrap();
    leases.release(&attempt("y"), Epoch(1)).await.unwrap();
    let key = format!("{prefix}:lease:y/1/1/0#1");
    let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
    assert!((1..=300_000).contains(&left), "work that ended leaves a key for minutes: {left} ms");
}
