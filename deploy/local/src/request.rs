//! PURE: what a stage's context asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use deploy::server_group::cluster_name;
use deploy::strategy::{Options, Strategy};
use deploy::{Capacity, Moniker, Resize};
use hyper::Uri;
use serde_json::Value;
use shared_model::Object;

use crate::error::{LocalError, invalid};
use crate::group::Service;

/// The name of the provider, and of its one account and one region.
pub const LOCAL: &str = "local";
/// Variables of a process that are ours to set.
const RESERVED: [&str; 3] = ["CAPSTAN_EFFECT", "CAPSTAN_SERVER_GROUP", "PORT"];
/// What is known from Spinnaker, changes what a deploy does, and is not built (D18).
const NOT_BUILT: [&str; 4] =
    ["targetHealthyDeployPercentage", "rollback", "delayBeforeScaleDownSec", "source"];
const CLUSTERS_MAX: usize = 20;
const LOAD_BALANCERS_MAX: usize = 10;
const SECONDS_MAX: u64 = 24 * 3_600;

/// One entry of `clusters`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deploy {
    pub(crate) cluster: String,
    pub(crate) service: Service,
    /// The ports that load balancers are asked to have.
    pub(crate) wanted_ports: BTreeMap<String, u16>,
    pub(crate) capacity: Capacity,
    pub(crate) strategy: Strategy,
    pub(crate) options: Options,
    pub(crate) delay_before_disable: Duration,
    pub(crate) health_timeout: Option<Duration>,
}

/// Every cluster that a deploy asks for: `clusters`, or the context itself.
pub(crate) fn deploys(context: &Object, instances_max: u32) -> Result<Vec<Deploy>, LocalError> {
    let clusters = match context.get("clusters") {
        None | Some(Value::Null) => vec![context],
        Some(Value::Array(list)) if list.len() > CLUSTERS_MAX => {
            let count = list.len();
            return Err(invalid(format!(
                "`clusters` has {count} entries, the limit is {CLUSTERS_MAX} (clusters_max)"
            )));
        }
        Some(Value::Array(list)) if !list.is_empty() => {
            let objects: Option<Vec<&Object>> = list.iter().map(Value::as_object).collect();
            objects.ok_or_else(|| invalid("an entry of `clusters` is no object"))?
        }
        Some(_) => return Err(invalid("`clusters` is no list with at least one cluster")),
    };
    clusters.into_iter().map(|cluster| deploy(context, cluster, instances_max)).collect()
}

fn deploy(context: &Object, cluster: &Object, limit: u32) -> Result<Deploy, LocalError> {
    check_provider(&[cluster, context])?;
    for field in NOT_BUILT {
        if cluster.get(field).is_some_and(is_set) {
            return Err(invalid(format!(
                "`{field}` is not built for the provider `{LOCAL}`; remove it"
            )));
        }
    }
    let detail = first(cluster, &["freeFormDetails", "detail"]);
    let name = cluster_name(text(cluster, "application"), text(cluster, "stack"), detail);
    let (load_balancers, wanted_ports) = load_balancers(cluster)?;
    let service = Service {
        command: command(cluster)?,
        env: env(cluster)?,
        health_path: health_path(cluster)?,
        load_balancers,
    };
    let max_remaining = number(cluster, "maxRemainingAsgs")?;
    if max_remaining == Some(0) {
        return Err(invalid(
            "`maxRemainingAsgs` is 0; the new server group remains, so at least 1",
        ));
    }
    Ok(Deploy {
        cluster: name.map_err(invalid)?,
        service,
        wanted_ports,
        capacity: capacity(cluster, limit)?.unwrap_or(Capacity::exactly(1)),
        strategy: Strategy::parse(text(cluster, "strategy")).map_err(invalid)?,
        options: Options {
            max_remaining: max_remaining.and_then(|count| usize::try_from(count).ok()),
            scale_down: cluster.get("scaleDown").is_some_and(is_set),
        },
        delay_before_disable: seconds(cluster, "delayBeforeDisableSec")?.unwrap_or_default(),
        health_timeout: seconds(cluster, "healthTimeoutSec")?,
    })
}

/// Refuses what is for another provider: `deploy` is everybody's word.
pub(crate) fn check_provider(contexts: &[&Object]) -> Result<(), LocalError> {
    let named = contexts.iter().map(|one| first(one, &["cloudProvider", "provider"]));
    let provider = named.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let account = contexts.iter().map(|one| first(one, &["account", "credentials"]));
    let account = account.into_iter().find(|name| !name.is_empty()).unwrap_or(LOCAL);
    match (provider, account) {
        (LOCAL, LOCAL) => Ok(()),
        (LOCAL, other) => Err(invalid(format!(
            "there is no account `{other}`; the provider `{LOCAL}` has one, `{LOCAL}`"
        ))),
        ("", _) => Err(invalid(format!(
            "`cloudProvider` is missing; server groups are built for `{LOCAL}`, and `deployManifest` \
             deploys to Kubernetes"
        ))),
        (other, _) => Err(invalid(format!(
            "server groups of the cloud provider `{other}` are not built; they are for `{LOCAL}`, and \
             `deployManifest` deploys to Kubernetes"
        ))),
    }
}

fn command(cluster: &Object) -> Result<Vec<String>, LocalError> {
    let hint = "`command` must be a list of texts, the program first; no shell reads it";
    let list = cluster.get("command").and_then(Value::as_array).ok_or_else(|| invalid(hint))?;
    let texts: Option<Vec<String>> =
        list.iter().map(|one| one.as_str().map(str::to_owned)).collect();
    let texts = texts.ok_or_else(|| invalid(hint))?;
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(invalid("`command` has a NUL character, which no argument can hold"));
    }
    Ok(texts)
}

fn env(cluster: &Object) -> Result<BTreeMap<String, String>, LocalError> {
    let variables = match cluster.get("env") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(variables)) => variables,
        Some(_) => return Err(invalid("`env` must be an object of names and values")),
    };
    variables.iter().map(|(name, value)| variable(name, value)).collect()
}

fn variable(name: &str, value: &Value) -> Result<(String, String), LocalError> {
    let value = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return Err(invalid(format!("`env.{name}` must be a text, a number or a truth value")));
        }
    };
    if RESERVED.contains(&name) {
        return Err(invalid(format!("`env.{name}` is set by Capstan; remove it")));
    }
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return Err(invalid(format!("`env` has `{name}`, which no environment can hold")));
    }
    Ok((name.to_owned(), value))
}

fn health_path(cluster: &Object) -> Result<String, LocalError> {
    let path = match text(cluster, "healthCheckPath") {
        "" => "/health",
        path => path,
    };
    let good = path.starts_with('/') && path.len() <= 1_024 && path.parse::<Uri>().is_ok();
    good.then(|| path.to_owned()).ok_or_else(|| {
        invalid(format!("`healthCheckPath` is `{path}`, which is no path such as `/health`"))
    })
}

type LoadBalancers = (Vec<String>, BTreeMap<String, u16>);

fn load_balancers(cluster: &Object) -> Result<LoadBalancers, LocalError> {
    let list = match cluster.get("loadBalancers") {
        None | Some(Value::Null) => return Ok(LoadBalancers::default()),
        Some(Value::Array(list)) if list.len() <= LOAD_BALANCERS_MAX => list,
        Some(_) => {
            return Err(invalid(format!(
                "`loadBalancers` must be a list of at most {LOAD_BALANCERS_MAX} (load_balancers_max)"
            )));
        }
    };
    let mut names = BTreeSet::new();
    let mut ports = BTreeMap::new();
    for one in list {
        let name = one.as_str().or_else(|| one.get("name")?.as_str()).unwrap_or_default();
        check_name("loadBalancers", name)?;
        if let Some(port) = one.get("port").filter(|port| !port.is_null()) {
            ports.insert(name.to_owned(), port_of(name, port)?);
        }
        names.insert(name.to_owned());
    }
    Ok((names.into_iter().collect(), ports))
}

fn port_of(name: &str, value: &Value) -> Result<u16, LocalError> {
    let port = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    port.ok_or_else(|| {
        invalid(format!("the port of load balancer `{name}` is {value}; use one from 1 to 65535"))
    })
}

fn check_name(field: &str, name: &str) -> Result<(), LocalError> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.is_empty() && name.len() <= 110 && name.bytes().all(is_letter) {
        return Ok(());
    }
    Err(invalid(format!("`{field}` has the name `{name}`; only a-z, 0-9 and dashes are allowed")))
}

/// `capacity`, if it is given.
pub(crate) fn capacity(context: &Object, limit: u32) -> Result<Option<Capacity>, LocalError> {
    let given = match context.get("capacity") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(invalid("`capacity` must be an object with min, max and desired")),
    };
    let desired = match (number(given, "desired")?, number(given, "max")?) {
        (Some(count), _) | (None, Some(count)) => small(count),
        (None, None) => 1,
    };
    let min = number(given, "min")?.map_or(desired, small);
    let max = number(given, "max")?.map_or(desired, small);
    Capacity { min, max, desired }.check(limit).map(Some).map_err(invalid)
}

fn small(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// How a resize says what it wants.
pub(crate) fn resize(context: &Object, limit: u32) -> Result<Resize, LocalError> {
    let sign = match text(context, "action") {
        "" | "scale_exact" => {
            let missing = || invalid("`capacity` is missing; say how many instances are wanted");
            return capacity(context, limit)?.map(Resize::Exact).ok_or_else(missing);
        }
        "scale_up" => 1,
        "scale_down" => -1,
        other => {
            return Err(invalid(format!(
                "`action` is `{other}`; use `scale_exact`, `scale_up` or `scale_down`"
            )));
        }
    };
    if let Some(step) = number(context, "scaleNum")? {
        return Ok(Resize::By(sign * i64::from(small(step))));
    }
    let percent = number(context, "scalePct")?
        .ok_or_else(|| invalid("neither `scaleNum` nor `scalePct` is set; say by how much"))?;
    let sign: i32 = if sign < 0 { -1 } else { 1 };
    Ok(Resize::ByPercent(f64::from(sign) * f64::from(small(percent))))
}

/// Which server group an operation means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    Named { cluster: String, name: String },
    Target { cluster: String, target: String },
}

impl Which {
    pub(crate) fn cluster(&self) -> &str {
        match self {
            Self::Named { cluster, .. } | Self::Target { cluster, .. } => cluster,
        }
    }
}

/// `serverGroupName`, or `cluster` and `target`.
pub(crate) fn which(context: &Object) -> Result<Which, LocalError> {
    let name = first(context, &["serverGroupName", "asgName"]);
    if !name.is_empty() {
        return named("serverGroupName", name);
    }
    let (cluster, target) = (text(context, "cluster"), text(context, "target"));
    if cluster.is_empty() || target.is_empty() {
        return Err(invalid(
            "neither `serverGroupName` nor `cluster` and `target` are set; say which server group is \
             meant",
        ));
    }
    check_name("cluster", cluster)?;
    Ok(Which::Target { cluster: cluster.to_owned(), target: target.to_owned() })
}

/// The server group of a name.
pub(crate) fn named(field: &str, name: &str) -> Result<Which, LocalError> {
    check_name(field, name)?;
    let moniker = Moniker::of_name(name);
    if moniker.sequence.is_none() {
        return Err(invalid(format!(
            "`{field}` is `{name}`, which is no name of a server group such as `shop-prod-v001`"
        )));
    }
    Ok(Which::Named { cluster: moniker.cluster, name: name.to_owned() })
}

/// A text; empty if it is absent or none.
pub(crate) fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default().trim()
}

/// The first text that is there.
pub(crate) fn first<'a>(object: &'a Object, keys: &[&str]) -> &'a str {
    keys.iter().map(|key| text(object, key)).find(|text| !text.is_empty()).unwrap_or_default()
}

/// A count; expressions may have made a text of it.
fn number(object: &Object, key: &str) -> Result<Option<u64>, LocalError> {
    let number = match object.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_u64(),
    };
    number.map(Some).ok_or_else(|| invalid(format!("`{key}` must be a whole number, 0 or more")))
}

fn seconds(object: &Object, key: &str) -> Result<Option<Duration>, LocalError> {
    let seconds = number(object, key)?;
    if seconds.is_some_and(|seconds| seconds > SECONDS_MAX) {
        return Err(invalid(format!("`{key}` is longer than a day, {SECONDS_MAX} (seconds_max)")));
    }
    Ok(seconds.map(Duration::from_secs))
}

/// Whether a field says something: not null, false, empty or 100 %.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::String(text) => !text.is_empty() && !text.eq_ignore_ascii_case("false"),
        Value::Number(number) => number.as_f64() != Some(100.0) && number.as_f64() != Some(0.0),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => fields.values().any(is_set),
    }
}

#[cfg(test)]
mod tests;
