use serde_json::json;

use super::*;

fn prepared(document: Value) -> Result<Value, Vec<String>> {
    let start = Start { document, ..Start::default() };
    let (registry, limits) = (Registry::default(), Limits::default());
    let id = ExecutionId::new("e");
    match prepare(&id, start, &[], &registry, &limits, Timestamp::UNIX_EPOCH) {
        Ok(submission) => Ok(submission.loaded.content.unwrap().document),
        Err(SubmitError::Refused { problems }) => {
            let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
            Err(errors.map(|problem| problem.code.to_string()).collect())
        }
        Err(error) => panic!("{error}"),
    }
}

fn parameters_of(config: Value, trigger: Value) -> Result<Value, Vec<String>> {
    let stages = json!([{"type": "wait"}]);
    let document = json!({"parameterConfig": config, "trigger": trigger, "stages": stages});
    prepared(document).map(|document| document["trigger"]["parameters"].clone())
}

#[test]
fn a_parameter_given_as_null_is_dropped_and_its_default_with_it() {
    let config = json!([{"name": "q", "default": "d"}, {"name": "r"}]);
    let given = json!({"parameters": {"q": null, "other": 1}});
    assert_eq!(parameters_of(config.clone(), given), Ok(json!({"other": 1})));
    assert_eq!(parameters_of(config, json!({})), Ok(json!({"q": "d"})));
}

#[test]
fn a_required_parameter_is_not_there_when_it_is_null() {
    let config = json!([{"name": "q", "required": true}]);
    let given = json!({"parameters": {"q": null}});
    assert_eq!(parameters_of(config, given), Err(vec!["parameter-missing".into()]));
    let config = json!([{"name": "q", "required": true, "default": ""}]);
    assert_eq!(parameters_of(config, json!({})), Ok(json!({"q": ""})));
}

#[test]
fn a_trigger_without_a_type_is_a_person() {
    let trigger = |trigger: Value| {
        let stages = json!([{"type": "wait"}]);
        let document = prepared(json!({"trigger": trigger, "stages": stages})).unwrap();
        [document["trigger"]["type"].clone(), document["trigger"]["user"].clone()]
    };
    assert_eq!(trigger(json!({})), ["manual", "[anonymous]"]);
    assert_eq!(trigger(json!({"type": "", "user": ""})), ["manual", "[anonymous]"]);
    assert_eq!(trigger(json!({"type": "git", "user": "me"})), ["git", "me"]);
}

#[test]
fn a_disabled_pipeline_is_checked_but_not_started() {
    let document = json!({"disabled": true, "stages": [{"type": "wait"}]});
    assert_eq!(prepared(document.clone()), Err(vec!["pipeline-disabled".into()]));
    let problems = check(&document, None, &Registry::default(), &Limits::default());
    assert!(problems.iter().all(|problem| problem.severity == Severity::Warning));
}

#[test]
fn stages_whose_references_are_all_null_are_a_line() {
    let stages = json!([{"refId": null, "type": "wait"}, {"refId": null, "type": "wait"}]);
    assert!(prepared(json!({"stages": stages})).is_ok());
}
