//! What is done to Redis while workers hold leases.

use std::time::Duration;

use jiff::SignedDuration;
use shared_adapters::{Redis as Settings, RedisLeases};
use shared_model::{Epoch, WorkerId};
use shared_ports::PortError;
use shared_ports::leases::{Claim, Leases};
use shared_testkit::stack::Redis;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::leases::{TTL, attempt, claim, heartbeat, past_the_grace, process, settings};
use crate::{is_refused, is_unavailable, text, within};

/// Longer than any call may take.
const BOUND: Duration = Duration::from_secs(8);

fn start(arguments: &[&str]) -> (Redis, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Redis::start_ready(folder.path(), arguments).unwrap(), folder)
}

async fn holder(leases: &dyn Leases, name: &str) -> Result<Option<(WorkerId, Epoch)>, PortError> {
    Ok(leases.holders(&[attempt(name)]).await?.remove(0))
}

fn held(worker: &str, epoch: u64) -> Option<(WorkerId, Epoch)> {
    Some((WorkerId::new(worker), Epoch(epoch)))
}

async fn refused(settings: &Settings) -> String {
    let error = RedisLeases::open(settings).await.err().unwrap();
    assert!(is_refused(&error), "{error:?}");
    text(&error)
}

/// How often Redis ran a command so far.
fn calls(redis: &Redis, command: &str) -> u64 {
    let said = redis.command("INFO commandstats").unwrap();
    let name = format!("cmdstat_{command}:calls=");
    let rest = said.lines().find_map(|line| line.strip_prefix(&name));
    rest.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_asks_of_redis_does_not_grow_with_the_others() {
    let (redis, _folder) = start(&[]);
    let settings = settings(&redis.url());
    let leases = RedisLeases::open(&settings).await.unwrap();
    past_the_grace(&leases).await;
    for worker in 0..50 {
        leases.beat(&heartbeat(&format!("w{worker}"), &[]), TTL).await.unwrap();
    }
    assert_eq!(claim(&leases, "x", 1, "a").await.unwrap(), Claim::Granted);
    let read = calls(&redis, "hget");
    RedisLeases::open(&settings).await.unwrap();
    assert_eq!(calls(&redis, "hget"), read, "one that connects is told of nobody");
    let asked = calls(&redis, "info");
    for _ in 0..10 {
        let heard = leases.beat(&heartbeat("a", &[("x", 1)]), TTL).await.unwrap();
        assert_eq!(heard.lost, []);
    }
    // Ours is not among what it has counted when it answers.
    assert_eq!(calls(&redis, "info"), asked + 1, "a beat of what is held does not ask since when");
}

/// Redis has lost everything: nobody is called lost, nothing is granted twice, beats bring back
/// what is held, and after a while all is as before.
async fn pauses_and_goes_on(leases: &RedisLeases) {
    let unknown = claim(leases, "x", 1, "b").await.unwrap_err();
    assert!(is_unavailable(&unknown), "a message that came twice: {unknown:?}");
    assert!(text(&unknown).contains("came up a short time ago"), "{}", text(&unknown));
    let unknown = holder(leases, "x").await.unwrap_err();
    assert!(is_unavailable(&unknown), "{unknown:?}");
    let lost = leases.beat(&heartbeat("a", &[("x", 1)]), TTL).await.unwrap().lost;
    assert_eq!(lost, [], "it goes on");
    assert_eq!(holder(leases, "x").await.unwrap(), held("a", 1));
    let refused = claim(leases, "x", 1, "b").await.unwrap();
    assert_eq!(refused, Claim::Refused { holder: WorkerId::new("a"), epoch: Epoch(1) });
    let granted = async || claim(leases, "new", 1, "b").await.ok();
    let granted = within(BOUND, "new work is claimed", granted).await;
    assert_eq!(granted, Claim::Granted);
    let none = async || holder(leases, "never seen").await.ok();
    assert_eq!(within(BOUND, "who is lost is known again", none).await, None);
    // A ttl later a missing lease has ended. One that is listed before that is held from then on.
    let mut unknown = 0;
    let ended = async || {
        unknown += 1;
        let name = format!("unknown-{unknown}");
        let beat = heartbeat("a", &[("x", 1), (&name, 1)]);
        let lost = leases.beat(&beat, TTL).await.unwrap().lost;
        (lost == [attempt(&name)]).then_some(())
    };
    within(BOUND, "a missing lease has ended", ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again_empty() {
    let (mut redis, _folder) = start(&[]);
    let leases = RedisLeases::open(&settings(&redis.url())).await.unwrap();
    past_the_grace(&leases).await;
    assert_eq!(claim(&leases, "x", 1, "a").await.unwrap(), Claim::Granted);
    redis.crash().unwrap();
    let begun = Instant::now();
    let down = timeout(BOUND, claim(&leases, "x", 1, "a")).await.unwrap().unwrap_err();
    assert!(is_unavailable(&down), "{down:?}");
    assert!(begun.elapsed() >= Duration::from_secs(4), "it is tried again for a while");
    redis.forget_all().unwrap();
    redis.start_again().unwrap();
    let up = async || leases.live().await.ok();
    assert_eq!(within(BOUND, "it is up again", up).await, []);
    // The client has been away from Redis for longer than it has been up.
    pauses_and_goes_on(&leases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flushed() {
    let (redis, _folder) = start(&[]);
    let leases = RedisLeases::open(&settings(&redis.url())).await.unwrap();
    past_the_grace(&leases).await;
    assert_eq!(claim(&leases, "x", 1, "a").await.unwrap(), Claim::Granted);
    redis.command("FLUSHALL").unwrap();
    redis.command("SCRIPT FLUSH").unwrap();
    pauses_and_goes_on(&leases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again_with_what_it_had() {
    let (mut redis, _folder) = start(&["--appendfsync", "always"]);
    let settings = Settings { grace: SignedDuration::from_secs(3), ..settings(&redis.url()) };
    let leases = RedisLeases::open(&settings).await.unwrap();
    past_the_grace(&leases).await;
    let short = SignedDuration::from_millis(500);
    let worker = process("a");
    for name in ["x", "y"] {
        let claimed = leases.claim(&attempt(name), Epoch(1), &worker, short).await.unwrap();
        assert_eq!(claimed, Claim::Granted);
    }
    leases.release(&attempt("y"), Epoch(1)).await.unwrap();
    redis.crash().unwrap();
    sleep(Duration::from_secs(1)).await;
    redis.start_again().unwrap();
    // The lease of `x` would have been renewed had Redis been there.
    let error = within(BOUND, "it is up again", async || {
        let asked = holder(&leases, "x").await;
        asked.err().filter(|error| text(error).contains("came up"))
    })
    .await;
    assert!(is_unavailable(&error));
    assert_eq!(holder(&leases, "y").await.unwrap(), None, "it was released");
    let again = claim(&leases, "x", 1, "b").await.unwrap();
    assert_eq!(again, Claim::Refused { holder: worker.worker, epoch: Epoch(1) });
    assert_eq!(claim(&leases, "new", 1, "b").await.unwrap(), Claim::Granted, "nothing was lost");
    let lost = leases.beat(&heartbeat("a", &[("x", 1), ("y", 1)]), TTL).await.unwrap().lost;
    assert_eq!(lost, [attempt("y")]);
    assert_eq!(holder(&leases, "x").await.unwrap(), held("a", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen() {
    let (redis, _folder) = start(&[]);
    let settings =
        Settings { response_max: SignedDuration::from_secs(1), ..settings(&redis.url()) };
    let leases = RedisLeases::open(&settings).await.unwrap();
    past_the_grace(&leases).await;
    redis.freeze().unwrap();
    let error = timeout(BOUND, claim(&leases, "x", 1, "a")).await.unwrap().unwrap_err();
    assert!(is_unavailable(&error), "{error:?}");
    redis.thaw().unwrap();
    // Whether it was claimed is not known: it may be claimed again.
    let again = timeout(BOUND, claim(&leases, "x", 1, "a")).await.unwrap().unwrap();
    assert_eq!(again, Claim::Granted);
    redis.freeze().unwrap();
    let thaw = async {
        sleep(Duration::from_secs(2)).await;
        redis.thaw().unwrap();
    };
    let (claimed, ()) = tokio::join!(claim(&leases, "y", 1, "a"), thaw);
    assert_eq!(claimed.unwrap(), Claim::Granted, "a short pause is waited out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_missing_rights_are_told() {
    let (redis, _folder) = start(&["--requirepass", "right"]);
    let at = |user: &str| settings(&redis.url().replace("://", &format!("://{user}@")));
    for settings in [settings(&redis.url()), at(":pa55word")] {
        let said = refused(&settings).await;
        assert!(said.contains("check user and password in `redis.url`"), "{said}");
        assert!(!said.contains("pa55word"), "{said}");
    }
    RedisLeases::open(&at(":right")).await.unwrap();
    let acl = "AUTH right\r\nACL SETUSER few on >pa55word ~* +info +ping +client +select";
    redis.command(acl).unwrap();
    let said = refused(&at("few:pa55word")).await;
    assert!(said.contains("ACL SETUSER") && !said.contains("pa55word"), "{said}");
    let acl = "AUTH right\r\nACL SETUSER enough on >pa55word ~{*}:* +eval +evalsha +script|load \
               +info +get +set +hset +hget +hmget +hdel +zadd +zrem +zrangebyscore +pexpireat +time";
    assert!(!redis.command(acl).unwrap().contains("-ERR"));
    let leases = RedisLeases::open(&at("enough:pa55word")).await.unwrap();
    past_the_grace(&leases).await;
    assert_eq!(leases.beat(&heartbeat("a", &[]), TTL).await.unwrap().lost, []);
    leases.release(&attempt("probe"), Epoch(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_drops_what_it_holds_is_refused() {
    let (redis, _folder) = start(&["--maxmemory", "10mb", "--maxmemory-policy", "allkeys-lru"]);
    let said = refused(&settings(&redis.url())).await;
    assert!(said.contains("`maxmemory-policy` is `allkeys-lru`"), "{said}");
    assert!(said.contains("set it to `noeviction`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn full() {
    let (redis, _folder) = start(&[]);
    let leases = RedisLeases::open(&settings(&redis.url())).await.unwrap();
    past_the_grace(&leases).await;
    redis.command("CONFIG SET maxmemory 1").unwrap();
    let error = claim(&leases, "x", 1, "a").await.unwrap_err();
    assert!(is_unavailable(&error) && text(&error).contains("Redis is full"), "{}", text(&error));
    redis.command("CONFIG SET maxmemory 0").unwrap();
    assert_eq!(claim(&leases, "x", 1, "a").await.unwrap(), Claim::Granted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_became_a_replica_is_left() {
    let (master, _one) = start(&[]);
    let (redis, _two) = start(&[]);
    let leases = RedisLeases::open(&settings(&redis.url())).await.unwrap();
    past_the_grace(&leases).await;
    let replicate = format!("REPLICAOF 127.0.0.1 {}", master.port());
    redis.command(&replicate).unwrap();
    let error = timeout(BOUND, claim(&leases, "x", 1, "a")).await.unwrap().unwrap_err();
    assert!(is_unavailable(&error), "{error:?}");
    redis.command("REPLICAOF NO ONE").unwrap();
    let granted = async || claim(&leases, "x", 1, "a").await.ok();
    assert_eq!(within(BOUND, "it is the master again", granted).await, Claim::Granted);
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_lead_to_the_new_master() {
    let (mut master, _one) = start(&[]);
    let replica_of = format!("127.0.0.1 {}", master.port());
    let (replica, _two) = start(&["--replicaof", &replica_of]);
    let folder = tempfile::tempdir().unwrap();
    let sentinel = Redis::start_sentinel(folder.path(), master.port()).unwrap();
    let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port());
    let settings = settings(&url);
    let leases = RedisLeases::open(&settings).await.unwrap();
    past_the_grace(&leases).await;
    let known = async || {
        let known = sentinel.command("SENTINEL REPLICAS main").unwrap();
        known.contains(&replica.port().to_string()).then_some(())
    };
    within(Duration::from_secs(30), "the Sentinel knows the replica", known).await;
    let hour = SignedDuration::from_hours(1);
    let worker = process("a");
    let claimed = leases.claim(&attempt("x"), Epoch(1), &worker, hour).await.unwrap();
    assert_eq!(claimed, Claim::Granted);
    let key = format!("EXISTS {{{}}}:lease:x/1/1/0#1", settings.prefix);
    let copied = async || replica.command(&key).unwrap().contains(":1").then_some(());
    within(Duration::from_secs(30), "the replica has it", copied).await;
    master.crash().unwrap();
    let moved = Instant::now();
    let renewed = async || leases.beat(&heartbeat("a", &[("x", 1)]), TTL).await.ok();
    let heard = within(Duration::from_secs(30), "the replica is the master", renewed).await;
    assert_eq!(heard.lost, [], "{:?} after the master was gone", moved.elapsed());
    assert_eq!(claim(&leases, "y", 1, "a").await.unwrap(), Claim::Granted);
}
