use serde_json::json;

use super::*;

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap()
}

fn with(field: &str, value: Value) -> Result<Deploy, String> {
    let mut context = object(json!({
        "cloudProvider": "local", "application": "shop", "stack": "prod", "command": ["serve"],
    }));
    context.insert(field.to_owned(), value);
    let found = deploys(&context, 50).map_err(|error| error.to_string())?;
    Ok(found.into_iter().next().unwrap())
}

#[test]
fn a_cluster_is_read_from_the_list_or_the_context() {
    let plain = with("loadBalancers", json!(["web", {"name": "api", "port": "8080"}])).unwrap();
    assert_eq!(plain.cluster, "shop-prod");
    assert_eq!(plain.service.load_balancers, ["api", "web"]);
    assert_eq!(plain.wanted_ports, BTreeMap::from([("api".to_owned(), 8080)]));
    assert_eq!(plain.capacity, Capacity::exactly(1));
    let cluster = json!({
        "application": "shop", "freeFormDetails": "eu", "command": ["a"], "strategy": "redblack",
        "capacity": {"min": "1", "max": "3", "desired": "2"}, "maxRemainingAsgs": 2,
    });
    let context = object(json!({"cloudProvider": "local", "clusters": [cluster]}));
    let found = deploys(&context, 50).unwrap();
    assert_eq!((found[0].cluster.as_str(), found[0].capacity.desired), ("shop--eu", 2));
    assert_eq!(found[0].options.max_remaining, Some(2));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (field, value, part) in [
        ("cloudProvider", json!("aws"), "`aws` are not built"),
        ("cloudProvider", json!(""), "`cloudProvider` is missing"),
        ("account", json!("prod"), "no account `prod`"),
        ("application", json!("../../etc"), "`application`"),
        ("stack", json!("a/b"), "`stack`"),
        ("command", json!("rm -rf /"), "list of texts"),
        ("command", json!(["a\0"]), "NUL"),
        ("env", json!({"PORT": 1}), "`env.PORT` is set by Capstan"),
        ("env", json!({"A=B": "x"}), "no environment can hold"),
        ("env", json!({"A": {}}), "`env.A` must be"),
        ("healthCheckPath", json!("health"), "no path"),
        ("healthCheckPath", json!("/a b\r\n"), "no path"),
        ("loadBalancers", json!([{"name": "web", "port": 65536}]), "from 1 to 65535"),
        ("loadBalancers", json!([{"name": "web", "port": 0}]), "from 1 to 65535"),
        ("loadBalancers", json!(["../x"]), "only a-z"),
        ("capacity", json!({"desired": 51}), "instances_max"),
        ("capacity", json!({"desired": -1}), "whole number"),
        ("strategy", json!("rollingredblack"), "is not built"),
        ("rollback", json!({"onFailure": true}), "`rollback` is not built"),
        ("maxRemainingAsgs", json!(0), "at least 1"),
        ("clusters", json!([]), "at least one"),
        ("clusters", json!([1]), "no object"),
    ] {
        let error = with(field, value).unwrap_err();
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
}

#[test]
fn a_resize_is_exact_or_relative() {
    let read = |value| resize(&object(value), 50).map_err(|error| error.to_string());
    let three = json!({"action": "scale_exact", "capacity": {"desired": 3}});
    assert_eq!(read(three), Ok(Resize::Exact(Capacity::exactly(3))));
    assert_eq!(read(json!({"action": "scale_up", "scaleNum": 2})), Ok(Resize::By(2)));
    let half = json!({"action": "scale_down", "scalePct": "50"});
    assert_eq!(read(half), Ok(Resize::ByPercent(-50.0)));
    assert!(read(json!({"action": "scale_up"})).unwrap_err().contains("scaleNum"));
    assert!(read(json!({"action": "scale_to_cluster"})).unwrap_err().contains("scale_exact"));
}

#[test]
fn a_server_group_is_meant_by_name_or_target() {
    let by_name = which(&object(json!({"serverGroupName": "shop-prod-v001"}))).unwrap();
    assert_eq!(by_name.cluster(), "shop-prod");
    let context = object(json!({"cluster": "shop", "target": "oldest_asg_dynamic"}));
    assert_eq!(which(&context).unwrap().cluster(), "shop");
    for name in ["../../x-v001", "shop", "shop-v1", "Shop-v001"] {
        assert!(which(&object(json!({"serverGroupName": name}))).is_err(), "{name}");
    }
    assert!(which(&Object::default()).is_err());
}
