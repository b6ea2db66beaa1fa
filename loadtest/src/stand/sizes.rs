//! How much the servers of a stand hold, in bytes.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Stand;

impl Stand {
    /// Tables and indexes in PostgreSQL.
    ///
    /// # Errors
    /// It does not say.
    pub(crate) fn store_bytes(&self) -> Result<f64> {
        let size = "SELECT pg_database_size('postgres')";
        Ok(self.postgres.sql("postgres", size)?.trim().parse()?)
    }

    /// Everything in Redis.
    ///
    /// # Errors
    /// It does not say.
    pub(crate) fn redis_bytes(&self) -> Result<f64> {
        let said = self.redis.command("INFO memory")?;
        let used = said.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(used.context("Redis does not say what it uses")?.trim().parse()?)
    }

    /// Memory of RabbitMQ, as it counts it.
    ///
    /// # Errors
    /// It does not say.
    pub(crate) fn broker_bytes(&self) -> Result<f64> {
        let nodes = self.rabbitmq.management().request("GET", "/api/nodes", "")?;
        let nodes: Value = serde_json::from_str(&nodes.body)?;
        nodes[0]["mem_used"].as_f64().context("RabbitMQ does not say what it uses")
    }

    /// Executions that have not ended, as the store has them.
    ///
    /// # Errors
    /// It does not say.
    pub(crate) fn unfinished(&self) -> Result<usize> {
        let count = "SELECT count(*) FROM execution WHERE is_complete = 0";
        Ok(self.postgres.sql("postgres", count)?.trim().parse()?)
    }
}
