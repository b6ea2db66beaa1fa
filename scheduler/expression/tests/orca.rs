//! What Orca's own functions do, one line each: what an expression comes to, or `fails`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use scheduler_expression::{Context, Limits, evaluate, is_enabled, stage_root};
use serde_json::{Value, json};

fn shown(execution: &Value, expression: &str) -> String {
    let Some(execution) = execution.as_object() else { return String::new() };
    let (root, limits) = (stage_root(execution, None), Limits::default());
    let context = Context::new(&root, Some(execution), None, Timestamp::UNIX_EPOCH, &limits);
    let text = json!(format!("${{{expression}}}"));
    let found = evaluate(&text, &context, &BTreeSet::new());
    if found.summary.failed > 0 { "fails".into() } else { found.value.to_string() }
}

/// Checks a table of expressions and what they come to in an execution of these stages.
fn check(stages: &Value, table: &[(&str, &str)]) {
    let execution = json!({ "id": "e", "application": "a", "stages": stages });
    for (expression, expected) in table {
        assert_eq!(shown(&execution, expression), *expected, "{expression}");
    }
}

#[test]
fn a_stage_goes_by_name_or_id_whichever_comes_first() {
    let stages = json!([
        { "id": "7", "refId": "1", "name": "first", "type": "wait" },
        { "id": "x", "refId": "2", "name": "7", "type": "wait" },
    ]);
    check(
        &stages,
        &[
            ("#stage('7').name", r#""first""#),
            ("#stage(7).name", r#""first""#),
            ("#stageByRefId(2).name", r#""7""#),
            ("#stageExists('x')", "true"),
            ("#stageExists(null)", "false"),
            ("#stage(null)", "fails"),
        ],
    );
}

#[test]
fn a_judgment_is_the_first_of_its_name_that_was_made() {
    let judge = |id: &str, context: Value| {
        json!({ "id": id, "refId": id, "name": "Judge", "type": "manualJudgment",
            "context": context })
    };
    let stages = json!([
        judge("1", json!({ "judgmentInput": null })),
        judge("2", json!({ "judgmentInput": "go" }))
    ]);
    check(&stages, &[("#judgment('Judge')", r#""go""#), ("#judgement('Nope')", "fails")]);
    check(&json!([judge("1", json!({}))]), &[("#judgment('Judge')", "fails")]);
}

#[test]
fn a_label_is_that_of_a_deploy_that_succeeded() {
    let label = json!({ "template": { "metadata": { "labels": { "k": "v" } } } });
    let manifests = json!([{ "kind": "Deployment", "spec": label }]);
    let deploy = |status: &str, key: &str| {
        json!([{ "id": "1", "refId": "1", "name": "D", "type": "deployManifest", "status": status,
            "context": { key: manifests } }])
    };
    let asked = "#manifestLabelValue('D', 'Deployment', 'k')";
    check(&deploy("SUCCEEDED", "outputs.manifests"), &[(asked, r#""v""#)]);
    check(&deploy("TERMINAL", "outputs.manifests"), &[(asked, "fails")]);
    // What the document asked for is not what the cluster got.
    check(&deploy("SUCCEEDED", "manifests"), &[(asked, "fails")]);
}

#[test]
fn a_server_group_is_that_of_its_stage_and_its_region() {
    let details = json!([
        { "region": "here", "ami": "a", "account": "baked" },
        { "region": "there", "ami": "b" },
    ]);
    let stages = json!([
        { "id": "b", "refId": "1", "type": "bake", "name": "Bake", "status": "SUCCEEDED",
          "outputs": { "deploymentDetails": details } },
        { "id": "d", "refId": "2", "type": "deploy", "name": "D", "status": "SUCCEEDED",
          "requisiteStageRefIds": ["1"], "context": { "region": "here", "account": "own",
            "deploy.server.groups": { "here": ["g-v001"], "there": ["h-v001"] } } },
        { "id": "n", "refId": "3", "type": "deploy", "name": "N", "status": "SUCCEEDED",
          "context": { "deploy.server.groups": { "here": ["g-v002"] } } },
    ]);
    check(
        &stages,
        &[
            ("#deployedServerGroups().![serverGroup]", r#"["g-v001"]"#),
            ("#deployedServerGroups('d')[0].ami", r#""a""#),
            ("#deployedServerGroups('D')[0].account", r#""baked""#),
            ("#deployedServerGroups('nope')", "[]"),
            ("deployedServerGroups[0].region", r#""here""#),
        ],
    );
}

#[test]
fn a_service_key_is_that_of_a_stage_that_succeeded() {
    let stage = |status: &str| {
        let tasks = json!([{ "resultObjects": [{ "serviceKey": { "user": "u" } }] }]);
        json!([{ "id": "k1", "refId": "1", "name": "Key", "type": "createServiceKey",
            "status": status, "context": { "kato.tasks": tasks } }])
    };
    check(&stage("SUCCEEDED"), &[("#cfServiceKey('k1')['user']", r#""u""#)]);
    check(&stage("RUNNING"), &[("#cfServiceKey('Key')", "{}")]);
}

#[test]
fn parameters_are_never_null() {
    let of = |trigger: Value| json!({ "stages": [], "trigger": trigger });
    assert_eq!(shown(&of(json!({})), "parameters"), "{}");
    assert_eq!(shown(&of(json!({})), "parameters.q ?: 'd'"), r#""d""#);
    assert_eq!(shown(&of(json!({ "parameters": { "q": 1 } })), "parameters.q"), "1");
}

#[test]
fn a_condition_is_of_a_type_whatever_its_case() {
    let execution = json!({ "stages": [] });
    let Some(execution) = execution.as_object() else { return };
    let (root, limits) = (stage_root(execution, None), Limits::default());
    let context = Context::new(&root, Some(execution), None, Timestamp::UNIX_EPOCH, &limits);
    let runs = |kind: &str, expression: &str| {
        is_enabled(Some(&json!({ "type": kind, "expression": expression })), &context)
    };
    assert!(!runs("Expression", "false"));
    assert!(runs("expression", "  "));
    assert!(runs("bogus", "false"));
    assert!(!runs("expression", "' true '"));
}

#[test]
fn an_execution_has_its_properties_whatever_its_document_says() {
    let execution = json!({ "id": "e", "stages": [{ "id": "1", "refId": "1", "type": "wait" }] });
    let table = [
        ("execution.status", r#""NOT_STARTED""#),
        ("execution.canceled", "false"),
        ("execution.limitConcurrent", "false"),
        ("execution.maxConcurrentExecutions", "0"),
        ("execution.notifications", "[]"),
        ("execution.type", r#""PIPELINE""#),
        ("execution.stages[0].status", r#""NOT_STARTED""#),
        ("execution.stages[0].tasks.size()", "0"),
        ("execution.stages[0].requisiteStageRefIds", "[]"),
        ("execution.stages[0].outputs", "{}"),
        ("execution.origin", "fails"),
        ("execution.nosuch", "fails"),
    ];
    for (expression, expected) in table {
        assert_eq!(shown(&execution, expression), expected, "{expression}");
    }
}

#[test]
fn a_trigger_has_the_properties_of_its_kind() {
    let of = |trigger: Value| json!({ "stages": [], "trigger": trigger });
    let plain = of(json!({ "type": "webhook", "buildInfo": { "number": 1 } }));
    assert_eq!(shown(&plain, "execution.trigger.rebake"), "false");
    assert_eq!(shown(&plain, "execution.trigger.artifacts"), "[]");
    assert_eq!(shown(&plain, "execution.trigger.user"), r#""[anonymous]""#);
    assert_eq!(shown(&plain, "execution.trigger.buildInfo"), "fails");
    let build =
        json!({ "master": "m", "job": "j", "buildNumber": 1, "buildInfo": { "number": 1 } });
    assert_eq!(shown(&of(build), "execution.trigger.buildInfo.number"), "1");
    let git = json!({ "source": "s", "project": "p", "branch": "b", "slug": "r", "hash": "h" });
    assert_eq!(shown(&of(git), "execution.trigger.hash"), r#""h""#);
}

#[test]
fn a_stage_is_found_from_its_execution_and_from_below() {
    let stages = json!([
        { "id": "p", "refId": "1", "name": "Top", "type": "deploy" },
        { "id": "c", "refId": "1<1", "name": "Child", "type": "wait", "parentStageId": "p" },
        { "id": "g", "refId": "1<1<1", "name": "Grandchild", "type": "wait", "parentStageId": "c" },
    ]);
    check(
        &stages,
        &[
            ("execution.stageByRef('1<1').name", r#""Child""#),
            ("execution.stageById('p').name", r#""Top""#),
            ("execution.namedStage('wait').name", r#""Child""#),
            ("execution.namedStage('nope')", "fails"),
            ("#stage('Grandchild').topLevelStage.name", r#""Top""#),
            ("#stage('Grandchild').parent.name", r#""Child""#),
            ("#stage('Top').topLevelStage.name", r#""Top""#),
            ("#stage('Top').parent", "fails"),
        ],
    );
}
