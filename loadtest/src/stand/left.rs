//! What executions leave behind in the servers.

use anyhow::{Context, Result};
use serde_json::Value;
use shared_testkit::stack::{Management, PostgresServer, Redis};

/// What the queues of the product begin with.
pub(crate) const PREFIX: &str = "capstan.";

/// Where to look on, and the first leases of those looked at that live, or of which Redis remembers for good
/// that they ended. A part at a time: there may be millions that ended, and nobody else is answered meanwhile.
const LEASES: &str = "local time = redis.call('TIME') \
    local now = time[1] * 1000 + time[2] / 1000 \
    local part = redis.call('SCAN', ARGV[1], 'MATCH', '*:lease:*', 'COUNT', '10000') \
    local found = {part[1]} \
    for _, key in ipairs(part[2]) do \
    local ends = tonumber(redis.call('HGET', key, 'u') or 0) \
    if (ends > now or redis.call('TTL', key) == -1) and #found < 6 then found[#found + 1] = key end \
    end return table.concat(found, ' ')";

/// A queue.
pub(crate) struct Queue {
    pub(crate) name: String,
    /// Messages that wait for a consumer.
    pub(crate) waiting: u64,
    /// Messages that a consumer has.
    pub(crate) held: u64,
    pub(crate) consumers: u64,
}

/// Those of the product, without what was set aside.
///
/// # Errors
/// RabbitMQ does not say.
pub(crate) fn queues(rabbitmq: &Management) -> Result<Vec<Queue>> {
    let listed: Value =
        serde_json::from_str(&rabbitmq.request("GET", "/api/queues/%2f", "")?.body)?;
    let number = |one: &Value, key: &str| one[key].as_u64().unwrap_or_default();
    let queue = |one: &Value| Queue {
        name: one["name"].as_str().unwrap_or_default().to_owned(),
        waiting: number(one, "messages_ready"),
        held: number(one, "messages_unacknowledged"),
        consumers: number(one, "consumers"),
    };
    let all = listed.as_array().into_iter().flatten().map(queue);
    let ours = all.filter(|queue| queue.name.starts_with(PREFIX));
    Ok(ours.filter(|queue| !queue.name.contains(".dead.")).collect())
}

/// Messages, live leases, and rows that say that something runs, in words. RabbitMQ counts every five
/// seconds.
///
/// # Errors
/// A server does not say.
pub(crate) fn behind(
    rabbitmq: &Management,
    redis: &Redis,
    store: &PostgresServer,
) -> Result<Vec<String>> {
    let left = |Queue { name, waiting, held, consumers }: Queue| {
        let is_empty = waiting + held == 0;
        let told = || {
            format!(
                "left behind: {waiting} messages wait and {held} are held in {name} of {consumers} consumers"
            )
        };
        (!is_empty).then(told)
    };
    let mut left: Vec<_> = queues(rabbitmq)?.into_iter().filter_map(left).collect();
    let leases = leases(redis)?;
    if !leases.is_empty() {
        left.push(format!("left behind: leases {leases:?}"));
    }
    let rows =
        store.sql("postgres", "SELECT id, status FROM execution WHERE is_complete = 0 LIMIT 20")?;
    if !rows.trim().is_empty() {
        left.push(format!("left behind: rows {rows:?}"));
    }
    Ok(left)
}

/// The first leases that live, or that Redis never forgets.
fn leases(redis: &Redis) -> Result<Vec<String>> {
    let mut cursor = "0".to_owned();
    loop {
        let said = redis.command(&format!("EVAL \"{LEASES}\" 0 {cursor}"))?;
        let mut words = said.lines().nth(1).context("Redis refused")?.split(' ');
        cursor = words.next().unwrap_or_default().to_owned();
        let found: Vec<_> = words.map(ToOwned::to_owned).collect();
        if cursor == "0" || !found.is_empty() {
            return Ok(found);
        }
    }
}
