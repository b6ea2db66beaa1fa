//! Processes of a server group: as many as are wanted, healthy, and gone when they are not wanted.

use std::collections::BTreeSet;
use std::time::Duration;

use deploy::Capacity;
use nix::sys::signal::Signal;
use shared_plugin::TaskContext;

use super::{Halt, Local, live};
use crate::error::LocalError;
use crate::group::{Group, Instance};
use crate::process::{self, Process};
use crate::store::Held;
use crate::{files, health, launch};

/// How often processes are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long a process that never took a request may take to end.
const UNUSED_GRACE: Duration = Duration::from_secs(2);

impl Local {
    /// Brings a server group to its wanted number of healthy processes. What does not get healthy is
    /// ended again; what is handed over stays.
    pub(crate) async fn converge(
        &self,
        cx: &TaskContext,
        name: &str,
        timeout: Duration,
    ) -> Result<Group, Halt> {
        let group = self.fill(name).await;
        let healthy = match group {
            Ok(group) => self.wait_healthy(cx, &group, timeout).await,
            Err(error) => Err(error.into()),
        };
        match healthy {
            Ok(()) => {}
            Err(Halt::HandedOver) => return Err(Halt::HandedOver),
            Err(halt @ (Halt::Failed(_) | Halt::Cancelled)) => {
                self.end_unready(cx, name).await?;
                return Err(halt);
            }
        }
        let ready = |group: &mut Group| group.instances.iter_mut().for_each(|one| one.ready = true);
        let group = self.update(name, ready).await?;
        self.publish_if_enabled(&group).await?;
        self.shrink(cx, group).await
    }

    /// Gives a server group another number of instances.
    pub(crate) async fn resize(
        &self,
        cx: &TaskContext,
        name: &str,
        capacity: Capacity,
    ) -> Result<Group, Halt> {
        self.update(name, move |group| group.capacity = capacity).await?;
        self.converge(cx, name, self.config.limits.health_timeout).await
    }

    /// Starts what is missing. Each process is announced in the record before it is started.
    async fn fill(&self, name: &str) -> Result<Group, LocalError> {
        let name = name.to_owned();
        self.blocking(move |this| {
            let held = this.store.hold(&deploy::Moniker::of_name(&name).cluster)?;
            let mut group = live(&held, &name)?;
            let ended = |one: &Instance| one.process.as_ref().is_some_and(|one| !one.is_alive());
            group.instances.retain(|instance| !ended(instance));
            this.announce(&held, &mut group)?;
            this.start_announced(&held, &mut group)?;
            Ok(group)
        })
        .await
    }

    fn announce(&self, held: &Held, group: &mut Group) -> Result<(), LocalError> {
        let wanted = usize::try_from(group.capacity.desired).unwrap_or(usize::MAX);
        let missing = wanted.saturating_sub(group.instances.len());
        let _ports = self.store.hold_ports()?;
        let all = self.store.all()?;
        let given = all.iter().filter(|group| group.is_live()).flat_map(|group| &group.instances);
        let taken: BTreeSet<u16> = given.map(|instance| instance.port).collect();
        let ports = launch::free_ports(&taken, missing)?;
        let used: BTreeSet<u32> = group.instances.iter().map(|instance| instance.index).collect();
        let free = (0..).filter(|index| !used.contains(index));
        let new = |(index, port)| Instance { index, port, process: None, ready: false };
        group.instances.extend(free.zip(ports).map(new));
        group.instances.sort_by_key(|instance| instance.index);
        held.save(group)
    }

    fn start_announced(&self, held: &Held, group: &mut Group) -> Result<(), LocalError> {
        for at in 0..group.instances.len() {
            if group.instances[at].process.is_none() {
                let process =
                    launch::ensure(&self.config, &self.store, group, &group.instances[at])?;
                group.instances[at].process = Some(process);
                held.save(group)?;
            }
        }
        Ok(())
    }

    async fn wait_healthy(
        &self,
        cx: &TaskContext,
        group: &Group,
        timeout: Duration,
    ) -> Result<(), Halt> {
        let began = cx.clock.elapsed();
        loop {
            let mut ill = None;
            for instance in group.instances.iter().filter(|instance| !instance.ready) {
                if let Some(how) = instance.process.as_ref().and_then(Process::how_it_ended) {
                    return Err(self.unhealthy(group, instance, &how).into());
                }
                let check = health::check(instance.port, &group.service.health_path);
                let checked = tokio::select! {
                    biased;
                    why = cx.told_to_end() => return Err(why.into()),
                    checked = check => checked,
                };
                ill = ill.or(checked.err().map(|why| (instance, why)));
            }
            let Some((instance, why)) = ill else { return Ok(()) };
            if cx.clock.elapsed() - began >= timeout {
                let how = format!("was not healthy within {timeout:?}: {why}");
                return Err(self.unhealthy(group, instance, &how).into());
            }
            pause(cx).await?;
        }
    }

    fn unhealthy(&self, group: &Group, instance: &Instance, how: &str) -> LocalError {
        let log = self.store.log(&group.name, instance.index);
        let program = group.service.command.first().map(String::as_str).unwrap_or_default();
        let mut text = format!(
            "instance {} of server group `{}` (`{program}` on port {}) {how}; see its log `{}`",
            instance.index,
            group.name,
            instance.port,
            log.display()
        );
        let lines = launch::tail(&log);
        text.push_str(if lines.is_empty() { "\nit wrote nothing" } else { "\nits last lines:" });
        for line in lines {
            text.push_str("\n  ");
            text.push_str(&line);
        }
        LocalError::Unhealthy(text)
    }

    async fn end_unready(&self, cx: &TaskContext, name: &str) -> Result<(), LocalError> {
        let groups = self.groups(&deploy::Moniker::of_name(name).cluster).await?;
        let Some(group) = groups.into_iter().find(|group| group.name == name) else {
            return Ok(());
        };
        let unready: Vec<Instance> =
            group.instances.iter().filter(|instance| !instance.ready).cloned().collect();
        self.end(cx, &group, unready, UNUSED_GRACE).await
    }

    /// Ends the processes beyond the wanted number, once their requests have ended.
    async fn shrink(&self, cx: &TaskContext, group: Group) -> Result<Group, Halt> {
        let wanted = usize::try_from(group.capacity.desired).unwrap_or(usize::MAX);
        let beyond: Vec<Instance> = group.instances.iter().skip(wanted).cloned().collect();
        if beyond.is_empty() {
            return Ok(group);
        }
        let ports: Vec<u16> = beyond.iter().map(|instance| instance.port).collect();
        let out = ports.clone();
        let close = move |group: &mut Group| {
            let beyond = group.instances.iter_mut().filter(|one| out.contains(&one.port));
            beyond.for_each(|one| one.ready = false);
        };
        let group = self.update(&group.name, close).await?;
        self.publish_if_enabled(&group).await?;
        self.drain(cx, &group, &ports).await?;
        self.end(cx, &group, beyond, self.config.limits.end_grace).await?;
        let removed = move |group: &mut Group| {
            group.instances.retain(|instance| !ports.contains(&instance.port));
        };
        Ok(self.update(&group.name, removed).await?)
    }

    /// Ends processes, politely first; also those that were started and never recorded.
    pub(super) async fn end(
        &self,
        cx: &TaskContext,
        group: &Group,
        instances: Vec<Instance>,
        grace: Duration,
    ) -> Result<(), LocalError> {
        let find = {
            let group = group.clone();
            move |instance: Instance| {
                let variable = group.variable(&instance);
                instance.process.or_else(|| process::find_by_variable(&variable))
            }
        };
        let processes: Vec<Process> =
            self.blocking(move |_| Ok(instances.into_iter().filter_map(find).collect())).await?;
        for (signal, grace) in [(Signal::SIGTERM, grace), (Signal::SIGKILL, UNUSED_GRACE)] {
            processes.iter().for_each(|process| process.signal(signal));
            let began = cx.clock.elapsed();
            // Not given up when the task is to end: half-ended is worse than a moment late.
            while processes.iter().any(Process::is_alive) && cx.clock.elapsed() - began < grace {
                cx.clock.sleep(LOOK_INTERVAL).await;
            }
        }
        match processes.iter().find(|process| process.is_alive()) {
            None => Ok(()),
            Some(stuck) => Err(LocalError::Busy {
                what: format!("process {} of `{}`, which does not end,", stuck.pid, group.name),
            }),
        }
    }

    /// Ends a server group for good: no traffic, no processes, a record that says why.
    pub(crate) async fn destroy(
        &self,
        cx: &TaskContext,
        name: &str,
        why: &str,
    ) -> Result<(), Halt> {
        if let Some(gone) = self.buried(name).await? {
            // By an attempt at this that died before it could say so.
            return Ok(self.clear_away(gone).await?);
        }
        let group = self.disable(cx, name).await?;
        let ports: Vec<u16> = group.instances.iter().map(|instance| instance.port).collect();
        self.drain(cx, &group, &ports).await?;
        let instances = group.instances.clone();
        self.end(cx, &group, instances, self.config.limits.end_grace).await?;
        Ok(self.bury(&group, why).await?)
    }

    /// Takes back what took no request yet; not to be cancelled.
    pub(crate) async fn take_back(
        &self,
        cx: &TaskContext,
        group: &Group,
        why: &str,
    ) -> Result<(), LocalError> {
        let newest = self.groups(&group.cluster).await?;
        let Some(group) = newest.into_iter().find(|one| one.name == group.name) else {
            return Ok(());
        };
        if group.epoch > cx.epoch.0 {
            return Err(LocalError::TakenOver(group.name));
        }
        self.end(cx, &group, group.instances.clone(), UNUSED_GRACE).await?;
        self.bury(&group, why).await
    }

    async fn bury(&self, group: &Group, why: &str) -> Result<(), LocalError> {
        let why = why.to_owned();
        let gone = move |group: &mut Group| {
            group.enabled = false;
            group.destroyed = Some(why);
            group.instances.clear();
        };
        let group = self.update(&group.name, gone).await?;
        self.clear_away(group).await
    }

    async fn buried(&self, name: &str) -> Result<Option<Group>, LocalError> {
        let groups = self.groups(&deploy::Moniker::of_name(name).cluster).await?;
        Ok(groups.into_iter().find(|group| group.name == name && !group.is_live()))
    }

    /// What nobody needs once a server group is gone.
    async fn clear_away(&self, group: Group) -> Result<(), LocalError> {
        self.blocking(move |this| {
            for name in &group.service.load_balancers {
                crate::balancer::end_unused(&this.store, name)?;
            }
            this.store.hold(&group.cluster)?.forget_old()?;
            files::make_folder(&this.store.logs())?;
            launch::shorten_logs(&this.store.logs());
            Ok(())
        })
        .await
    }
}

/// A moment, unless the task is to end.
pub(super) async fn pause(cx: &TaskContext) -> Result<(), Halt> {
    tokio::select! {
        biased;
        why = cx.told_to_end() => Err(why.into()),
        () = cx.clock.sleep(LOOK_INTERVAL) => Ok(()),
    }
}
