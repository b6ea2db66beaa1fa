//! The stage types that change one server group.

use std::time::Duration;

use async_trait::async_trait;
use deploy::{Capacity, target};
use serde_json::{Value, json};
use shared_model::{Effects, TaskAnswer};
use shared_plugin::{StageDescriptor, StageType, TaskContext};

use super::{Ended, STAGE_TIMEOUT, no_such_task, object, succeeded, task};
use crate::config::LocalConfig;
use crate::error::invalid;
use crate::group::{Group, views};
use crate::operate::{Halt, Local};
use crate::request::{self, Which};

const TARGET: &str = "determineTargetServerGroup";
/// What the first task decided is kept under this in the stage's context.
const DECIDED: &str = "local.decided";

/// What is done to a server group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It takes no more requests.
    Disable,
    /// It takes requests.
    Enable,
    /// It goes away.
    Destroy,
    /// It gets more or fewer instances.
    Resize,
    /// An earlier one takes its place.
    Rollback,
}

impl Operation {
    /// Each of them.
    pub const ALL: [Self; 5] =
        [Self::Disable, Self::Enable, Self::Destroy, Self::Resize, Self::Rollback];

    /// The stage's `type`, and the name of its second task.
    fn name(self) -> &'static str {
        match self {
            Self::Disable => "disableServerGroup",
            Self::Enable => "enableServerGroup",
            Self::Destroy => "destroyServerGroup",
            Self::Resize => "resizeServerGroup",
            Self::Rollback => "rollbackServerGroup",
        }
    }

    fn summary(self) -> &'static str {
        match self {
            Self::Disable => "Takes a server group out of its load balancers.",
            Self::Enable => "Lets a server group take requests.",
            Self::Destroy => "Ends a server group and its processes.",
            Self::Resize => "Gives a server group more or fewer instances.",
            Self::Rollback => "Lets an earlier server group take the place of a newer one.",
        }
    }
}

/// A stage type that changes one server group.
#[derive(Clone)]
pub struct OperateLocal {
    operation: Operation,
    local: Local,
}

impl OperateLocal {
    /// The stage type on a folder.
    pub fn new(operation: Operation, config: LocalConfig) -> Self {
        Self { operation, local: Local::new(config) }
    }
}

#[async_trait]
impl StageType for OperateLocal {
    fn describe(&self) -> StageDescriptor {
        StageDescriptor {
            name: self.operation.name().into(),
            aliases: Vec::new(),
            summary: self.operation.summary().into(),
            schema: schema(),
            tasks: vec![task(TARGET, Effects::None), task(self.operation.name(), Effects::Keyed)],
            timeout: STAGE_TIMEOUT,
        }
    }

    async fn run(&self, task: &str, cx: &TaskContext) -> TaskAnswer {
        let done = match task {
            TARGET => self.decide(cx).await,
            name if name == self.operation.name() => self.carry_out(cx).await,
            other => return no_such_task(other),
        };
        done.unwrap_or_else(|ended| ended.answer(cx))
    }
}

impl OperateLocal {
    /// Decided once: a task that begins again must not mean another server group, or twice as many.
    async fn decide(&self, cx: &TaskContext) -> Result<TaskAnswer, Ended> {
        request::check_provider(&[cx.context()])?;
        let decided = match self.operation {
            Operation::Rollback => self.decide_rollback(cx).await?,
            Operation::Resize => self.decide_resize(cx).await?,
            Operation::Disable | Operation::Enable | Operation::Destroy => {
                let group = self.meant(&request::which(cx.context())?).await?;
                json!({ "name": group.name })
            }
        };
        cx.log.line(&self.intent(&decided)).await;
        Ok(succeeded(json!({ DECIDED: decided }), Value::Null))
    }

    /// What was decided, in words.
    fn intent(&self, decided: &Value) -> String {
        let name = decided["name"].as_str().unwrap_or_default();
        let instances = &decided["capacity"]["desired"];
        match self.operation {
            Operation::Disable => format!("server group `{name}` is to be disabled"),
            Operation::Enable => format!("server group `{name}` is to be enabled"),
            Operation::Destroy => format!("server group `{name}` is to be destroyed"),
            Operation::Resize => format!("server group `{name}` is to have {instances} instances"),
            Operation::Rollback => {
                let from = decided["from"].as_str().unwrap_or_default();
                format!("back from server group `{from}` to `{name}`, with {instances} instances")
            }
        }
    }

    /// The server group that is meant, as it is now.
    async fn meant(&self, which: &Which) -> Result<Group, Ended> {
        let groups = self.local.groups(which.cluster()).await?;
        let views = views(&groups);
        let found = match which {
            Which::Named { name, .. } => target::named(name, &views),
            Which::Target { cluster, target } => target::resolve(cluster, target, &views),
        };
        let name = found.map_err(invalid)?.name.clone();
        let group = groups.into_iter().find(|group| group.name == name);
        Ok(group.ok_or_else(|| invalid("it is gone"))?)
    }

    async fn decide_resize(&self, cx: &TaskContext) -> Result<Value, Ended> {
        let limit = self.local.config.limits.instances_max;
        let resize = request::resize(cx.context(), limit)?;
        let group = self.meant(&request::which(cx.context())?).await?;
        let capacity = resize.of(group.capacity).check(limit).map_err(invalid)?;
        Ok(json!({ "name": group.name, "capacity": capacity }))
    }

    async fn decide_rollback(&self, cx: &TaskContext) -> Result<Value, Ended> {
        let rollback = cx.context().get("rollbackContext").cloned().unwrap_or_default();
        let rollback = object(rollback);
        let to_name = request::first(
            &rollback,
            &["restoreServerGroupName", "previousServerGroupName", "previousImageServerGroup"],
        );
        let from_name = request::first(&rollback, &["rollbackServerGroupName"]);
        let pair = match (cx.text("rollbackType"), from_name, to_name) {
            ("EXPLICIT" | "", "", _) | ("EXPLICIT" | "", _, "") => {
                return Err(invalid(
                    "`rollbackContext` needs `rollbackServerGroupName` and `restoreServerGroupName`; \
                     or use the `rollbackType` `PREVIOUS_IMAGE`",
                )
                .into());
            }
            ("EXPLICIT" | "", from, to) => self.explicit(from, to).await?,
            ("PREVIOUS_IMAGE", from, _) => self.previous(cx, from).await?,
            (other, ..) => {
                return Err(invalid(format!(
                    "`rollbackType` is `{other}`; use `EXPLICIT` or `PREVIOUS_IMAGE`"
                ))
                .into());
            }
        };
        let (from, to) = pair;
        let desired = from.capacity.desired.max(to.capacity.desired);
        let max = to.capacity.max.max(desired);
        let capacity = Capacity { min: to.capacity.min, max, desired };
        Ok(json!({ "name": to.name, "from": from.name, "capacity": capacity }))
    }

    async fn explicit(&self, from: &str, to: &str) -> Result<(Group, Group), Ended> {
        let from = self.meant(&request::named("rollbackServerGroupName", from)?).await?;
        let to = self.meant(&request::named("restoreServerGroupName", to)?).await?;
        if from.cluster != to.cluster || from.name == to.name {
            return Err(invalid(format!(
                "a rollback goes from one server group of a cluster to another, not from `{}` to `{}`",
                from.name, to.name
            ))
            .into());
        }
        Ok((from, to))
    }

    async fn previous(&self, cx: &TaskContext, from: &str) -> Result<(Group, Group), Ended> {
        let cluster = match from {
            "" => cluster_of(cx)?,
            from => request::named("rollbackServerGroupName", from)?.cluster().to_owned(),
        };
        let mut groups = self.local.groups(&cluster).await?;
        groups.retain(Group::is_live);
        if !from.is_empty() {
            let age = groups.iter().find(|group| group.name == from).map(|group| group.age_order);
            groups.retain(|group| age.is_some_and(|age| group.age_order <= age));
        }
        let views = views(&groups);
        let none = || {
            invalid(format!(
                "the cluster `{cluster}` has no server group before the one that serves; nothing to \
                 roll back to"
            ))
        };
        let (from, to) = target::previous(&views).ok_or_else(none)?;
        let find = |name: &str| groups.iter().find(|group| group.name == name).cloned();
        Ok(find(&from.name).zip(find(&to.name)).ok_or_else(none)?)
    }

    async fn carry_out(&self, cx: &TaskContext) -> Result<TaskAnswer, Ended> {
        let decided = object(cx.context().get(DECIDED).cloned().unwrap_or_default());
        let mut done = Vec::new();
        match self.steps(cx, &decided, &mut done).await {
            Ok(()) => {
                let context = json!({ "messages": done, "serverGroupName": decided.get("name") });
                Ok(succeeded(context, Value::Null))
            }
            Err(halt) => Err(Ended { halt, done }),
        }
    }

    async fn steps(
        &self,
        cx: &TaskContext,
        decided: &shared_model::Object,
        done: &mut Vec<String>,
    ) -> Result<(), Halt> {
        let name = request::text(decided, "name");
        let capacity = request::capacity(decided, u32::MAX)?;
        match self.operation {
            Operation::Disable => {
                self.local.disable(cx, name).await?;
                say(cx, done, format!("server group `{name}` was disabled")).await;
            }
            Operation::Enable => self.enable(cx, name, done).await?,
            Operation::Destroy => {
                self.local.destroy(cx, name, "by a destroyServerGroup stage").await?;
                say(cx, done, format!("server group `{name}` was destroyed")).await;
            }
            Operation::Resize => self.resize(cx, name, capacity, done).await?,
            Operation::Rollback => {
                self.resize(cx, name, capacity, done).await?;
                self.enable(cx, name, done).await?;
                let from = request::text(decided, "from");
                self.local.disable(cx, from).await?;
                say(cx, done, format!("server group `{from}` was disabled")).await;
            }
        }
        Ok(())
    }

    /// Only one that is healthy takes requests: processes that ended meanwhile are started again.
    async fn enable(
        &self,
        cx: &TaskContext,
        name: &str,
        done: &mut Vec<String>,
    ) -> Result<(), Halt> {
        self.local.converge(cx, name, self.local.config.limits.health_timeout).await?;
        self.local.enable(name, Default::default()).await?;
        say(cx, done, format!("server group `{name}` was enabled")).await;
        Ok(())
    }

    async fn resize(
        &self,
        cx: &TaskContext,
        name: &str,
        capacity: Option<Capacity>,
        done: &mut Vec<String>,
    ) -> Result<(), Halt> {
        let capacity = capacity.ok_or_else(|| invalid("no capacity was decided"))?;
        self.local.resize(cx, name, capacity).await?;
        let count = capacity.desired;
        say(cx, done, format!("server group `{name}` has {count} instances")).await;
        Ok(())
    }
}

fn cluster_of(cx: &TaskContext) -> Result<String, Ended> {
    let moniker = object(cx.context().get("moniker").cloned().unwrap_or_default());
    let cluster = match cx.text("cluster") {
        "" => request::text(&moniker, "cluster").to_owned(),
        cluster => cluster.to_owned(),
    };
    let which = object(json!({ "cluster": cluster, "target": "current_asg_dynamic" }));
    Ok(request::which(&which)?.cluster().to_owned())
}

/// Tells and keeps what was done.
pub(super) async fn say(cx: &TaskContext, done: &mut Vec<String>, line: String) {
    cx.log.line(&line).await;
    done.push(line);
}

pub(super) async fn sleep(cx: &TaskContext, seconds: u64) -> Result<(), Halt> {
    tokio::select! {
        biased;
        why = cx.told_to_end() => Err(why.into()),
        () = cx.clock.sleep(Duration::from_secs(seconds)) => Ok(()),
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "cloudProvider": { "const": request::LOCAL },
            "account": { "const": request::LOCAL },
            "serverGroupName": { "type": "string" },
            "cluster": { "type": "string" },
            "target": {
                "enum": ["current_asg_dynamic", "ancestor_asg_dynamic", "oldest_asg_dynamic"],
            },
            "action": { "enum": ["scale_exact", "scale_up", "scale_down"] },
            "capacity": { "type": "object" },
            "scaleNum": { "type": "integer" },
            "scalePct": { "type": "integer" },
            "rollbackType": { "enum": ["EXPLICIT", "PREVIOUS_IMAGE"] },
            "rollbackContext": { "type": "object" },
        },
    })
}
