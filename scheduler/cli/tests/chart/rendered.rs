//! What the chart makes of values.

use serde_json::Value;
use shared_testkit::env;

use crate::ended::run;
use crate::file::file;
use crate::helm::{BUNDLED, EXTERNAL, OPERATED, SCALED, chart, helm, objects, of_kind, template};
use crate::process::capstan;

#[test]
fn every_helm_finds_it_sound() {
    let operated = [EXTERNAL, OPERATED].concat();
    for program in [env::helm3(), env::helm4()] {
        for values in [EXTERNAL, BUNDLED, &operated] {
            run(&mut helm(&program, &["lint", "--strict"], values)).expect(0, &[]);
        }
    }
}

#[test]
fn values_decide_which_objects_there_are() {
    let count = |objects: &[Value], kind| of_kind(objects, kind).len();
    let external = objects(&[], EXTERNAL);
    assert_eq!(count(&external, "Deployment"), 2, "schedulers, and one pool");
    assert_eq!(count(&external, "PodDisruptionBudget"), 2);
    assert_eq!(count(&external, "NetworkPolicy"), 2);
    for kind in ["StatefulSet", "Secret", "HorizontalPodAutoscaler", "ServiceMonitor"] {
        assert_eq!(count(&external, kind), 0, "{kind}");
    }
    let bundled = objects(&[], BUNDLED);
    assert_eq!((count(&bundled, "StatefulSet"), count(&bundled, "Secret")), (4, 1));
    let example = |name: &str| chart().join("examples").join(name).display().to_string();
    let hpa = objects(&["--values", &example("hpa.yaml")], EXTERNAL);
    let metric = &of_kind(&hpa, "HorizontalPodAutoscaler")[0]["spec"]["metrics"][0]["external"];
    assert_eq!(metric["metric"]["selector"]["matchLabels"]["pool"], "general");
    assert_eq!(metric["target"]["averageValue"], "8", "as many as a worker has slots");
    let deployments = of_kind(&hpa, "Deployment");
    let pool = deployments.iter().find(|one| one["metadata"]["name"] == "r-capstan-worker-general");
    assert_eq!(pool.unwrap()["spec"].get("replicas"), None, "left to who scales it");
    let values = [EXTERNAL, SCALED].concat();
    let asked = objects(&[], &values);
    let metric = &of_kind(&asked, "HorizontalPodAutoscaler")[0]["spec"]["metrics"][0]["external"];
    assert_eq!(metric["metric"]["name"], "capstan_wanted_workers");
    assert_eq!((count(&asked, "APIService"), count(&asked, "RoleBinding")), (1, 1));
    let keda = objects(&["--values", &example("keda.yaml")], EXTERNAL);
    let scaled = of_kind(&keda, "ScaledObject");
    let trigger = &scaled[1]["spec"]["triggers"][0]["metadata"];
    assert_eq!((scaled.len(), &trigger["threshold"]), (2, &"2".into()));
    let query = trigger["query"].as_str().unwrap();
    assert!(query.contains("capability=~\"(bake.helm|bake.packer)(@.*)?\""), "{query}");
}

#[test]
fn no_pod_may_do_more_than_it_needs() {
    for object in objects(&[], BUNDLED) {
        let Some(pod) = object.pointer("/spec/template/spec") else { continue };
        let name = &object["metadata"]["name"];
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        let may = &pod["containers"][0]["securityContext"];
        assert_eq!(may["allowPrivilegeEscalation"], false, "{name}");
        let is_ours = object["kind"] == "Deployment";
        assert!(!is_ours || may["readOnlyRootFilesystem"] == true, "{name}");
    }
}

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    for (value, place) in [
        ("scheduler.replicas=0", "/scheduler/replicas"),
        ("pools[0].name=Upper_Case", "/pools/0/name"),
        ("poolDefaults.autoscaling.kind=magic", "/poolDefaults/autoscaling/kind"),
        ("schedular.replicas=2", "schedular"),
        ("blobs.url=http://bucket", "/blobs/url"),
        ("blobs.options.secret_access_key=s", "/blobs/options"),
    ] {
        let ended = template(&[], &[EXTERNAL, &[value]].concat());
        assert_ne!(ended.code, Some(0), "{value}");
        let dotted = place.trim_start_matches('/').replace('/', ".");
        assert!(ended.err.contains(place) || ended.err.contains(&dotted), "{value}: {}", ended.err);
    }
    let blind = [EXTERNAL, &["externalMetrics.enabled=true"]].concat();
    template(&[], &blind).expect(1, &["externalMetrics.clientCA is empty"]);
    template(&[], &[]).expect(1, &["secrets.existingSecret is empty"]);
    template(&[], &["bundled.enabled=true"]).expect(1, &["image names the image to run"]);
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let refused = |values: &[&str], parts: &[&str]| {
        template(&[], &[EXTERNAL, values].concat()).expect(1, parts);
    };
    refused(
        &["pools[0].name=a", "pools[1].name=b", "pools[2].name=a"],
        &["two pools of the name \"a\"", "a name of its own"],
    );
    let numbers = "autoscaling.min is 5 and autoscaling.max 4";
    let own = ["pools[0].autoscaling.min=5", "pools[0].autoscaling.max=4"];
    refused(&[&["pools[0].name=bakers"], &own[..]].concat(), &["pool \"bakers\"", numbers]);
    // Of what it says itself and what it has from the others.
    refused(
        &["poolDefaults.autoscaling.max=4", "pools[0].name=a", "pools[0].autoscaling.min=5"],
        &[numbers],
    );
    refused(
        &["monitoring.serviceMonitor.enabled=true"],
        &["monitoring.serviceMonitor.tokenSecret.name", "without a token"],
    );
    let sound = ["poolDefaults.autoscaling.min=4", "poolDefaults.autoscaling.max=4"];
    template(&[], &[EXTERNAL, &sound].concat()).expect(0, &[]);
}

#[test]
fn a_pool_may_have_an_account_of_the_cluster_that_it_runs_in() {
    let pools = ["pools[0].name=own", "pools[0].inClusterAccount=here", "pools[1].name=others"];
    let objects = objects(&[], &[EXTERNAL, &pools].concat());
    for (name, account) in [("own", Some("here")), ("others", None)] {
        let deployments = of_kind(&objects, "Deployment");
        let full = format!("r-capstan-worker-{name}");
        let found = deployments.iter().find(|one| one["metadata"]["name"] == full.as_str());
        let pod = &found.unwrap()["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], account.is_some(), "{name}");
        let variables = pod["containers"][0]["env"].as_array().unwrap();
        let variable = variables.iter().find(|one| one["name"] == "CAPSTAN__WORKER__IN_CLUSTER");
        assert_eq!(variable.and_then(|one| one["value"].as_str()), account, "{name}");
    }
}

#[test]
fn the_binary_takes_the_settings_and_finds_the_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let pool = ["pools[0].name=bakers", "pools[0].capabilities={bake.helm,bake.packer}"];
    let scaled = [EXTERNAL, SCALED, &pool].concat();
    for values in [&[EXTERNAL, &pool].concat(), &[BUNDLED, &pool].concat(), &scaled] {
        let objects = objects(&[], values);
        let maps = of_kind(&objects, "ConfigMap");
        let settings = maps.iter().find_map(|map| map["data"]["capstan.yaml"].as_str()).unwrap();
        let settings = file(folder.path(), "capstan.yaml", settings);
        for deployment in of_kind(&objects, "Deployment") {
            let container = &deployment["spec"]["template"]["spec"]["containers"][0];
            let role = container["args"][0].as_str().unwrap();
            let mut command = capstan();
            command.args(["config", "show", "-o", "json", "--role", role]);
            for variable in container["env"].as_array().unwrap() {
                let name = variable["name"].as_str().unwrap();
                // What comes from somewhere else in the cluster.
                let value = variable["value"].as_str().unwrap_or("told-by-the-cluster");
                let path = value.strip_prefix("/etc/capstan/secrets/");
                let secret = path.map(|name| file(folder.path(), name, &"s".repeat(32)));
                command
                    .env(name, secret.map_or(value.to_owned(), |path| path.display().to_string()));
            }
            let shown = run(command.env("CAPSTAN_CONFIG", &settings));
            shown.expect(0, &[]);
            assert!(shown.out.contains("0.0.0.0:808"), "{}", shown.out);
            assert!(!shown.out.contains("ssssssss"), "a secret is shown");
            assert!(shown.out.contains("bake.packer"), "{}", shown.out);
        }
    }
}
