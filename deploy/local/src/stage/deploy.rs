//! The stage type `deploy`.

use async_trait::async_trait;
use deploy::strategy;
use serde_json::{Value, json};
use shared_model::{Effects, TaskAnswer};
use shared_plugin::{StageDescriptor, StageType, TaskContext};

use super::{Ended, STAGE_TIMEOUT, no_such_task, succeeded, task, texts};
use crate::config::LocalConfig;
use crate::group::{Group, views};
use crate::operate::{Halt, Local};
use crate::request::{self, Deploy, LOCAL};

const CHECK: &str = "determineServerGroup";
const CREATE: &str = "createServerGroup";
const PLAN: &str = "determineOldServerGroups";
const REPLACE: &str = "replaceOldServerGroups";
/// What the plan is kept under in the stage's context.
const PLANS: &str = "local.replace";

/// Starts server groups, lets them take requests once they are healthy, and replaces the older ones.
#[derive(Clone)]
pub struct DeployLocal {
    local: Local,
}

impl DeployLocal {
    /// The stage type on a folder.
    pub fn new(config: LocalConfig) -> Self {
        Self { local: Local::new(config) }
    }
}

#[async_trait]
impl StageType for DeployLocal {
    fn describe(&self) -> StageDescriptor {
        StageDescriptor {
            name: "deploy".into(),
            aliases: vec!["createServerGroup".into()],
            summary:
                "Starts a server group of processes on this machine and replaces the older ones."
                    .into(),
            schema: schema(),
            tasks: vec![
                task(CHECK, Effects::None),
                task(CREATE, Effects::Keyed),
                task(PLAN, Effects::None),
                task(REPLACE, Effects::Keyed),
            ],
            timeout: STAGE_TIMEOUT,
        }
    }

    async fn run(&self, task: &str, cx: &TaskContext) -> TaskAnswer {
        let done = match task {
            CHECK => self.check(cx).map(|_| TaskAnswer::done()),
            CREATE => self.create(cx).await,
            PLAN => self.plan(cx).await,
            REPLACE => self.replace(cx).await,
            other => return no_such_task(other),
        };
        done.unwrap_or_else(|ended| ended.answer(cx))
    }
}

impl DeployLocal {
    /// Everything that can be known to be wrong before anything is started.
    fn check(&self, cx: &TaskContext) -> Result<Vec<Deploy>, Ended> {
        let config = &self.local.config;
        let deploys = request::deploys(cx.context(), config.limits.instances_max)?;
        for deploy in &deploys {
            crate::launch::program(config, &deploy.service.command)?;
        }
        Ok(deploys)
    }

    /// Starts, waits, and lets in. One task, so that a cancel finds it at work until the new server
    /// group serves or is gone again.
    async fn create(&self, cx: &TaskContext) -> Result<TaskAnswer, Ended> {
        let deploys = self.check(cx)?;
        let mut made = Vec::new();
        match self.start_all(cx, &deploys, &mut made).await {
            Ok(()) => Ok(self.let_in(cx, &deploys, &made).await?),
            Err(halt) => Err(self.take_back(cx, halt, &made).await),
        }
    }

    async fn start_all(
        &self,
        cx: &TaskContext,
        deploys: &[Deploy],
        made: &mut Vec<Group>,
    ) -> Result<(), Halt> {
        for (ordinal, deploy) in (0..).zip(deploys) {
            let group = self.local.create(cx, ordinal, deploy).await?;
            let (count, name) = (group.capacity.desired, group.name.clone());
            made.push(group);
            cx.log.line(&format!("server group `{name}`: starting {count} instances")).await;
            let timeout = deploy.health_timeout.unwrap_or(self.local.config.limits.health_timeout);
            self.local.converge(cx, &name, timeout).await?;
            cx.log.line(&format!("server group `{name}`: healthy")).await;
        }
        Ok(())
    }

    /// What was started and does not serve goes away again, and that is said; unless another worker
    /// goes on with it.
    async fn take_back(&self, cx: &TaskContext, halt: Halt, made: &[Group]) -> Ended {
        let why = match &halt {
            Halt::Cancelled => "the deploy was cancelled before it served",
            Halt::Failed(_) => "the deploy failed before it served",
            Halt::HandedOver => return halt.into(),
        };
        let mut done = Vec::new();
        for group in made.iter().filter(|group| !group.enabled) {
            done.push(match self.local.take_back(cx, group, why).await {
                Ok(()) => format!("server group `{}` was destroyed: {why}", group.name),
                Err(error) => format!(
                    "server group `{}` was left half-done: {error}; destroy it with a \
                     destroyServerGroup stage",
                    group.name
                ),
            });
        }
        for line in &done {
            cx.log.line(line).await;
        }
        Ended { halt, done }
    }

    async fn let_in(
        &self,
        cx: &TaskContext,
        deploys: &[Deploy],
        made: &[Group],
    ) -> Result<TaskAnswer, Ended> {
        let mut balancers = Vec::new();
        for (deploy, group) in deploys.iter().zip(made) {
            let ports = self.local.enable(&group.name, deploy.wanted_ports.clone()).await?;
            for (name, port) in ports {
                let wanted = deploy.wanted_ports.get(&name).copied();
                let told = balancer(&name, port, wanted);
                cx.log.line(told["message"].as_str().unwrap_or_default()).await;
                balancers.push(told);
            }
        }
        let names: Vec<&str> = made.iter().map(|group| group.name.as_str()).collect();
        let told = json!({
            "deploy.server.groups": { LOCAL: names },
            "serverGroupName": names.first(),
            "loadBalancers.local": balancers,
        });
        let outputs = json!({
            "deploy.server.groups": { LOCAL: names },
            "serverGroupName": names.first(),
            "loadBalancers": balancers,
        });
        Ok(succeeded(told, outputs))
    }

    /// Decided once, from what there is now; carried out by the next task, however often that begins.
    async fn plan(&self, cx: &TaskContext) -> Result<TaskAnswer, Ended> {
        let mut plans = Vec::new();
        for (deploy, name) in self.check(cx)?.into_iter().zip(made(cx)) {
            let groups = views(&self.local.groups(&deploy.cluster).await?);
            let plan = strategy::plan(deploy.strategy, &name, &groups, deploy.options);
            plans.push(json!({
                "delay": deploy.delay_before_disable.as_secs(),
                "disable": plan.disable, "scaleDown": plan.scale_down, "destroy": plan.destroy,
            }));
        }
        Ok(succeeded(json!({ PLANS: plans }), Value::Null))
    }

    async fn replace(&self, cx: &TaskContext) -> Result<TaskAnswer, Ended> {
        let plans = cx.context().get(PLANS).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut done: Vec<String> =
            made(cx).iter().map(|name| format!("server group `{name}` serves")).collect();
        for plan in &plans {
            if let Err(halt) = self.replace_one(cx, plan, &mut done).await {
                return Err(Ended { halt, done });
            }
        }
        Ok(succeeded(json!({ "messages": done }), Value::Null))
    }

    async fn replace_one(
        &self,
        cx: &TaskContext,
        plan: &Value,
        done: &mut Vec<String>,
    ) -> Result<(), Halt> {
        let delay = plan["delay"].as_u64().unwrap_or(0);
        let old =
            [&plan["disable"], &plan["scaleDown"], &plan["destroy"]].map(|it| texts(Some(it)));
        if delay > 0 && old.iter().any(|names| !names.is_empty()) {
            super::operation::sleep(cx, delay).await?;
        }
        let [disable, scale_down, destroy] = old;
        for name in self.still_there(disable).await? {
            self.local.disable(cx, &name).await?;
            super::operation::say(cx, done, format!("server group `{name}` was disabled")).await;
        }
        for name in self.still_there(scale_down).await? {
            self.local.resize(cx, &name, ::deploy::Capacity::exactly(0)).await?;
            super::operation::say(cx, done, format!("server group `{name}` was scaled down")).await;
        }
        for name in self.still_there(destroy).await? {
            self.local.destroy(cx, &name, "replaced by a deploy").await?;
            super::operation::say(cx, done, format!("server group `{name}` was destroyed")).await;
        }
        Ok(())
    }

    /// Those that nobody destroyed meanwhile: an earlier attempt at this, or another stage.
    async fn still_there(&self, names: Vec<String>) -> Result<Vec<String>, Halt> {
        let mut left = Vec::new();
        for name in names {
            let groups = self.local.groups(&::deploy::Moniker::of_name(&name).cluster).await?;
            if groups.iter().any(|group| group.name == name && group.is_live()) {
                left.push(name);
            }
        }
        Ok(left)
    }
}

/// The server groups that this stage made, in the order of its clusters.
fn made(cx: &TaskContext) -> Vec<String> {
    texts(cx.context().get("deploy.server.groups").and_then(|regions| regions.get(LOCAL)))
}

fn balancer(name: &str, port: u16, wanted: Option<u16>) -> Value {
    let url = format!("http://127.0.0.1:{port}");
    let message = match wanted {
        Some(wanted) if wanted != port => format!(
            "load balancer `{name}` listens on {url}: port {wanted} was taken, or it had this one \
             before"
        ),
        _ => format!("load balancer `{name}` listens on {url}"),
    };
    json!({ "name": name, "port": port, "wantedPort": wanted, "url": url, "message": message })
}

fn schema() -> Value {
    let cluster = json!({
        "application": { "type": "string" },
        "stack": { "type": "string" },
        "freeFormDetails": { "type": "string" },
        "account": { "const": LOCAL },
        "cloudProvider": { "const": LOCAL },
        "capacity": { "type": "object" },
        "strategy": { "enum": ["", "none", "redblack", "highlander"] },
        "maxRemainingAsgs": { "type": "integer", "minimum": 1 },
        "delayBeforeDisableSec": { "type": "integer", "minimum": 0 },
        "scaleDown": { "type": "boolean" },
        "command": { "type": "array", "items": { "type": "string" } },
        "env": { "type": "object" },
        "healthCheckPath": { "type": "string" },
        "healthTimeoutSec": { "type": "integer", "minimum": 0 },
        "loadBalancers": { "type": "array" },
    });
    let mut properties = cluster.clone();
    properties["clusters"] =
        json!({ "type": "array", "items": { "type": "object", "properties": cluster } });
    json!({ "type": "object", "properties": properties })
}
