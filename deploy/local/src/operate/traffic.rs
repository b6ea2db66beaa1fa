//! Which server groups take requests.

use std::collections::BTreeMap;

use shared_plugin::TaskContext;

use super::instances::pause;
use super::{Halt, Local};
use crate::balancer;
use crate::error::LocalError;
use crate::group::Group;

/// Ports of load balancers by their names.
pub(crate) type Ports = BTreeMap<String, u16>;

impl Local {
    /// Lets a server group take requests; `wanted` are ports that its load balancers are to have.
    pub(crate) async fn enable(&self, name: &str, wanted: Ports) -> Result<Ports, LocalError> {
        let group = self.update(name, |group| group.enabled = true).await?;
        self.publish_at(&group, wanted).await
    }

    /// Takes a server group out of its load balancers: from here on it gets no new request.
    pub(crate) async fn disable(&self, _cx: &TaskContext, name: &str) -> Result<Group, LocalError> {
        let group = self.update(name, |group| group.enabled = false).await?;
        self.publish_at(&group, Ports::new()).await?;
        Ok(group)
    }

    /// One that takes no requests has no say yet, not even which port its load balancer has.
    pub(super) async fn publish_if_enabled(&self, group: &Group) -> Result<(), LocalError> {
        if group.enabled {
            self.publish_at(group, Ports::new()).await?;
        }
        Ok(())
    }

    /// Tells a server group's load balancers who takes requests now, and waits until they obey.
    async fn publish_at(&self, group: &Group, wanted: Ports) -> Result<Ports, LocalError> {
        let names = group.service.load_balancers.clone();
        self.blocking(move |this| {
            let mut ports = Ports::new();
            for name in names {
                let port = wanted.get(&name).copied();
                let status = balancer::publish(&this.config, &this.store, &name, port)?;
                ports.insert(name, status.port);
            }
            Ok(ports)
        })
        .await
    }

    /// Waits until no request is under way to these ports any more, or for too long.
    pub(super) async fn drain(
        &self,
        cx: &TaskContext,
        group: &Group,
        ports: &[u16],
    ) -> Result<(), Halt> {
        let began = cx.clock.elapsed();
        loop {
            let mut left = 0;
            for name in &group.service.load_balancers {
                left += balancer::draining(&self.store, name, ports)?;
            }
            let limit = self.config.limits.drain_timeout;
            if left == 0 {
                return Ok(());
            }
            if cx.clock.elapsed() - began >= limit {
                let line =
                    format!("{left} requests to `{}` did not end within {limit:?}", group.name);
                cx.log.line(&line).await;
                return Ok(());
            }
            pause(cx).await?;
        }
    }
}
