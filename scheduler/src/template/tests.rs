use serde_json::json;

use super::*;

fn fields(value: Value) -> Object {
    value.as_object().cloned().unwrap_or_default()
}

fn template() -> Object {
    fields(json!({
        "schema": "v2", "id": "t", "metadata": {"name": "A template"},
        "variables": [{"name": "wait", "type": "int"}, {"name": "who", "defaultValue": "you"}],
        "pipeline": {
            "limitConcurrent": true,
            "triggers": [{"id": "t1", "type": "git"}],
            "parameterConfig": [{"name": "p"}],
            "stages": [{"refId": "1", "type": "wait", "name": "for ${templateVariables.who}",
                "waitTime": "${ templateVariables.wait }", "later": "${ trigger.user }"}],
        },
    }))
}

fn config(more: Value) -> Object {
    let mut config = fields(json!({
        "schema": "v2", "type": "templatedPipeline", "application": "a", "name": "n", "id": "i",
        "template": {"reference": "spinnaker://t"}, "variables": {"wait": 5},
    }));
    config.extend(fields(more));
    config
}

#[test]
fn variables_are_filled_in_and_other_expressions_stay() {
    let made = expand(&template(), &config(json!({}))).unwrap();
    let stage = &made["stages"][0];
    assert_eq!(stage["name"], "for you");
    assert_eq!(stage["waitTime"], 5);
    assert_eq!(stage["later"], "${ trigger.user }");
    assert_eq!(made["templateVariables"], json!({"wait": 5, "who": "you"}));
    assert_eq!([&made["application"], &made["id"]], ["a", "i"]);
    assert_eq!(made["limitConcurrent"], true);
    assert!(!made.contains_key("template") && !made.contains_key("schema"));
}

#[test]
fn lists_are_inherited_unless_they_are_excluded() {
    let own = json!({"triggers": [{"id": "t2"}, {"id": "t1", "type": "cron"}], "exclude": ["parameters"],
        "parameters": [{"name": "q"}]});
    let made = expand(&template(), &config(own)).unwrap();
    assert_eq!(made["triggers"], json!([{"id": "t1", "type": "cron"}, {"id": "t2"}]));
    assert_eq!(made["parameterConfig"], json!([{"name": "q"}]));
    let made = expand(&template(), &config(json!({}))).unwrap();
    assert_eq!(made["triggers"], json!([{"id": "t1", "type": "git", "inherited": true}]));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut template = template();
    template["variables"] = json!([{"name": "a"}, {"name": "b", "type": "int"}, {"name": "c", "type": "list"},
        {"name": "d", "nullable": true}]);
    let config = config(json!({"variables": {"b": "x", "c": {}},
        "stages": [{"refId": "z", "type": "wait", "inject": {"after": "nowhere"}}]}));
    let problems = expand(&template, &config).unwrap_err();
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["variable-missing", "variable-type", "variable-type", "inject-unknown"]);
}

#[test]
fn a_stage_behind_another_takes_over_what_waited_for_it() {
    let stage =
        |name: &str, before: &[&str]| json!({"refId": name, "requisiteStageRefIds": before});
    let own = json!([{"refId": "x", "inject": {"after": ["1"]}}]);
    let template = [stage("1", &[]), stage("2", &["1"]), stage("3", &["1"])];
    let made = with_injected(&template, own.as_array().unwrap()).unwrap();
    let before: Vec<&Value> = made.iter().map(|stage| &stage["requisiteStageRefIds"]).collect();
    assert_eq!(before, [&json!([]), &json!(["1"]), &json!(["x"]), &json!(["x"])]);
}

#[test]
fn the_stages_of_a_protected_template_stay_as_they_are() {
    let mut template = template();
    template.insert("protect".into(), true.into());
    let own = json!({"stages": [{"refId": "z", "type": "wait", "inject": {"last": true}}]});
    let problems = expand(&template, &config(own)).unwrap_err();
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
    assert!(codes.contains(&"template-protected"), "{problems:?}");
    let problems = expand(&template, &config(json!({}))).err().unwrap_or_default();
    assert!(problems.iter().all(|problem| problem.code != "template-protected"));
}

#[test]
fn a_template_without_a_name_or_a_pipeline_is_refused() {
    assert!(check(&template()).is_empty());
    let found = check(&fields(json!({"schema": "1", "id": "a b"})));
    assert_eq!(found.len(), 4, "{found:?}");
}
